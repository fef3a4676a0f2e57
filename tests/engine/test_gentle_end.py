"""How a bullpen ends that was asked to stop: nothing that it has accepted is lost (R2)."""

from __future__ import annotations

import time

import pytest

from supervisor.api.engine import Ticket
from supervisor.api.errors import Suspended
from supervisor.api.keys import SessionKey
from supervisor.api.outcomes import Cancelled, Done, Interrupted
from supervisor.api.prompts import Prompt
from supervisor.api.states import InstanceState, SessionState
from supervisor.engine.supervisor import Supervisor
from supervisor.instance.stimuli import RemoveTemplate, TimePassed
from supervisor.testing import FakeWorld, hold
from tests.engine.conftest import MakeTemplate, Start
from tests.engine.turned_clock import TurnedClock
from tests.waiting import until
from tui.cli.ending import GentleEnd

pytestmark = pytest.mark.anyio

ANA, BORIS = (SessionKey("desk", user, "default") for user in ("ana", "boris"))


ONE_AT_A_TIME = {"concurrency": {"maxSessions": 1}, "pool": {"spares": 0}, "queue": {"maxWait": "none"}}
HOURS = 36_000.0


async def one_runs_and_one_waits(supervisor: Supervisor, world: FakeWorld) -> tuple[Ticket, Ticket]:
    runs = await supervisor.submit(Prompt("desk", "runs", user="ana"))
    waits = await supervisor.submit(Prompt("desk", "waits", user="boris"))
    await waits.accepted()
    await until(lambda: world.written)
    return runs, waits


def pass_hours(supervisor: Supervisor, turned: TurnedClock) -> None:
    """Far more than any drain has, as for a machine that was suspended."""
    turned.seconds += HOURS
    supervisor._instances["desk"].handle(TimePassed(turned.seconds))


@pytest.mark.parametrize("given", [0, 0.05, 600], ids=["no time", "too little time", "a machine suspended meanwhile"])
async def test_what_outlasts_the_time_to_end_is_kept_for_the_next_start(
    start: Start, world: FakeWorld, make_template: MakeTemplate, given: float
) -> None:
    """R2: what ran is on offer, what waited runs, and its caller is told so."""
    world.on_prompt = hold
    template = make_template(**ONE_AT_A_TIME)
    turned = TurnedClock()
    lines: list[str] = []
    async with start(template, clock=turned.clock, drain_deadline=given) as supervisor:
        _, waits = await one_runs_and_one_waits(supervisor, world)
        ending = GentleEnd(supervisor)

        def show(line: str) -> None:
            lines.append(line)
            if given == 600:
                pass_hours(supervisor, turned)
                ending.hurry()

        await ending.let_end(show)
        pass_hours(supervisor, turned)
    with pytest.raises(Suspended):
        await waits.outcome()
    if given:
        assert lines[0].startswith("draining: 2 turns left · desk/ana/default still works, 1 queued, interrupted at ")
    world.on_prompt = lambda connection, text: connection.reply("yes")
    async with start(template, clock=turned.clock) as supervisor:
        await until(lambda: [one.text for one in world.written] == ["runs", "waits"])
        rows = {row.key: row for row in supervisor.view.snapshot().sessions}
        assert rows[ANA].state is SessionState.INTERRUPTED
        assert rows[ANA].offer is not None
        await until(lambda: supervisor.view.snapshot().instances[0].active_sessions == 0)
    assert world.violations == []


@pytest.mark.parametrize("before", ["a drain by the operator", "a removed template", "an end", "an end taken back"])
async def test_a_drain_before_the_end_ends_nothing_whatever_went_before(
    start: Start, world: FakeWorld, make_template: MakeTemplate, before: str
) -> None:
    """R2: also where the agent drains already, and for as long as the end does not come."""
    world.on_prompt = hold
    turned = TurnedClock()
    template = make_template(**ONE_AT_A_TIME)
    async with start(template, clock=turned.clock) as supervisor:
        runs, waits = await one_runs_and_one_waits(supervisor, world)
        if before == "a drain by the operator":
            await supervisor.drain("desk")
        elif before == "a removed template":
            supervisor._instances["desk"].handle(RemoveTemplate())
        else:
            await supervisor.drain("desk", before_end=True)
            if before == "an end taken back":
                await supervisor.resume("desk")
        await supervisor.drain("desk", deadline=60, before_end=True)
        end = time.strftime("%H:%M:%S", time.localtime(turned.clock.wall() + 60))
        assert supervisor.view.snapshot().instances[0].note.endswith(f"1 queued, interrupted at {end}")
        pass_hours(supervisor, turned)
        assert supervisor.view.snapshot().instances[0].waiting == 1
        world.holder_of("runs").reply("done")
        await until(lambda: len(world.written) == 2)
        world.holder_of("waits").reply("done")
        assert isinstance(await runs.outcome(), Done)
        assert isinstance(await waits.outcome(), Done)


@pytest.mark.parametrize("taken_back", [True, False], ids=["after one that was taken back", "while one goes on"])
async def test_a_drain_by_the_operator_cancels_what_waits_also_after_one_before_the_end(
    start: Start, world: FakeWorld, make_template: MakeTemplate, taken_back: bool
) -> None:
    """S1.17: at its deadline, and at once where the agent drains already."""
    world.on_prompt = hold
    turned = TurnedClock()
    template = make_template(**ONE_AT_A_TIME)
    async with start(template, clock=turned.clock) as supervisor:
        runs, waits = await one_runs_and_one_waits(supervisor, world)
        await supervisor.drain("desk", before_end=True)
        if taken_back:
            await supervisor.resume("desk")
        await supervisor.drain("desk", deadline=60)
        if taken_back:
            assert supervisor.view.snapshot().instances[0].waiting == 1
            pass_hours(supervisor, turned)
        assert isinstance(await waits.outcome(), Cancelled)
        assert isinstance(await runs.outcome(), Interrupted)
        await until(lambda: supervisor.view.snapshot().instances[0].state is InstanceState.DRAINED)


async def test_a_second_wish_waits_for_nothing_any_more(start: Start, world: FakeWorld) -> None:
    world.on_prompt = hold
    async with start(drain_deadline=600) as supervisor:
        await supervisor.submit(Prompt("desk", "runs", user="ana"))
        await until(lambda: world.written)
        ending = GentleEnd(supervisor)
        await ending.let_end(lambda line: ending.hurry())
        assert supervisor.view.snapshot().instances[0].active_sessions == 1
