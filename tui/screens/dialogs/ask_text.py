"""Asks for one line of text."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio
from textual import on
from textual.app import ComposeResult
from textual.content import Content
from textual.widgets import Input, Static

from tui.operator.app import app_of
from tui.screens.dialogs.dialog import Dialog
from tui.terminal.workers import start_worker

PROMPT_ANSWER = 0.2
"""Seconds that a line is kept in sight while the engine has not answered. Keys wait a little longer for the work that a
key has begun (`input_queue.WORKER_PATIENCE`)."""


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
        mistake_in: Callable[[str], str] = lambda _line: "",
        refusal_of: Callable[[str], Awaitable[str] | None] = lambda _line: None,
        hint_for: Callable[[str], str] | None = None,
        keep: Callable[[str], object] = lambda _line: None,
    ) -> None:
        """`mistake_in` returns what is wrong with a line, or nothing when it will do; it is asked once, when the line
        is to be taken. `refusal_of` tells the engine of a line without mistakes, where that is to be done before the
        dialog closes, and gives what it refuses. `hint_for` says something about a line while it is typed.
        `keep` is given a line that was refused when the dialog had closed: it is not to be typed again."""
        super().__init__()
        self._title, self._note = title, note
        self._value, self._placeholder = value, placeholder
        self._may_be_empty = may_be_empty
        self._mistake_in = mistake_in
        self._refusal_of = refusal_of
        self._hint_for = hint_for
        self._keep = keep
        self._mistake_stays = False

    def compose(self) -> ComposeResult:
        with self.box(self._title):
            if self._note:
                yield Static(Content(self._note), classes="note", markup=False)
            yield self.make_line(self._value)
            if self._hint_for is not None:
                yield Static(classes="hint", markup=False)
            yield Static(classes="mistake", markup=False)

    def make_line(self, value: str) -> Input:
        """The field, `#line`, with what stands in it at first."""
        return Input(value, placeholder=self._placeholder, id="line", max_length=2000)

    @on(Input.Changed, "#line")
    def hint(self, event: Input.Changed) -> None:
        if not self._mistake_stays:
            self.query_one(".mistake", Static).remove_class("-shown")
        self.show_hint(event.value)

    def show_hint(self, line: str) -> None:
        """Shows only what is wrong with the line, until the line changes."""
        if self._hint_for is not None:
            text = "" if self.query(".mistake.-shown") else self._hint_for(line)
            shown = self.query_one(".hint", Static)
            shown.update(Content(text))
            shown.set_class(bool(text), "-shown")

    @on(Input.Submitted, "#line")
    def accept(self, event: Input.Submitted) -> None:
        line = event.value.strip()
        if not line and not self._may_be_empty:
            return
        if mistake := self._mistake_in(line):
            self.show_mistake(mistake)
        elif (telling := self._refusal_of(line)) is not None:
            self._tell(line, telling)
        else:
            self.dismiss(line)

    def show_mistake(self, mistake: str, *, stays: bool = False) -> None:
        """Why the line is not taken; with `stays`, why no line will be."""
        self._mistake_stays = self._mistake_stays or stays
        shown = self.query_one(".mistake", Static)
        shown.update(Content(mistake))
        shown.add_class("-shown")
        self.show_hint("")

    def _tell(self, line: str, telling: Awaitable[str]) -> None:
        """Keeps the line in sight until the engine has answered, but not longer than `PROMPT_ANSWER`: a refusal that
        comes later is told as any other, and what is typed meanwhile reaches the screen it is meant for."""
        answered = anyio.Event()
        app = self.app

        async def tell() -> None:
            refusal = await telling
            answered.set()
            if not refusal:
                self._close(line)
            elif self in app.screen_stack:
                self.show_mistake(refusal)
            else:
                self._keep(line)
                app.notify(refusal, severity="warning", markup=False)

        async def close() -> None:
            with anyio.move_on_after(PROMPT_ANSWER):
                await answered.wait()
            if not answered.is_set():
                self._close(line)

        app_of(self).verbs.put(tell)
        # In no group of its own: the keys behind this one wait as long as the dialog does, and no longer.
        start_worker(self, close)

    def _close(self, line: str) -> None:
        """Unless it was left meanwhile."""
        if self in self.app.screen_stack:
            self.dismiss(line)
