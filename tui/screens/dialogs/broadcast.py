"""Asks for one text that goes to several sessions."""

from __future__ import annotations

from collections.abc import Sequence

from textual import on
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from supervisor import SessionRow
from tui.operator.orders import session_words
from tui.screens.dialogs.dialog import Dialog
from tui.widgets.prompt import PromptInput
from tui.wording.format import some
from tui.wording.sanitize import clean_text


class BroadcastScreen(Dialog[str | None]):
    """The text, or None. Every session that gets it is listed: they are those marked when the dialog opened."""

    AUTO_FOCUS = "PromptInput"

    DEFAULT_CSS = """
    BroadcastScreen VerticalScroll {
        height: auto;
        max-height: 8;
        margin-bottom: 1;
    }
    """

    def __init__(self, rows: Sequence[SessionRow]) -> None:
        super().__init__()
        self._rows = tuple(rows)

    def compose(self) -> ComposeResult:
        count = len(self._rows)
        with self.box(f"Send to {some(count, 'session')}", "enter sends to each", "ctrl+j new line", "esc cancels"):
            with VerticalScroll(can_focus=count > 8):
                lines = "\n".join(clean_text(f"• {row.key}: {session_words(row)}") for row in self._rows)
                yield Static(Content(lines), classes="facts", markup=False)
            yield PromptInput(placeholder="The message that each of them gets")

    @on(PromptInput.Submitted)
    def send(self, event: PromptInput.Submitted) -> None:
        self.dismiss(event.text)
