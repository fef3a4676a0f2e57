"""The condition of a hook, as its file says it: how each field of an event is compared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from supervisor.api.automation import Comparison, How, Value
from supervisor.automation.conditions import find_mistake
from supervisor.text.values import in_words


def read_condition(condition: Mapping[str, Any]) -> Iterator[Comparison]:
    """Raises `ValueError` with words that follow "has a condition that"."""
    for name, wanted in condition.items():
        if not isinstance(wanted, Mapping):
            yield Comparison(name, How.IS, _values(name, wanted))
            continue
        if not wanted:
            raise ValueError(f"says nothing of {name}")
        for word, inner in wanted.items():
            yield from _read_word(name, str(word), inner, negated=False)


def _read_word(name: str, word: str, inner: Any, *, negated: bool) -> Iterator[Comparison]:
    if word == "not" and not negated:
        if isinstance(inner, Mapping):
            for another, value in inner.items():
                yield from _read_word(name, str(another), value, negated=True)
        else:
            yield Comparison(name, How.IS, _values(name, inner), negated=True)
        return
    words = {**dict.fromkeys(map(str, How)), **({} if negated else {"not": None})}
    if word not in words:
        raise ValueError(f"compares {name} by {in_words(word)}; the ways are {', '.join(words)}")
    values = _values(name, inner)
    if word in (How.ABOVE, How.BELOW) and any(isinstance(one, str | bool) for one in values):
        raise ValueError(f"needs a number for {name} {word}")
    for value in values:
        if sentence := find_mistake(How(word), value):
            raise ValueError(f"has {in_words(value)} for {name}, which {sentence}")
    yield Comparison(name, How(word), values, negated)


def _values(name: str, wanted: object) -> tuple[Value, ...]:
    values = wanted if isinstance(wanted, list | tuple) else [wanted]
    if not values or not all(isinstance(one, str | int | float | bool) for one in values):
        raise ValueError(f"needs a text, a number, true or false for {name}, or a list of them")
    return tuple(values)
