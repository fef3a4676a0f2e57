"""An end that is hurried: shorter, and as complete (R3)."""

from __future__ import annotations

import math
from typing import Any

import anyio
import pytest

from supervisor.api import events as past
from supervisor.api.outcomes import Interrupted
from supervisor.api.prompts import Prompt
from supervisor.api.states import InstanceState
from supervisor.engine import runtime
from supervisor.instance import stimuli
from supervisor.instance.instance import Instance
from supervisor.process.patience import KILL, PATIENT, TERMINATE, Patience
from supervisor.testing import FakeWorld, hold
from tests.engine.conftest import MakeTemplate, Start
from tests.waiting import until

pytestmark = pytest.mark.anyio


async def test_a_wait_is_given_up_when_its_level_is_reached_and_no_sooner() -> None:
    patience = Patience()
    ended: list[str] = []

    async def wait(name: str, until: int) -> None:
        with patience.wait(math.inf, until=until):
            await anyio.sleep_forever()
        ended.append(name)

    async with anyio.create_task_group() as group:
        group.start_soon(wait, "disconnect", TERMINATE)
        group.start_soon(wait, "terminate", KILL)
        await anyio.wait_all_tasks_blocked()
        assert (patience.level, ended) == (PATIENT, [])
        patience.hurry()
        await anyio.wait_all_tasks_blocked()
        assert ended == ["disconnect"]
        patience.hurry()
    assert ended == ["disconnect", "terminate"]


async def test_a_wait_that_begins_too_late_is_none() -> None:
    patience = Patience()
    patience.hurry()
    with patience.wait(math.inf, until=TERMINATE) as scope:
        await anyio.sleep_forever()
    assert scope.cancelled_caught


async def test_haste_goes_no_further_than_to_kill() -> None:
    patience = Patience()
    for _ in range(5):
        patience.hurry()
    assert patience.level == KILL


async def test_a_hurried_end_skips_the_waiting_and_nothing_else(start: Start, world: FakeWorld) -> None:
    """Of a turn that no interrupt stops, in a process that outlives TERM: patience alone would take 17 s."""
    world.on_prompt = hold
    async with start() as supervisor:
        ticket = await supervisor.submit(Prompt("desk", "a", user="ana"))
        await until(lambda: world.connections and world.connections[0].prompts)
        world.connections[0].is_hanging = True
        told: list[past.Event] = []
        with await supervisor.watch() as feed:

            def is_at(step: str) -> bool:
                told.extend(feed.take().events)
                return step in [event.step for event in told if isinstance(event, past.ClientEnding)]

            began = anyio.current_time()
            async with anyio.create_task_group() as group:
                group.start_soon(supervisor.stop)
                await until(lambda: is_at("interrupt"))
                supervisor.hurry()
                await until(lambda: is_at("terminate"))
                supervisor.hurry()
            assert anyio.current_time() - began < 5
            assert is_at("verify")
        steps = [event.step for event in told if isinstance(event, past.ClientEnding)]
        assert steps == ["interrupt", "disconnect", "terminate", "kill", "verify"]
        assert [event.left_over for event in told if isinstance(event, past.ClientGone)] == [0]
        assert isinstance(ticket.finished, Interrupted)
        assert world.live == []


async def test_what_is_stopped_already_is_not_told_again_while_another_takes_its_time(
    start: Start, make_template: MakeTemplate, world: FakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime, "AGAIN", 0.001)
    world.on_prompt = hold
    async with start(make_template("desk"), make_template("clerk")) as supervisor:
        await supervisor.submit(Prompt("desk", "a", user="ana"))
        await until(lambda: world.connections and world.connections[0].prompts)
        world.connections[0].is_hanging = True
        kills: list[stimuli.Kill] = []
        handle = Instance.handle

        def count(instance: Instance, stimulus: Any) -> Any:
            if instance.name == "desk" and isinstance(stimulus, stimuli.Kill):
                kills.append(stimulus)
            return handle(instance, stimulus)

        monkeypatch.setattr(Instance, "handle", count)
        with await supervisor.watch() as feed:
            async with anyio.create_task_group() as group:
                group.start_soon(supervisor.stop)
                await until(lambda: len(kills) > 5)
                supervisor.hurry()
                supervisor.hurry()
            told = [*feed.take().events]
        states = [
            event.state for event in told if isinstance(event, past.InstanceChanged) and event.instance == "clerk"
        ]
        assert states == [InstanceState.KILLING, InstanceState.STOPPED]
