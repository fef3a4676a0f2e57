"""Everything a question asks for, to be scrolled; drawn line by line, so that a large one opens at once."""

from __future__ import annotations

from typing import ClassVar

from rich.segment import Segment
from textual.geometry import Size
from textual.message import Message
from textual.strip import Strip

from supervisor import Question
from tui.tables.line_view import LineView
from tui.wording.question_lines import lines_of, rows_of

SCROLLBAR = 1
"""Cells kept free for the scrollbar, whether it is shown or not: it covers nothing."""


class QuestionView(LineView):
    """Never cut: what does not fit is below, and `Scrolled` says how much that is."""

    PREFIX = "question-view"
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "question-view--warn",
        "question-view--note",
        "question-view--heading",
        "question-view--hunk",
        "question-view--added",
        "question-view--removed",
    }
    DEFAULT_CSS = """
    QuestionView {
        height: auto;
        color: $foreground;
        & > .question-view--warn { color: $text-error; text-style: bold; }
        & > .question-view--note { color: $text-warning; }
        & > .question-view--heading { color: $text-muted; text-style: underline; }
        & > .question-view--hunk { color: $text-accent; }
        & > .question-view--added { color: $text-success; }
        & > .question-view--removed { color: $text-error; }
    }
    """

    class Scrolled(Message):
        """Another part of the text is in sight."""

    def __init__(self, question: Question, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._lines = lines_of(question)
        self._rows: list[tuple[str, str]] = []
        self._width = 0

    @property
    def place(self) -> str:
        """`lines 1–12 of 340 · 328 more below`; empty while all of it is in sight."""
        total, first = len(self._rows), self.scroll_offset.y
        if total <= self.size.height:
            return ""
        last = min(total, first + self.size.height)
        below = total - last
        return f"lines {first + 1}–{last} of {total:,}" + (f" · {below:,} more below" if below else " · the end")

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        self._lay_out(width - SCROLLBAR)
        return len(self._rows)

    def on_resize(self) -> None:
        self._lay_out(self.size.width - (0 if self.show_vertical_scrollbar else SCROLLBAR))
        self.post_message(self.Scrolled())

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        self.post_message(self.Scrolled())

    def render_line(self, y: int) -> Strip:
        width, base, index = self.size.width, self.rich_style, self.scroll_offset.y + y
        if index >= len(self._rows):
            return Strip.blank(width, base)
        role, text = self._rows[index]
        return Strip([Segment(text, base + self.ink(role))]).adjust_cell_length(width, base)

    def _lay_out(self, width: int) -> None:
        if width == self._width or width <= 0:
            return
        self._width = width
        self.call_after_refresh(self.post_message, self.Scrolled())
        self._rows = [(line.role, row) for line in self._lines for row in rows_of(line, width)]
        self.virtual_size = Size(width, len(self._rows))
