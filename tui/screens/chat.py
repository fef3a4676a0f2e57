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

from supervisor import (
    Deny,
    Refused,
    SessionKey,
    SessionRow,
    UnknownTarget,
)
from tui import facts, format
from tui.actions import Place, bindings
from tui.bridge import Bridge, Touched
from tui.filters import clean_cell, clean_text
from tui.operations import Operations
from tui.screens.ask_text import AskTextScreen
from tui.screens.chat_title import chat_title
from tui.screens.describe import DescribeScreen
from tui.themes import MUTED
from tui.widgets.prompt import PromptInput
from tui.widgets.question import QuestionCard, card_for
from tui.widgets.transcript import Transcript

STREAM_SECONDS = 0.1
"""Between two looks at the open block."""
SHOWN_WAITING = 3
"""Waiting prompts written out; of the rest the number is told."""


class ChatScreen(Screen[None]):
    CSS_PATH = "chat.tcss"
    AUTO_FOCUS = "PromptInput"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-wide"), (160, "-xwide")]
    VERTICAL_BREAKPOINTS = [(0, "-short"), (30, "-tall")]
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

    def compose(self) -> ComposeResult:
        yield Static(id="title", markup=False)
        with Horizontal(id="middle"):
            yield Transcript(id="transcript")
            with VerticalScroll(id="side", can_focus=False) as side:
                side.border_title = "Session"
                yield Static(id="facts", markup=False)
        with Vertical(id="dock"):
            yield Static(id="waiting", markup=False)
            yield Vertical(id="cards")
            yield PromptInput(id="prompt")
        yield Footer(compact=True)

    def on_mount(self) -> None:
        self.is_laid_out = True
        self.query_one("#transcript").border_title = Content(clean_cell(str(self.key), 120))
        self.refresh_rows(Touched(everything=True))
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
        client = None if row is None else self.bridge.clients.get(row.client_id)
        instance = self.bridge.instances.get(self.key.instance)
        title = chat_title(self.key, row, client, instance, now, self.size.width)
        self.query_one("#title", Static).update(title, layout=False)
        self._show_waiting(row, now)
        if touched.everything or touched.questions:
            self._show_questions()
        if row is not None and self.has_class("-xwide"):
            self.query_one("#facts", Static).update(_facts_content(facts.session_facts(row, now)))
        for card in self.query(QuestionCard):
            card.show_age(now)
        if (is_running := row is not None and bool(row.turn_id)) != self._was_running:
            self._was_running = is_running
            self.refresh_bindings()

    def _show_waiting(self, row: SessionRow | None, now: float) -> None:
        shown = self.query_one("#waiting", Static)
        turns = () if row is None else row.waiting
        if not turns and not shown.display:
            return
        shown.display = bool(turns)
        lines = [
            Content.assemble(
                (f"{format.glyph('waiting')} {turn.position} ", "$text-accent"),
                (f"{turn.why} {format.age(now - turn.queued_at)}", "$text-accent"),
                (f"  {turn.source}  ", MUTED),
                clean_cell(turn.text, 400),
            )
            for turn in turns[:SHOWN_WAITING]
        ]
        if len(turns) > SHOWN_WAITING:
            lines.append(Content.styled(f"  and {len(turns) - SHOWN_WAITING} more", MUTED))
        shown.update(Content("\n").join(lines))

    def _show_questions(self) -> None:
        """Docks a card for every open question of this session; an arriving one takes the focus of an empty prompt."""
        mine = {question.id: question for question in self.bridge.questions.values() if question.key == self.key}
        cards = self.query_one("#cards", Vertical)
        had_focus = False
        for card in self.query(QuestionCard):
            if card.question.id in mine:
                del mine[card.question.id]
            else:
                had_focus = had_focus or card.has_focus
                card.remove()
        new = [card_for(question) for question in mine.values()]
        if new:
            cards.mount(*new)
            if not self.prompt.text.strip():
                self.call_after_refresh(new[0].focus)
        elif had_focus:
            self.prompt.focus()

    # Prompts

    @on(PromptInput.Submitted)
    def send(self, event: PromptInput.Submitted) -> None:
        """Sends a prompt. A refusal is told in one line, and the text stays where it was."""
        try:
            ticket = self.operations.ask(self.key, event.text)
        except Refused as error:
            self.notify(str(error), severity="warning", markup=False)
            self.prompt.text = event.text
            self.prompt.focus()
            return
        self.prompt.accept(event.text)
        if ticket.key != self.key:
            self.key = ticket.key
            self._is_open = False
            self.query_one("#transcript").border_title = Content(clean_cell(str(self.key), 120))
        self.refresh_transcript()
        self.refresh_rows(Touched(everything=True))

    def action_withdraw(self) -> None:
        row = self.row
        if row is not None and row.waiting:
            self._attempt(lambda: self.operations.withdraw(row.waiting[-1].turn_id))

    # Questions

    @on(QuestionCard.Answered)
    def answer(self, event: QuestionCard.Answered) -> None:
        try:
            self.operations.answer(event.question.id, event.answer)
        except Refused as error:
            self.notify(str(error), severity="warning", markup=False)

    @on(QuestionCard.ReasonWanted)
    def ask_reason(self, event: QuestionCard.ReasonWanted) -> None:
        question = event.question

        def decided(reason: str | None) -> None:
            if reason is not None:
                self.answer(QuestionCard.Answered(question, Deny(reason)))

        self.app.push_screen(
            AskTextScreen(
                f"Deny {clean_cell(question.tool, 40)}",
                "The agent is told your reason; it may be left empty.",
                may_be_empty=True,
            ),
            decided,
        )

    @on(QuestionCard.TextWanted)
    def ask_other(self, event: QuestionCard.TextWanted) -> None:
        card, item = event.card, event.item

        def decided(text: str | None) -> None:
            if text and card.is_attached:
                card.answer_item(text)

        self.app.push_screen(AskTextScreen(clean_cell(item.header or "Answer", 40), item.question), decided)

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
        self._attempt(lambda: self.operations.interrupt(self.key))

    def action_leave(self) -> None:
        self.action_go_back()

    def action_go_back(self) -> None:
        self.is_laid_out = False
        self.dismiss(None)

    def action_facts(self) -> None:
        if (row := self.row) is not None:
            self.app.push_screen(DescribeScreen(str(row.key), facts.session_facts(row, self._clock())))

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
