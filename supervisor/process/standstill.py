"""Deadlines for a process that is waited for, by a supervisor that may itself stand still for a while.

After Ctrl+Z and `fg`, or when the machine has slept, every deadline of this process has passed at once, and what the
other has said meanwhile is still unread. That is no silence of the other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import anyio

TICKS = 10
"""Parts in which a deadline is waited for. Where this process itself stood still for a while, that is one of them."""


async def happens_within(seconds: float, wait: Callable[[], Awaitable[object]]) -> bool:
    """Whether `wait` returns within so many seconds in which this process runs; else it is cancelled. What it raises
    comes in a group."""
    has_happened = asyncio.Event()

    async def run() -> None:
        await wait()
        has_happened.set()

    async with anyio.create_task_group() as group:
        group.start_soon(run)
        for _ in range(TICKS):
            with anyio.move_on_after(seconds / TICKS):
                await has_happened.wait()
                break
        group.cancel_scope.cancel()
    return has_happened.is_set()
