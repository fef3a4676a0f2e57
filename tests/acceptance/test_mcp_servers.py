"""MCP servers of the bundled CLI that fail or hang."""

from __future__ import annotations

import pytest

from supervisor.api.entries import Noticed
from supervisor.api.prompts import Prompt
from supervisor.api.states import ServerState
from tests.acceptance.conftest import Open
from tests.waiting import at_once, until

pytestmark = pytest.mark.anyio

SERVERS = {
    "hangs": {"type": "stdio", "command": "sleep", "args": ["60"]},
    "fails": {"type": "stdio", "command": "false"},
}


async def test_a_server_that_fails_is_told_and_one_that_hangs_is_named(open_bullpen: Open) -> None:
    async with open_bullpen(keys={"mcpServers": SERVERS}) as bullpen:
        supervisor = bullpen.supervisor
        ticket = await supervisor.submit(Prompt("desk", "[[say: hi]]", user="ana"))
        await until(lambda: supervisor.view.snapshot().sessions[0].awaited_servers == ("hangs",), within=30)
        await until(
            lambda: any(
                "The MCP server fails failed" in one.text
                for one in at_once(supervisor.conversation(ticket.key)).read().entries
                if isinstance(one, Noticed)
            ),
            within=30,
        )
        (client,) = (await supervisor.snapshot()).clients
        assert {server.name: server.state for server in client.servers} == {
            "hangs": ServerState.PENDING,
            "fails": ServerState.FAILED,
        }
        await supervisor.interrupt(ticket.key)
        await ticket.outcome()


async def test_a_shared_server_that_is_not_there_costs_the_agent_its_tools_alone(open_bullpen: Open) -> None:
    """S4.7: the client starts, and the conversation and the instance name the program."""
    shared = {"time": {"command": "no-such-program", "shared": True}}
    async with open_bullpen(keys={"mcpServers": shared, "queue": {"maxWait": 25}}) as bullpen:
        supervisor = bullpen.supervisor
        ticket = await supervisor.submit(Prompt("desk", "[[say: hi]]", user="ana"))
        assert (await ticket.outcome()).text == "hi"
        missing = "MCP server time failed (there is no program no-such-program on the PATH)"
        await until(
            lambda: any(
                missing in one.text
                for one in at_once(supervisor.conversation(ticket.key)).read().entries
                if isinstance(one, Noticed)
            ),
            within=30,
        )
        assert missing in (await supervisor.snapshot()).instances[0].note
