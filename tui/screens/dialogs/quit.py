"""Asks before the program ends, and shows the drain when it should end gently."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.widgets import Button, Static

from tui.screens.dialogs.confirm import RECOUNT_SECONDS, ConfirmScreen
from tui.screens.dialogs.dialog import Dialog


class Leave(StrEnum):
    STAY = "stay"
    DRAIN = "drain"
    NOW = "now"
    LATER = "later"
    """When the drain is over; the screen is free until then."""


class QuitScreen(Dialog[Leave | None]):
    """Says what would end with the program, and offers the three ways on. Cancel has the focus."""

    AUTO_FOCUS = "#stay"
    HINTS = ("y quits now", "d drains first", "n or esc cancels")
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer('now')", show=False),
        Binding("d", "answer('drain')", show=False),
        Binding("n", "cancel", show=False),
        Binding("left,up", "app.focus_previous", show=False),
        Binding("right,down", "app.focus_next", show=False),
    ]

    def __init__(self, count: Callable[[], tuple[str, ...]]) -> None:
        """`count` says what would end, one line each; it is asked again while the dialog is open."""
        super().__init__()
        self._count = count

    def compose(self) -> ComposeResult:
        with self.box("Quit bullpen?", is_grave=True):
            yield Static(id="ends", classes="facts", markup=False)
            yield Static(
                Content(
                    "The supervisor lives in this program: its work ends with it. What waits runs when it starts "
                    "again; draining lets it end first."
                ),
                classes="note",
                markup=False,
            )
            with Horizontal(classes="buttons"):
                yield Button("Cancel", id="stay")
                yield Button("Drain and quit", id="drain")
                yield Button("Quit now", id="now", classes="-grave")

    def on_mount(self) -> None:
        self.count_again()
        self.set_interval(RECOUNT_SECONDS, self.count_again)

    def count_again(self) -> None:
        self.query_one("#ends", Static).update(Content("\n".join(f"• {fact}" for fact in self._count())))

    @on(Button.Pressed)
    def choose(self, event: Button.Pressed) -> None:
        self.dismiss(Leave(event.button.id or "stay"))

    def action_answer(self, answer: str) -> None:
        self.dismiss(Leave(answer))


class DetachScreen(ConfirmScreen):
    """Before the dashboard of another process's bullpen is left."""


class DrainingScreen(Dialog[Leave | None]):
    """The drain before the end: who holds it up, and the ways out of it."""

    AUTO_FOCUS = "#later"
    HINTS = ("u undoes the drain", "y quits now", "esc looks meanwhile")
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("u", "answer('stay')", show=False),
        Binding("y", "answer('now')", show=False),
        Binding("n", "cancel", show=False),
        Binding("left,up", "app.focus_previous", show=False),
        Binding("right,down", "app.focus_next", show=False),
    ]

    def __init__(self, progress: Callable[[], list[str]], deadline: str) -> None:
        """`progress` says what is left, one line each; `deadline` what becomes of turns that take too long."""
        super().__init__()
        self._progress = progress
        self._deadline = deadline

    def compose(self) -> ComposeResult:
        with self.box("Draining, then leaving"):
            yield Static(id="left", classes="facts", markup=False)
            yield Static(Content(self._deadline), classes="note", markup=False)
            with Horizontal(classes="buttons"):
                yield Button("Undo drain", id="stay")
                yield Button("Look meanwhile", id="later")
                yield Button("Quit now", id="now", classes="-grave")

    def on_mount(self) -> None:
        self.refresh_rows()
        self.set_interval(0.5, self.refresh_rows)

    def refresh_rows(self) -> None:
        self.query_one("#left", Static).update(Content("\n".join(self._progress())))

    @on(Button.Pressed)
    def choose(self, event: Button.Pressed) -> None:
        self.dismiss(Leave(event.button.id or "later"))

    def action_answer(self, answer: str) -> None:
        self.dismiss(Leave(answer))

    def action_cancel(self) -> None:
        """Closing it changes nothing: the drain goes on."""
        self.dismiss(Leave.LATER)
