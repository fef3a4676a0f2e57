"""One prompt to its outcome."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from enum import StrEnum

import anyio

from supervisor.api.entries import Cursor, Replied, StartsAgain
from supervisor.api.errors import BullpenError
from supervisor.api.types import FailureKind, Outcome, Prompt, SessionKey, Source
from supervisor.sessions.conversation import Conversation


class TurnState(StrEnum):
    WAITING = "waiting"
    RUNNING = "running"
    ENDED = "ended"


class Turn:
    """A prompt on its way through the rooms; its submitter holds it as a `Ticket`.

    Owned by its session's mailbox until it has ended. It ends exactly once.
    """

    def __init__(
        self,
        turn_id: str,
        uuid: str,
        key: SessionKey,
        prompt: Prompt,
        conversation: Conversation,
        *,
        at: float,
        replays: str = "",
        is_recorded: bool = False,
    ) -> None:
        self.id = turn_id
        self.uuid = uuid
        """Travels with the prompt to the CLI and comes back in its Result."""
        self.key = key
        self.prompt = prompt
        self.queued_at = at
        """Unix seconds."""
        self.replays = replays
        """Id of the interrupted turn whose prompt it sends again; mostly empty. It goes before all that waits."""
        self.first_uuid = uuid
        """The one its prompt was written with: `uuid` is another when it comes back with an answer."""
        self.when_recorded: Callable[[bool], object] | None = None
        """Told whether it was accepted for good, once that is known."""
        self.is_recorded = is_recorded
        """It is in the journal: accepted for good, and free to begin."""
        self.queued_steady = 0.0
        self.eligible_steady: float | None = None
        """Since when nothing but the pool keeps it waiting (steady seconds); `maxWait` counts from here."""
        self.started_at: float | None = None
        """Unix seconds."""
        self.started_steady = 0.0
        self.first_text_steady: float | None = None
        self.stop_reason = ""
        """Why somebody asked it to stop; empty while nobody has."""
        self.fails_as: FailureKind | None = None
        """What kind of failure that is; None when it is an interrupt."""
        self.is_taken_down = False
        """Its prompt stands in the conversation: a turn that is put back and begins again is not asked twice."""
        self.is_revived = False
        """An earlier run has taken it in, and may have taken its prompt down."""
        self.is_away = False
        """It has begun, and waits for the answer to its question without a client."""
        self.is_second_try = False
        """It was rejected behind words that the model had not replied to, and is sent again without them."""
        self.blocks: list[str] = []
        """What the agent has said in it: finished blocks, in order."""
        self.has_used_tools = False
        self.was_compacted = False
        """The CLI has shortened the conversation while it ran."""
        self.told: list[str] = []
        """The answers it comes back with: what the agent is sent in place of the prompt."""
        self._conversation = conversation
        self._from = len(conversation)
        self._outcome: Outcome | None = None
        self._withdrawn: BullpenError | None = None
        self._on_end: list[Callable[[], object]] = []
        self._settled = anyio.Event()
        """It was recorded, refused or suspended."""
        self._ended = anyio.Event()
        """It has an outcome, or never will have one here."""
        self._told = anyio.Event()
        """That outcome is recorded: what its submitter is told, no restart takes back."""

    def __repr__(self) -> str:
        return f"<Turn {self.id} of {self.key}, {self.state}>"

    @property
    def turn_id(self) -> str:
        return self.id

    @property
    def state(self) -> TurnState:
        if self._outcome is not None:
            return TurnState.ENDED
        return TurnState.WAITING if self.started_at is None else TurnState.RUNNING

    @property
    def words(self) -> str:
        """What is sent to the agent: the prompt, or how its questions ended when it comes back."""
        return "\n\n".join([*self.told, "Go on with what you were doing."]) if self.told else self.prompt.text

    @property
    def is_prompt(self) -> bool:
        """A caller's words stand in the conversation for it."""
        return self.prompt.source not in (Source.AGENT, Source.ENGINE)

    @property
    def is_command(self) -> bool:
        """Its words are a command of the CLI, and nothing that the agent reads."""
        return self.prompt.source is Source.ENGINE

    @property
    def finished(self) -> Outcome | None:
        return self._outcome

    def on_end(self, call: Callable[[], object]) -> None:
        """Has `call` made, synchronously, when it ends."""
        self._on_end.append(call)

    def end(self, outcome: Outcome) -> None:
        if self._outcome is not None:
            raise AssertionError(f"{self!r} ended twice: {outcome!r}")
        self._outcome = outcome
        self._leave()

    def note_recorded(self) -> None:
        self.is_recorded = True
        self._settled.set()

    def replace_outcome(self, outcome: Outcome) -> None:
        """What is recorded is another: the one it ended with cannot be kept. Its submitter is told what is recorded."""
        self._outcome = outcome

    def note_outcome_recorded(self) -> None:
        self._told.set()

    def withdraw(self, error: BullpenError) -> None:
        """It will have no outcome here: it was refused after all, is kept for the next start, or its outcome could not
        be recorded. Whoever waits for it gets the error. Nothing happens when its outcome is recorded already."""
        if self._told.is_set():
            return
        self._withdrawn = error
        self._settled.set()
        self._told.set()
        if not self._ended.is_set():
            self._leave()

    def _leave(self) -> None:
        for call in self._on_end:
            call()
        self._ended.set()
        self._conversation.wake()

    async def accepted(self) -> None:
        if not self.is_recorded:
            await self._settled.wait()
        if self._withdrawn is not None and not self.is_recorded:
            raise self._withdrawn

    async def outcome(self) -> Outcome:
        await self._told.wait()
        if self._withdrawn is not None:
            raise self._withdrawn
        assert self._outcome is not None, "it ended"
        return self._outcome

    async def stream(self, *, whole: bool = False) -> AsyncIterator[str]:
        conversation = self._conversation
        cursor = Cursor(self._from, 0)
        given = ""
        while True:
            ended = self._ended.is_set()
            reading = conversation.read(cursor)
            cursor = reading.cursor
            for entry in reading.entries:
                if isinstance(entry, Replied) and entry.turn_id == self.id:
                    if not entry.text.startswith(given):
                        yield StartsAgain()
                        given = ""
                    if rest := entry.text[len(given) :]:
                        yield rest
                    yield "\n"
                    given = ""
            if reading.open_is_new and given:
                yield StartsAgain()
                given = ""
            if reading.opened and conversation.open_turn == self.id and not whole:
                given += reading.opened
                yield reading.opened
            if ended:
                if self._withdrawn is not None:
                    raise self._withdrawn
                return
            await conversation.next_change()
