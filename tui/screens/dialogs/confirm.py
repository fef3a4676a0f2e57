"""Asks before a verb that ends something. `enter` alone changes nothing: Cancel has the focus, or the typed word."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from textual import on
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.widgets import Button, Input, Static

from tui.operator.consequences import Consequence
from tui.screens.dialogs.dialog import Dialog
from tui.themes import MUTED
from tui.wording.sanitize import clean_text

RECOUNT_SECONDS = 0.5
"""Between two counts of what would end."""
SHOWN_FACTS = 8
"""Lines that are in sight at once; the sheet says the same."""


def ask_first(app: App[Any], consequence: Consequence, do: Callable[[], object]) -> None:
    """Does it when the operator says so, and only then."""

    def decided(answer: bool | None) -> None:
        if answer is True:
            do()

    app.push_screen(ConfirmScreen(consequence), decided)


class ConfirmScreen(Dialog[bool | None]):
    """True only when `y` or its button was pressed, or `enter` after its word was typed, where it asks for one."""

    AUTO_FOCUS = "#typed, #cancel"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "accept", show=False),
        Binding("n", "cancel", show=False),
        Binding("left,up", "app.focus_previous", show=False),
        Binding("right,down", "app.focus_next", show=False),
    ]

    def __init__(self, consequence: Consequence) -> None:
        super().__init__()
        self._consequence = consequence
        self._facts = consequence.facts

    def compose(self) -> ComposeResult:
        what = self._consequence
        grave = "-grave" if what.is_grave else ""
        keys = ("enter accepts the word", "esc cancels")
        if not what.typed:
            keys = (f"y {what.confirm.lower()}", "n or esc cancels")
        with self.box(what.title, *keys, is_grave=what.is_grave):
            # Many targets are scrolled through: the buttons stay in sight.
            with VerticalScroll(classes="facts", can_focus=len(what.facts) > SHOWN_FACTS):
                yield Static(_lines(what.facts), id="facts", markup=False)
            yield Static(Content(what.after), classes="note", markup=False)
            if what.words:
                words = Content.assemble(("the same as typing ", MUTED), f":{what.words}")
                yield Static(words, classes="words", markup=False)
            if what.typed:
                yield Static(Content(f"Type “{what.typed}” to go on"), classes="caption", markup=False)
                yield Input(id="typed")
            with Horizontal(classes="buttons"):
                yield Button("Cancel", id="cancel")
                yield Button(Content(what.confirm), id="confirm", classes=grave, disabled=bool(what.typed))

    def on_mount(self) -> None:
        if self._consequence.recount is not None:
            self.set_interval(RECOUNT_SECONDS, self.count_again)

    def count_again(self) -> None:
        """While the operator thinks, turns end and others begin."""
        if (recount := self._consequence.recount) is not None and (facts := recount()) != self._facts:
            self._facts = facts
            for shown in self.query("#facts").results(Static):  # none while the screen is being left
                shown.update(_lines(facts))

    def action_accept(self) -> None:
        """Accepts, unless a word has to be typed: then every letter belongs to that word."""
        if not self._consequence.typed:
            self.dismiss(True)

    @on(Input.Changed, "#typed")
    def unlock(self, event: Input.Changed) -> None:
        self.query_one("#confirm", Button).disabled = event.value.strip() != self._consequence.typed

    @on(Input.Submitted, "#typed")
    def accept(self, event: Input.Submitted) -> None:
        if event.value.strip() == self._consequence.typed:
            self.dismiss(True)
        else:
            self.notify(f"nothing was done: type “{self._consequence.typed}”, or esc", markup=False)

    @on(Button.Pressed, "#cancel")
    def keep(self) -> None:
        self.dismiss(False)

    @on(Button.Pressed, "#confirm")
    def go_on(self) -> None:
        self.dismiss(True)


def _lines(facts: Sequence[str]) -> Content:
    return Content("\n".join(f"• {clean_text(fact)}" for fact in facts))
