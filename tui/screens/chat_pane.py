"""One conversation on the screen: its state, what was said, what waits, what is asked, and the box to write in."""

from __future__ import annotations

from collections.abc import Callable

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from supervisor import Refused, SessionKey, SessionRow, UnknownTarget
from tui import facts
from tui.acceptance import follow
from tui.bridge import Bridge
from tui.filters import clean_cell, clean_text
from tui.operations import Operations
from tui.screens.chat_cards import CardDock
from tui.screens.chat_queue import waiting_lines
from tui.screens.chat_title import chat_title
from tui.themes import MUTED
from tui.widgets.header import alarm_words
from tui.widgets.prompt import PromptInput
from tui.widgets.transcript import Transcript


class ChatPane(Vertical):
    """Follows one session and sends to it. Layout, and which pane has the focus, belong to the screen."""

    def __init__(self, key: SessionKey, bridge: Bridge, operations: Operations, clock: Callable[[], float]) -> None:
        super().__init__()
        self.key = key
        self.bridge = bridge
        self.operations = operations
        self._clock = clock
        self._is_open = False
        """Whether the transcript shows the conversation; it cannot before the session's first prompt."""
        self._has_left = False
        """Whether its draft was taken out: nothing may be written into it any more."""
        self._title = Static(id="title", markup=False)
        self.transcript = Transcript(id="transcript")
        self._facts = Static(id="facts", markup=False)
        self._waiting = Static(id="waiting", markup=False)
        self.prompt = PromptInput(id="prompt")
        self.dock = CardDock(operations, self.prompt, id="cards")

    def compose(self) -> ComposeResult:
        yield self._title
        with Horizontal(id="middle"):
            yield self.transcript
            with VerticalScroll(id="side", can_focus=False) as side:
                side.border_title = "Session"
                yield self._facts
        with Vertical(id="dock"):
            yield self._waiting
            yield self.dock
            yield self.prompt

    def on_mount(self) -> None:
        self._show_name()
        self.refresh_rows()
        if unsent := self.operations.unsent.pop(self.key, ""):
            self.prompt.give_back(unsent)
        self.call_after_refresh(self.refresh_transcript)

    @property
    def row(self) -> SessionRow | None:
        return self.bridge.sessions.get(self.key)

    # What is shown

    def refresh_transcript(self) -> None:
        """Takes over what the conversation gained; costs nothing when that is nothing."""
        if not (self.is_attached and self.app.is_running):
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

    def _show_name(self) -> None:
        self.transcript.border_title = Content(clean_cell(str(self.key), 120))

    def refresh_rows(self) -> None:
        """Shows the rows as they are now, and how much older everything is."""
        now, row = self._clock(), self.row
        client = self.bridge.client_of(row)
        instance = self.bridge.instances.get(self.key.instance)
        alarm = alarm_words(self.bridge.host)
        elsewhere = sum(item.key != self.key for item in self.bridge.inbox())
        title = chat_title(self.key, row, client, instance, now, self.app.size.width, alarm, elsewhere)
        self._title.update(title, layout=False)
        self._show_waiting(row, now)
        self._show_cards(row, now)
        if row is not None and self.screen.has_class("-xwide"):
            self._facts.update(_facts_content(facts.session_facts(row, client, instance, now)))

    def _show_waiting(self, row: SessionRow | None, now: float) -> None:
        shown = self._waiting
        turns = () if row is None else row.waiting
        if not turns and not shown.display:
            return
        shown.display = bool(turns)
        shown.update(waiting_lines(turns, self.bridge.instance_of(row), now))

    def _show_cards(self, row: SessionRow | None, now: float) -> None:
        mine = [question for question in self.bridge.questions.values() if question.key == self.key]
        self.dock.show(mine, None if row is None else row.offer)
        self.dock.show_ages(now)

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
            self._show_name()
        self.refresh_transcript()
        self.refresh_rows()

    def _take_back(self, key: SessionKey, text: str) -> None:
        """The words of a prompt that could not be recorded: nothing of them is left in the engine."""
        if self._has_left:
            self.operations.keep_unsent(key, text)
        else:
            self.prompt.give_back(text)

    def keep_draft(self) -> None:
        """Called before the pane goes: what was not sent is there when the conversation is opened again."""
        self._has_left = True
        if draft := self.prompt.text.strip():
            self.operations.keep_unsent(self.key, draft)


def _facts_content(shown: facts.Facts) -> Content:
    """Label above text, so that a long text may wrap in the narrow column."""
    lines = []
    for label, text in shown:
        if label:
            lines.append(Content.styled(label, MUTED))
        lines.append(Content(f"  {clean_text(text)}"))
    return Content("\n").join(lines)
