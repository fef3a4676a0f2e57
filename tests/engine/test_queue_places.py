"""Who gets a place, who gives it up, and what those who wait for one are told."""

from __future__ import annotations

import pytest

from supervisor.api.prompts import Prompt
from supervisor.api.snapshot import Limit
from supervisor.api.states import WhyWaiting
from supervisor.testing import FakeWorld, hold
from tests.engine.conftest import MakeTemplate, Start
from tests.engine.test_recorded_orders import ANA, BORIS, reading
from tests.engine.turned_clock import TurnedClock
from tests.waiting import until

pytestmark = pytest.mark.anyio

MiB = 1024**2


async def test_the_client_that_was_used_last_is_evicted_last(
    start: Start, world: FakeWorld, make_template: MakeTemplate
) -> None:
    """S1.14: used means that its turn has ended, not that it was started."""
    turned = TurnedClock()
    async with start(make_template(concurrency={"maxSessions": 2}, pool={"spares": 0}), clock=turned.clock) as desk:
        for user in ("ana", "boris", "ana"):
            turned.seconds += 1
            await (await desk.submit(Prompt("desk", f"of {user}", user=user))).outcome()
        await (await desk.submit(Prompt("desk", "of chen", user="chen"))).outcome()
        keys = {row.key.user for row in (await desk.snapshot()).clients if row.key is not None}
        assert keys == {"ana", "chen"}
        row = desk.view.session_row(BORIS)
        assert row is not None
        assert row.client_id == ""


async def test_a_client_is_idle_from_the_end_of_its_own_turn_on(
    start: Start, world: FakeWorld, make_template: MakeTemplate
) -> None:
    """S1.14: also of one that it has begun by itself."""
    turned = TurnedClock()
    async with start(make_template(concurrency={"maxSessions": 2}, pool={"spares": 0}), clock=turned.clock) as desk:
        for user in ("ana", "boris"):
            turned.seconds += 1
            await (await desk.submit(Prompt("desk", f"of {user}", user=user))).outcome()
        connection = world.holder_of("of ana")
        turned.seconds += 1
        connection.begin_own("a timer")
        connection.finish_own("woken")
        talk = await desk.conversation(ANA)
        await until(lambda: desk.view.snapshot().instances[0].active_sessions == 0 and talk.read().entries[-2:])
        await until(lambda: any(getattr(one, "text", "") == "woken" for one in talk.read().entries))
        await (await desk.submit(Prompt("desk", "of chen", user="chen"))).outcome()
        assert {row.key.user for row in (await desk.snapshot()).clients if row.key is not None} == {"ana", "chen"}


async def test_who_waits_is_told_when_it_waits_for_something_else(
    start: Start, world: FakeWorld, make_template: MakeTemplate
) -> None:
    """D1: a place was missing, and now bytes are; nothing else about the session has changed."""
    world.on_prompt = hold
    world.expected_bytes = 100 * MiB
    template = make_template(
        concurrency={"maxSessions": 2}, pool={"spares": 0, "maxClients": 1, "memoryBudget": "150MiB"}
    )
    async with start(template, memory_interval=1_000) as supervisor:
        with reading(supervisor) as rows:
            await supervisor.submit(Prompt("desk", "a", user="ana"))
            await until(lambda: world.written)
            await (await supervisor.submit(Prompt("desk", "b", user="boris"))).accepted()
            assert rows[BORIS].why is WhyWaiting.NO_SLOT  # type: ignore[attr-defined]
            await supervisor.adjust("desk", "maxClients", "2")
            assert rows[BORIS].why is WhyWaiting.MEMORY  # type: ignore[attr-defined]
            await supervisor.adjust("desk", "memoryBudget", "none")
            await until(lambda: len(world.written) == 2)
            assert rows[BORIS].why is None  # type: ignore[attr-defined]


async def test_a_reader_hears_of_a_limit_that_another_instance_has_reached(
    start: Start, world: FakeWorld, make_template: MakeTemplate
) -> None:
    """D1, S2.25: nothing has happened in the instance itself, and time alone shows no row anew."""
    world.on_prompt = hold
    world.expected_bytes = 100 * MiB
    budgets = {"a": "150MiB", "b": "none"}
    templates = [
        make_template(name, concurrency={"maxSessions": 3}, pool={"spares": 0, "memoryBudget": budget})
        for name, budget in budgets.items()
    ]
    async with start(*templates, clock=TurnedClock().clock, memory_interval=1_000) as supervisor:
        await supervisor.adjust("", "max_agents", "3")
        await supervisor.submit(Prompt("a", "runs", user="ana"))
        await until(lambda: world.written)
        await (await supervisor.submit(Prompt("a", "waits for memory", user="boris"))).accepted()
        with reading(supervisor) as rows:
            assert rows["a"].limit is None  # type: ignore[attr-defined]
            for user in ("ana", "boris"):
                await supervisor.submit(Prompt("b", "runs", user=user))
            await until(lambda: rows["a"].limit == Limit("max_agents", 3, 3))  # type: ignore[attr-defined]


async def test_a_turn_without_a_client_is_not_overtaken_by_warm_ones_for_ever(
    start: Start, world: FakeWorld, make_template: MakeTemplate
) -> None:
    """S3.13–16: its place is neither filled with a spare, nor its turn given to others while its client starts."""
    pool = {"spares": 1, "maxClients": 2}
    async with start(make_template(concurrency={"maxSessions": 1}, pool=pool)) as desk:
        for user in ("chen", "ana", "boris"):
            await (await desk.submit(Prompt("desk", f"first of {user}", user=user))).outcome()
        world.on_prompt = hold
        running = await desk.submit(Prompt("desk", "now", user="ana"))
        await until(lambda: world.written[-1].text == "now")
        for user in ("chen", "boris", "ana"):
            await (await desk.submit(Prompt("desk", f"next of {user}", user=user))).accepted()
        world.holder_of("now").reply("done")
        await running.outcome()
        await until(lambda: world.written[-1].text != "now")
        assert world.written[-1].text == "next of chen"
