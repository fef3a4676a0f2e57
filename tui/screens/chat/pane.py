"""One conversation on the screen: its state, what was said, what waits, what is asked, and the box to write in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial

from textual import events, on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.message import Message

from supervisor import Asked, BullpenError, ConversationReader, SessionKey, SessionRow, Source, UnknownTarget
from tui.engine_link.acceptance import follow
from tui.engine_link.bridge import Bridge, Touched
from tui.engine_link.unread import NOTHING_NEW, Mark
from tui.operator.app import app_of
from tui.operator.completion import is_command
from tui.operator.operations import Operations
from tui.screens.chat.cards import CardDock
from tui.screens.chat.queue import waiting_lines
from tui.screens.chat.readiness import Readiness
from tui.screens.chat.title import STYLES as ROLE_STYLES
from tui.screens.chat.title import chat_title
from tui.terminal.input_queue import ENGINE_WORK
from tui.terminal.workers import start_worker
from tui.themes import MUTED
from tui.transcript.transcript import Transcript
from tui.widgets.prompt import PromptInput
from tui.widgets.status_line import Line
from tui.wording import facts
from tui.wording.format import cut, cut_middle
from tui.wording.sanitize import clean_cell, clean_text

TINY, SHORT, HIGH = 21, 29, 44
"""Lines of a pane below which its cards are very small, below which they are small, and from which they are large."""
MOST_OF_FRAME = 12
"""Cells of a frame that a name leaves free."""
OF_ONE_CALL = "this session ends with its turn: nothing of it is kept"
RECALLED = 200
"""Prompts of a conversation that the arrow keys recall."""


class ChatPane(Vertical):
    """Follows one session and sends to it. Layout, and which pane has the focus, belong to the screen."""

    class Renamed(Message):
        """The session has another name than the prompt was sent to."""

        def __init__(self, pane: ChatPane, old: SessionKey) -> None:
            super().__init__()
            self.pane = pane
            self.old = old

    def __init__(
        self,
        key: SessionKey,
        bridge: Bridge,
        operations: Operations,
        clock: Callable[[], float],
        sent: list[str] | None = None,
    ) -> None:
        """`sent`: prompts for the arrow keys, oldest first; what is sent is added to it."""
        super().__init__()
        self.key = key
        self.bridge = bridge
        self.operations = operations
        self._clock = clock
        self._born: float | None = None
        """When the session began whose conversation the transcript shows; None while it shows none."""
        self._reader: ConversationReader | None = None
        self._is_opening = False
        """Whether the engine has been asked for the conversation and has not answered."""
        self._may_open = True
        """Whether there may be a conversation: the engine is not asked again and again for one that is not there."""
        self._is_of_one_call = False
        """Whether its session was to end with its turn, when it was there last."""
        self._has_left = False
        """Whether its draft was taken out: nothing may be written into it any more."""
        self._ticked_at = float("-inf")
        self._readiness = Readiness()
        self._is_at = True
        self._wants_question = False
        """Whether a card shall have the focus as soon as the pane is there."""
        self._chosen: object = None
        """What that card is about; None for the oldest one."""
        self._was_seen = False
        self._held = ""
        """A command of the dashboard that was typed as a message: sent only when enter is pressed on it once more."""
        self._mark = NOTHING_NEW
        self._alarm = self._elsewhere = ""
        self._title = Line(id="title")
        self.transcript = Transcript(id="transcript")
        self._side = VerticalScroll(id="side", can_focus=False)
        self._facts = Line(id="facts", wraps=True)
        self._waiting = Line(id="waiting")
        self.prompt = PromptInput(id="prompt")
        self.dock = CardDock(operations, self.prompt, id="cards")
        if sent is not None:
            self.prompt.sent = sent

    def compose(self) -> ComposeResult:
        yield self._title
        with Horizontal(id="middle"):
            yield self.transcript
            with self._side:
                self._side.border_title = "Session"
                yield self._facts
        with Vertical(id="dock"):
            yield self._waiting
            yield self.dock
            yield self.prompt

    def on_mount(self) -> None:
        self.show_names()
        self.refresh_rows(Touched(everything=True))
        self.take_draft(self.operations.unsent.pop(self.key, ""))
        if self._wants_question:
            self._wants_question = False
            self._focus_card()
        self.call_after_refresh(self.refresh_transcript)

    def on_key(self, event: events.Key) -> None:
        """A letter typed on the conversation that is none of its keys begins words, as on a card."""
        is_word = event.character and event.is_printable and event.key not in self.transcript.own_keys
        if is_word and event.character is not None and self.transcript.has_focus:
            event.stop()
            self.screen.set_focus(self.prompt)
            self.prompt.insert(event.character)

    def on_resize(self) -> None:
        height = self.size.height
        self.set_class(height < SHORT, "-short")
        self.set_class(height < TINY, "-tiny")
        self.set_class(height >= HIGH, "-high")
        self.show_names()
        self.refresh_rows(Touched(everything=True))

    @property
    def row(self) -> SessionRow | None:
        return self.bridge.sessions.get(self.key)

    # Its place

    def show_in(self, place: int | None, *, is_alone: bool, is_at: bool) -> None:
        """`place`: of the panes in sight, from 0; None out of sight. `is_at`: it is spoken to."""
        self.display = place is not None
        self._is_at = is_at
        self.set_class(place == 0, "-first")
        self.set_class(is_at, "-at")
        self.set_class(is_at and not is_alone, "-spoken")
        self.set_class(not is_at, "-away")
        self.show_names()

    @on(events.DescendantFocus)
    @on(events.DescendantBlur)
    def show_names(self) -> None:
        """Writes the session's name on the frame of the conversation, and on the prompt to whom a message would go."""
        # Before it is laid out nothing is cut: its real width comes with the first resize.
        width = max(MOST_OF_FRAME, self.size.width - MOST_OF_FRAME) if self.size.width else 200
        name = Content(cut_middle(clean_cell(str(self.key), 200), width))
        if self._mark.sign:
            name = Content.assemble((f"{self._mark.sign} ", ROLE_STYLES.get(self._mark.role, "")), name)
        self.transcript.border_title = name
        target = cut_middle(clean_cell(" / ".join(self.key), 200), width)
        is_typed_on = self.screen.focused is self.prompt if self.is_attached else self._is_at
        self.prompt.border_title = Content(f"▶ to: {target}" if is_typed_on else f"to: {target}")

    def go_to_question(self, chosen: object = None, *, was_seen: bool = False) -> None:
        """Puts the focus on the card that is about `chosen`, else on the oldest one, when there is any; a pane that is
        being mounted does so when it is. `was_seen`: the operator has seen what `chosen` is about."""
        self._wants_question, self._chosen, self._was_seen = not self.is_mounted, chosen, was_seen
        if not self._wants_question:
            self._focus_card()

    def _focus_card(self) -> None:
        if (card := self.dock.choose(self._chosen, was_seen=self._was_seen)) is not None:
            self.screen.set_focus(card)

    # What is shown

    def refresh_transcript(self) -> None:
        """Takes over what the conversation gained; costs nothing when that is nothing."""
        if not (self.is_attached and self.app.is_running):
            return
        row = self.row
        if self._born is not None and row is not None and row.created_at != self._born:
            self._born = None  # closed, and begun anew under the same name
        if self._born is None:
            if self._may_open and not self._is_opening:
                self._is_opening = True
                start_worker(self.app, partial(self._open_conversation, self.key, row), group=ENGINE_WORK)
        elif self.transcript.refresh_from_engine() and self.transcript.finder is not None:
            self._show_place()

    async def _open_conversation(self, key: SessionKey, row: SessionRow | None) -> None:
        """The pane is in sight already; what was said fills it when it arrives."""
        try:
            reader = await self.operations.conversation(key)
        except UnknownTarget:
            self._may_open = False
            return
        except BullpenError:
            return  # out of reach: tried again at the next look
        finally:
            self._is_opening = False
        if self._has_left or key != self.key or not self.is_attached:
            reader.close()
            return
        self._show_reader(reader)
        self._born = row.created_at if row is not None else 0.0
        if not self.prompt.sent:
            said = reader.read().entries
            mine = [entry.text for entry in said if isinstance(entry, Asked) and entry.source is Source.OPERATOR]
            self.prompt.sent.extend(mine[-RECALLED:])
        self._readiness.note(self._clock())
        await self.operations.warm(key)

    @on(PromptInput.Changed)
    def get_ready(self) -> None:
        """A client that has fallen asleep, or has ended, while its chat stood open is ready when the words are."""
        if self.prompt.text and self._readiness.is_due(self.row, now := self._clock()):
            self._readiness.note(now)
            start_worker(self.app, partial(self.operations.warm, self.key), group=ENGINE_WORK)

    def _show_reader(self, reader: ConversationReader | None) -> None:
        if self._reader is not None:
            self._reader.close()
        self._reader = reader
        self.transcript.show(reader)

    def refresh_rows(self, touched: Touched, mark: Mark | None = None, warnings: tuple[str, str] | None = None) -> None:
        """Shows the rows as they are now, and once a second how much older everything is.

        `mark` stands beside the name. `warnings`: the host's alarm and who else waits, where no line above says so."""
        now, row = self._clock(), self.row
        if touched.everything or self.key in touched.sessions:
            self._may_open = True
        if mark is not None and mark != self._mark:
            self._mark = mark
            self.show_names()
        if warnings is not None:
            self._alarm, self._elsewhere = warnings
        if not self.dock.is_attached:
            return
        if not self._is_concerned(touched, row) and 0 <= now - self._ticked_at < 1.0:
            return
        self._ticked_at = now
        if row is None and self._born is not None and self.key in touched.sessions:
            self._clear()
        self._show_what_becomes_of_words(row)
        client = self.bridge.client_of(row)
        instance = self.bridge.instances.get(self.key.instance)
        width = self.size.width or self.app.size.width
        by = self.bridge.remedies_in_chat
        self._title.show(chat_title(self.key, row, client, instance, now, width, by, self._alarm, self._elsewhere))
        self._show_waiting(row, now)
        self._show_cards(row, now)
        if row is not None and self._side.display:
            limits = self.bridge.limits.get(self.key.instance, {})
            self._facts.show(_facts_content(facts.session_facts(row, client, instance, limits, now, by)))

    def _is_concerned(self, touched: Touched, row: SessionRow | None) -> bool:
        return bool(
            touched.everything
            or touched.host
            or touched.questions
            or touched.offers
            or self.key in touched.sessions
            or self.key.instance in touched.instances
            or (row is not None and row.client_id in touched.clients)
        )

    def _show_what_becomes_of_words(self, row: SessionRow | None) -> None:
        """Says on the edge of the message box when the session ends with its turn. It is seen there before and while
        one types."""
        if row is not None:
            self._is_of_one_call = row.ends_with_turn
        words = OF_ONE_CALL if row is not None and row.ends_with_turn else ""
        if self.prompt.border_subtitle != Content(words).markup:
            self.prompt.border_subtitle = Content(words)

    def _clear(self) -> None:
        """The session was closed or forgotten: its words leave the screen as well. What is being written stays."""
        self._born = None
        if sent := self.prompt.sent:
            why = "has ended with its turn" if self._is_of_one_call else "was closed"
            words = f"{self.key} {why}: what was said there is gone, with your message “{cut(sent[-1], 40)}”"
            self.notify(clean_cell(words, 200), severity="warning", markup=False, timeout=8)
        self.transcript.empty = "This session was closed. A prompt begins a new one of the same name."
        self._show_reader(None)
        self.prompt.sent.clear()

    def _show_waiting(self, row: SessionRow | None, now: float) -> None:
        turns = () if row is None else row.waiting
        if turns or self._waiting.display:
            self._waiting.display = bool(turns)
            self._waiting.show(waiting_lines(turns, self.bridge.instance_of(row), now, self.bridge.remedies_in_chat))

    def _show_cards(self, row: SessionRow | None, now: float) -> None:
        mine = [question for question in self.bridge.questions.values() if question.key == self.key]
        self.dock.show(mine, None if row is None else row.offer)
        self.dock.show_ages(now)

    # Searching

    def find(self, text: str) -> None:
        self.transcript.search(text)
        self._show_place()

    def end_search(self) -> bool:
        """False when nothing was searched for."""
        if self.transcript.finder is None:
            return False
        self.transcript.search("")
        self._show_place()
        return True

    def find_next(self, by: int) -> None:
        self.transcript.action_match(by)
        self._show_place()

    def _show_place(self) -> None:
        """Shows which of the matches is the current one."""
        finder = self.transcript.finder
        words = "" if finder is None else f"“{cut(clean_cell(finder.needle, 40), 20)}” {finder.place}"
        self.transcript.border_subtitle = Content(words)

    @on(PromptInput.Left)
    def go_to_card(self) -> None:
        """Focuses the oldest card, when it was on the screen before tab was pressed; otherwise the next widget."""
        card = self.dock.oldest
        if card is not None and card.is_seen:
            self.screen.set_focus(card)
        else:
            self.screen.focus_next()

    # Prompts

    @on(PromptInput.Submitted)
    def take_prompt(self, event: PromptInput.Submitted) -> None:
        event.stop()
        text = event.text
        if is_command(text) and text != self._held:
            self._held = text
            self.prompt.give_back(text)
            verb = text.split()[0]
            self.notify(f"{verb} is a command of the dashboard: esc, then {verb} · enter again sends it as words",
                        severity="warning", markup=False, timeout=6)  # fmt: skip
            return
        self._held = ""
        self.send(text)

    def send(self, text: str) -> None:
        """Sends a prompt. A refusal is told in one line, and the text comes back to where it was."""
        verb = self.prepare(text)

        async def send() -> None:
            with suppress(BullpenError):
                await verb()

        app_of(self).verbs.put(send)

    def prepare(self, text: str) -> Callable[[], Awaitable[None]]:
        """The verb that sends a prompt, and tells why when it is refused. The text counts as sent from now on."""
        key, app, is_new = self.key, self.app, self.prompt.accept(text)
        self.operations.unanswered.append((key, text))

        async def tell() -> None:
            try:
                ticket = await self.operations.ask(key, text)
            except BullpenError as error:
                self.operations.unanswered.remove((key, text))
                app_of(app).verbs.tell_refusal(error)
                if is_new:
                    self.prompt.take_out(text)
                self._take_back(key, text)
                raise
            self.operations.unanswered.remove((key, text))
            follow(app, ticket, lambda: self._take_back(ticket.key, text))
            self._go_with(key, ticket.key)

        return tell

    def _go_with(self, asked: SessionKey, key: SessionKey) -> None:
        """The prompt is in the engine, in a session that may have another name than it was sent to."""
        if self._has_left or not self.is_attached:
            return
        self._may_open = True
        if asked == self.key != key:
            app_of(self).inputs.between(lambda: self._rename(asked, key))
        self.refresh_transcript()
        self.refresh_rows(Touched(everything=True))

    def _rename(self, old: SessionKey, key: SessionKey) -> None:
        if self._has_left or not self.is_attached or self.key != old:
            return
        self.key = key
        self._born = None
        self.show_names()
        self.post_message(self.Renamed(self, old))
        self.refresh_transcript()
        self.refresh_rows(Touched(everything=True))

    def _take_back(self, key: SessionKey, text: str) -> None:
        """The words of a prompt that was refused: nothing of them is in the engine."""
        if self._has_left:
            self.operations.keep_unsent(key, text)
        else:
            self.prompt.give_back(text)

    def take_draft(self, text: str) -> None:
        """Words that were not sent, from before."""
        if text.strip():
            self.prompt.give_back(text)

    def keep_draft(self) -> None:
        """Called before the pane goes: what was not sent is there when the conversation is opened again."""
        self._has_left = True
        if self._reader is not None:
            self._reader.close()
        if (draft := self.prompt.draft).strip():
            self.operations.keep_unsent(self.key, draft)


def _facts_content(shown: facts.Facts) -> Content:
    """Label above text, so that a long text may wrap in the narrow column."""
    lines = []
    for label, text in shown:
        if label:
            lines.append(Content.styled(label, MUTED))
        lines.append(Content(f"  {clean_text(text)}"))
    return Content("\n").join(lines)
