"""Two public MCP servers, written by others, shared by real Claude Code processes: one from PyPI, one from npm."""

from __future__ import annotations

import anyio
import anyio.to_thread
import psutil
import pytest

from benchmarks.public_servers import NotInstalled, install
from supervisor.api.outcomes import Done, Outcome
from supervisor.api.prompts import Prompt
from supervisor.api.shared_servers import SharedState
from tests.acceptance.conftest import Open
from tests.waiting import at_once, until

pytestmark = pytest.mark.anyio


async def test_public_servers_are_one_process_each_for_all_clients(open_bullpen: Open) -> None:
    """S4.MCP. Killed in a call, one gives that call an error, and everybody else nothing."""
    try:
        time, everything = await anyio.to_thread.run_sync(install)
    except NotInstalled as error:
        pytest.skip(f"the public MCP servers cannot be installed: {error}")
    servers = {
        "time": {"command": str(time), "shared": True, "alwaysLoad": True},
        "all": {"command": str(everything), "args": ["stdio"], "shared": True, "alwaysLoad": True},
        "alias": {"command": str(everything), "args": ["stdio"], "shared": True},
    }
    keys = {"tools": ["mcp__time", "mcp__all"], "mcpServers": servers, "permissionMode": "bypassPermissions"}
    async with open_bullpen(max_sessions=2, keys=keys, variables={"IS_SANDBOX": "1"}) as bullpen:
        supervisor = bullpen.supervisor

        async def ask(user: str, text: str) -> Outcome:
            return await (await supervisor.submit(Prompt("desk", text, user=user))).outcome()

        said: dict[str, Outcome] = {}

        async def keep(user: str, text: str) -> None:
            said[user] = await ask(user, text)

        async with anyio.create_task_group() as group:
            group.start_soon(keep, "ana", '[[tool: mcp__time__get_current_time {"timezone": "Europe/Berlin"}]]')
            group.start_soon(keep, "bob", '[[tool: mcp__all__echo {"message": "hello"}]]')
        assert "Europe/Berlin" in _text(said["ana"])
        assert _text(said["bob"]).endswith("Echo: hello")
        rows = {row.name: row for row in await supervisor.servers()}
        assert set(rows) == {"time", "alias, all"}
        assert all(row.state is SharedState.CONNECTED and row.clients == 2 for row in rows.values())

        def running() -> int:
            return sum(row.running for row in at_once(supervisor.servers()))

        long = '[[tool: mcp__all__trigger-long-running-operation {"duration": 60, "steps": 2}]]'
        async with anyio.create_task_group() as group:
            group.start_soon(keep, "bob", long)
            await until(lambda: running() == 1, within=30)
            (entry,) = (one for one in supervisor._tools.servers._entries.values() if one.spec.arguments)
            assert entry.server is not None
            for process in psutil.Process(entry.server.pid).children(recursive=True):
                process.kill()
        assert "ended during trigger-long-running-operation" in _text(said["bob"])
        assert "Europe/Berlin" in _text(
            await ask("ana", '[[tool: mcp__time__get_current_time {"timezone": "Europe/Berlin"}]]')
        )
        await until(lambda: all(row.state is SharedState.CONNECTED for row in at_once(supervisor.servers())), within=30)
        assert _text(await ask("bob", '[[tool: mcp__all__echo {"message": "again"}]]')).endswith("Echo: again")


def _text(outcome: Outcome) -> str:
    assert isinstance(outcome, Done), outcome
    return outcome.text
