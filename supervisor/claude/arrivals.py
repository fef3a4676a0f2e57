"""What a process has said, on its way from the SDK's reader of the pipe to the connection's own.

The SDK hands each message on by a queue of its own, with two turns of the loop for each. Here all that came with one
read of the pipe is read in one step, by the task that read the pipe: to wake another one would take a turn of the loop
for each fragment of a reply.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

Read = Callable[[list[dict[str, Any]]], None]
"""Is given messages that came at once, at least one."""

MOST = 100
"""Messages that wait to be read: beyond, the pipe is not read on, as in the SDK."""


class Arrivals:
    """Messages on their way from one writer to one reader. They are kept until there is a reader."""

    def __init__(self) -> None:
        self._messages: list[dict[str, Any]] = []
        self._read: Read | None = None
        self._error: Exception | None = None
        self._over = asyncio.Event()
        """Nothing more will be read."""
        self._taken = asyncio.Event()

    def put(self, message: dict[str, Any]) -> bool:
        """Adds a message, which is read with the next `hand_over`. Returns whether there is room for another, which is
        nearly always so; otherwise call `wait_for_room` before the next `put`."""
        self._messages.append(message)
        return len(self._messages) < MOST

    async def wait_for_room(self) -> None:
        """Waits until the reader has taken all messages so far."""
        self._taken.clear()
        self.hand_over()
        await self._taken.wait()

    def hand_over(self) -> None:
        """Has the reader read everything that was put. Raises nothing: the reader's own error goes to the reader."""
        if self._read is None or not self._messages:
            return
        messages, self._messages = self._messages, []
        self._taken.set()
        try:
            self._read(messages)
        except Exception as error:
            self._read, self._error = None, error
            self._over.set()

    def close(self, error: Exception | None = None) -> None:
        """Ends the stream. `error` is why, when the process did not end well."""
        if not self._over.is_set():
            self.hand_over()
        if not self._over.is_set():
            self._error = error
            self._over.set()

    async def read(self, read: Read) -> None:
        """Has `read` called with what has come and comes, in order, until there is no more. Raises what `read` has
        raised, which is not called again then, or the error of `close`."""
        self._read = read
        try:
            self.hand_over()
            await self._over.wait()
        finally:
            self._read = None
        if self._error is not None:
            raise self._error


class Pieces:
    """The pieces of a process's output as the SDK takes them, each with a call before the next is waited for: then all
    messages of the one before are through."""

    def __init__(self, pieces: AsyncIterator[str], on_next: Callable[[], None]) -> None:
        self._pieces = pieces
        self._on_next = on_next

    def __aiter__(self) -> AsyncIterator[str]:
        return self

    async def __anext__(self) -> str:
        self._on_next()
        return await anext(self._pieces)
