"""Whether what happened meets a condition. Declarative: nothing in a condition is executed.

Regular expressions are those of Rust's `regex`, which takes time linear in the text: no text that a user sends can
make one slow.
"""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import translate
from functools import cache

from supervisor.api.automation import Comparison, How, Payload, Value
from supervisor.text.patterns import Matches, compile_pattern

MOST_MATCHED = 20_000
"""Characters of a field that a pattern is held against."""


def holds(tests: Iterable[Comparison], payload: Payload) -> bool:
    """Whether every comparison holds for the payload. A field that is not there compares to nothing."""
    return all(_compares(test, payload) for test in tests)


def find_mistake(how: How, value: Value) -> str:
    """What is wrong with a pattern, in words that follow the name of a key; empty when it can be used."""
    try:
        if how is How.REGEX:
            compile_pattern(str(value))
    except ValueError as error:
        return str(error)
    return ""


def spell(value: Value) -> str:
    """The value as a configuration file writes it. Conditions compare these texts, not types."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def _compares(test: Comparison, payload: Payload) -> bool:
    found = payload.get(test.field)
    return found is not None and any(_is_met(test.how, value, found) for value in test.values) is not test.negated


def _is_met(how: How, value: Value, found: Value) -> bool:
    match how:
        case How.IS:
            return spell(found) == spell(value)
        case How.CONTAINS:
            return spell(value).casefold() in spell(found).casefold()
        case How.GLOB:
            return _glob(str(value))(spell(found)[:MOST_MATCHED])
        case How.REGEX:
            return compile_pattern(str(value))(spell(found)[:MOST_MATCHED])
    number = found if isinstance(found, int | float) and not isinstance(found, bool) else None
    if number is None or not isinstance(value, int | float):
        return False
    return number > value if how is How.ABOVE else number < value


@cache
def _glob(pattern: str) -> Matches:
    """A test of a whole text against the pattern. Case counts."""
    # `translate` writes groups that are not entered again (`(?>…)`), and ends with `\Z`.
    from re import DOTALL, compile

    expression = compile(translate(pattern), DOTALL)
    return lambda text: expression.match(text) is not None
