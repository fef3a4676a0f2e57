"""Finds the agents that a text is for: an index in memory (SQLite's FTS5) over what each says of itself.

A trigger or a word of the name counts three times as much as one of the description, a word that few agents have more
than one that all have, and another form of a word (`printers` for `printer`) less than the word itself. A trigger of
several words that stands in the text whole counts once more.

What is given to SQLite are words as hexadecimal digits, as parameters: nothing in a text is ever syntax.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from supervisor.api.prompts import Candidate
from supervisor.routing.words import is_little, is_pair, shorter_forms, words_of
from supervisor.text.cleaning import one_line

LEAST_SCORE = 0.3
"""Less is no match: one word that the descriptions of ten agents share has less."""
_PLACES = ("name", "triggers", "description")
_WEIGHTS = {"name": 3.0, "triggers": 3.0, "description": 1.0}
_OTHER_FORM = 0.8
_PAIR = 0.8
"""Of a script without spaces: a word is one pair or more."""
_WHOLE_TRIGGER = 2.0
_SAID = {"name": "its name has", "triggers": "its triggers name", "description": "its description has"}
MOST_TOLD = 4
"""Words that a reason names."""
_WHOLE, _STEM = "w", "s"
"""How a term of the index begins: a word as it is written, or what is left of it without an ending."""


class Described(NamedTuple):
    """The texts of an agent that prompts are compared with."""

    name: str
    description: str = ""
    triggers: tuple[str, ...] = ()
    """Words and phrases."""


class _Hit(NamedTuple):
    weight: float
    place: str
    word: str


class RoutingIndex:
    """Made once for a set of agents, and asked often. It closes itself when nothing holds it any more."""

    def __init__(self, agents: Iterable[Described]) -> None:
        self._agents = sorted(agents)
        self._connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        execute = self._connection.execute
        execute("CREATE VIRTUAL TABLE agents USING fts5 (name, triggers, description, tokenize = 'ascii')")
        execute("CREATE VIRTUAL TABLE places USING fts5vocab (agents, instance)")
        execute("CREATE TEMP TABLE asked (term TEXT, word TEXT, share REAL)")
        self._phrases: list[list[tuple[str, frozenset[str]]]] = []
        """Of each agent, its triggers of several words, with their words."""
        for number, agent in enumerate(self._agents):
            name = words_of(agent.name)
            told = [word for word in words_of(agent.description) if not is_little(word)]
            triggers = [(phrase, _of_trigger(phrase)) for phrase in agent.triggers]
            self._phrases.append([(phrase, frozenset(words)) for phrase, words in triggers if len(words) > 1])
            row = (name, [word for _, words in triggers for word in words], told)
            execute(
                "INSERT INTO agents (rowid, name, triggers, description) VALUES (?, ?, ?, ?)",
                (number, *map(_terms, row)),
            )
        execute("CREATE VIRTUAL TABLE vocabulary USING fts5vocab (agents, row)")
        self._terms = frozenset(term for (term,) in execute("SELECT term FROM vocabulary"))
        """All there are: what is none of them is not looked up, and a long text costs no more than its words."""

    def __del__(self) -> None:
        if (connection := getattr(self, "_connection", None)) is not None:
            connection.close()

    @property
    def size(self) -> int:
        """Characters of what its agents say of themselves."""
        return sum(len(one.name) + len(one.description) + sum(map(len, one.triggers)) for one in self._agents)

    def find(self, text: str) -> list[Candidate]:
        """The agents that match the text, the best first; equal ones by name."""
        words = dict.fromkeys(words_of(text, singles=True))
        self._connection.execute("DELETE FROM asked")
        self._connection.executemany(
            "INSERT INTO asked VALUES (?, ?, ?)",
            (one for one in _questions(words) if one[0] in self._terms),
        )
        found: dict[str, dict[int, _Hit]] = {}
        """Word → agent → the place where it weighs most."""
        sql = "SELECT DISTINCT asked.word, doc, col, share FROM asked JOIN places ON places.term = asked.term"
        for word, number, place, share in self._connection.execute(sql):
            hit = _Hit(_WEIGHTS[place] * share * (_PAIR if is_pair(word) else 1.0), place, word)
            hits = found.setdefault(word, {})
            hits[number] = max(hit, hits.get(number, hit))
        candidates = [self._judge(number, found) for number in range(len(self._agents))]
        matching = [one for one in candidates if one.score >= LEAST_SCORE]
        return sorted(matching, key=lambda one: (-one.score, one.agent))

    def _judge(self, number: int, found: dict[str, dict[int, _Hit]]) -> Candidate:
        agent, count = self._agents[number], len(self._agents)
        most = math.log(1 + count)
        hits = [
            hits[number]._replace(weight=hits[number].weight * math.log(1 + count / len(hits)) / most)
            for hits in found.values()
            if number in hits
        ]
        words = {hit.word for hit in hits}
        phrases = [phrase for phrase, parts in self._phrases[number] if parts <= words]
        score = sum(hit.weight for hit in hits) + _WHOLE_TRIGGER * len(phrases)
        return Candidate(agent.name, round(score, 2), _explain(hits, phrases))


def _of_trigger(phrase: str) -> list[str]:
    """The words of a trigger without its little words, unless it has no others: `it` as a trigger is meant."""
    words = words_of(phrase)
    return [word for word in words if not is_little(word)] or words


def _terms(words: Iterable[str]) -> str:
    terms = [_term(_WHOLE, word) for word in words]
    terms += [_term(_STEM, form) for word in words for form in shorter_forms(word)]
    return " ".join(terms)


def _questions(words: Iterable[str]) -> Iterator[tuple[str, str, float]]:
    """(term, word of the text, how much finding it counts)."""
    for word in words:
        yield _term(_WHOLE, word), word, 1.0
        yield _term(_STEM, word), word, _OTHER_FORM
        for form in shorter_forms(word):
            yield _term(_WHOLE, form), word, _OTHER_FORM


def _term(kind: str, word: str) -> str:
    return kind + word.encode(errors="surrogatepass").hex()


def _explain(hits: list[_Hit], phrases: list[str]) -> str:
    parts = []
    for place in ("triggers", "name", "description"):
        told = [hit.word for hit in sorted(hits, key=lambda hit: (-hit.weight, hit.word)) if hit.place == place]
        if place == "triggers":
            inside = {word for phrase in phrases for word in words_of(phrase)}
            told = [*phrases, *(word for word in told if word not in inside)]
        if told:
            more = f" and {len(told) - MOST_TOLD} more" if len(told) > MOST_TOLD else ""
            parts.append(f"{_SAID[place]} {', '.join(f'“{one_line(one, 40)}”' for one in told[:MOST_TOLD])}{more}")
    return "; ".join(parts)


def flatten_triggers(written: Any) -> tuple[str, ...]:
    """Every word and phrase that a template's `triggers` holds, at any depth: a list, a mapping of lists, a text with
    commas. What is neither text nor number is passed over."""
    if isinstance(written, str):
        return tuple(part.strip() for part in written.split(",") if part.strip())
    if isinstance(written, int | float) and not isinstance(written, bool):
        return (str(written),)
    if isinstance(written, dict):
        written = list(written.values())
    if isinstance(written, list | tuple):
        return tuple(text for one in written for text in ((one,) if isinstance(one, str) else flatten_triggers(one)))
    return ()
