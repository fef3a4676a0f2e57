"""Entries, outcomes and questions as JSON. Every kind has a word of its own beside its JSON: shapes alone are ambiguous
(what was cancelled reads like what was interrupted before a word was said)."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

from pydantic import TypeAdapter

from supervisor.api.entries import (
    Asked,
    Entry,
    Noticed,
    QuestionClosed,
    QuestionPosed,
    Replied,
    ToolCalled,
    ToolReturned,
    TurnEnded,
)
from supervisor.api.types import OUTCOME_WORDS, Outcome, Question, outcome_word
from supervisor.text.cleaning import join_surrogates

ENTRY_WORDS: dict[type[Entry], str] = {
    Asked: "asked",
    Replied: "replied",
    ToolCalled: "tool-called",
    ToolReturned: "tool-returned",
    QuestionPosed: "question-posed",
    QuestionClosed: "question-closed",
    Noticed: "noticed",
    TurnEnded: "turn-ended",
}
ASKED = ENTRY_WORDS[Asked]

_ENTRIES: dict[str, TypeAdapter[Any]] = {word: TypeAdapter(kind) for kind, word in ENTRY_WORDS.items()}
_OUTCOMES: dict[str, TypeAdapter[Any]] = {word: TypeAdapter(kind) for kind, word in OUTCOME_WORDS.items()}
_QUESTION = TypeAdapter(Question)


def storable(text: str) -> str:
    """The text as UTF-8 can hold it: two halves of a character become that character, a half alone U+FFFD."""
    return join_surrogates(text)


def pack_entry(entry: Entry) -> tuple[str, str]:
    """Its word and its JSON."""
    found = _fields_of(entry)
    if isinstance(entry, TurnEnded):
        found["outcome"] = [outcome_word(entry.outcome), entry.outcome]
    return ENTRY_WORDS[type(entry)], _dump(found)


def unpack_entry(word: str, packed: str) -> Entry:
    """Raises `ValueError` (pydantic's included), `KeyError` or `TypeError` when it is none of ours."""
    found = json.loads(packed)
    if word == "turn-ended":
        kind, outcome = found["outcome"]
        found["outcome"] = _OUTCOMES[kind].validate_python(outcome)
    entry: Entry = _ENTRIES[word].validate_python(found)
    return entry


def pack_outcome(outcome: Outcome) -> str:
    """Its JSON; its word is `outcome_word`."""
    return _dump(outcome)


def unpack_outcome(word: str, packed: str) -> Outcome:
    outcome: Outcome = _OUTCOMES[word].validate_json(packed)
    return outcome


def pack_question(question: Question) -> str:
    return _dump(question)


def unpack_question(packed: str) -> Question:
    return _QUESTION.validate_json(packed)


def _dump(thing: object) -> str:
    return storable(json.dumps(thing, ensure_ascii=False, default=_fields_of))


def _fields_of(thing: Any) -> dict[str, Any]:
    """Of a dataclass, one level of it: the encoder asks for the next. (`asdict` copies everything first.)"""
    return {field.name: getattr(thing, field.name) for field in fields(thing)}
