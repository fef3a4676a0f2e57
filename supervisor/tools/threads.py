"""Runs blocking functions beside the loop."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import threading
from collections.abc import Callable
from typing import Any

import anyio


async def run_blocking(
    work: Callable[[], Any], places: anyio.CapacityLimiter, name: str, on_begin: Callable[[], object] = lambda: None
) -> Any:
    """What `work` returns or raises, from a thread of its own that holds one of the `places` until `work` is over.
    `on_begin` is called when it has one.

    Cancelled, it returns at once: a thread cannot be stopped, so it goes on, and keeps its place. It never holds up the
    end of the process. What `work` then returns is given up: a coroutine is closed without having begun.
    """
    holder = object()
    await places.acquire_on_behalf_of(holder)
    on_begin()
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[Any] = loop.create_future()
    context = contextvars.copy_context()

    def tell(value: Any, error: BaseException | None) -> None:
        places.release_on_behalf_of(holder)
        if outcome.done():
            _give_up(value)
            return
        if error is None:
            outcome.set_result(value)
        else:
            outcome.set_exception(error)

    def run() -> None:
        value, failure = None, None
        try:
            value = context.run(work)
        except BaseException as error:
            # A future takes no StopIteration, and neither exit nor interrupt of a tool is this program's.
            is_plain = isinstance(error, Exception) and not isinstance(error, StopIteration)
            failure = error if is_plain else RuntimeError(_words(error))
        try:
            loop.call_soon_threadsafe(tell, value, failure)
        except RuntimeError:  # the loop has ended meanwhile
            _give_up(value)

    try:
        threading.Thread(target=run, name=f"tool {name}", daemon=True).start()
    except RuntimeError:
        places.release_on_behalf_of(holder)
        raise
    try:
        return await outcome
    except asyncio.CancelledError:
        if outcome.done() and not outcome.cancelled() and outcome.exception() is None:
            _give_up(outcome.result())
        raise


def _give_up(value: object) -> None:
    """Closes a coroutine that nothing awaits any more. Python would complain that it never began."""
    if inspect.iscoroutine(value):
        value.close()


def _words(error: BaseException) -> str:
    try:
        return f"{type(error).__name__}: {error}"
    except BaseException:  # it has words of its own making
        return type(error).__name__
