"""What sessions have cost is what their turns cost, however their clients and supervisors ended."""

from __future__ import annotations

import tempfile
from pathlib import Path

import anyio
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from supervisor.api.prompts import Prompt
from supervisor.config.settings import Settings
from supervisor.config.templates import Template
from supervisor.engine.supervisor import Supervisor
from supervisor.testing import FakeConnection, FakeWorld
from tests.engine.conftest import Start
from tests.waiting import until

ENDS = st.sampled_from(["hibernate", "kill", "term", "die", "restart", "crash", "nothing"])


async def live(folder: Path, steps: list[tuple[int, str]], *, tells: bool) -> float:
    """Turns of that many cents, each followed by an end of that kind; returns the dollars booked."""
    world = FakeWorld(tells_costs_before=tells)
    template = Template(name="desk", description="d", system_prompt="p", path=folder / "d.md", pool={"spares": 0})

    def answer(connection: FakeConnection, text: str) -> None:
        connection.price = int(text) / 100
        connection.reply("ok")

    world.on_prompt = answer
    left = list(steps)
    booked = 0.0
    while left:
        quick = Settings(state_dir=folder / "state", control_timeout=0.05, kill_grace=0.1)
        async with Supervisor([template], quick, connect=world.connect) as supervisor:
            await work(supervisor, world, left)
        booked = (await supervisor.snapshot()).sessions[0].usage.cost_usd
    assert not world.violations
    return booked


async def work(supervisor: Supervisor, world: FakeWorld, left: list[tuple[int, str]]) -> None:
    """Until the supervisor ends, or nothing is left."""
    while left:
        cents, end = left.pop(0)
        ticket = await supervisor.submit(Prompt("desk", str(cents), user="ana"))
        await ticket.outcome()
        await until(lambda: any(row.state == "ready" and row.key for row in supervisor.view.snapshot().clients))
        agent = world.live[0]
        match end:
            case "hibernate":
                await supervisor.hibernate(ticket.key)
            case "kill":
                agent.die(-9)
            case "term":
                agent.terminate()
                agent.die(143)
            case "die":
                agent.hang()
                await supervisor.kill_client((await supervisor.snapshot()).clients[0].id)
            case "restart" | "crash":
                agent.survives_terminate = end == "crash"  # then it is killed along with its supervisor
                return
            case _:
                continue
        await until(lambda: not supervisor.view.snapshot().sessions[0].client_id, within=20)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.integers(1, 500), ENDS), min_size=1, max_size=5), st.booleans())
@example([(300, "die"), (400, "nothing")], True)  # only the next process knows whether the first has saved
def test_the_sum_booked_is_the_sum_spent_in_every_order_of_ends(steps: list[tuple[int, str]], tells: bool) -> None:
    unknown = {"die", "crash"}  # the process had to be killed: whether it saved before is not known to the engine
    if not tells:
        steps = [(cents, "kill" if end in unknown else end) for cents, end in steps]
    with tempfile.TemporaryDirectory() as folder:
        booked = anyio.run(lambda: live(Path(folder), steps, tells=tells))
    assert booked == pytest.approx(sum(cents for cents, _ in steps) / 100)


@pytest.mark.anyio
async def test_whether_a_client_that_was_killed_has_saved_its_costs_is_not_known(
    start: Start, world: FakeWorld
) -> None:
    async with start() as supervisor:
        ticket = await supervisor.submit(Prompt("desk", "one", user="ana"))
        await ticket.outcome()
        session = supervisor._instances["desk"].sessions[ticket.key]
        session.meter.seen, session.meter.saved = 0.5, 0.25
        await until(lambda: any(row.state == "ready" and row.key for row in supervisor.view.snapshot().clients))
        world.live[0].survives_terminate = True
        await supervisor.kill_client((await supervisor.snapshot()).clients[0].id)
        await until(lambda: session.slot is None, within=20)
        assert (session.meter.seen, session.meter.saved) == (0.5, 0.25)


@pytest.mark.anyio
async def test_what_a_client_took_along_unsaved_is_not_taken_for_the_start_of_the_next_one(
    start: Start, world: FakeWorld
) -> None:
    """Where a process does not say what it begins with, how the last one ended decides."""
    world.tells_costs_before = False
    async with start() as supervisor:
        for prompt, exit_code in (("first", 143), ("second", -9), ("third", 0)):
            ticket = await supervisor.submit(Prompt("desk", prompt, user="ana"))
            await ticket.outcome()
            session = supervisor._instances["desk"].sessions[ticket.key]
            if exit_code:
                await until(lambda session=session: session.slot is not None and session.slot.is_ready)
                (agent,) = world.live
                if exit_code == 143:
                    agent.terminate()
                agent.die(exit_code)
                await until(lambda session=session: session.slot is None)
                session.backoff.release()
        assert session.usage.cost_usd == pytest.approx(3 * agent.price)
    assert not world.violations
