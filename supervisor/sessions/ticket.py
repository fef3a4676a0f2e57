"""What a caller holds of its prompt: whether it was accepted, how it ended, and what is said meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from supervisor.api.entries import Cursor, Replied, StartsAgain
from supervisor.api.errors import BullpenError
from supervisor.api.keys import SessionKey
from supervisor.api.outcomes import Done, Outcome
from supervisor.conversation import Conversation


class PromptTicket:
    """The `api.engine.Ticket` of one turn. Its caller only waits and reads: a caller that drops it changes nothing.

    Written by its `Turn` alone; when a run ends with nothing recordable any more, its supervisor withdraws what is
    still held. It keeps no turn in memory.
    """

    def __init__(self, turn_id: str, key: SessionKey, conversation: Conversation, *, is_accepted: bool) -> None:
        self.turn_id = turn_id
        self.key = key
        self.is_accepted = is_accepted
        """Its prompt is recorded for good."""
        self.finished: Outcome | None = None
        """The outcome, once there is one. It may not be recorded yet: `outcome` waits for that."""
        self._conversation = conversation
        self._from = len(conversation)
        self._withdrawn: BullpenError | None = None
        self._settled = asyncio.Event()
        """Set when the prompt was accepted, refused or suspended."""
        self._ended = asyncio.Event()
        """Set when the turn has an outcome, or never will have one here."""
        self._told = asyncio.Event()
        """Set when the outcome is recorded: what a caller is told, no restart takes back."""
        self.gives_outcome_alone = False
        """Its answer has a form that a program reads: its stream is the text of a good outcome, and nothing that was
        said on the way."""

    def __repr__(self) -> str:
        return f"<Ticket of turn {self.turn_id} of {self.key}, {self.finished or self._withdrawn or 'open'}>"

    @property
    def is_told(self) -> bool:
        """Whether the caller has been told: the outcome is recorded, or the caller gets an error."""
        return self._told.is_set()

    # What the turn tells it

    def accept(self) -> None:
        self.is_accepted = True
        self._settled.set()

    def end(self, outcome: Outcome) -> None:
        self.finished = outcome
        self._ended.set()
        self._conversation.wake()

    def replace_outcome(self, outcome: Outcome) -> None:
        """Replaces the outcome, because the turn's own cannot be recorded."""
        self.finished = outcome

    def tell(self) -> None:
        """Notifies the caller, because the outcome is recorded."""
        self._told.set()

    def withdraw(self, error: BullpenError) -> None:
        """Ends the wait without an outcome: the caller gets the error. Does nothing when the outcome is recorded
        already."""
        if self._told.is_set():
            return
        self._withdrawn = error
        self._settled.set()
        self._told.set()
        self._ended.set()
        self._conversation.wake()

    # What a caller may ask

    async def accepted(self) -> None:
        if not self.is_accepted:
            await self._settled.wait()
        if self._withdrawn is not None and not self.is_accepted:
            raise self._withdrawn

    async def outcome(self) -> Outcome:
        await self._told.wait()
        if self._withdrawn is not None:
            raise self._withdrawn
        assert self.finished is not None, "it ended"
        return self.finished

    async def stream(self, *, whole: bool = False) -> AsyncIterator[str]:
        if self.gives_outcome_alone:
            outcome = await self.outcome()
            if isinstance(outcome, Done):
                yield f"{outcome.text}\n"
            return
        conversation = self._conversation
        cursor = Cursor(self._from, 0)
        given = ""
        while True:
            ended = self._ended.is_set()
            reading = conversation.read(cursor)
            cursor = reading.cursor
            for entry in reading.entries:
                if isinstance(entry, Replied) and entry.turn_id == self.turn_id:
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
            if reading.opened and conversation.open_turn == self.turn_id and not whole:
                given += reading.opened
                yield reading.opened
            if ended:
                if self._withdrawn is not None:
                    raise self._withdrawn
                return
            # While a part was being taken, there may have been more, or the end.
            if conversation.is_at(cursor) and not self._ended.is_set():
                await conversation.next_change()


class CallersTicket:
    """The `api.engine.Ticket` of a turn, as its callers hold it: it waits and reads, and cannot tell the turn anything.
    A ticket of the turn lives for as long as a caller holds one of these."""

    __slots__ = ("__weakref__", "_ticket")

    def __init__(self, ticket: PromptTicket) -> None:
        self._ticket = ticket

    def __repr__(self) -> str:
        return repr(self._ticket)

    @property
    def turn_id(self) -> str:
        return self._ticket.turn_id

    @property
    def key(self) -> SessionKey:
        return self._ticket.key

    @property
    def finished(self) -> Outcome | None:
        return self._ticket.finished

    async def accepted(self) -> None:
        await self._ticket.accepted()

    async def outcome(self) -> Outcome:
        return await self._ticket.outcome()

    def stream(self, *, whole: bool = False) -> AsyncIterator[str]:
        return self._ticket.stream(whole=whole)


class RecordedTicket:
    """The `api.engine.Ticket` of a turn that had ended when it was asked for. Its stream is the outcome's text."""

    def __init__(self, turn_id: str, key: SessionKey, outcome: Outcome) -> None:
        self.turn_id = turn_id
        self.key = key
        self.finished: Outcome | None = outcome
        self._outcome = outcome

    async def accepted(self) -> None:
        pass

    async def outcome(self) -> Outcome:
        return self._outcome

    async def stream(self, *, whole: bool = False) -> AsyncIterator[str]:
        if text := getattr(self._outcome, "text", ""):
            yield text
            yield "\n"
