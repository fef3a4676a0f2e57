"""Waiting for a condition instead of for a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import anyio

T = TypeVar("T")


SOON, LATE = 0.001, 0.02
"""Seconds between two looks: at first, and after a tenth of a second."""
CALM = 9
"""How many times longer than a look the pause after it is at least. Looking is work too, and it is taken from what is
waited for: a snapshot, a walk through all processes."""


async def until(condition: Callable[[], object], within: float = 20.0) -> None:
    """Lets everybody run until the condition holds; fails after `within` seconds."""
    pause = SOON
    with anyio.fail_after(within):
        while True:
            began = time.thread_time()
            if condition():
                return
            await anyio.sleep(max(pause, CALM * (time.thread_time() - began)))
            pause = min(LATE, pause * 1.1)


def until_sync(condition: Callable[[], object], within: float = 30.0) -> None:
    """The same where there is no loop."""
    deadline = time.monotonic() + within
    while True:
        began = time.thread_time()
        if condition():
            return
        assert time.monotonic() < deadline, f"not within {within} s"
        time.sleep(max(LATE, CALM * (time.thread_time() - began)))


def at_once(verb: Coroutine[Any, Any, T]) -> T:
    """What a verb of the engine in this process returns, where nothing can be awaited: it has its effect at its call.
    Fails when the verb waits for something."""
    try:
        verb.send(None)
    except StopIteration as returned:
        value: T = returned.value
        return value
    verb.close()
    raise AssertionError(f"{verb!r} waits for something")
