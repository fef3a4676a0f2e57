"""A read that is given up in the moment in which something arrives is no mistake; what else fails in a loop is told."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Any

import anyio
import pytest

from tui.cli.running_engine import forgive_late_reads


async def give_up_a_read_as_a_byte_arrives(folder: Path) -> None:
    """Both are due in one turn of the loop: it finds the byte, and before it acts on that the read is cancelled."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "s"))
        listener.listen()
        async with await anyio.connect_unix(folder / "s") as client:
            with anyio.CancelScope() as scope, listener.accept()[0] as other:

                def cut() -> None:
                    other.send(b"x")
                    asyncio.get_running_loop().call_soon(scope.cancel)

                asyncio.get_running_loop().call_later(0.01, cut)
                await client.receive()
            assert scope.cancelled_caught
            await anyio.wait_all_tasks_blocked()


@pytest.mark.parametrize("is_forgiven", [False, True])
def test_a_read_that_was_given_up_as_something_arrived_is_not_told(tmp_path: Path, is_forgiven: bool) -> None:
    told: list[dict[str, Any]] = []

    async def run() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda loop, context: told.append(context))
        if is_forgiven:
            forgive_late_reads(loop)
        await give_up_a_read_as_a_byte_arrives(tmp_path)

    asyncio.run(run())
    assert len(told) == (not is_forgiven), "once anyio sets no result too late, nothing need be forgiven"


def test_what_else_fails_in_the_loop_is_told() -> None:
    told: list[BaseException] = []

    async def run() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda loop, context: told.append(context["exception"]))
        forgive_late_reads(loop)
        settled: asyncio.Future[int] = loop.create_future()
        settled.set_result(1)
        loop.call_soon(settled.set_result, 2)
        loop.call_soon(lambda: settled.set_exception(OSError()))
        loop.call_soon(int, "x")
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    asyncio.run(run())
    assert [type(error) for error in told] == [asyncio.InvalidStateError, asyncio.InvalidStateError, ValueError]
