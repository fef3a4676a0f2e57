"""Values from outside, brought into the range that the journal, the clocks and the screens can hold.

For what the API, the CLI, a file or the system says: nothing here raises. A value that is not of its kind becomes the
kind's nothing (0, "", None), one that is too large the largest. What a caller hands in is refused instead (`checks`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

MOST = 2**53
"""The largest count: whole numbers are exact up to here in JSON and in a float, and SQLite holds ten bits more."""
MOST_DOLLARS = 1e9
"""Of one turn or one session."""
LONGEST_DELAY = 366 * 86400.0
"""Seconds of any length of time that is told from outside."""
MOST_TEXT = 8 * 1024 * 1024
"""Characters of one text from outside, unless its place says less."""

MOST_LEVELS = 100
"""Of lists and mappings in one another. A deeper value is not read: functions that call themselves for each level
would fail at some depth."""

LAST_MOMENT = 1e11
"""Unix seconds, in the year 5138: the end of what this program takes for a time."""

_FIRST_TIME = 946_684_800.0
"""1 January 2000, in Unix seconds. Earlier, and from 2100 on, is no time that the API means."""
_LAST_TIME = 4_102_444_800.0
_STATUS = range(100, 600)
_TEXTS = frozenset({str})


def is_too_deep(value: object) -> bool:
    """Whether the value has more than `MOST_LEVELS` levels of lists and mappings."""
    level = [value]
    for _ in range(MOST_LEVELS + 1):
        level = [inner for one in level if isinstance(one, Mapping | list | tuple) for inner in _inside(one)]
        if not level:
            return False
    return True


def _inside(value: Mapping[Any, Any] | Sequence[Any]) -> Iterable[Any]:
    return value.values() if isinstance(value, Mapping) else value


def count(value: object) -> int:
    """A whole number from 0 to `MOST`."""
    if type(value) is int and 0 <= value <= MOST:
        return value  # as nearly always
    return int(_within(value, MOST))


def dollars(value: object) -> float:
    """Finite, from 0 to `MOST_DOLLARS`."""
    if type(value) is float and 0.0 <= value <= MOST_DOLLARS:
        return value  # as nearly always
    return float(_within(value, MOST_DOLLARS))


def seconds(value: object, most: float = LONGEST_DELAY) -> float:
    """Finite, from 0 to `most`."""
    return float(_within(value, most))


def milliseconds(value: object, most: float = LONGEST_DELAY) -> float:
    """Seconds, of a number of milliseconds."""
    return float(_within(value, most * 1000)) / 1000


def unix_time(value: object) -> float | None:
    """Seconds since 1970, of a moment in this century; None for anything else. Milliseconds are recognised."""
    found = _within(value, _LAST_TIME * 1000)
    if found >= _FIRST_TIME * 1000:
        found /= 1000
    return float(found) if _FIRST_TIME <= found < _LAST_TIME else None


def moment(value: object) -> float:
    """Unix seconds that a clock can show, from 1970 on; 0 for anything else. For what an earlier run has kept."""
    return float(_within(value, LAST_MOMENT))


def http_status(value: object) -> int | None:
    """The value when it is an HTTP status, 100 to 599; None for anything else."""
    return int(value) if isinstance(value, int) and not isinstance(value, bool) and value in _STATUS else None


def text(value: object, most: int = MOST_TEXT) -> str:
    """At most `most` characters of a text; empty for anything else."""
    return value[:most] if isinstance(value, str) else ""


def as_json(value: object) -> str:
    """The value as JSON; what JSON does not know as its text. Empty for None, and for what no JSON can hold."""
    if value is None:
        return ""
    try:
        return text(json.dumps(value, default=str))
    except (TypeError, ValueError, RecursionError):
        return ""


def mapping(value: object) -> Mapping[str, Any]:
    """Empty for anything else; keys that are no text are left out."""
    if type(value) is dict and _TEXTS.issuperset(map(type, value)):
        return value  # as JSON always has it
    if not isinstance(value, Mapping):
        return {}
    return {key: one for key, one in value.items() if isinstance(key, str)}


def sequence(value: object) -> Sequence[Any]:
    """A list or a tuple; empty for anything else, a text included."""
    return value if isinstance(value, list | tuple) else ()


def _within(value: object, most: float) -> float:
    """The number brought into the range from 0 to `most`; 0 for NaN and for what is no number. An integer stays one."""
    if not isinstance(value, int | float) or isinstance(value, bool) or math.isnan(_clipped(value)):
        return 0
    return min(max(value, 0), most)


def _clipped(value: float) -> float:
    """The value as a float. One that no float can hold is infinite."""
    try:
        return float(value)
    except OverflowError:
        return math.inf
