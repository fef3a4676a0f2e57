"""How much memory this host may use, and amounts of it as people write them."""

from __future__ import annotations

import re
from pathlib import Path

import psutil

from supervisor.mistakes import in_words

DEFAULT_SHARE = 0.7
"""Of the host's memory: the rest is for the supervisor, the page cache and whatever else runs there."""

SMALLEST_BUDGET = 256 * 1024**2
"""Bytes. One client needs 110–180 MiB at rest, measured; less than this is a typing mistake."""

_UNITS = {"b": 1, "kb": 1000, "mb": 1000**2, "gb": 1000**3, "tb": 1000**4}
_UNITS |= {"": 1, "kib": 1024, "mib": 1024**2, "gib": 1024**3, "tib": 1024**4}
_UNITS |= {"k": 1024, "m": 1024**2, "g": 1024**3, "t": 1024**4}
_AMOUNT = re.compile(r"\s*(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>%|[a-z]*)\s*", re.ASCII | re.IGNORECASE)


def host_memory(root: Path = Path("/")) -> int:
    """Bytes this process and its children may use: the machine's, or less when a control group says so."""
    return min([int(psutil.virtual_memory().total), *_group_limits(root)])


def default_budget() -> int:
    """Bytes."""
    return int(host_memory() * DEFAULT_SHARE)


def parse_budget(value: object) -> int:
    """Bytes: from a number, from text such as `8GiB` or `500 MB`, or from a share of the host's memory such as `60%`.

    Raises `ValueError` in words that follow the name of a key.
    """
    budget = _bytes(value)
    if budget is None:
        raise ValueError(f"must be an amount of memory such as 8GiB or 60%, not {in_words(value)}")
    if budget < SMALLEST_BUDGET:
        raise ValueError(f"must be at least {SMALLEST_BUDGET // 1024**2}MiB, not {in_words(value)}")
    return budget


def _bytes(value: object) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if not isinstance(value, str) or (found := _AMOUNT.fullmatch(value)) is None:
        return None
    number = float(found["number"])
    if found["unit"] == "%":
        return int(host_memory() * number / 100) if 0 < number <= 100 else None
    unit = _UNITS.get(found["unit"].lower())
    return None if unit is None else int(number * unit)


def _group_limits(root: Path) -> list[int]:
    """The limits of the control groups this process is in, version 2 and version 1, innermost to outermost."""
    try:
        groups = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
    limits = []
    for group in groups:
        _, controllers, path = group.split(":", 2)
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
        text = file.read_text().strip()
    except OSError:
        return []
    return [int(text)] if text.isdigit() and int(text) > 0 else []
