"""A turn's outcome is told at its Result; its client takes the next prompt at the idle sign after it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import anyio
import pytest

from supervisor.api.keys import SessionKey
from supervisor.api.outcomes import Done, Failed
from supervisor.api.prompts import Prompt
from supervisor.api.states import SessionState, SlotState, WhyWaiting
from supervisor.engine.supervisor import Supervisor
from supervisor.process import attribution
from supervisor.process.reports import Requested, Rested, TextBlock
from supervisor.testing import FakeConnection, FakeWorld, hold
from tests.engine.conftest import MakeTemplate, Start
from tests.engine.journal_stage import read
from tests.waiting import until

pytestmark = pytest.mark.anyio

ANA = SessionKey("desk", "ana", "default")
NEXT = Prompt("desk", "next", user="ana")


class Scene(NamedTuple):
    supervisor: Supervisor
    agent: FakeConnection


@asynccontextmanager
async def told(start: Start, world: FakeWorld, make_template: MakeTemplate) -> AsyncIterator[Scene]:
    """A turn whose Result has come, and whose idle sign has not; it is waited for as long as the test runs."""
    world.on_prompt = hold
    async with start(make_template(concurrency={"maxSessions": 1}, pool={"spares": 0, "maxClients": 2})) as supervisor:
        ticket = await supervisor.submit(Prompt("desk", "hello", user="ana"))
        await until(lambda: world.written)
        world.connections[0].reply("hi", rests=False)
        with anyio.fail_after(5):
            assert isinstance(await ticket.outcome(), Done)
        yield Scene(supervisor, world.connections[0])
    assert world.violations == []


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attribution, "REST", 1_000.0)


async def test_the_outcome_is_told_and_durable_before_the_idle_sign_and_the_next_prompt_waits_for_it(
    start: Start, world: FakeWorld, make_template: MakeTemplate, tmp_path: Path
) -> None:
    """R1, S3.13–16: a prompt that is written in between would be merged into the turn."""
    async with told(start, world, make_template) as scene:
        assert read(tmp_path / "state", "SELECT outcome FROM turns") == [("done",)]
        (row,), (place,) = (await scene.supervisor.snapshot()).sessions, (await scene.supervisor.snapshot()).clients
        assert (row.state, row.turn_id, place.state) == (SessionState.IDLE, "", SlotState.BUSY)
        ticket = await scene.supervisor.submit(NEXT)
        other = await scene.supervisor.submit(Prompt("desk", "hello", user="boris"))
        await ticket.accepted()
        await other.accepted()
        await anyio.wait_all_tasks_blocked()
        assert [one.text for one in world.written] == ["hello"]
        assert [one.why for one in (await scene.supervisor.snapshot()).sessions] == [
            WhyWaiting.SESSION_BUSY,
            WhyWaiting.NO_SLOT,
        ]
        scene.agent.tell(Rested())
        await until(lambda: len(world.written) > 1)
        world.connections[1].reply("hi")  # boris has never been served: his turn comes first
        await until(lambda: world.written[-1].text == "next")


async def test_a_client_that_never_says_it_is_idle_is_free_after_a_while(
    start: Start, world: FakeWorld, make_template: MakeTemplate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attribution, "REST", 0.02)
    async with told(start, world, make_template) as scene:
        await scene.supervisor.submit(NEXT)
        await until(lambda: scene.agent.prompts == ["hello", "next"])
        scene.agent.reply("well")


async def test_each_result_has_the_whole_time_for_its_idle_sign(
    start: Start, world: FakeWorld, make_template: MakeTemplate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is left of the time of the turn before does not count against it."""
    monkeypatch.setattr(attribution, "REST", 0.5)
    async with told(start, world, make_template) as scene:
        scene.agent.tell(Rested())
        ticket = await scene.supervisor.submit(NEXT)
        await until(lambda: scene.agent.prompts == ["hello", "next"])
        monkeypatch.setattr(attribution, "REST", 1_000.0)
        scene.agent.reply("well", rests=False)
        await ticket.outcome()
        await anyio.sleep(0.6)
        assert (await scene.supervisor.snapshot()).clients[0].state is SlotState.BUSY
        scene.agent.tell(Rested())


async def test_a_session_whose_turn_was_told_is_hibernated_at_once_and_its_process_when_it_is_idle(
    start: Start, world: FakeWorld, make_template: MakeTemplate
) -> None:
    """Disconnecting a process in the middle of what follows a Result takes seconds."""
    async with told(start, world, make_template) as scene:
        await scene.supervisor.hibernate(ANA)
        await anyio.wait_all_tasks_blocked()
        assert scene.agent.is_alive
        scene.agent.tell(Rested())
        await until(lambda: not scene.agent.is_alive)
        await until(lambda: not scene.supervisor.view.snapshot().clients)
        assert (await scene.supervisor.snapshot()).sessions[0].state is SessionState.HIBERNATED


async def test_a_client_that_dies_before_its_idle_sign_takes_nothing_back(
    start: Start, world: FakeWorld, make_template: MakeTemplate
) -> None:
    async with told(start, world, make_template) as scene:
        scene.agent.die()
        await until(lambda: not scene.supervisor.view.snapshot().clients)
        (row,) = (await scene.supervisor.snapshot()).sessions
        assert (row.turns, row.state) == (1, SessionState.HIBERNATED)
        await scene.supervisor.resume("desk")
        ticket = await scene.supervisor.submit(NEXT)
        await until(lambda: "next" in world.connections[-1].prompts)
        world.connections[-1].reply("again")
        assert isinstance(await ticket.outcome(), Done)


async def test_what_is_said_after_a_result_belongs_to_no_turn_and_the_next_begun_to_the_agent(
    start: Start, world: FakeWorld, make_template: MakeTemplate
) -> None:
    """A turn that the CLI begins by itself may follow without an idle sign."""
    async with told(start, world, make_template) as scene:
        scene.agent.tell(TextBlock("late"))
        await anyio.wait_all_tasks_blocked()
        assert not (await scene.supervisor.snapshot()).sessions[0].turn_id
        scene.agent._has_begun = True
        scene.agent.tell(Requested())
        await until(lambda: scene.supervisor.view.snapshot().sessions[0].is_self_begun)
        assert (await scene.supervisor.snapshot()).clients[0].state is SlotState.BUSY
        scene.agent.finish_own("by myself")
        await until(lambda: scene.supervisor.view.snapshot().sessions[0].state is SessionState.IDLE)
        assert (await scene.supervisor.snapshot()).clients[0].state is SlotState.READY


async def test_a_failure_is_told_at_its_result_too(start: Start, world: FakeWorld, make_template: MakeTemplate) -> None:
    world.on_prompt = hold
    async with start(make_template(pool={"spares": 0})) as supervisor:
        ticket = await supervisor.submit(Prompt("desk", "hello", user="ana"))
        await until(lambda: world.written)
        world.connections[0].finish(text="", error="API Error: 500", status=500, rests=False)
        with anyio.fail_after(5):
            assert isinstance(await ticket.outcome(), Failed)
        world.connections[0].tell(Rested())
        await until(lambda: supervisor.view.snapshot().clients[0].state is SlotState.READY)
