"""A chat: messages in, the conversation out, until the person leaves or the lines end.

One listener reads the conversation for as long as the chat lasts, so that what others say in it is seen as well. A turn
is over when its outcome is known and the listener has shown its end.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import partial

import anyio
import anyio.abc
from msgspec.structs import replace

from supervisor import (
    AcceptanceUnknown,
    Asked,
    BullpenError,
    Cancelled,
    ConversationReader,
    Cursor,
    Engine,
    Interrupted,
    NotReached,
    Offer,
    Outcome,
    Prompt,
    Question,
    QuestionClosed,
    QuestionPosed,
    Reading,
    Refused,
    SessionKey,
    Ticket,
    TurnEnded,
    TurnState,
    TurnView,
    UnknownTarget,
    WhyWaiting,
    new_id,
)
from tui.cli.ask import UNATTENDED, WITHDRAWN_WITHIN, deny_unattended, describe_offer, tell_outcome, told_if_slow
from tui.cli.block_text import Piece
from tui.cli.chat.lines import GivenUp, Lines, without_echo
from tui.cli.chat.text import ChatText, last_exchange
from tui.cli.exit_codes import DONE, FAILED, REFUSED, SIGNAL
from tui.cli.output import ask_line, tell, write
from tui.cli.questions import how_to_answer, put
from tui.cli.running_engine import telling_of_the_line
from tui.cli.signals import SIGNALS
from tui.cli.threads import run_apart
from tui.wording import reasons
from tui.wording.format import ordinal, some

LEFT = SIGNAL + 2
"""Exit code of a chat that is left by ctrl+c."""
FIRST_LOOK, LOOKS = 0.3, 0.5
"""Seconds until it is told that a turn waits, and between two looks whether its place has changed."""
UNREACHABLE_LOOKS = 0.5
"""Seconds between two attempts to send to a bullpen that does not answer."""
PIPE_PATIENCE = 60.0
"""Seconds that the lines of a pipe wait for it."""
END_SHOWN_WITHIN = 5.0
"""Seconds that the end of a turn may take to arrive after its outcome."""

HELP = """\
  enter              send the message
  alt+enter, ctrl+j  begin a new line in it
  up, down           earlier messages
  ctrl+c             stop the turn that runs or waits; once more leaves
  ctrl+d, /quit      leave; the conversation is kept
  /replay, /drop     a turn that a restart interrupted: send it again, or leave it as it is
"""


class Chat:
    """Owns the listener and the turn that runs."""

    def __init__(
        self,
        engine: Engine,
        lines: Lines,
        prompt: Prompt,
        key: SessionKey | None,
        way: Sequence[str] = (),
        *,
        is_own: bool = False,
    ) -> None:
        """`prompt` is what every message becomes; `key` its session, as far as that is known before the first one;
        `way` are the options that lead to this bullpen. `is_own` says that this
        bullpen was started for this chat, and that no other program reaches it."""
        self._engine = engine
        self._lines = lines
        self._prompt = prompt
        self._key = key
        self._way = way
        self._is_own = is_own
        self._is_streamed = sys.stdout.isatty()
        """What was written to a pipe cannot be taken back: there, a block is written when it is whole."""
        self._text = ChatText()
        self._reader: ConversationReader | None = None
        self._cursor = Cursor()
        self._listeners: anyio.abc.TaskGroup
        self._turn = ""
        """The turn that is waited for; empty while a message is written."""
        self._is_shown = anyio.Event()
        """Set when the end of that turn was shown."""
        self._puts: dict[str, anyio.CancelScope] = {}
        """Questions that are being put."""
        self._asking = anyio.Lock()
        self._stop = anyio.Event()
        self._leave = anyio.CancelScope()
        self._hear: Callable[[], None] = lambda: None
        self._draft = ""

    async def run(self) -> int:
        """Returns the exit code. Raises what `Engine` raises when the messages come from a pipe."""
        try:
            async with telling_of_the_line(self._engine, self._say), anyio.create_task_group() as self._listeners:
                await self._greet()
                code = await self._talk()
                self._listeners.cancel_scope.cancel()
        finally:
            if self._reader is not None:
                self._reader.close()
        if self._lines.is_attended and self._key is not None:
            tell(f"to come back: {self._way_back(self._key)}")
        return code

    # The person's side

    async def _greet(self) -> None:
        reading = Reading((), "", False, Cursor())
        if self._key is not None:
            with suppress(UnknownTarget):
                self._reader = await self._engine.conversation(self._key)
                reading = self._reader.read()
        self._lines.recall(one.text for one in reading.entries if isinstance(one, Asked))
        if self._lines.is_attended:
            turns = sum(isinstance(one, TurnEnded) for one in reading.entries)
            begun = f"{some(turns, 'turn')} so far" if turns else "a new conversation"
            tell(f"{self._prompt.agent}, {begun}; /help says what the keys do, ctrl+d leaves")
            shown = ChatText().take(reading._replace(entries=last_exchange(reading.entries)), is_streamed=False)
            await self._print(shown)
            if (offer := await self._offer()) is not None:
                tell(f"{describe_offer(offer)}: /replay sends it again, /drop leaves it as it is")
        if self._reader is not None:
            self._listen_from(reading.cursor)

    async def _talk(self) -> int:
        while True:
            try:
                text = await self._lines.message(f"{self._prompt.agent}> ", self._draft)
            except GivenUp:
                tell("ctrl+d leaves")
                continue
            self._draft = ""
            code = DONE
            match (text or "").strip():
                case _ if text is None:
                    return DONE
                case "/quit":
                    return DONE
                case "/help":
                    ask_line(HELP)
                case "/replay" | "/drop" as verb:
                    code = await self._settle_offer(replays=verb == "/replay")
                case "":
                    continue
                case _:
                    code = await self._run_turn(partial(self._submit, text or ""), text or "")
            if code == LEFT or (code != DONE and not self._lines.is_attended):
                return code

    async def _settle_offer(self, *, replays: bool) -> int:
        offer = await self._offer()
        if offer is None:
            tell("a restart has interrupted no turn of this conversation")
            return FAILED
        if replays:
            return await self._run_turn(partial(self._engine.replay, offer.key))
        try:
            await self._engine.drop_offer(offer.key)
        except BullpenError as error:
            tell(str(error))
            return FAILED
        tell("it is left as it is")
        return DONE

    async def _offer(self) -> Offer | None:
        """The turn of this session that a restart interrupted. None as well where that cannot be known."""
        with suppress(BullpenError):
            rows = (await self._engine.snapshot()).sessions
            return next((row.offer for row in rows if row.key == self._key), None)
        return None

    def _way_back(self, key: SessionKey) -> str:
        user = [] if self._prompt.user == "local" else ["--user", self._prompt.user]
        return shlex.join(["bullpen", "chat", key.instance, *user, "--session", key.session, *self._way])

    # One turn

    async def _run_turn(self, begin: Callable[[], Awaitable[Ticket | None]], text: str = "") -> int:
        """Begins it and shows it to its end. Returns the exit code that this turn alone would have; `text` is what the
        next message begins with when nothing was sent."""
        self._stop, self._leave = anyio.Event(), anyio.CancelScope()
        code = FAILED
        with self._leave, told_if_slow(self._prompt.agent) as self._hear, without_echo(), self._ctrl_c_stops():
            try:
                ticket = await begin()
                if ticket is None:
                    self._draft = text
                else:
                    await ticket.accepted()
                    code = self._tell_outcome(await self._follow(ticket))
            except Refused as error:
                if not self._lines.is_attended:
                    raise
                self._draft, code = text, REFUSED
                tell(str(error))
            except BullpenError as error:
                if not self._lines.is_attended:
                    raise
                tell(str(error))
            finally:
                self._turn = ""
        if self._leave.cancelled_caught:
            return LEFT
        if self._lines.is_attended:
            if code == FAILED and await self._offer() is not None:
                tell("/replay sends it again, /drop leaves it as it is")
            ask_line("\n")
        return code

    def _tell_outcome(self, outcome: Outcome) -> int:
        ask_line(self._text.break_line())
        if self._stop.is_set() and isinstance(outcome, Cancelled | Interrupted):
            tell("stopped")
            return DONE
        return tell_outcome(self._prompt.agent, outcome)

    def _ctrl_c_stops(self) -> AbstractContextManager[None]:
        return SIGNALS.interrupts_call(self._press) if self._lines.is_attended else nullcontext()

    def _press(self) -> None:
        """ctrl+c, while a turn runs or waits."""
        if self._stop.is_set():
            self._leave.cancel()
        else:
            self._stop.set()
            self._listeners.start_soon(self._say, "stopping this turn; ctrl+c again leaves")

    async def _submit(self, text: str) -> Ticket | None:
        """Sends a prompt, and waits for a bullpen that cannot be reached. None when the person gave it up."""
        prompt = replace(self._prompt, text=text, request=f"chat-{new_id()}")
        began, is_told = anyio.current_time(), False
        while not self._stop.is_set():
            try:
                return await self._engine.submit(prompt)
            except (NotReached, AcceptanceUnknown) as error:
                # Sent again by its name it is the same turn, also when it had arrived.
                if not self._lines.is_attended and anyio.current_time() - began > PIPE_PATIENCE:
                    raise
                if not is_told:
                    self._hear()
                    tell(f"{error}; it is sent when that is back")
                    is_told = True
            with anyio.move_on_after(UNREACHABLE_LOOKS):
                await self._stop.wait()
        return None

    async def _follow(self, ticket: Ticket) -> Outcome:
        self._turn, self._is_shown = ticket.turn_id, anyio.Event()
        self._text.mine.add(ticket.turn_id)
        has_ended, stopping = anyio.Event(), anyio.CancelScope()
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(self._stop_when_asked, ticket, stopping)
                if self._lines.is_attended:
                    group.start_soon(self._tell_place, ticket.turn_id, has_ended)
                await self._listen_to(ticket.key)
                if self._reader is None:
                    async for fragment in ticket.stream(whole=True):
                        await self._print([Piece(fragment, is_reply=True)])
                    self._is_shown.set()
                outcome = await ticket.outcome()
                has_ended.set()
                with anyio.move_on_after(END_SHOWN_WITHIN):
                    await self._is_shown.wait()
                stopping.cancel()
        except anyio.get_cancelled_exc_class():
            if not self._lines.is_attended and ticket.finished is None:
                with anyio.move_on_after(WITHDRAWN_WITHIN, shield=True), suppress(BullpenError):
                    await self._engine.withdraw(ticket.turn_id)
            raise
        finally:
            for scope in self._puts.values():
                scope.cancel()
        if not self._is_shown.is_set():
            await self._print([Piece(f"{text}\n", is_reply=True)] if (text := getattr(outcome, "text", "")) else [])
            self._stop_listening()  # the session was closed meanwhile, and the next prompt begins another
        return outcome

    async def _stop_when_asked(self, ticket: Ticket, waiting: anyio.CancelScope) -> None:
        with waiting:
            await self._stop.wait()
        if not self._stop.is_set():
            return
        try:
            await self._engine.withdraw(ticket.turn_id)
        except BullpenError as error:
            if ticket.finished is None:
                await self._say(str(error))

    async def _tell_place(self, turn_id: str, has_ended: anyio.Event) -> None:
        """Why the turn waits and where it stands, each time that either changes."""
        last, pause = "", FIRST_LOOK
        while True:
            with anyio.move_on_after(pause):
                await has_ended.wait()
                return
            pause = LOOKS
            with suppress(BullpenError):
                turn = await self._engine.turn(turn_id)
                if turn.state is not TurnState.WAITING:
                    return
                if (line := describe_wait(turn)) != last:
                    last = line
                    self._hear()
                    await self._say(line)

    # The agent's side

    async def _listen_to(self, key: SessionKey) -> None:
        """Listens to the conversation, from the turn that is running on."""
        self._key = key
        if self._reader is not None:
            return
        try:
            self._reader = await self._engine.conversation(key)
        except UnknownTarget:
            return  # a call that leaves nothing behind
        reading = self._reader.read()
        entries = reading.entries
        first = next((at for at, one in enumerate(entries) if one.turn_id == self._turn), len(entries))
        await self._show(reading._replace(entries=entries[first:]))
        self._listen_from(reading.cursor)

    def _listen_from(self, cursor: Cursor) -> None:
        self._cursor = cursor
        self._listeners.start_soon(self._listen)

    async def _listen(self) -> None:
        reader = self._reader
        while reader is not None and reader is self._reader:
            reading = reader.read(self._cursor)
            if reading.cursor == self._cursor:
                await reader.next_change()
            else:
                self._cursor = reading.cursor
                await self._show(reading)

    def _stop_listening(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    async def _show(self, reading: Reading) -> None:
        pieces = self._text.take(reading, is_streamed=self._is_streamed and bool(self._turn))
        closed = {entry.question_id for entry in reading.entries if isinstance(entry, QuestionClosed)}
        for question_id in closed & self._puts.keys():
            self._puts[question_id].cancel()
        if pieces:
            self._hear()
            await self._lines.above(partial(self._print, pieces))
        for entry in reading.entries:
            if isinstance(entry, QuestionPosed) and entry.question.id not in closed:
                await self._pose(entry.question, is_mine=entry.turn_id == self._turn)
            elif isinstance(entry, TurnEnded) and entry.turn_id == self._turn:
                self._is_shown.set()

    async def _pose(self, question: Question, *, is_mine: bool) -> None:
        self._hear()
        if is_mine and self._lines.is_attended:
            self._listeners.start_soon(self._put, question)
        elif is_mine and self._is_own:
            await self._engine.answer(question.id, deny_unattended(question), by=UNATTENDED)
        else:
            what = f"{question.tool} ({question.summary}) waits for an answer"
            await self._say(f"{what}: {how_to_answer(question)}")

    async def _put(self, question: Question) -> None:
        """One at a time. It is taken back when another has answered."""
        with anyio.CancelScope() as scope:
            self._puts[question.id] = scope
            try:
                async with self._asking:
                    answer = await put(question, self._lines.answer)
                    await self._engine.answer(question.id, answer, by="terminal")
            except GivenUp:
                self._press()
            except BullpenError as error:
                await self._say(str(error))
            finally:
                del self._puts[question.id]

    async def _say(self, line: str) -> None:
        async def show() -> None:
            ask_line(self._text.break_line())
            tell(line)

        await self._lines.above(show)

    async def _print(self, pieces: Sequence[Piece]) -> None:
        """A terminal whose flow is stopped blocks this and nothing else."""
        for piece in pieces:
            show = partial(write, piece.text, "the answer") if piece.is_reply else partial(ask_line, piece.text)
            await run_apart(show)


def describe_wait(turn: TurnView) -> str:
    """`waits (no-slot): every client is busy · 3rd in the queue`"""
    why = f" ({turn.why}): {reasons.WAITS[turn.why]}" if turn.why is not None else ""
    if turn.place is not None and turn.why is not WhyWaiting.STARTING:
        return f"waits{why} · {ordinal(turn.place)} in the queue"
    return f"waits{why}" + (f" · {ordinal(turn.position)} in this session" if turn.position > 1 else "")
