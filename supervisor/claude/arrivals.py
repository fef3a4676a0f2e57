"""What a process has said, on its way from the SDK's reader of the pipe to the connection's own.

The SDK hands each message on by a queue of its own, with two turns of the loop for each. Here all that came with one
read of the pipe goes in one step.
"""

from __future__ import annotations

import asyncio
from typing import Any

MOST = 100
"""Messages that wait to be taken: beyond, the pipe is not read on, as in the SDK."""


class Arrivals:
    """One writer, one reader."""

    def __init__(self) -> None:
        self._messages: list[dict[str, Any]] = []
        self._is_over = False
        self._error: Exception | None = None
        # Of asyncio: a turn waits here for each fragment, and an event of anyio takes ten times as long to make.
        self._arrived = asyncio.Event()
        self._taken = asyncio.Event()

    def put(self, message: dict[str, Any]) -> bool:
        """Whether there is room for the next one, as nearly always; else wait for it (`wait_for_room`) before that is
        put. Waits for nothing itself: a reply comes in dozens of messages."""
        if not self._messages:
            self._arrived.set()
        self._messages.append(message)
        return len(self._messages) < MOST

    async def wait_for_room(self) -> None:
        """Until the reader has taken what has come."""
        self._taken.clear()
        await self._taken.wait()

    def close(self, error: Exception | None = None) -> None:
        """Nothing more will come; `error` is why, when the process did not end well."""
        if not self._is_over:
            self._is_over, self._error = True, error
            self._arrived.set()

    async def take(self) -> list[dict[str, Any]]:
        """All that has come and was not taken yet, at least one; nothing when that was all. Raises the error of
        `close` then."""
        while not self._messages and not self._is_over:
            self._arrived.clear()
            await self._arrived.wait()
        messages, self._messages = self._messages, []
        self._taken.set()
        if not messages and self._error is not None:
            raise self._error
        return messages
