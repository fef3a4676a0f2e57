"""One session from the inside: what was said, what is asked, what waits, and a line to speak on."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Footer, Static

from supervisor import Refused, SessionKey, SessionRow, UnknownTarget
from tui import facts
from tui.acceptance import follow
from tui.actions import Place, bindings
from tui.bridge import Bridge, Touched
from tui.filters import clean_cell, clean_text
from tui.operations import OPERATOR, Operations
from tui.screens.ask_text import AskTextScreen
from tui.screens.chat_cards import CardDock
from tui.screens.chat_queue import waiting_lines
from tui.screens.chat_title import chat_title
from tui.screens.describe import DescribeScreen
from tui.themes import MUTED
from tui.widgets.header import alarm_words
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
        self.key = key
        self.bridge = bridge
        self.operations = operations
        self._clock = clock
        self.is_laid_out = False
        """Whether there is anything to write into."""
        self._is_open = False
        """Whether the transcript shows the conversation; it cannot before the session's first prompt."""
        self._was_running = False
        self._sought = ""
        self._warned_of, self._warned_at = "", 0.0
        """Somebody else's turn that esc was pressed for, and when."""

    def compose(self) -> ComposeResult:
        yield Static(id="title", markup=False)
        with Horizontal(id="middle"):
            yield Transcript(id="transcript")
            with VerticalScroll(id="side", can_focus=False) as side:
                side.border_title = "Session"
                yield Static(id="facts", markup=False)
        with Vertical(id="dock"):
            yield Static(id="waiting", markup=False)
            yield CardDock(self.operations, id="cards")
            yield PromptInput(id="prompt")
        yield Footer(compact=True)

    def on_mount(self) -> None:
        self.is_laid_out = True
        self.query_one("#transcript").border_title = Content(clean_cell(str(self.key), 120))
        self.refresh_rows(Touched(everything=True))
        if unsent := self.operations.unsent.pop(self.key, ""):
            self.prompt.give_back(unsent)
        self.call_after_refresh(self.refresh_transcript)
        self.set_interval(STREAM_SECONDS, self.refresh_transcript)

    @property
    def row(self) -> SessionRow | None:
        return self.bridge.sessions.get(self.key)

    @property
    def transcript(self) -> Transcript:
        return self.query_one(Transcript)

    @property
    def prompt(self) -> PromptInput:
        return self.query_one(PromptInput)

    # What is shown

    def refresh_transcript(self) -> None:
        """Takes over what the conversation gained; costs nothing when that is nothing."""
        if not (self.is_laid_out and self.app.is_running):
            return
        if self._is_open:
            self.transcript.refresh_from_engine()
        else:
            self._open_conversation()

    def _open_conversation(self) -> None:
        try:
            conversation = self.operations.conversation(self.key)
        except UnknownTarget:
            return
        self._is_open = True
        self.transcript.show(conversation)

    def refresh_rows(self, touched: Touched) -> None:
        """Called by the app's flush timer, whether something was touched or only time went by."""
        now, row = self._clock(), self.row
        client = self.bridge.client_of(row)
        instance = self.bridge.instances.get(self.key.instance)
        alarm = alarm_words(self.bridge.host)
        elsewhere = sum(item.key != self.key for item in self.bridge.inbox())
        title = chat_title(self.key, row, client, instance, now, self.size.width, alarm, elsewhere)
        self.query_one("#title", Static).update(title, layout=False)
        self._show_waiting(row, now)
        self._show_cards(row, now)
        if row is not None and self.has_class("-xwide"):
            self.query_one("#facts", Static).update(_facts_content(facts.session_facts(row, client, instance, now)))
        if (is_running := row is not None and bool(row.turn_id)) != self._was_running:
            self._was_running = is_running
            self.refresh_bindings()

    def _show_waiting(self, row: SessionRow | None, now: float) -> None:
        shown = self.query_one("#waiting", Static)
        turns = () if row is None else row.waiting
        if not turns and not shown.display:
            return
        shown.display = bool(turns)
        shown.update(waiting_lines(turns, self.bridge.instance_of(row), now))

    def _show_cards(self, row: SessionRow | None, now: float) -> None:
        dock = self.query_one(CardDock)
        mine = [question for question in self.bridge.questions.values() if question.key == self.key]
        dock.show(mine, None if row is None else row.offer)
        dock.show_ages(now)

    @on(CardDock.Arrived)
    def focus_card(self, event: CardDock.Arrived) -> None:
        """An arriving card takes the focus of an empty prompt, and of no other."""
        if not self.prompt.text.strip():
            self.call_after_refresh(event.card.focus)

    @on(CardDock.Left)
    def focus_prompt(self) -> None:
        self.prompt.focus()

    # Prompts

    @on(PromptInput.Submitted)
    def send(self, event: PromptInput.Submitted) -> None:
        """Sends a prompt. A refusal is told in one line, and the text stays where it was."""
        try:
            ticket = self.operations.ask(self.key, event.text)
        except Refused as error:
            self.notify(str(error), severity="warning", markup=False)
            self.prompt.give_back(event.text)
            return
        self.prompt.accept(event.text)
        key = self.key
        follow(self.app, ticket, lambda: self._take_back(key, event.text))
        if ticket.key != self.key:
            self.key = ticket.key
            self._is_open = False
            self.query_one("#transcript").border_title = Content(clean_cell(str(self.key), 120))
        self.refresh_transcript()
        self.refresh_rows(Touched(everything=True))

    def _take_back(self, key: SessionKey, text: str) -> None:
        """The words of a prompt that could not be recorded: nothing of them is left in the engine."""
        if self.is_laid_out:
            self.prompt.give_back(text)
        else:
            self.operations.keep_unsent(key, text)

    def action_withdraw(self) -> None:
        row = self.row
        if row is not None and row.waiting:
            self._attempt(lambda: self.operations.withdraw(row.waiting[-1].turn_id))

    # Keys

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
        if draft := self.prompt.text.strip():
            self.operations.keep_unsent(self.key, draft)
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


def _facts_content(shown: facts.Facts) -> Content:
    """Label above text, so that a long text may wrap in the narrow column."""
    lines = []
    for label, text in shown:
        if label:
            lines.append(Content.styled(label, MUTED))
        lines.append(Content(f"  {clean_text(text)}"))
    return Content("\n").join(lines)
