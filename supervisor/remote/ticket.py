"""A turn of an engine at the far end of a line: what its caller waits for, also across a break of the line."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

import anyio

from supervisor.api.checks import check_turn
from supervisor.api.codec import unpack, unpack_error, unpack_fragment
from supervisor.api.entries import StartsAgain
from supervisor.api.errors import BullpenError, OutcomeUnknown
from supervisor.api.keys import SessionKey
from supervisor.api.outcomes import Outcome
from supervisor.remote.line import AnswerLost, Line, NotReached, part
from supervisor.remote.reconnecting import RetryPause, read_as

PATIENCE = 60.0
"""Seconds that a caller waits for a bullpen that went away during its turn."""


class RemoteTicket:
    """Made when the prompt is recorded. It holds no connection: a wait opens one, and closes it."""

    def __init__(self, line: Line, turn_id: str, key: SessionKey, finished: Outcome | None = None) -> None:
        self.turn_id = turn_id
        self.key = key
        self.finished = finished
        self._line = line

    def __repr__(self) -> str:
        return f"<Ticket of turn {self.turn_id} of {self.key}, at {self._line.name}>"

    async def accepted(self) -> None:
        """At once: the other side has answered when it was."""

    async def outcome(self) -> Outcome:
        if self.finished is None:
            async with aclosing(self._follow(text=False)) as events:
                async for _ in events:
                    pass
        assert self.finished is not None, "the last event tells it"
        return self.finished

    async def stream(self, *, whole: bool = False) -> AsyncIterator[str]:
        given = Given()
        async with aclosing(self._follow(text=True, whole=whole)) as events:
            async for packed in events:
                if packed is None:
                    given.begin_again()
                else:
                    for fragment in given.take(read_as(unpack_fragment, packed), may_void=not whole):
                        yield fragment

    async def _follow(self, **query: bool) -> AsyncGenerator[str | None]:
        """Pieces of the text until the end, and None each time that they begin again from the first character."""
        path = f"/turns/{part(check_turn(self.turn_id))}/stream"
        pause, heard = RetryPause(), anyio.current_time()
        while True:
            try:
                async with self._line.stream(path, **query) as events:
                    yield None
                    heard = anyio.current_time()
                    async for event in events:
                        heard = anyio.current_time()
                        pause.end()
                        if event.name == "text":
                            yield event.data
                        elif event.name == "outcome":
                            self.finished = read_as(lambda packed: unpack(Outcome, packed), event.data)
                            return
                        elif event.name == "error":
                            raise read_as(unpack_error, event.data)
                self._line.trouble = f"bullpen at {self._line.name} has ended: waiting for it to come back"
            except (AnswerLost, NotReached) as error:
                self._line.trouble = str(error)
                if isinstance(error, NotReached) and anyio.current_time() - heard > PATIENCE:
                    raise self._unknown() from error
            await pause.wait()

    def _unknown(self) -> BullpenError:
        return OutcomeUnknown(
            f"bullpen at {self._line.name} went away during turn {self.turn_id} and has not come back: "
            f"`bullpen turn {self.turn_id}` tells how it ended, once it runs again"
        )


class Given:
    """What a reader of a stream was given, so that nothing is given twice when the stream begins again."""

    def __init__(self) -> None:
        self._text = ""
        self._block = 0
        """Where the last block begins in it."""
        self._again: str | None = None
        """What came since it began again, while that is no more than what was given."""

    def begin_again(self) -> None:
        self._again = "" if self._text else None

    def take(self, fragment: str, *, may_void: bool) -> list[str]:
        """The parts of a fragment that are new to the reader, which may be none."""
        if self._again is None:
            return self._give(fragment)
        self._again += fragment
        if self._text.startswith(self._again):
            if len(self._again) == len(self._text):
                self._again = None
            return []
        again, self._again = self._again, None
        if again.startswith(self._text):
            return self._give(again[len(self._text) :])
        if not may_void:
            return self._give(fragment)
        kept = self._block if again[: self._block] == self._text[: self._block] else 0
        self._text, self._block = self._text[:kept], kept
        return [StartsAgain(), *self._give(again[kept:])]

    def _give(self, fragment: str) -> list[str]:
        if isinstance(fragment, StartsAgain):
            self._text = self._text[: self._block]
        else:
            self._text += fragment
            if fragment == "\n":
                self._block = len(self._text)
        return [fragment]
