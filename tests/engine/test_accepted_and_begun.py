"""A prompt for a warm client is accepted and begun in one transaction; its record is right whatever comes first."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from supervisor.api.errors import NotRecorded
from supervisor.api.outcomes import Cancelled, Done
from supervisor.api.prompts import Prompt
from supervisor.api.states import SlotState, WhyWaiting
from supervisor.engine.supervisor import Supervisor
from supervisor.testing import FakeConnection, FakeWorld, hold
from tests.engine.conftest import MakeTemplate, Start
from tests.engine.journal_stage import read
from tests.waiting import until

pytestmark = pytest.mark.anyio


def ask(user: str, text: str = "again") -> Prompt:
    return Prompt("desk", text, user=user)


@pytest.fixture
def records(tmp_path: Path) -> Any:
    """Of each prompt "again": whether it began, and how it ended, as another reader sees it in the file."""
    query = "SELECT started_at IS NOT NULL, outcome FROM turns WHERE text = 'again' ORDER BY seq"
    return lambda: read(tmp_path / "state", query)


@asynccontextmanager
async def warm(
    start: Start, world: FakeWorld, make_template: MakeTemplate, turns: int = 2
) -> AsyncIterator[Supervisor]:
    """Two users with clients that are idle; from here on no agent answers. `turns` may run at once."""
    template = make_template(concurrency={"maxSessions": turns}, pool={"spares": 0, "maxClients": 2})
    async with start(template) as supervisor:
        for user in ("ana", "boris"):
            await (await supervisor.submit(ask(user, "hello"))).outcome()
        await until(lambda: [one.state for one in supervisor.view.snapshot().clients] == [SlotState.READY] * 2)
        world.on_prompt = hold
        await supervisor._host.journal.flush()
        yield supervisor
    assert world.violations == []


async def test_a_prompt_for_a_warm_client_costs_one_transaction_and_is_written_when_that_is_durable(
    start: Start, world: FakeWorld, make_template: MakeTemplate, records: Any
) -> None:
    """R1, R2: whatever the moment of a kill, the next run knows which prompts a CLI may have seen."""
    seen: list[Any] = []
    async with warm(start, world, make_template) as supervisor:
        world.on_prompt = lambda connection, text: seen.append(records())
        before = supervisor._host.journal.commits
        ticket = await supervisor.submit(ask("ana"))
        await until(lambda: seen)
        await ticket.accepted()
        assert seen == [[(True, "")]]
        assert supervisor._host.journal.commits == before + 1


async def test_each_prompt_for_a_warm_client_costs_one_transaction_and_not_only_the_first(
    start: Start, world: FakeWorld, make_template: MakeTemplate
) -> None:
    """What was begun at once takes no place from those that come later."""
    async with warm(start, world, make_template, turns=1) as supervisor:
        journal = supervisor._host.journal
        commits: list[int] = []

        def answer(connection: FakeConnection, text: str) -> None:
            commits.append(journal.commits)
            connection.reply("well")

        world.on_prompt = answer
        for _ in range(3):
            before = journal.commits
            assert isinstance(await (await supervisor.submit(ask("ana"))).outcome(), Done)
            assert commits.pop() == before + 1
            await until(lambda: [one.state for one in supervisor.view.snapshot().clients] == [SlotState.READY] * 2)
            await journal.flush()


async def test_of_two_that_come_at_once_the_one_without_a_place_is_accepted_as_one_that_waits(
    start: Start, world: FakeWorld, make_template: MakeTemplate, records: Any
) -> None:
    """R2: what had not started runs after a kill; only what may have been written is offered."""
    async with warm(start, world, make_template, turns=1) as supervisor:
        await supervisor.submit(ask("ana"))
        second = await supervisor.submit(ask("boris"))
        await second.accepted()
        assert records() == [(True, ""), (False, "")]


async def test_a_prompt_that_had_to_wait_after_all_begins_with_a_record_of_its_own(
    start: Start, world: FakeWorld, make_template: MakeTemplate, records: Any
) -> None:
    seen: list[Any] = []
    async with warm(start, world, make_template) as supervisor:
        ticket = await supervisor.submit(ask("ana"))
        await supervisor.pause("desk")
        await ticket.accepted()
        assert records() == [(False, "")]
        assert supervisor.view.snapshot().sessions[0].why is WhyWaiting.PAUSED

        def answer(connection: FakeConnection, text: str) -> None:
            seen.append(records())
            connection.reply("well")

        world.on_prompt = answer
        await supervisor.resume("desk")
        assert isinstance(await ticket.outcome(), Done)
        assert seen == [[(True, "")]]


async def test_a_prompt_withdrawn_while_it_is_recorded_has_not_begun(
    start: Start, world: FakeWorld, make_template: MakeTemplate, records: Any
) -> None:
    async with warm(start, world, make_template) as supervisor:
        ticket = await supervisor.submit(ask("ana"))
        await supervisor.withdraw(ticket.turn_id)
        assert isinstance(await ticket.outcome(), Cancelled)
        assert records() == [(False, "cancelled")]
        assert "again" not in world.connections[0].prompts


async def test_a_prompt_that_cannot_be_recorded_leaves_the_client_free(
    start: Start, world: FakeWorld, make_template: MakeTemplate, records: Any
) -> None:
    async with warm(start, world, make_template) as supervisor:
        journal = supervisor._host.journal
        await journal._connection.execute_fetchall("PRAGMA query_only = 1")
        with pytest.raises(NotRecorded):
            await (await supervisor.submit(ask("ana"))).accepted()
        await journal._connection.execute_fetchall("PRAGMA query_only = 0")
        assert (records(), world.connections[0].prompts) == ([], ["hello"])
        assert [one.state for one in supervisor.view.snapshot().clients] == [SlotState.READY] * 2
        again = await supervisor.submit(ask("ana"))
        await until(lambda: "again" in world.connections[0].prompts)
        world.connections[0].reply("well")
        assert isinstance(await again.outcome(), Done)
