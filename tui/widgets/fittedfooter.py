"""The line of keys at the lower edge: what does not fit is left out whole, never cut."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeVar

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.screen import Screen
from textual.strip import Strip
from textual.widget import Widget

Key = TypeVar("Key")

FIRST = frozenset({"go_back", "help"})
"""Verbs that are shown whatever else has no room: the way out, and the list of all keys."""

DIM = Style(dim=True)


class LineKey(NamedTuple):
    """One key of the line."""

    key: str
    shown: str
    """How the key is written."""
    word: str
    action: str
    is_enabled: bool
    tooltip: str

    @property
    def cells(self) -> int:
        """Width in cells, with the blank between the key and its word."""
        return cell_len(self.shown) + (cell_len(self.word) + 1 if self.word else 0)


class FittedFooter(Widget):
    """A footer that shows as many keys as fit, in the order of the bindings: the last ones give way first.

    It is one widget. The focus moves all the time, other keys then stand in this line, and a widget for each key would
    have to be made, styled and laid out each time: three quarters of what a move of the focus costs, measured.
    """

    ALLOW_SELECT = False
    COMPONENT_CLASSES = {
        "fitted-footer--key",
        "fitted-footer--word",
        "fitted-footer--hovered",
        "fitted-footer--edge",
    }
    DEFAULT_CSS = """
    FittedFooter {
        dock: bottom;
        height: 1;
        color: $footer-foreground;
        background: $footer-background;
        &.-on-key { pointer: pointer; }
        .fitted-footer--key { color: $footer-key-foreground; text-style: bold; }
        .fitted-footer--word { color: $footer-description-foreground; }
        .fitted-footer--hovered { background: $block-hover-background; }
        .fitted-footer--edge { color: $foreground 20%; }
    }
    """

    def __init__(self) -> None:
        super().__init__()
        self._keys: list[LineKey] = []
        self._palette: LineKey | None = None
        """At the right edge, where a wide screen has room for it."""
        self._places: list[tuple[range, LineKey]] = []
        """Cells of the line, and the key that was drawn there."""
        self._hovered: LineKey | None = None
        self._is_due = False
        """The keys are looked at again after the next refresh."""

    @property
    def keys(self) -> list[LineKey]:
        """The keys that have room, from left to right."""
        return [key for _, key in self._places]

    def on_mount(self) -> None:
        self.screen.bindings_updated_signal.subscribe(self, self._bindings_changed)

    def on_resize(self) -> None:
        self.call_after_refresh(self.refresh)  # only then does the screen know that it is narrow

    def _bindings_changed(self, screen: Screen[object]) -> None:
        # Told a dozen times while a screen starts and whenever the focus moves, and hardly ever with a change.
        if screen.app.app_focus and self.is_attached and screen is self.screen and not self._is_due:
            self._is_due = self.call_after_refresh(self._renew)

    def _renew(self) -> None:
        self._is_due = False
        if not self.is_attached:
            return
        active = self.screen.active_bindings
        keys: dict[str, LineKey] = {}
        """By action: of several keys that do the same, the first is shown."""
        palette = None
        for at, (_, binding, is_enabled, tooltip) in active.items():
            if binding.show or at == self.app.COMMAND_PALETTE_BINDING:
                shown = self.app.get_key_display(binding)
                key = LineKey(binding.key, shown, binding.description, binding.action, is_enabled, tooltip)
                if binding.show:
                    keys.setdefault(binding.action, key)
                if at == self.app.COMMAND_PALETTE_BINDING:
                    palette = key._replace(tooltip=tooltip or binding.description)
        if (list(keys.values()), palette) != (self._keys, self._palette):
            self._keys, self._palette = list(keys.values()), palette
            self.refresh()

    def render_line(self, y: int) -> Strip:
        return Strip(list(self._draw(self.size.width)), self.size.width)

    def _draw(self, width: int) -> Iterator[Segment]:
        palette = None if self.screen.has_class("-narrow") else self._palette
        edge = 0 if palette is None else palette.cells + 2  # the line before it, the blank behind it
        blank = Style(bgcolor=self.rich_style.bgcolor)
        self._places, at = [], 0
        # Where no key leads back, the way out is that of the program.
        first = FIRST if any(key.action == "go_back" for key in self._keys) else FIRST | {"quit"}
        for key in fit(self._keys, width - edge, lambda key: key.cells + 1, lambda key: key.action in first):
            if at:
                yield Segment(" ", blank)
                at += 1
            yield from self._draw_key(key, at)
            at += key.cells
        yield Segment(" " * (width - edge - at), blank)
        if palette is not None:
            yield Segment("▏", self.get_component_rich_style("fitted-footer--edge"))
            yield from self._draw_key(palette, width - edge + 1)
            yield Segment(" ", blank)

    def _draw_key(self, key: LineKey, at: int) -> Iterator[Segment]:
        self._places.append((range(at, at + key.cells), key))
        style = self.get_component_rich_style("fitted-footer--key")
        word = self.get_component_rich_style("fitted-footer--word")
        if key == self._hovered:
            word += Style(bgcolor=self.get_component_rich_style("fitted-footer--hovered").bgcolor)
        if not key.is_enabled:
            style, word = style + DIM, word + DIM
        yield Segment(key.shown, style)
        if key.word:
            yield Segment(f" {key.word}", word)

    # The mouse

    def _key_at(self, x: int) -> LineKey | None:
        return next((key for cells, key in self._places if x in cells), None)

    def _hover(self, key: LineKey | None) -> None:
        if key != self._hovered:
            self._hovered = key
            self.tooltip = key.tooltip or None if key is not None else None
            self.set_class(key is not None, "-on-key")
            self.refresh()

    def on_mouse_move(self, event: events.MouseMove) -> None:
        self._hover(self._key_at(event.x))

    def on_leave(self) -> None:
        self._hover(None)

    def on_mouse_down(self, event: events.MouseDown) -> None:
        key = self._key_at(event.x)
        if key is None:
            return
        if key.is_enabled:
            self.app.simulate_key(key.key)
        else:
            self.app.bell()


def fit(keys: list[Key], width: int, cells: Callable[[Key], int], is_first: Callable[[Key], bool]) -> list[Key]:
    """The keys that `width` cells have room for, in their given order. Keys for which `is_first` holds get room before
    all others."""
    kept: list[Key] = []
    for key in sorted(keys, key=lambda key: not is_first(key)):
        if sum(map(cells, kept)) + cells(key) <= width:
            kept.append(key)
        elif not is_first(key):
            break
    return [key for key in keys if key in kept]
