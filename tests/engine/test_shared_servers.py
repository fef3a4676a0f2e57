"""MCP servers that all clients share: one process for all, and what is one call's trouble is nobody else's (S4.MCP)."""

from __future__ import annotations

import gc
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import anyio
import psutil
import pytest
from mcp import types

from supervisor.api.shared_servers import BreakerState, SharedServerRow, SharedState
from supervisor.api.states import Server, ServerState
from supervisor.api.tools import RunContext
from supervisor.config.shared_servers import SharedSpec
from supervisor.process.process_tree import LOST, MARK, iter_processes
from supervisor.tools import server_process, shared_server
from supervisor.tools.client_tools import ClientTools
from supervisor.tools.shared_servers import SharedServers, SharedSource
from tests.waiting import until, until_sync

pytestmark = pytest.mark.anyio

SCRIPT = Path(__file__).parent / "mcp_server.py"


def _spec(*arguments: str, **keys: Any) -> SharedSpec:
    return SharedSpec("stdio", sys.executable, (str(SCRIPT), *arguments), folder=str(SCRIPT.parent), **keys)


class Room:
    """Shared servers that run, and whose clients have to be started anew."""

    def __init__(self, mark: str) -> None:
        self.mark = mark
        self.rolled: list[frozenset[str]] = []
        self.servers = SharedServers(mark, self.rolled.append)

    def row(self, name: str = "one") -> SharedServerRow:
        return next(row for row in self.servers.rows({"desk": 3}) if name in row.name.split(", "))

    def processes(self) -> list[psutil.Process]:
        found = []
        for process in iter_processes():
            try:
                is_ours = process.environ().get(MARK, "").startswith(self.mark)
                if is_ours and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except LOST:
                continue
        return found


@pytest.fixture
async def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Room]:
    monkeypatch.setattr(shared_server, "FIRST_BACKOFF", 0.05)
    async with _running(f"test-{tmp_path.name}-{os.getpid()}") as room:
        yield room
    assert not room.processes()


@asynccontextmanager
async def _running(mark: str) -> AsyncIterator[Room]:
    room = Room(mark)
    async with anyio.create_task_group() as group:
        group.start_soon(room.servers.run)
        yield room
        group.cancel_scope.cancel()


async def call(source: SharedSource, tool: str, user: str = "ana", **arguments: Any) -> types.CallToolResult:
    return await source.call_tool(tool, arguments, lambda: RunContext("desk", user, "default", "turn", Path("/")))


def words(result: types.CallToolResult) -> str:
    (block,) = result.content
    assert isinstance(block, types.TextContent)
    return block.text


async def test_equal_definitions_are_one_process_whatever_they_are_called(room: Room) -> None:
    """N clients of M servers start M processes; each call says whose it is."""
    one = room.servers.offer("one", "desk", _spec())
    two = room.servers.offer("two", "admin", _spec())
    other = room.servers.offer("other", "desk", _spec("other"))
    assert {tool.name for tool in await one.told()} >= {"say", "whose"}
    assert words(await call(two, "say", text="hello")) == "hello"
    await other.told()
    scripts = [one for one in room.processes() if str(SCRIPT) in " ".join(one.cmdline())]
    assert len(scripts) == 2
    assert json.loads(words(await call(one, "whose", "bob"))) == {
        "bullpen/instance": "desk",
        "bullpen/user": "bob",
        "bullpen/session": "default",
        "bullpen/turn": "turn",
    }
    row = room.row()
    assert (row.name, row.agents, row.state, row.clients, row.calls) == (
        "one, two",
        ("admin", "desk"),
        SharedState.CONNECTED,
        3,
        2,
    )
    await anyio.to_thread.run_sync(room.servers._measure)
    row = room.row()
    assert row.processes >= 1
    assert row.saved_bytes == 2 * row.memory_bytes > 0


async def test_processes_that_cannot_be_measured_end_nothing(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """With every descriptor in use, say: what is shown stays as it was."""
    one = room.servers.offer("one", "desk", _spec())
    await one.told()

    def fail() -> NoReturn:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("supervisor.tools.shared_servers.ProcessTable", fail)
    room.servers._measure()
    assert words(await call(one, "say", text="well")) == "well"


async def test_a_server_that_is_killed_in_a_call_is_that_calls_error_alone(room: Room, tmp_path: Path) -> None:
    one, other = room.servers.offer("one", "desk", _spec()), room.servers.offer("other", "desk", _spec("other"))
    await one.told()
    results: dict[str, types.CallToolResult] = {}

    async def keep(name: str, source: SharedSource, tool: str, **arguments: str) -> None:
        results[name] = await call(source, tool, **arguments)

    async with anyio.create_task_group() as group:
        group.start_soon(keep, "hit", one, "hang")
        group.start_soon(partial(keep, "beside", other, "wait", until=str(tmp_path / "go")))
        await until(lambda: room.row("one").running == room.row("other").running == 1)
        for process in room.processes():
            if process.cmdline()[-1:] == [str(SCRIPT)]:
                process.kill()
        await until(lambda: "hit" in results)
        (tmp_path / "go").touch()
    assert results["hit"].isError
    assert "ended during hang: whether it was carried out is not known" in words(results["hit"])
    assert not results["beside"].isError
    await until(lambda: (room.row("one").state, room.row("one").restarts) == (SharedState.CONNECTED, 1))
    assert words(await call(one, "say", text="again")) == "again"
    assert room.row("one").errors == 1
    assert not room.rolled


async def test_what_a_server_answers_is_passed_on_as_it_is(room: Room) -> None:
    one = room.servers.offer("one", "desk", _spec())
    failed = await call(one, "fail")
    assert (words(failed), failed.isError) == ("no", True)
    refused = await call(one, "refuse")
    assert (words(refused), refused.isError) == ("refuse: not these arguments", True)
    assert room.row().errors == 0


async def test_at_most_so_many_calls_run_and_others_wait(room: Room, tmp_path: Path) -> None:
    one = room.servers.offer("one", "desk", _spec(max_calls=2))
    await one.told()
    results: list[str] = []

    async def ask() -> None:
        results.append(words(await call(one, "wait", until=str(tmp_path / "go"))))

    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(ask)
        await until(lambda: (room.row().running, room.row().waiting) == (2, 3))
        await until((tmp_path / "go-2").exists)
        (tmp_path / "go").touch()
    assert max(map(int, results)) == 2


async def test_a_server_that_does_not_answer_is_left_in_peace_after_a_while(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each call would wait for its time-out: after five the breaker opens, and one call tries."""
    monkeypatch.setattr("supervisor.tools.breaker.OPEN_FOR", 1_000.0)
    one = room.servers.offer("one", "desk", _spec(timeout=0.1, max_calls=9))
    await one.told()
    for _ in range(5):
        assert "did not answer hang within 100ms" in words(await call(one, "hang"))
    assert room.row().breaker is BreakerState.OPEN
    assert "it is tried again in " in words(await call(one, "say"))
    monkeypatch.setattr("supervisor.tools.breaker.OPEN_FOR", 0.0)
    assert words(await call(one, "say", text="well")) == "well"
    assert room.row().breaker is BreakerState.CLOSED


async def test_a_call_that_is_given_up_frees_its_place(room: Room) -> None:
    one = room.servers.offer("one", "desk", _spec(max_calls=1))
    await one.told()
    with anyio.move_on_after(0.1):
        await call(one, "hang")
    assert room.row().running == 0
    assert words(await call(one, "say", text="next")) == "next"


async def test_a_call_that_is_given_up_is_no_other_that_was_begun_with_it(room: Room) -> None:
    """One user's turn is stopped: the server is told which call that was, and no other user's (S3.3-5, S4.MCP)."""
    one = room.servers.offer("one", "desk", _spec())
    await one.told()
    async with anyio.create_task_group() as group:
        scopes = {user: anyio.CancelScope() for user in ("ana", "ben", "cia")}

        async def hang(user: str) -> None:
            with scopes[user]:
                await call(one, "hang", user, text=user)

        for user in scopes:
            group.start_soon(hang, user)
        await until(lambda: room.row().running == 3)
        await call(one, "say")
        scopes["cia"].cancel()
        await until(lambda: room.row().running == 2)
        assert json.loads(words(await call(one, "told"))) == ["cia"]
        group.cancel_scope.cancel()


async def test_an_answer_that_is_too_long_is_an_error_of_its_call_alone(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("supervisor.tools.server_process.MOST_LINE", 500_000)
    one = room.servers.offer("one", "desk", _spec())
    await one.told()
    async with anyio.create_task_group() as group:
        group.start_soon(call, one, "hang")
        for length in (499_000, 501_000, 5_000_000):
            result = await call(one, "flood", length=length)
            assert result.isError == (length > 500_000)
            assert not result.isError or words(result) == "flood: its answer has more than 500,000 bytes"
        assert (room.row().running, room.row().restarts) == (1, 0)
        group.cancel_scope.cancel()


@pytest.mark.parametrize("line", [b'{"jsonrpc":"2.0","id":7,"result":{"id":1', b'"id":1}},"jsonrpc":"2.0","id":7}'])
def test_which_call_an_answer_that_is_too_long_belongs_to_stands_at_either_end(line: bytes) -> None:
    """Servers write its number first, or last."""
    told = server_process._excuse(server_process._TooLong(line, line)).message.root
    assert isinstance(told, types.JSONRPCError)
    assert told.id == 7


async def test_an_answer_that_is_no_result_is_told_and_not_logged(room: Room, caplog: pytest.LogCaptureFixture) -> None:
    """Logs hold no answers: mcp's client logs what it does not know."""
    one = room.servers.offer("one", "desk", _spec())
    await call(one, "babble")
    result = await call(one, "nonsense")
    assert words(result) == f"nonsense: the MCP server {room.row().what} gave an answer that is no result of MCP"
    assert "secret words" not in caplog.text


async def test_a_server_whose_tools_change_all_the_time_is_not_followed_each_time(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each change starts clients anew (S4.7-11)."""
    monkeypatch.setattr("supervisor.tools.pace.FIRST", 3600.0)
    one = room.servers.offer("one", "desk", _spec("restless"))
    await one.told()
    await until(lambda: room.rolled)
    for _ in range(5):
        await call(one, "add")
    assert len(room.rolled) == 1


async def test_other_tools_are_another_version_and_clients_are_told(room: Room) -> None:
    """Lists of tools are cached, with a version and `listChanged` (S4.7-11)."""
    one = room.servers.offer("one", "desk", _spec())
    before = await one.told()
    await call(one, "add")
    await until(lambda: room.rolled)
    assert room.rolled == [frozenset({"desk"})]
    counts = room.servers._lists.statistics()
    assert (counts.name, counts.entries, counts.ttl, counts.misses, counts.hits) == ("mcp-tools", 1, 300.0, 2, 1)
    anew = room.servers.offer("one", "desk", _spec())
    assert anew.version != one.version
    assert len(await anew.told()) == len(before) + 1


async def test_secrets_are_neither_arguments_nor_shown(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "of-the-supervisor")
    spec = _spec("fails", variables={"TOKEN": "secret-of-the-server"})
    assert "secret-of-the-server" not in repr(spec)
    bad = room.servers.offer("bad", "desk", spec)
    await until(lambda: room.row("bad").note)
    assert "cannot start with ***" in room.row("bad").note
    good = room.servers.offer("good", "desk", _spec(variables={"TOKEN": "secret-of-the-server"}))
    environment = json.loads(words(await call(good, "environment")))
    assert environment["TOKEN"] == "secret-of-the-server"
    assert "ANTHROPIC_API_KEY" not in environment
    for process in room.processes():
        with suppress(*LOST):  # the one that fails is started again and again
            assert "secret-of-the-server" not in " ".join(process.cmdline())
    assert "secret-of-the-server" not in repr(room.servers.rows({}))
    assert "is not there: " in words(await call(bad, "say"))


async def test_a_program_that_is_not_there_is_told(room: Room) -> None:
    spec = SharedSpec("stdio", "no-such-program", folder=str(SCRIPT.parent))
    source = room.servers.offer("none", "desk", spec)
    await until(lambda: room.row("none").note)
    assert room.row("none").note == "there is no program no-such-program on the PATH"
    assert "is not there: there is no program" in words(await call(source, "say"))
    below = room.servers.offer("below", "desk", SharedSpec("stdio", "./nowhere", folder=str(SCRIPT.parent)))
    await until(lambda: room.row("below").note)
    assert room.row("below").note == f"there is no program ./nowhere in {SCRIPT.parent}"
    assert below.name == "below"


async def test_a_program_with_a_slash_is_looked_for_in_its_folder(room: Room, tmp_path: Path) -> None:
    program = tmp_path / "serve"
    program.write_text(f"#!/bin/sh\nexec {sys.executable} {SCRIPT}\n")
    program.chmod(0o700)
    source = room.servers.offer("own", "desk", SharedSpec("stdio", "./serve", folder=str(tmp_path)))
    assert words(await call(source, "say", text="here")) == "here"


async def test_a_server_that_nothing_names_any_more_ends(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("supervisor.tools.shared_servers.LOOK", 0.05)
    source: SharedSource | None = room.servers.offer("one", "desk", _spec())
    assert source is not None
    await source.told()
    assert room.processes()
    del source
    gc.collect()
    room.servers._has_fresh.set()
    await until(lambda: not room.processes())
    assert room.servers.rows({}) == ()


async def test_clients_that_start_before_the_tools_are_known_are_told_later(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_server, "TELLS", 0.0)
    one = room.servers.offer("one", "desk", _spec())
    assert await one.told() == []
    assert one.trouble == "it has not said yet what tools it has"
    monkeypatch.setattr(shared_server, "TELLS", 30.0)
    await until(lambda: room.rolled)
    assert await one.told()


async def test_one_that_cannot_be_started_holds_up_no_client(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first attempt is waited for, and no longer; the client's servers tell of it."""
    monkeypatch.setattr(shared_server, "TELLS", 600.0)
    monkeypatch.setattr(shared_server, "FIRST_BACKOFF", 600.0)
    source = room.servers.offer("time", "desk", SharedSpec("stdio", "no-such-program", folder=str(SCRIPT.parent)))
    tools = ClientTools((source,))
    with anyio.fail_after(60):
        assert await source.told() == []
        assert await source.told() == [], "while it waits to be started again"
    shown = (Server("time", ServerState.CONNECTED), Server("own", ServerState.CONNECTED))
    assert tools.mark_troubled(shown) == (
        Server("time", ServerState.FAILED, "there is no program no-such-program on the PATH"),
        shown[1],
    )


async def _listening(port: int) -> None:
    with anyio.fail_after(60):
        while True:
            try:
                await (await anyio.connect_tcp("127.0.0.1", port)).aclose()
                return
            except OSError:
                await anyio.sleep(0.05)


@pytest.fixture
def port() -> Iterator[int]:
    """Bound by this process, which does not listen there: no other program gets it while no server runs."""
    with socket.socket() as kept:
        kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        kept.bind(("127.0.0.1", 0))
        yield kept.getsockname()[1]


async def test_a_server_at_an_address_is_shared_as_well(room: Room, port: int) -> None:
    source = (
        "import socket, uvicorn\nfrom mcp.server.fastmcp import FastMCP\n"
        f"server = FastMCP('far', host='127.0.0.1', port={port}, log_level='ERROR')\n"
        "@server.tool()\ndef say(text: str) -> str:\n    return text\n"
        "shared = socket.socket()\n"
        "shared.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)\n"
        "shared.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)\n"
        f"shared.bind(('127.0.0.1', {port}))\n"
        "uvicorn.Server(uvicorn.Config(server.streamable_http_app(), log_level='error')).run([shared])\n"
    )
    far = room.servers.offer("far", "desk", SharedSpec("http", url=f"http://127.0.0.1:{port}/mcp"))
    await until(lambda: room.row("far").note == "it cannot be reached")
    null, restarts = subprocess.DEVNULL, 0
    # The second knows nothing of what was begun with the first, and says so to the call that comes then.
    for number in range(2):
        process = await anyio.open_process([sys.executable, "-c", source], stdout=null, stderr=null)
        try:
            await _listening(port)
            if number:
                await call(far, "say", text="do you know me?")
                await until(lambda: room.row("far").restarts > restarts)  # noqa: B023
            await until(lambda: room.row("far").state is SharedState.CONNECTED, within=60)
            assert words(await call(far, "say", text="over there")) == "over there"
            assert room.row("far").what == "127.0.0.1"
            restarts = room.row("far").restarts
        finally:
            process.kill()
            await process.aclose()
    assert (await call(far, "say", text="gone")).isError


def test_no_process_of_a_shared_server_outlives_a_killed_supervisor(tmp_path: Path) -> None:
    """R2: whatever ends bullpen."""
    mark = f"killed-{tmp_path.name}-{os.getpid()}"
    program = (
        "import anyio, sys\nfrom tests.engine.test_shared_servers import _running, _spec\n"
        "async def main():\n"
        f"    async with _running({mark!r}) as room:\n"
        "        source = room.servers.offer('one', 'desk', _spec())\n"
        "        await source.told()\n"
        "        print('up', flush=True)\n"
        "        await anyio.sleep_forever()\n"
        "anyio.run(main)\n"
    )
    root = Path(__file__).parents[2]
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, cwd=root)
    assert process.stdout is not None
    assert process.stdout.readline() == b"up\n"
    room = Room(mark)
    assert room.processes()
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    until_sync(lambda: not room.processes())
