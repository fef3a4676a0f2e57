"""One line with the open conversations: which one is spoken to, which are in sight, and what is new in the others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from msgspec import Struct
from rich.cells import cell_len
from rich.segment import Segment
from textual import events
from textual.message import Message
from textual.strip import Strip

from tui.engine_link.unread import Mark
from tui.tables.line_view import LineView
from tui.wording.format import cut, cut_middle

WIDEST_NAME = 30
NARROWEST_NAME = 9
CLOSE = "×"
RANKS = ("warn", "error", "accent", "")
"""Roles of marks, the gravest first."""


class Tab(Struct, frozen=True):
    name: str
    """One line of clean text."""
    mark: Mark
    is_at: bool
    """Spoken to."""
    is_shown: bool
    """In sight."""


class TabStrip(LineView, can_focus=False):
    """Says which tab was clicked; it changes nothing itself."""

    PREFIX = "tabs"
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        f"tabs--{role}" for role in ("at", "shown", "hidden", "warn", "error", "accent", "note", "alarm")
    }
    DEFAULT_CSS = """
    TabStrip {
        height: 1;
        background: $panel;
        color: $text-muted;
        scrollbar-size: 0 0;
        overflow-y: hidden;
        & > .tabs--at { color: $text-primary; text-style: bold reverse; }
        & > .tabs--shown { color: $foreground; text-style: underline; }
        & > .tabs--hidden { color: $text-muted; }
        & > .tabs--warn { color: $text-warning; text-style: bold; }
        & > .tabs--error { color: $text-error; text-style: bold; }
        & > .tabs--accent { color: $text-accent; text-style: bold; }
        & > .tabs--note { color: $text-warning; text-style: bold; }
        & > .tabs--alarm { color: $text-error; text-style: bold reverse; }
    }
    """

    class Chosen(Message):
        """A tab was clicked."""

        def __init__(self, index: int) -> None:
            super().__init__()
            self.index = index

    class CloseWanted(Chosen):
        """A tab was clicked with the middle button, or on its cross."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._tabs: tuple[Tab, ...] = ()
        self._alarm = self._note = ""
        self._zones: list[tuple[int, int, int, bool]] = []
        """(first cell, end, index of the tab, whether it closes)."""

    def set(self, tabs: Sequence[Tab], alarm: str, note: str) -> None:
        """Draws anew where anything differs. `alarm` stands at the left and is never left out, `note` at the right
        where there is room: what waits in sessions that are not open."""
        now = (tuple(tabs), alarm, note)
        if now != (self._tabs, self._alarm, self._note):
            self._tabs, self._alarm, self._note = now
            self.refresh()

    def render_line(self, y: int) -> Strip:
        width, base = self.size.width, self.rich_style
        self._zones = []
        if y or not self._tabs:
            return Strip.blank(width, base)
        note = f" {self._note} " if self._note and len(self._note) + 2 <= width // 2 else ""
        alarm = f" {cut(self._alarm, width // 2)} " if self._alarm else ""
        room = width - cell_len(note) - cell_len(alarm)
        names = self._fit(room)
        first, last = self._window(names, room)
        segments = [Segment(alarm, base + self.ink("alarm"))]
        if first:
            segments += self._rest("‹", self._tabs[:first])
        at = sum(cell_len(segment.text) for segment in segments)
        for index in range(first, last):
            at = self._tab(segments, index, names[index], at)
        if last < len(names):
            segments += self._rest("›", self._tabs[last:])
        strip = Strip(segments).adjust_cell_length(width - cell_len(note), base)
        return Strip([*strip, Segment(note, base + self.ink("note"))]).adjust_cell_length(width, base)

    def _tab(self, segments: list[Segment], index: int, name: str, at: int) -> int:
        """Appends one tab at a cell; returns the cell behind it."""
        base, tab = self.rich_style, self._tabs[index]
        style = base + self._component("at" if tab.is_at else "shown" if tab.is_shown else "hidden")
        parts = [Segment(f" {index + 1} {name}", style)]
        if tab.mark.sign:
            parts.append(Segment(f" {tab.mark.sign}", style if tab.is_at else base + self.ink(tab.mark.role)))
        end = at + sum(cell_len(part.text) for part in parts)
        self._zones.append((at, end, index, False))
        if tab.is_at:
            parts.append(Segment(f" {CLOSE}", style))
            self._zones.append((end, end + 3, index, True))
            end += 2
        parts += [Segment(" ", style), Segment("│", base)]
        segments += parts
        return end + 2

    def _rest(self, arrow: str, tabs: Sequence[Tab]) -> list[Segment]:
        """How many tabs there is no room for, and the gravest of their marks."""
        mark = min((tab.mark for tab in tabs), key=lambda mark: RANKS.index(mark.role))
        base = self.rich_style
        return [Segment(f"{arrow}{len(tabs)}", base), Segment(f"{mark.sign[:1]} ", base + self.ink(mark.role))]

    def _fit(self, room: int) -> list[str]:
        """Names as wide as all tabs have room for, within reason."""
        around = sum(8 + len(tab.mark.sign) for tab in self._tabs)
        widest = max(NARROWEST_NAME, min(WIDEST_NAME, (room - around) // max(1, len(self._tabs))))
        return [cut_middle(tab.name, widest) for tab in self._tabs]

    def _window(self, names: Sequence[str], room: int) -> tuple[int, int]:
        """(first, end) of the tabs that fit around the one that is spoken to."""
        widths = [
            cell_len(name) + len(str(index + 1)) + 4 + (cell_len(tab.mark.sign) + 1 if tab.mark.sign else 0)
            + (2 if tab.is_at else 0)
            for index, (name, tab) in enumerate(zip(names, self._tabs, strict=True))
        ]  # fmt: skip
        if sum(widths) <= room:
            return 0, len(widths)
        first = next((index for index, tab in enumerate(self._tabs) if tab.is_at), 0)
        last, used = first + 1, widths[first] + 8
        while True:
            if last < len(widths) and used + widths[last] <= room:
                used += widths[last]
                last += 1
            elif first and used + widths[first - 1] <= room:
                first -= 1
                used += widths[first]
            else:
                return first, last

    def on_click(self, event: events.Click) -> None:
        for begin, end, index, closes in self._zones:
            if begin <= event.x < end:
                is_close = closes or event.button == 2
                self.post_message(self.CloseWanted(index) if is_close else self.Chosen(index))
                return
