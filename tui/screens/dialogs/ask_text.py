"""Asks for one line of text."""

from __future__ import annotations

from collections.abc import Callable

from textual import on
from textual.app import ComposeResult
from textual.content import Content
from textual.suggester import Suggester
from textual.widgets import Input, Static

from tui.screens.dialogs.dialog import Dialog


class AskTextScreen(Dialog[str | None]):
    """The line, or None when it was left with `escape`."""

    AUTO_FOCUS = "#line"
    HINTS = ("enter accepts", "esc cancels")

    def __init__(
        self,
        title: str,
        note: str = "",
        *,
        value: str = "",
        placeholder: str = "",
        may_be_empty: bool = False,
        suggester: Suggester | None = None,
        mistake_in: Callable[[str], str] = lambda _line: "",
        hint_for: Callable[[str], str] | None = None,
    ) -> None:
        """`mistake_in` returns what is wrong with a line, or nothing when it will do; it is asked once, when the line
        is to be taken. `hint_for` says something about a line while it is typed."""
        super().__init__()
        self._title, self._note = title, note
        self._value, self._placeholder = value, placeholder
        self._may_be_empty = may_be_empty
        self._suggester = suggester
        self._mistake_in = mistake_in
        self._hint_for = hint_for

    def compose(self) -> ComposeResult:
        with self.box(self._title):
            if self._note:
                yield Static(Content(self._note), classes="note", markup=False)
            yield Input(
                self._value, placeholder=self._placeholder, id="line", suggester=self._suggester, max_length=2000
            )
            if self._hint_for is not None:
                yield Static(classes="hint", markup=False)
            yield Static(classes="mistake", markup=False)

    @on(Input.Changed, "#line")
    def hint(self, event: Input.Changed) -> None:
        if self._hint_for is not None:
            text = self._hint_for(event.value)
            shown = self.query_one(".hint", Static)
            shown.update(Content(text))
            shown.set_class(bool(text), "-shown")

    @on(Input.Submitted, "#line")
    def accept(self, event: Input.Submitted) -> None:
        line = event.value.strip()
        if not line and not self._may_be_empty:
            return
        if mistake := self._mistake_in(line):
            shown = self.query_one(".mistake", Static)
            shown.update(Content(mistake))
            shown.add_class("-shown")
            return
        self.dismiss(line)
