"""What a blocking function returns after its call was cancelled is given up, a coroutine without having begun."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Coroutine
from typing import Any

import anyio
import pytest

from supervisor.tools.threads import run_blocking
from tests.waiting import until


async def _answer() -> str:
    return "made"


class Function:
    """Blocks until it `may_return`, then returns a coroutine."""

    def __init__(self) -> None:
        self.may_return = threading.Event()
        self.made: list[Coroutine[Any, Any, str]] = []
        self.thread = threading.current_thread()

    def __call__(self) -> Coroutine[Any, Any, str]:
        self.thread = threading.current_thread()
        self.may_return.wait(30)
        self.made.append(_answer())
        return self.made[0]

    def is_given_up(self) -> bool:
        return [inspect.getcoroutinestate(one) for one in self.made] == [inspect.CORO_CLOSED]


async def _begin(function: Function, places: anyio.CapacityLimiter) -> asyncio.Task[Any]:
    began = asyncio.Event()
    call = asyncio.create_task(run_blocking(function, places, "made", began.set))
    await began.wait()
    return call


@pytest.mark.anyio
async def test_a_coroutine_that_comes_after_the_cancel_is_closed() -> None:
    """S3.6"""
    function, places = Function(), anyio.CapacityLimiter(1)
    call = await _begin(function, places)
    call.cancel()
    await asyncio.wait({call})
    function.may_return.set()
    await until(lambda: not places.borrowed_tokens)
    assert function.is_given_up()


@pytest.mark.anyio
async def test_a_coroutine_that_comes_in_the_instant_of_the_cancel_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """S3.6"""
    function, places = Function(), anyio.CapacityLimiter(1)
    call = await _begin(function, places)

    def release(places: anyio.CapacityLimiter, holder: object) -> None:
        # The outcome is set right after; the cancel comes before its reader runs.
        asyncio.get_running_loop().call_soon(call.cancel)

    monkeypatch.setattr(type(places), "release_on_behalf_of", release)
    function.may_return.set()
    await asyncio.wait({call})
    assert call.cancelled()
    assert function.is_given_up()


def test_a_coroutine_that_comes_after_the_loop_is_closed() -> None:
    """S3.6"""
    function = Function()

    async def leave() -> None:
        call = await _begin(function, anyio.CapacityLimiter(1))
        await until(lambda: function.thread is not threading.current_thread())
        call.cancel()
        await asyncio.wait({call})

    asyncio.run(leave())
    function.may_return.set()
    function.thread.join(30)
    assert function.is_given_up()
