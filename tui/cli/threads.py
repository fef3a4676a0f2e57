"""Calls that may block for ever, in threads that never keep the program."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
from collections.abc import Callable
from typing import TypeVar, cast

Result = TypeVar("Result")

_apart: set[threading.Thread] = set()
"""Threads that are waited for, and threads that were given up."""


async def run_apart(work: Callable[[], Result]) -> Result:
    """Runs `work` in a thread and returns its result, or raises what it raised. A cancel leaves the thread behind; the
    program can end all the same (`leave`)."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Result] = loop.create_future()

    def settle(result: Result | None, error: BaseException | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(cast(Result, result))

    def do() -> None:
        result, error = None, None
        try:
            result = work()
        except BaseException as raised:
            error = raised
        with contextlib.suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(settle, result, error)

    thread = threading.Thread(target=do, name="bullpen-apart", daemon=True)
    _apart.add(thread)
    thread.start()
    try:
        return await future
    finally:
        if not future.cancelled():
            _apart.discard(thread)


def leave(code: int, *, at_once: bool = False) -> None:
    """Ends the program now when a thread would hold it up, or holds what the interpreter needs for its own end: one
    that waits for words from a terminal, or for room in a pipe. Returns otherwise. All must have been ended and
    written before.

    `at_once`: whatever threads there are. After signals that broke things off, the interpreter's last garbage
    collection was seen to take 6 s and more.
    """
    others = (thread for thread in threading.enumerate() if thread is not threading.main_thread())
    if at_once or any(not thread.daemon or thread in _apart for thread in others):
        logging.shutdown()
        os._exit(code)
