"""A stream that is opened again, as long as its reader wants it, when the line breaks or the other side restarts."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import anyio

from supervisor.api.errors import BullpenError, UnknownTarget
from supervisor.remote.line import Line
from supervisor.remote.server_events import ServerEvent

LEAST_PAUSE, MOST_PAUSE = 0.2, 5.0
"""Seconds before it is tried again; doubled each time that it fails."""
Value = TypeVar("Value")


class RetryPause:
    """Between two attempts: the longer, the more of them have failed in a row."""

    def __init__(self) -> None:
        self._seconds = LEAST_PAUSE

    def end(self) -> None:
        """Resets the pause after a successful connection."""
        self._seconds = LEAST_PAUSE

    async def wait(self) -> None:
        seconds, self._seconds = self._seconds, min(2 * self._seconds, MOST_PAUSE)
        await anyio.sleep(seconds)


class Reader:
    """Hears the events of one stream after another, until it is closed."""

    path: str
    event: str
    """The name of the events that it hears."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._scope = anyio.CancelScope()

    async def hear(self, event: ServerEvent, *, is_fresh: bool) -> None:
        """Takes one event of the stream. `is_fresh`: it is the first of its stream."""
        raise NotImplementedError

    def place(self) -> dict[str, str]:
        """Arguments for `Line.stream` that say from where the stream goes on; empty for its beginning."""
        return {}

    async def run(self, *, task_status: anyio.abc.TaskStatus[None]) -> None:
        """Started when the first event was heard. What is raised before that is raised; afterwards it is tried again.
        Returns when it is closed, or what it reads is not there any more."""
        pause, has_begun = RetryPause(), False
        with self._scope:
            while True:
                try:
                    async with self._line.stream(self.path, **self.place()) as events:
                        is_fresh = True
                        async for event in events:
                            if event.name != self.event:
                                continue
                            await self.hear(event, is_fresh=is_fresh)
                            is_fresh = False
                            pause.end()
                            if not has_begun:
                                has_begun = True
                                task_status.started()
                    self._line.trouble = f"bullpen at {self._line.name} has ended: waiting for it to come back"
                except BullpenError as error:
                    if not has_begun:
                        raise
                    if isinstance(error, UnknownTarget):
                        return
                    self._line.trouble = str(error)
                await pause.wait()

    def close(self) -> None:
        self._scope.cancel()


def read_as(read: Callable[[str], Value], packed: str) -> Value:
    """Raises `BullpenError` for what this version cannot read."""
    try:
        return read(packed)
    except ValueError as error:
        raise BullpenError(f"bullpen sent what this version cannot read ({error}): use the same version") from None
