"""Conversations from the inside: hosts the panes, and owns layout, focus and keys."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widgets import Footer

from supervisor import Refused, SessionKey, SessionRow
from tui import facts
from tui.actions import Place, bindings
from tui.bridge import Bridge, Touched
from tui.operations import OPERATOR, Operations
from tui.screens.ask_text import AskTextScreen
from tui.screens.chat_pane import ChatPane
from tui.screens.describe import DescribeScreen
from tui.widgets.prompt import PromptInput
from tui.widgets.transcript import Transcript

STREAM_SECONDS = 0.1
"""Between two looks at the open block."""
TWICE_WITHIN = 3.0
"""Seconds between two presses of a key that belong together."""


class ChatScreen(Screen[None]):
    CSS_PATH = "chat.tcss"
    AUTO_FOCUS = "PromptInput"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-wide"), (160, "-xwide")]
    VERTICAL_BREAKPOINTS = [(0, "-short"), (30, "-tall"), (45, "-high")]
    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings(Place.CHAT),
        Binding("f1", "help", "help", key_display="F1"),
    ]

    def __init__(self, key: SessionKey, bridge: Bridge, operations: Operations, clock: Callable[[], float]) -> None:
        super().__init__()
        self.bridge = bridge
        self.operations = operations
        self._clock = clock
        self.pane = ChatPane(key, bridge, operations, clock)
        """The one that has the focus."""
        self.is_laid_out = False
        """Whether there is anything to write into."""
        self._was_running = False
        self._sought = ""
        self._warned_of, self._warned_at = "", 0.0
        """Somebody else's turn that esc was pressed for, and when."""

    def compose(self) -> ComposeResult:
        yield self.pane
        yield Footer(compact=True)

    def on_mount(self) -> None:
        self.is_laid_out = True
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
        row = self.row
        if (is_running := row is not None and bool(row.turn_id)) != self._was_running:
            self._was_running = is_running
            self.refresh_bindings()

    # Keys

    def action_withdraw(self) -> None:
        row = self.row
        if row is not None and row.waiting:
            self._attempt(lambda: self.operations.withdraw(row.waiting[-1].turn_id))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        row = self.row
        is_running = row is not None and bool(row.turn_id)
        # A turn that waits for an answer is not stopped by the key that means "back" everywhere else.
        is_asking = row is not None and bool(row.questions)
        if action == "stop_turn":
            return is_running and not is_asking
        if action == "leave":
            return not is_running or is_asking
        if action == "withdraw":
            return row is not None and bool(row.waiting)
        return True

    def action_stop_turn(self) -> None:
        """At once for the operator's own turn. Another's is stopped by the second press: the first may have meant
        something else."""
        now, turn = self._clock(), "" if self.row is None else self.row.turn_id
        is_second = turn == self._warned_of and now - self._warned_at <= TWICE_WITHIN
        if self.key.user != OPERATOR and not is_second:
            self._warned_of, self._warned_at = turn, now
            self.notify(f"esc again stops the turn of {self.key}", markup=False, timeout=TWICE_WITHIN)
            return
        self._warned_of = ""
        self._attempt(lambda: self.operations.interrupt(self.key))

    def action_leave(self) -> None:
        self.action_go_back()

    def action_go_back(self) -> None:
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
