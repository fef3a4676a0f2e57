"""Lengths of time as people write them."""

from __future__ import annotations

import math
import re
from decimal import Decimal
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from supervisor.text.values import in_words

LONGEST = 3650 * 86400.0
"""Seconds of any limit: what is added to a clock must still be a time that a clock can show."""

_UNITS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PATTERN = r"^\s*\d+(\.\d+)?\s*(ms|s|m|h|d)?\s*$"
_DURATION = re.compile(r"\s*(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>ms|s|m|h|d)?\s*", re.ASCII)


def parse_duration(value: object) -> float:
    """Seconds: from a number, or from text such as `30`, `30s`, `5m`, `2h` or `7d`.

    Raises `ValueError` in words that follow the name of a key.
    """
    if isinstance(value, str) and (found := _DURATION.fullmatch(value)):
        seconds = float(found["number"]) * _UNITS[found["unit"] or ""]
        if math.isfinite(seconds):
            return seconds
    elif isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < math.inf:
        return float(value)
    raise ValueError(f"must be a length of time such as 30, 30s, 5m, 2h or 7d, not {in_words(value)}")


def parse_limit(value: object) -> float | None:
    """Like `parse_duration`; `none` (or None) means that there is no limit."""
    if value is None or (isinstance(value, str) and value.strip().lower() == "none"):
        return None
    return parse_duration(value)


def parse_idle_ttl(value: object) -> float | None:
    """Like `parse_duration`; None where nothing is said."""
    return None if value is None else parse_duration(value)


def spell_duration(seconds: float | None) -> str:
    """Seconds as people write them: `500ms`, `90s`, `5m`, `7d`, `none`. Reading it gives the same length again."""
    if seconds is None:
        return "none"
    for unit in ("d", "h", "m", "s", "ms"):
        count = seconds / _UNITS[unit]
        if count >= 1 and count.is_integer() and count * _UNITS[unit] == seconds:
            return f"{count:.0f}{unit}"
    return f"{Decimal(repr(seconds)):f}s"


def _bearable(seconds: float | None) -> float | None:
    if seconds is not None and seconds > LONGEST:
        raise ValueError(f"must be at most {spell_duration(LONGEST)}, not {in_words(seconds)} seconds")
    return seconds


_Text = Annotated[str, Field(pattern=_PATTERN)]
_TextOrNone = Annotated[str, Field(pattern=f"{_PATTERN}|^none$")]
_AtLeastZero = Annotated[float, Field(ge=0)]
_MoreThanZero = Annotated[float, Field(gt=0)]

Seconds = Annotated[
    _AtLeastZero,
    BeforeValidator(parse_duration, json_schema_input_type=_AtLeastZero | _Text),
    AfterValidator(_bearable),
]
"""A length of time in seconds, zero allowed."""

PositiveSeconds = Annotated[
    _MoreThanZero,
    BeforeValidator(parse_duration, json_schema_input_type=_MoreThanZero | _Text),
    AfterValidator(_bearable),
]
"""A length of time in seconds, more than zero."""

Limit = Annotated[
    _AtLeastZero | None,
    BeforeValidator(parse_limit, json_schema_input_type=_AtLeastZero | _TextOrNone),
    AfterValidator(_bearable),
]
"""A length of time in seconds, zero allowed; None, written `none`, is no limit."""

IdleTtl = Annotated[
    _AtLeastZero | None,
    BeforeValidator(parse_idle_ttl, json_schema_input_type=_AtLeastZero | _Text),
    AfterValidator(_bearable),
]
"""A length of time in seconds, zero allowed; None stands where nothing is written: the host decides then."""

PositiveLimit = Annotated[
    _MoreThanZero | None,
    BeforeValidator(parse_limit, json_schema_input_type=_MoreThanZero | _TextOrNone),
    AfterValidator(_bearable),
]
"""A length of time in seconds, more than zero; None, written `none`, is no limit."""


def parse_share(value: object) -> object:
    """`80%` as 0.8, `none` as None; a number stays as it is. Raises `ValueError` with a sentence."""
    if value == "none":
        return None
    if isinstance(value, str):
        match = re.fullmatch(r"\s*(\d{1,3}(?:\.\d+)?)\s*%\s*", value)
        if match is None:
            raise ValueError(f"{value!r} is not a share; write it as 80%")
        return float(match[1]) / 100
    return value


_Part = Annotated[float, Field(gt=0, lt=1)]
Share = Annotated[
    _Part | None,
    BeforeValidator(
        parse_share, json_schema_input_type=_Part | Annotated[str, Field(pattern=r"^\d+(\.\d+)?%$|^none$")]
    ),
]
"""A part of a whole, more than nothing and less than all of it; `none` is none."""
