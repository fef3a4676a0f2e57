"""Every value of the contract as JSON, and back: the journal, a wire and a remote reader share it.

A value is written as its fields, by name; a tuple, named or not, as a list. Where one of several kinds may stand (an
entry, an event, an outcome, an answer) its JSON is `[word, fields]`: shapes alone are ambiguous (what was cancelled
reads like what was interrupted before a word was said). The journal keeps the word in a column of its own.

Reading follows the types of the fields, so a new value needs nothing here. A field that has a default may be missing,
and one that is not known is passed over: the other side may be older or newer. Everything else that does not fit raises
`ValueError`, which names the field and never quotes what stands in it.
"""

from __future__ import annotations

import json
import re
import types
from collections.abc import Callable, Mapping
from enum import Enum
from functools import cache
from typing import Any, Union, get_args, get_origin, get_type_hints

from msgspec import Struct
from msgspec.structs import fields

from supervisor.api import errors, events
from supervisor.api.entries import (
    Asked,
    Entry,
    Noticed,
    QuestionClosed,
    QuestionPosed,
    Replied,
    StartsAgain,
    ToolCalled,
    ToolReturned,
    TurnEnded,
)
from supervisor.api.errors import BullpenError
from supervisor.api.events import Event
from supervisor.api.outcomes import OUTCOME_WORDS, Outcome
from supervisor.api.questions import Allow, Answer, Choose, Deny, Question
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
ANSWER_WORDS: dict[type[Answer], str] = {Allow: "allow", Deny: "deny", Choose: "choose"}
EVENT_WORDS: dict[type[Event], str] = {
    kind: re.sub(r"(?<=[a-z])(?=[A-Z])", "-", name).lower()
    for name, kind in vars(events).items()
    if isinstance(kind, type) and issubclass(kind, Event)
}
"""By their names: no event is kept as one."""

FAMILIES: dict[Any, Mapping[Any, str]] = {
    Entry: ENTRY_WORDS,
    Event: EVENT_WORDS,
    Outcome: OUTCOME_WORDS,
    Answer: ANSWER_WORDS,
}
"""What a field may be declared as that holds one of several kinds, and the word for each of them."""

_WORDS = {kind: word for family in FAMILIES.values() for kind, word in family.items()}
_ERRORS = {
    name: kind for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, BullpenError)
}

Read = Callable[[Any], Any]
"""Makes a value from its JSON as `json.loads` gives it. Raises `ValueError`."""


def pack(value: Any) -> str:
    """Any value of the contract as JSON. Raises `ValueError` for what JSON cannot say: a number that is none, or values
    within values without end."""
    try:
        return storable(_ENCODER.encode(value))
    except RecursionError:
        raise ValueError("values are within values too deeply") from None


def unpack(kind: Any, packed: str) -> Any:
    """A value of this kind (a class of the contract, or what a method of `Engine` is annotated with) from its JSON.
    Raises `ValueError`."""
    return reader_of(kind)(_parse(packed))


def _parse(packed: str) -> Any:
    """Raises `ValueError`."""
    try:
        return json.loads(packed)
    except RecursionError:
        raise ValueError("values are within values too deeply") from None


def storable(text: str) -> str:
    """The text as UTF-8 can hold it: two halves of a character become that character, a half alone U+FFFD."""
    return join_surrogates(text)


# What the journal keeps, with the word beside the JSON


def pack_entry(entry: Entry) -> tuple[str, str]:
    """The word for the entry's type, and its fields as JSON."""
    return ENTRY_WORDS[type(entry)], pack(_fields_of(entry))


_KINDS_OF_ENTRIES = {word: kind for kind, word in ENTRY_WORDS.items()}
_KINDS_OF_OUTCOMES = {word: kind for kind, word in OUTCOME_WORDS.items()}


def unpack_entry(word: str, packed: str) -> Entry:
    """Raises `ValueError`, or `KeyError` when it was not written by bullpen."""
    entry: Entry = unpack(_KINDS_OF_ENTRIES[word], packed)
    return entry


def pack_outcome(outcome: Outcome) -> str:
    """The outcome's fields as JSON. The word for its type is `outcome_word`."""
    return pack(_fields_of(outcome))


def unpack_outcome(word: str, packed: str) -> Outcome:
    """Raises `ValueError`, or `KeyError` when it was not written by bullpen."""
    outcome: Outcome = unpack(_KINDS_OF_OUTCOMES[word], packed)
    return outcome


def pack_question(question: Question) -> str:
    return pack(question)


def unpack_question(packed: str) -> Question:
    question: Question = unpack(Question, packed)
    return question


# What is raised, and what is streamed


def pack_error(error: BullpenError) -> str:
    """`[name, message, fields]`."""
    return pack([type(error).__name__, str(error), vars(error)])


def unpack_error(packed: str) -> BullpenError:
    """Makes the error that was packed: same class, message and fields; `BullpenError` for a class that is not known
    here. Raises `ValueError` when the text is no packed error."""
    match _parse(packed):
        case [str(name), str(message), dict(found)]:
            kind = _ERRORS.get(name, BullpenError)
            error = kind.__new__(kind, message)
            Exception.__init__(error, message)
            vars(error).update(found)
            return error
    raise ValueError("it is no error")


def pack_fragment(text: str) -> str:
    """A piece of `Ticket.stream`: its text, or null for `StartsAgain`."""
    return "null" if isinstance(text, StartsAgain) else pack(text)


def unpack_fragment(packed: str) -> str:
    """Raises `ValueError`."""
    return StartsAgain() if packed == "null" else str(unpack(str, packed))


# Writing


def _plain(thing: Any) -> Any:
    """One level of what JSON does not know; the encoder asks for the next."""
    if isinstance(thing, Struct):
        word = _WORDS.get(type(thing))
        return _fields_of(thing) if word is None else [word, _fields_of(thing)]
    if isinstance(thing, frozenset):
        return sorted(thing)
    if isinstance(thing, Mapping):
        return dict(thing)
    raise TypeError(f"{type(thing).__name__} is no value of the contract")


_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, default=_plain)
"""Made once: `json.dumps` makes one for each value."""


def _fields_of(thing: Any) -> dict[str, Any]:
    return {name: getattr(thing, name) for name in type(thing).__struct_fields__}


# Reading


@cache
def reader_of(kind: Any) -> Read:
    """Makes values of that type. Raises `TypeError` for a type that does not belong into the contract."""
    if kind in FAMILIES:
        return _read_family(FAMILIES[kind])
    if kind in (str, int, float, bool):
        return _read_scalar(kind)
    if kind is None or kind is type(None):
        return _read_none
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return _read_optional(inner)
    if origin is tuple:
        return _read_list(inner[0], tuple) if inner[1:] == (...,) else _read_fixed(kind, inner, tuple)
    if origin is frozenset:
        return _read_list(inner[0], frozenset)
    if origin in (dict, Mapping):
        return _read_mapping(inner[0], inner[1], dict if origin is dict else types.MappingProxyType)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return _read_enum(kind)
    if isinstance(kind, type) and issubclass(kind, tuple) and hasattr(kind, "_fields"):
        hints = get_type_hints(kind)
        return _read_fixed(kind, [hints[name] for name in kind._fields], lambda found: kind(*found))
    if isinstance(kind, type) and issubclass(kind, Struct):
        return _read_struct(kind)
    raise TypeError(f"{kind!r} is no type of the contract")


def _read_scalar(kind: type) -> Read:
    # An integer is written for a float that a clock or a sum left whole; it is equal to it.
    fitting = (float, int) if kind is float else (kind,)

    def read(found: Any) -> Any:
        if type(found) in fitting:
            return found
        raise _unfit(kind.__name__, found)

    return read


def _read_none(found: Any) -> None:
    if found is not None:
        raise _unfit("null", found)


def _read_optional(inner: tuple[Any, ...]) -> Read:
    kinds = [kind for kind in inner if kind is not type(None)]
    if len(kinds) != 1 and (union := Union[tuple(kinds)]) not in FAMILIES:  # noqa: UP007 - made, not written
        raise TypeError(f"of {union!r} it cannot be told which one it is: give them words")
    present = reader_of(kinds[0] if len(kinds) == 1 else Union[tuple(kinds)])  # noqa: UP007
    return lambda found: None if found is None else present(found)


def _read_list(kind: Any, make: Callable[[list[Any]], Any]) -> Read:
    one = reader_of(kind)

    def read(found: Any) -> Any:
        if type(found) is not list:
            raise _unfit("list", found)
        return make([one(each) for each in found])

    return read


def _read_fixed(kind: Any, inner: Any, make: Callable[[list[Any]], Any]) -> Read:
    parts = [reader_of(each) for each in inner]

    def read(found: Any) -> Any:
        if type(found) is not list or len(found) != len(parts):
            raise _unfit(f"list of {len(parts)}", found)
        return make([part(each) for part, each in zip(parts, found, strict=True)])

    return read


def _read_mapping(key: Any, value: Any, make: Callable[[dict[str, Any]], Any]) -> Read:
    if key is not str:
        raise TypeError("JSON has texts for keys")
    one = reader_of(value)

    def read(found: Any) -> Any:
        if type(found) is not dict:
            raise _unfit("object", found)
        return make({name: one(each) for name, each in found.items()})

    return read


def _read_enum(kind: type[Enum]) -> Read:
    known = {member.value: member for member in kind}

    def read(found: Any) -> Any:
        if type(found) not in (str, int) or (member := known.get(found)) is None:
            raise ValueError(f"no {kind.__name__}")
        return member

    return read


def _read_family(words: Mapping[Any, str]) -> Read:
    kinds = {word: _read_struct(kind) for kind, word in words.items()}

    def read(found: Any) -> Any:
        if (
            type(found) is list
            and len(found) == 2
            and type(found[0]) is str
            and (one := kinds.get(found[0])) is not None
        ):
            return one(found[1])
        raise ValueError(f"none of {', '.join(kinds)}")

    return read


def _read_struct(kind: type[Struct]) -> Read:
    hints = get_type_hints(kind)
    readers = {field.name: reader_of(hints[field.name]) for field in fields(kind)}
    needed = {field.name for field in fields(kind) if field.required}

    word = _WORDS.get(kind)

    def read(found: Any) -> Any:
        if word is not None and type(found) is list and len(found) == 2 and found[0] == word:
            found = found[1]  # where only this one of its family may stand, it is written with its word all the same
        try:
            return kind(**{name: readers[name](held) for name, held in found.items()})
        except (KeyError, ValueError, TypeError, AttributeError):
            return read_with_care(found)

    def read_with_care(found: Any) -> Any:
        """Passes over what is not known, and says what is wrong."""
        if type(found) is not dict:
            raise _unfit("object", found)
        if not needed <= found.keys():
            raise ValueError(f"{kind.__name__} lacks {', '.join(sorted(needed - found.keys()))}")
        values = {}
        for name in found.keys() & readers.keys():
            try:
                values[name] = readers[name](found[name])
            except ValueError as error:
                raise ValueError(f"{kind.__name__}.{name}: {error}") from None
        return kind(**values)

    return read


def _unfit(wanted: str, found: Any) -> ValueError:
    return ValueError(f"{wanted} is wanted, not {type(found).__name__}")
