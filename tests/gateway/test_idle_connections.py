"""Connections that ask for nothing keep nobody out, and take no descriptor that a client needs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from urllib.parse import urlsplit

import anyio
import pytest
from anyio.abc import SocketStream

from supervisor.gateway import door
from supervisor.gateway.door import find_most_connections
from supervisor.gateway.tokens import Role
from tests.gateway.conftest import Bullpen, Open

pytestmark = pytest.mark.anyio

MOST = 4


@pytest.fixture
async def narrow(bullpen: Open, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bullpen]:
    monkeypatch.setattr(door, "MOST_CONNECTIONS", MOST)
    async with bullpen() as found:
        yield found


async def connect(bullpen: Bullpen, stack: AsyncExitStack) -> SocketStream:
    place = urlsplit(bullpen.door.url)
    assert place.hostname is not None
    assert place.port is not None
    return await stack.enter_async_context(await anyio.connect_tcp(place.hostname, place.port))


async def has_ended(stream: SocketStream) -> bool:
    """Whether the other side gives it up. Fails when it does not say so."""
    with anyio.fail_after(20):
        try:
            await stream.receive()
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            return True
    return False


async def test_who_asks_gets_the_place_of_one_that_has_not_for_longest(narrow: Bullpen) -> None:
    """Also of one that sends a request bit by bit."""
    client = await narrow.caller(Role.OPERATOR)
    async with AsyncExitStack() as stack, client.stream("GET", "/feed") as feed:
        lines = feed.aiter_lines()
        await anext(lines)
        idle = [await connect(narrow, stack) for _ in range(MOST - 1)]
        await idle[0].send(b"GET /healthz HTTP/1.1\r\nX-Slow: ")
        for stream in idle:
            assert (await (await narrow.stranger()).get("/healthz")).status_code == 200
            assert await has_ended(stream)
        assert await anext(lines), "a stream that is read is never given up"


async def test_where_every_connection_asks_the_next_one_is_refused(narrow: Bullpen) -> None:
    async with AsyncExitStack() as stack:
        clients = [await narrow.caller(Role.OPERATOR) for _ in range(MOST)]
        streams = [await stack.enter_async_context(one.stream("GET", "/feed")) for one in clients]
        assert [stream.status_code for stream in streams] == [200] * MOST
        assert await has_ended(await connect(narrow, stack))
        assert (await (await narrow.operator()).get("/healthz")).status_code == 200, "the socket has places of its own"
        await streams[0].aclose()
        async with AsyncExitStack() as later:
            assert not (await asked(narrow, later)).startswith(b"HTTP/1.1 5")


async def asked(bullpen: Bullpen, stack: AsyncExitStack) -> bytes:
    """What a new connection is answered, as soon as it is let in."""
    with anyio.fail_after(20):
        while True:
            stream = await connect(bullpen, stack)
            try:
                await stream.send(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
                return await stream.receive()
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                await anyio.sleep(0.01)


async def test_that_none_can_be_let_in_is_told_once_a_minute(narrow: Bullpen, caplog: pytest.LogCaptureFixture) -> None:
    loop, message = asyncio.get_running_loop(), "socket.accept() out of system resource"
    for _ in range(99):
        loop.call_exception_handler({"message": message})
    loop.call_exception_handler({"message": "another"})
    assert [record.message.splitlines()[0] for record in caplog.records] == [message, "another"]


@pytest.mark.parametrize(
    ("limits", "asked_for", "most"),
    [
        ((1_024, 524_288), (16_384, 524_288), 4_096),
        ((1_024, 4_096), (4_096, 4_096), 1_536),
        ((256, 256), None, 96),
        ((door.resource.RLIM_INFINITY, door.resource.RLIM_INFINITY), None, 4_096),
    ],
)
def test_the_limit_of_descriptors_is_raised_and_some_are_left(
    limits: tuple[int, int], asked_for: tuple[int, int] | None, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [limits]
    monkeypatch.setattr(door.resource, "getrlimit", lambda of: now[-1])
    monkeypatch.setattr(door.resource, "setrlimit", lambda of, wanted: now.append(wanted))
    assert find_most_connections() == most
    assert now == [limits, *([asked_for] if asked_for else [])]
