"""What the dashboard remembers from one start to the next: theme, sort, filter and scope."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct, field
from msgspec.structs import asdict

from supervisor import read_private, write_private

FILE = "dashboard.json"
"""In the state directory; readable by its owner only."""
MOST_BYTES = 65_536
MOST_CHARACTERS = 1_000
"""Of one text in it."""


class Preferences(Struct, frozen=True):
    """Settings of the screen that an operator chose, kept for the next start."""

    theme: str = ""
    """Empty: the program's own."""
    sort: Mapping[str, tuple[str, bool]] = field(default_factory=dict)
    """By pane: the key of a column, and whether the order is reversed. Panes in their own order are not in it."""
    filter: str = ""
    scope: str = ""
    """The instance that the panes are narrowed to; empty for all."""


class PreferenceFile:
    """Reads and writes them. Both are blocking, and quick: the file is small."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE

    def load(self) -> tuple[Preferences, str]:
        """The preferences that were kept, and one line about a file that cannot be used; then all are the defaults."""
        try:
            kept = read_private(self._path, MOST_BYTES)
            return (Preferences() if kept is None else _unpack(json.loads(kept))), ""
        except OSError as error:
            why = error.strerror or str(error)
        except (ValueError, RecursionError):
            why = "it is not what bullpen writes there"
        return Preferences(), f"{self._path} cannot be used ({why}): theme, sort and filter are the default ones"

    def save(self, preferences: Preferences) -> None:
        """Replaces the file as a whole: a reader finds the old one or the new one. Raises `OSError`."""
        write_private(self._path, json.dumps(asdict(preferences)))


def _unpack(found: Any) -> Preferences:
    """Raises `ValueError` when it was not written by bullpen."""
    if not isinstance(found, dict) or not isinstance(kept := found.get("sort", {}), dict):
        raise ValueError("no table")
    sort = {}
    for pane, order in kept.items():
        if not (isinstance(order, list) and len(order) == 2 and isinstance(order[1], bool)):
            raise ValueError("no order")
        sort[_text(pane)] = (_text(order[0]), order[1])
    texts = {name: _text(found.get(name, "")) for name in ("theme", "filter", "scope")}
    return Preferences(sort=sort, **texts)


def _text(value: object) -> str:
    if not isinstance(value, str) or len(value) > MOST_CHARACTERS or not value.isprintable():
        raise ValueError("no text")
    return value
