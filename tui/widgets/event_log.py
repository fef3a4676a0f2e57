"""What has happened, newest at the bottom: one line for one thing, brought up to date as the thing goes on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from itertools import islice
from typing import ClassVar, NamedTuple

from rich.segment import Segment
from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.reactive import reactive
from textual.strip import Strip

from supervisor import Event, SessionKey
from tui.tables.line_view import LineView
from tui.transcript.blocks import clock_time
from tui.wording.event_lines import is_told_by_its_effect, line_of, session_of, thing_of
from tui.wording.sanitize import clean_cell

KEPT = 2_000
"""Lines."""
NOTHING_YET = "nothing has happened yet"


class EventLine(NamedTuple):
    at: float
    """Unix seconds."""
    text: str
    role: str
    session: SessionKey | None
    """What `enter` opens."""


class EventLog(LineView, can_focus=True):
    """Follows the newest line until the operator goes back to an older one."""

    PREFIX = "event-log"

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "event-log--time",
        "event-log--ok",
        "event-log--busy",
        "event-log--warn",
        "event-log--error",
        "event-log--dim",
        "event-log--accent",
        "event-log--asleep",
        "event-log--empty",
        "event-log--cursor",
        "event-log--bar",
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
        & > .event-log--asleep { color: $text-success 75%; }
        & > .event-log--empty { color: $text-muted; }
        & > .event-log--cursor { background: $block-cursor-background; }
        & > .event-log--bar { color: $accent; }
    }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "Up", show=False),
        Binding("down,j", "move(1)", "Down", show=False),
        Binding("pageup", "page(-1)", "Page up", show=False),
        Binding("pagedown", "page(1)", "Page down", show=False),
        Binding("home,g", "first", "First", show=False),
        Binding("end,G", "last", "Last", show=False),
        Binding("enter", "open_line", "open", key_display="⏎"),
    ]

    filter_text: reactive[str] = reactive("", init=False)
    """Only lines that contain this, whatever the case; a leading `!` shows the others."""

    empty: reactive[str] = reactive(NOTHING_YET, init=False)
    """Shown when there are no lines."""

    class Opened(Message):
        """Enter, or a double click, on a line about a session."""

        def __init__(self, session: SessionKey) -> None:
            super().__init__()
            self.session = session

    def __init__(self, *, clock: Callable[[], float] = time.time, id: str | None = None) -> None:
        """`clock` gives the Unix time; lines of another day show their date."""
        super().__init__(id=id)
        self._clock = clock
        self._lines: dict[object, EventLine] = {}
        """By the thing they are about, oldest first."""
        self._shown: list[tuple[object, EventLine]] = []
        self._cursor: object | None = None
        """The thing under it; None follows the newest line."""
        self._top = 0
        """The first line in sight. Not a scroll offset of Textual's: with every line that is added, that one would
        lay out and paint the whole screen anew."""
        self._count = 0

    @property
    def lines(self) -> tuple[str, ...]:
        """The texts shown, oldest first."""
        return tuple(line.text for _, line in self._shown)

    @property
    def row_count(self) -> int:
        """Lines shown, after the filter."""
        return len(self._shown)

    @property
    def total_count(self) -> int:
        """Lines, before the filter."""
        return len(self._lines)

    def add(self, events: Iterable[Event], *, is_past: bool = False) -> None:
        """Shows what happened. An action whose effect is told by an event of its own is left out, except when it
        `is_past`: of an earlier run only the action is known."""
        before = self._count
        for event in events:
            if is_past or not is_told_by_its_effect(event):
                self._put(thing_of(event), EventLine(event.at, *line_of(event), session_of(event)))
        if self._count != before:
            self._arrange()

    def write(self, at: float, text: str, role: str = "") -> None:
        """Shows a line about nothing else; `at` in Unix seconds, `role` one of `ok`, `busy`, `warn`, `error`, …"""
        self._put(None, EventLine(at, text, role, None))
        self._arrange()

    def _put(self, thing: object, line: EventLine) -> None:
        self._count += 1
        key = self._count if thing is None else thing
        self._lines.pop(key, None)
        self._lines[key] = line._replace(text=clean_cell(line.text))

    def _arrange(self) -> None:
        for key in list(islice(self._lines, max(0, len(self._lines) - KEPT))):
            del self._lines[key]
        needle = self.filter_text.casefold()
        wanted = not needle.startswith("!")
        needle = needle.removeprefix("!")
        self._shown = [
            (key, line) for key, line in self._lines.items() if not needle or (needle in line.text.casefold()) is wanted
        ]
        if self._cursor is not None and self._place() is None:
            self._cursor = None
        self._reveal()
        self.refresh()

    def watch_filter_text(self) -> None:
        self._arrange()

    # Cursor

    def _place(self) -> int | None:
        """Where the cursor stands; None when it follows, or its line is not shown."""
        if self._cursor is None:
            return None
        return next((index for index, (key, _) in enumerate(self._shown) if key == self._cursor), None)

    def _go(self, index: int) -> None:
        last = len(self._shown) - 1
        index = max(0, min(index, last))
        self._cursor = None if index >= last else self._shown[index][0]
        self._reveal()
        self.refresh()

    def _reveal(self) -> None:
        index, height = self._place(), max(1, self.size.height)
        if index is None:
            self._top = len(self._shown) - height
        elif index < self._top:
            self._top = index
        elif index >= self._top + height:
            self._top = index - height + 1
        self._top = max(0, min(self._top, len(self._shown) - height))

    @property
    def _at(self) -> int:
        place = self._place()
        return len(self._shown) - 1 if place is None else place

    def action_move(self, lines: int) -> None:
        self._go(self._at + lines)

    def action_page(self, pages: int) -> None:
        self._go(self._at + pages * max(1, self.size.height - 1))

    def action_first(self) -> None:
        self._go(0)

    def action_last(self) -> None:
        self._go(len(self._shown) - 1)

    def action_open_line(self) -> None:
        if self._shown and (session := self._shown[self._at][1].session) is not None:
            self.post_message(self.Opened(session))
        elif self._shown:
            self.notify("this line is about no session", markup=False, timeout=3)

    def on_click(self, event: events.Click) -> None:
        offset = event.get_content_offset(self)
        if offset is not None and self._top + offset.y < len(self._shown):
            self._go(self._top + offset.y)
            if event.chain == 2:
                self.action_open_line()

    def on_mouse_scroll_up(self) -> None:
        self.action_move(-3)

    def on_mouse_scroll_down(self) -> None:
        self.action_move(3)

    @property
    def is_at_end(self) -> bool:
        """Whether the last line is in sight."""
        return self._top >= len(self._shown) - self.size.height

    def on_focus(self) -> None:
        self.refresh()

    def on_blur(self) -> None:
        """Follows the newest events again."""
        self._cursor = None
        self._reveal()
        self.refresh()

    def on_resize(self) -> None:
        self._reveal()
        self.refresh()

    # Drawing

    def render_line(self, y: int) -> Strip:
        width, base = self.size.width, self.rich_style
        index = self._top + y
        if index >= len(self._shown):
            if y == 0 and not self._shown:
                words = f"no line matches “{self.filter_text}”" if self._lines else self.empty
                quiet = Segment(clean_cell(f" {words}", width), base + self.ink("empty"))
                return Strip([quiet]).adjust_cell_length(width, base)
            return Strip.blank(width, base)
        _, line = self._shown[index]
        is_cursor = self.has_focus and index == self._at
        if is_cursor:
            base = base + self.ground("cursor")
        moment = _moment(line.at, self._clock())
        strip = Strip(
            [
                Segment("▌" if is_cursor else " ", base + self.ink("bar")),
                Segment(f"{moment}  ", base + self.ink("time")),
                Segment(clean_cell(line.text, max(1, width - len(moment) - 4)), base + self.ink(line.role)),
            ]
        )
        return strip.adjust_cell_length(width, base)


def _moment(at: float, now: float) -> str:
    """The time of day; of another day, its date as well."""
    then = time.localtime(at)
    if then[:3] == time.localtime(now)[:3]:
        return clock_time(at)
    return f"{time.strftime('%d %b', then)} {clock_time(at)}"
