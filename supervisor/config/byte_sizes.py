"""How much memory this host may use, and amounts of it as people write them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import psutil
from pydantic import BeforeValidator, Field

from supervisor.text.values import in_words

DEFAULT_SHARE = 0.7
"""Of the host's memory: the rest is for the supervisor, the page cache and whatever else runs there."""

SMALLEST_BUDGET = 256 * 1024**2
"""Bytes. One client needs 110–180 MiB at rest, measured; less than this is a typing mistake."""

LARGEST = 2**53
"""Bytes: 8 PiB. More is a typing mistake."""

SMALLEST_LIMIT = 64 * 1024**2
"""Bytes. No client fits into less."""

_UNITS = {"b": 1, "kb": 1000, "mb": 1000**2, "gb": 1000**3, "tb": 1000**4}
_UNITS |= {"": 1, "kib": 1024, "mib": 1024**2, "gib": 1024**3, "tib": 1024**4}
_UNITS |= {"k": 1024, "m": 1024**2, "g": 1024**3, "t": 1024**4}
_SPELLINGS = {"TiB": 1024**4, "GiB": 1024**3, "GB": 1000**3, "MiB": 1024**2, "MB": 1000**2, "KiB": 1024}
_PATTERN = r"^\s*\d+(\.\d+)?\s*(%|[kKmMgGtT]?[iI]?[bB]?)\s*$"
_PERCENT = re.compile(r"\s*(\d{1,3}(?:\.\d{1,4})?)\s*%\s*", re.ASCII)
_AMOUNT = re.compile(r"\s*(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>%|[a-z]*)\s*", re.ASCII | re.IGNORECASE)


def host_memory(root: Path = Path("/")) -> int:
    """Bytes this process and its children may use: the machine's, or less when a control group says so."""
    return min([int(psutil.virtual_memory().total), *_group_limits(root)])


def default_budget() -> int:
    """Bytes."""
    return _share(DEFAULT_SHARE)


def parse_budget(value: object) -> int:
    """Bytes: from a number, from text such as `8GiB` or `500 MB`, or from a share of the host's memory such as `60%`.

    Raises `ValueError` in words that follow the name of a key.
    """
    return _amount(value, SMALLEST_BUDGET, "8GiB or 60%")


def parse_memory(value: object) -> int | None:
    """Like `parse_budget`, for a few clients or one; `none` (or None) means that there is no limit."""
    if value is None or (isinstance(value, str) and value.strip().lower() == "none"):
        return None
    return _amount(value, SMALLEST_LIMIT, "800MiB, 2GiB or 10%, or none")


def spell_memory(amount: int | None) -> str:
    """Bytes as people write them: `800MiB`, `2GiB`, `none`. Reading it gives the same amount again."""
    if amount is None:
        return "none"
    unit = next((unit for unit, size in _SPELLINGS.items() if amount and amount % size == 0), None)
    return f"{amount // _SPELLINGS[unit]}{unit}" if unit else str(amount)


def parse_part(value: object) -> float | None:
    """A share from 0 to 1, given as a number or as text such as `50%`; None for `none`, which means no limit.

    Raises `ValueError` in words that follow the name of a key.
    """
    if value is None or (isinstance(value, str) and value.strip().lower() == "none"):
        return None
    if isinstance(value, int | float) and not isinstance(value, bool):
        part: float | None = value
    else:
        found = _PERCENT.fullmatch(value) if isinstance(value, str) else None
        part = float(found[1]) / 100 if found else None
    if part is None or not 0 < part <= 1:
        raise ValueError(f"must be a share such as 50%, at most 100%, or none, not {in_words(value)}")
    return round(part, 6)


def spell_part(part: float | None) -> str:
    """`50%`, `none`. Reading it gives the same share again."""
    return "none" if part is None else f"{part * 100:.4f}".rstrip("0").rstrip(".") + "%"


def about(amount: int) -> str:
    """Bytes as a sentence tells them: `4.2 GiB`, `312 MiB`."""
    return f"{amount / 1024**3:.1f} GiB" if amount >= 1024**3 else f"{amount / 1024**2:.0f} MiB"


def _amount(value: object, smallest: int, examples: str) -> int:
    amount = _bytes(value)
    if amount is None:
        raise ValueError(f"must be an amount of memory such as {examples}, not {in_words(value)}")
    if amount > LARGEST:
        raise ValueError(f"must be at most {spell_memory(LARGEST)}, not {in_words(value)}")
    if amount < smallest:
        raise ValueError(f"must be at least {spell_memory(smallest)}, not {in_words(value)}")
    return amount


def _bytes(value: object) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if not isinstance(value, str) or (found := _AMOUNT.fullmatch(value)) is None:
        return None
    number = float(found["number"])
    if found["unit"] == "%":
        return _share(number / 100) if 0 < number <= 100 else None
    unit = _UNITS.get(found["unit"].lower())
    return None if unit is None else int(min(number * unit, 2.0 * LARGEST))


def _share(share: float) -> int:
    """Bytes: whole MB, so that the amount can be told in a word, with the digits that the screen shows of it."""
    return int(host_memory() * share) // 1000**2 * 1000**2


def _group_limits(root: Path) -> list[int]:
    """The limits of the control groups this process is in, version 2 and version 1, innermost to outermost."""
    try:
        # A group's name may hold any byte but a slash, a newline and NUL.
        groups = (root / "proc/self/cgroup").read_text("utf-8", "surrogateescape").split("\n")
    except OSError:
        return []
    limits = []
    for group in groups:
        _, controllers, path, *_ = [*group.split(":", 2), "-", "-"]
        if controllers == "":
            base, file = root / "sys/fs/cgroup", "memory.max"
        elif "memory" in controllers.split(","):
            base, file = root / "sys/fs/cgroup/memory", "memory.limit_in_bytes"
        else:
            continue
        folder = base / path.lstrip("/")
        for place in (folder, *folder.parents):
            limits += _limit(place / file)
            if place == base:
                break
    return limits


def _limit(file: Path) -> list[int]:
    try:
        text = file.read_text("ascii").strip()
    except (OSError, ValueError):
        return []
    return [int(text)] if re.fullmatch("[0-9]{1,19}", text) and int(text) > 0 else []


_AtLeastSmallest = Annotated[int, Field(ge=SMALLEST_LIMIT)]
_Text = Annotated[str, Field(pattern=f"{_PATTERN}|^none$")]

Memory = Annotated[int | None, BeforeValidator(parse_memory, json_schema_input_type=_AtLeastSmallest | _Text)]
"""An amount of memory in bytes; None, written `none`, is no limit."""

MemoryPart = Annotated[
    Annotated[float, Field(gt=0, le=1)] | None,
    BeforeValidator(
        parse_part,
        json_schema_input_type=Annotated[float, Field(gt=0, le=1)]
        | Annotated[str, Field(pattern=r"^\s*\d{1,3}(\.\d{1,4})?\s*%\s*$|^none$")],
    ),
]
"""A part of an amount of memory, more than nothing; None, written `none`, is no limit."""
