"""The last events, newest at the bottom."""

from __future__ import annotations

from collections import deque
from typing import ClassVar

from rich.segment import Segment
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.strip import Strip

from supervisor import Event
from tui.eventlines import line_of
from tui.filters import clean_cell
from tui.widgets.blocks import clock_time
from tui.widgets.lineview import LineView

KEPT = 500


class EventLog(LineView, can_focus=True):
    """Follows the newest event while it is in sight."""

    PREFIX = "event-log"

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "event-log--time",
        "event-log--ok",
        "event-log--busy",
        "event-log--warn",
        "event-log--error",
        "event-log--dim",
        "event-log--accent",
        "event-log--empty",
    }

    DEFAULT_CSS = """
    EventLog {
        height: 4;
        background: $surface;
        color: $foreground;
        & > .event-log--time { color: $text-disabled; }
        & > .event-log--ok { color: $text-success; }
        & > .event-log--busy { color: $text-primary; }
        & > .event-log--warn { color: $text-warning; }
        & > .event-log--error { color: $text-error; text-style: bold; }
        & > .event-log--dim { color: $text-muted; }
        & > .event-log--accent { color: $text-accent; }
        & > .event-log--empty { color: $text-muted; }
    }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("k", "scroll_up", "Up", show=False),
        Binding("j", "scroll_down", "Down", show=False),
        Binding("g", "scroll_home", "First", show=False),
        Binding("G", "scroll_end", "Last", show=False),
    ]

    def __init__(self, *, name: str | None = None, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(name=name, id=id, classes=classes)
        self._lines: deque[tuple[float, str, str]] = deque(maxlen=KEPT)

    @property
    def lines(self) -> tuple[str, ...]:
        """The texts, oldest first."""
        return tuple(text for _, text, _ in self._lines)

    def add(self, event: Event) -> None:
        """Shows an event."""
        self.write(event.at, *line_of(event))

    def write(self, at: float, text: str, role: str = "") -> None:
        """Shows a line; `at` in Unix seconds, `role` one of `ok`, `busy`, `warn`, `error`, `dim`, `accent`."""
        was_at_end = self.is_at_end
        is_full = len(self._lines) == KEPT
        self._lines.append((at, clean_cell(text), role))
        if not is_full:
            self.virtual_size = Size(0, len(self._lines))
        elif not was_at_end:
            self.scroll_to(y=self.scroll_offset.y - 1, animate=False, force=True)
        if was_at_end:
            self.scroll_to(y=self.max_scroll_y, animate=False, force=True)
        self.refresh()

    def on_blur(self) -> None:
        """Whoever looked back has left: it follows again."""
        self.scroll_to(y=self.max_scroll_y, animate=False, force=True)

    def on_resize(self) -> None:
        self.scroll_to(y=self.max_scroll_y, animate=False, force=True)

    def render_line(self, y: int) -> Strip:
        width, base = self.size.width, self.rich_style
        index = self.scroll_offset.y + y
        if index >= len(self._lines):
            if y == 0 and not self._lines:
                quiet = Segment(clean_cell(" nothing has happened yet", width), base + self.ink("empty"))
                return Strip([quiet]).adjust_cell_length(width, base)
            return Strip.blank(width, base)
        at, text, role = self._lines[index]
        strip = Strip(
            [
                Segment(f" {clock_time(at)}  ", base + self.ink("time")),
                Segment(clean_cell(text, max(1, width - 12)), base + self.ink(role)),
            ]
        )
        return strip.adjust_cell_length(width, base)
