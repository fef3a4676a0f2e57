"""The line of keys at the lower edge: what does not fit is left out whole, never cut."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

from rich.cells import cell_len
from textual.app import ComposeResult
from textual.widgets import Footer
from textual.widgets._footer import FooterKey

Key = TypeVar("Key")

FIRST = frozenset({"go_back", "help"})
"""Verbs that are shown whatever else has no room: the way out, and the list of all keys."""


class FittedFooter(Footer):
    """In the order of the bindings, which is that of their importance: the last ones give way first."""

    _fitted_for = 0

    def on_resize(self) -> None:
        if self.app.size.width != self._fitted_for:
            self.call_after_refresh(self.recompose)

    def compose(self) -> ComposeResult:
        keys = [cast("FooterKey", key) for key in super().compose()]
        self._fitted_for = width = self.app.size.width
        # The sheet hides the palette's key on a narrow screen.
        docked = [key for key in keys if key.has_class("-command-palette")]
        others = [key for key in keys if key not in docked]
        is_hidden = self.screen.has_class("-narrow")
        room = width if is_hidden else width - sum(map(_cells, docked)) - 1
        yield from fit(others, room, _cells, lambda key: key.action in FIRST)
        yield from docked


def fit(keys: list[Key], width: int, cells: Callable[[Key], int], is_first: Callable[[Key], bool]) -> list[Key]:
    """Those that `width` has room for, in their order; those that come first whatever their place."""
    kept: list[Key] = []
    for key in sorted(keys, key=lambda key: not is_first(key)):
        if sum(map(cells, kept)) + cells(key) <= width:
            kept.append(key)
        elif not is_first(key):
            break
    return [key for key in keys if key in kept]


def _cells(key: FooterKey) -> int:
    """With the blank between the key and its word, and the one behind it."""
    return cell_len(key.key_display) + cell_len(key.description) + (2 if key.description else 1)
