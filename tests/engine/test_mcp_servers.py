"""MCP servers that fail or hang are shown: in the conversation, with the client, and as what a turn waits for."""

from __future__ import annotations

import pytest

from supervisor.api.entries import Noticed
from supervisor.api.outcomes import Expired
from supervisor.api.prompts import Prompt, Source
from supervisor.api.states import Server, ServerState, SessionState
from supervisor.claude.messages import read_servers
from supervisor.testing import FakeWorld, hold
from tests.engine.conftest import MakeTemplate, Start
from tests.waiting import at_once, until

pytestmark = pytest.mark.anyio

HANGS = Server("wiki", ServerState.PENDING)
FAILS = Server("tickets", ServerState.FAILED, "Connection closed")
WORKS = Server("wiki", ServerState.CONNECTED)


async def test_a_turn_names_the_server_that_it_waits_for(start: Start, world: FakeWorld) -> None:
    world.on_prompt, world.servers = hold, (HANGS,)
    async with start() as supervisor:
        ticket = await supervisor.submit(Prompt("desk", "hello", user="ana"))
        await until(lambda: supervisor.view.snapshot().sessions[0].awaited_servers == ("wiki",))
        await until(lambda: supervisor.view.snapshot().instances[0].note == "waits for MCP server wiki")
        await until(lambda: world.written)  # a client is ready although a server is not
        assert (await supervisor.snapshot()).sessions[0].state is SessionState.WORKING
        world.servers = (WORKS,)
        await until(lambda: supervisor.view.snapshot().sessions[0].awaited_servers == ())
        assert (await supervisor.snapshot()).clients[0].servers == (WORKS,)
        assert (await supervisor.snapshot()).instances[0].note == ""
        world.holder_of("hello").reply("hi")
        await ticket.outcome()


@pytest.mark.parametrize("spares", [0, 1])
async def test_one_that_fails_is_told_in_the_conversation_once(
    start: Start, world: FakeWorld, make_template: MakeTemplate, spares: int
) -> None:
    world.servers = (FAILS,)
    async with start(make_template(pool={"spares": spares}), health_interval=0.02) as supervisor:
        if spares:
            await until(lambda: any(row.servers for row in supervisor.view.snapshot().clients))
        ticket = await supervisor.submit(Prompt("desk", "hello", user="ana"))
        await ticket.outcome()

        def notices() -> list[str]:
            entries = at_once(supervisor.conversation(ticket.key)).read().entries
            return [one.text for one in entries if isinstance(one, Noticed) and one.is_warning]

        await until(notices)
        await (await supervisor.submit(Prompt("desk", "again", user="ana"))).outcome()
        assert notices() == ["The MCP server tickets failed (Connection closed): its tools are missing"]
        assert "tickets failed" in (await supervisor.snapshot()).instances[0].note


def test_what_the_cli_answers_is_read_with_care() -> None:
    given = [
        {"name": "a\x1b[31m", "status": "failed", "error": "no\nway"},
        {"name": "b", "status": "needs-auth"},
        {"name": "c", "status": "something new"},
        {"status": 7},
        "d",
    ]
    assert read_servers({"mcpServers": given}) == (
        Server("a", ServerState.FAILED, "no way"),
        Server("b", ServerState.NEEDS_AUTH),
    )
    assert read_servers(None) == read_servers({"mcpServers": 3}) == ()


async def test_a_refusal_names_the_server_that_its_clients_go_without(
    start: Start, world: FakeWorld, make_template: MakeTemplate
) -> None:
    """S4.7: where nothing became free in time, that may be why."""
    world.on_prompt, world.servers = hold, (FAILS,)
    one_place = make_template(concurrency={"maxSessions": 1}, queue={"maxWait": 0.05})
    async with start(one_place) as supervisor:
        await supervisor.submit(Prompt("desk", "hello", user="ana", source=Source.OPERATOR))
        await until(lambda: "tickets failed" in supervisor.view.snapshot().instances[0].note)
        outcome = await (await supervisor.submit(Prompt("desk", "hello", user="ben"))).outcome()
        assert isinstance(outcome, Expired)
        assert "turn runs (maxSessions); MCP server tickets failed (Connection closed)" in outcome.message
