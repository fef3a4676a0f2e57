"""The line of keys at the lower edge: what does not fit is left out whole, never cut."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

from rich.cells import cell_len
from textual.app import ComposeResult
from textual.screen import Screen
from textual.widgets import Footer
from textual.widgets._footer import FooterKey

Key = TypeVar("Key")

FIRST = frozenset({"go_back", "help"})
"""Verbs that are shown whatever else has no room: the way out, and the list of all keys."""


class FittedFooter(Footer):
    """In the order of the bindings, which is that of their importance: the last ones give way first."""

    _composed: tuple[object, ...] = ()
    """What it was made from."""

    def on_resize(self) -> None:
        self.call_after_refresh(self._renew)

    def bindings_changed(self, screen: Screen[object]) -> None:
        # Told a dozen times while a screen starts and whenever the focus moves, and hardly ever with a change.
        self._bindings_ready = True
        if screen.app.app_focus and self.is_attached and screen is self.screen:
            self.call_after_refresh(self._renew)

    async def _renew(self) -> None:
        if self.is_attached and self._materials() != self._composed:
            await self.recompose()

    def _materials(self) -> tuple[object, ...]:
        """All that the line follows from. Each key of it is a widget, which is not made anew for the same words."""
        screen, palette = self.screen, self.app.COMMAND_PALETTE_BINDING
        bindings = [
            (one.binding.key, one.binding.description, one.binding.action, one.enabled, one.tooltip)
            for key, one in screen.active_bindings.items()
            if one.binding.show or key == palette
        ]
        return (self._bindings_ready, self.app.size.width, screen.has_class("-narrow"), *bindings)

    def compose(self) -> ComposeResult:
        keys = [cast("FooterKey", key) for key in super().compose()]
        self._composed, width = self._materials(), self.app.size.width
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
