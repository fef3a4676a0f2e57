"""Conversations from the inside: hosts the panes, and owns layout, focus and keys."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widgets import Footer

from supervisor import Refused, SessionKey, SessionRow
from tui import consequences, facts
from tui.actions import Place, bindings
from tui.bridge import Bridge, Touched
from tui.operations import Operations
from tui.screens.ask_text import AskTextScreen
from tui.screens.chat_pane import ChatPane
from tui.screens.confirm import confirm
from tui.screens.describe import DescribeScreen
from tui.widgets.prompt import PromptInput
from tui.widgets.transcript import Transcript

STREAM_SECONDS = 0.1
"""Between two looks at the open block."""


class ChatScreen(Screen[None]):
    CSS_PATH = "chat.tcss"
    AUTO_FOCUS = "PromptInput"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-wide"), (160, "-xwide")]
    VERTICAL_BREAKPOINTS = [(0, "-short"), (30, "-tall"), (45, "-high")]
    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings(Place.CHAT),
        Binding("f1", "help", "help", key_display="F1"),
    ]

    def __init__(
        self,
        key: SessionKey,
        bridge: Bridge,
        operations: Operations,
        clock: Callable[[], float],
        *,
        at_question: bool = False,
    ) -> None:
        """`at_question`: the focus begins at the oldest card, because the operator came to answer."""
        super().__init__()
        self._at_question = at_question
        self.bridge = bridge
        self.operations = operations
        self._clock = clock
        self.pane = ChatPane(key, bridge, operations, clock)
        """The one that has the focus."""
        self.is_laid_out = False
        """Whether there is anything to write into."""
        self._possible: tuple[bool | None, ...] = ()
        """What the footer was last drawn for."""
        self._sought = ""

    def compose(self) -> ComposeResult:
        yield self.pane
        yield Footer(compact=True)

    def on_mount(self) -> None:
        self.is_laid_out = True
        if self._at_question:
            self.action_to_question()
        self.set_interval(STREAM_SECONDS, self.refresh_transcript)

    # The pane that has the focus

    @property
    def key(self) -> SessionKey:
        return self.pane.key

    @property
    def row(self) -> SessionRow | None:
        return self.pane.row

    @property
    def transcript(self) -> Transcript:
        return self.pane.transcript

    @property
    def prompt(self) -> PromptInput:
        return self.pane.prompt

    # What is shown

    def refresh_transcript(self) -> None:
        """Takes over what the conversations in sight gained; costs nothing when that is nothing."""
        self.pane.refresh_transcript()

    def refresh_rows(self, touched: Touched) -> None:
        """Called by the app's flush timer, whether something was touched or only time went by."""
        self.pane.refresh_rows()
        possible = tuple(self.check_action(verb, ()) for verb in ("stop_turn", "withdraw", "to_question"))
        if possible != self._possible:
            self._possible = possible
            self.refresh_bindings()

    # Keys

    def action_withdraw(self) -> None:
        row = self.row
        if row is not None and row.waiting:
            self._attempt(lambda: self.operations.withdraw(row.waiting[-1].turn_id))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        row = self.row
        if action == "stop_turn":
            return row is not None and bool(row.stoppable)
        if action == "withdraw":
            return row is not None and bool(row.waiting)
        if action == "to_question":
            return self.is_laid_out and self.pane.dock.oldest is not None
        return True

    def action_stop_turn(self) -> None:
        """Stops the turn that the question names, and no later one."""
        if (row := self.row) is not None and (turn := row.stoppable):
            key = self.key
            confirm(self.app, consequences.of_interrupt(row), lambda: self.operations.interrupt(key, turn))

    def action_to_question(self) -> None:
        if (card := self.pane.dock.oldest) is not None:
            self.set_focus(card)

    def action_go_back(self) -> None:
        """One step: from a card to the message, from everywhere else to the dashboard."""
        if self.pane.dock.is_focused:
            self.set_focus(self.prompt)
            return
        self.is_laid_out = False
        self.pane.keep_draft()
        self.dismiss(None)

    def action_facts(self) -> None:
        if (row := self.row) is not None:
            client, instance = self.bridge.client_of(row), self.bridge.instance_of(row)
            shown = facts.session_facts(row, client, instance, self._clock())
            self.app.push_screen(DescribeScreen(str(row.key), shown))

    def action_help(self) -> None:
        from tui.screens.help import HelpScreen

        self.app.push_screen(HelpScreen())

    def action_find(self) -> None:
        def decided(text: str | None) -> None:
            if text:
                self._sought = text
                self.transcript.search(text)

        self.app.push_screen(
            AskTextScreen("Find in this conversation", "F3 and shift+F3 walk through the matches.", value=self._sought),
            decided,
        )

    def action_find_next(self) -> None:
        self.transcript.next_match()

    def action_find_previous(self) -> None:
        self.transcript.previous_match()

    def action_copy_reply(self) -> None:
        if text := self.transcript.text_of_last_reply():
            self.app.copy_to_clipboard(text)
            self.notify("copied the last reply", markup=False, timeout=2)
        else:
            self.notify("no reply to copy yet", markup=False, timeout=2)

    def _attempt(self, act: Callable[[], str]) -> None:
        try:
            self.notify(act(), markup=False, timeout=3)
        except Refused as error:
            self.notify(str(error), severity="warning", markup=False)
