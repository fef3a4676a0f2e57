"""A list that stays current while it is open: a line for each row, every cell whole on enter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import OptionList, Static

from supervisor import BullpenError
from tui.operator.listings import Listing
from tui.operator.operations import Operations
from tui.screens.dialogs.describe import DescribeScreen
from tui.screens.dialogs.dialog import SHEET, Dialog
from tui.terminal.input_queue import ENGINE_WORK
from tui.terminal.workers import start_worker
from tui.wording.columns import fit
from tui.wording.sanitize import clean_text

REFRESH = 1.0
"""Seconds between two looks."""
AROUND = 1
"""Cells beside a line: the scrollbar."""


class Lines(OptionList):
    """Moved through with the keys of the tables."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "cursor_down", show=False),
        Binding("k", "cursor_up", show=False),
        Binding("g", "first", show=False),
        Binding("G", "last", show=False),
    ]


class ListingScreen(Dialog[None]):
    """Answers nothing: it is for reading."""

    CSS_PATH = [SHEET, "listing.tcss"]
    BINDINGS: ClassVar[list[BindingType]] = [Binding("q", "cancel", "close", show=False)]

    def __init__(self, listing: Listing, argument: str, operations: Operations) -> None:
        super().__init__()
        self._listing, self._argument, self._operations = listing, argument, operations
        self._rows: list[Sequence[str]] = []
        self._drawn: tuple[object, ...] = ()

    def compose(self) -> ComposeResult:
        title = f"{self._listing.title}: {self._argument}" if self._argument else self._listing.title
        with self.box(clean_text(title), "↑↓ move", "⏎ the whole line", "esc closes"):
            yield Static("", classes="caption", id="headings", markup=False)
            yield Static("asking …", classes="note", id="told", markup=False)
            yield Lines(id="lines")

    def on_mount(self) -> None:
        self._look()
        self.set_interval(REFRESH, self._look)

    def on_resize(self, _: events.Resize) -> None:
        self.call_after_refresh(self._draw)

    def _look(self) -> None:
        start_worker(self, self._read, group=ENGINE_WORK)

    async def _read(self) -> None:
        try:
            self._rows = await self._operations.rows_of(self._listing, self._argument)
        except BullpenError as error:
            self._tell(str(error))
            return
        self._tell("" if self._rows else self._listing.none)
        self._draw()

    def _tell(self, sentence: str) -> None:
        told = self.query_one("#told", Static)
        told.update(Content(clean_text(sentence)))
        told.display = bool(sentence)

    def _draw(self) -> None:
        """Anew when a cell or the room for it has changed; the cursor stays."""
        lines = self.query_one(Lines)
        room = self.query_one("#box").content_size.width - AROUND
        if room <= 0 or self._drawn == (shown := (room, *map(tuple, self._rows))):
            return
        self._drawn = shown
        headings, *texts = fit([self._listing.columns, *self._rows], room)
        self.query_one("#headings", Static).update(Content(headings))
        place = lines.highlighted
        lines.set_options(map(Content, texts))
        lines.highlighted = None if not texts else min(place or 0, len(texts) - 1)
        lines.display = bool(texts)

    @on(OptionList.OptionSelected)
    def _show(self, event: OptionList.OptionSelected) -> None:
        row = self._rows[event.option_index]
        facts = [(heading.lower(), cell or "-") for heading, cell in zip(self._listing.columns, row, strict=True)]
        self.app.push_screen(DescribeScreen(self._listing.title, facts))
