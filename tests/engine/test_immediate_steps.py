"""A step that may be taken is taken at once, and by what has allowed it: nothing here waits for the next look around.

The housekeeping finds a step that was forgotten within a fifth of a second, and so hides that it was. In these tests it
looks once, at the start, and then not for a quarter of an hour; where time allows the step, the test makes it look.
"""

from __future__ import annotations

import math

import anyio
import pytest

from supervisor.api.errors import ConnectFailed
from supervisor.api.keys import SessionKey
from supervisor.api.outcomes import Done
from supervisor.api.prompts import Prompt
from supervisor.api.questions import Allow
from supervisor.api.states import InstanceState, SlotState, WhyWaiting
from supervisor.engine import housekeeping
from supervisor.engine.memory_sampler import Census
from supervisor.engine.supervisor import Supervisor
from supervisor.instance.instance import Instance
from supervisor.instance.stimuli import TimePassed
from supervisor.permissions.requests import ToolRequest
from supervisor.process.reports import Limited
from supervisor.testing import FakeConnection, FakeWorld, hold
from tests.engine.conftest import MakeTemplate, Start
from tests.engine.test_recorded_orders import ANA, BORIS, reading
from tests.engine.turned_clock import TurnedClock
from tests.waiting import until

pytestmark = pytest.mark.anyio

SELDOM = {"memory_interval": 1_000, "cleanup_interval": 1_000}
WRITE = ToolRequest("Write", {"file_path": "notes.md"})
ONE = {"concurrency": {"maxSessions": 1}, "pool": {"spares": 0}, "queue": {"maxWait": "none"}}


@pytest.fixture(autouse=True)
def nobody_heals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(housekeeping, "TICK", 1_000.0)


@pytest.fixture
def held(world: FakeWorld) -> FakeWorld:
    world.on_prompt = hold
    return world


async def until_written(world: FakeWorld, *texts: str) -> None:
    """In time, and in this order."""
    try:
        await until(lambda: [one.text for one in world.written][-len(texts) :] == list(texts))
    except TimeoutError:
        pytest.fail(f"written: {[one.text for one in world.written]}, not {texts}: nobody took the step")


async def let_time_be_due(supervisor: Supervisor, name: str = "desk") -> Instance:
    instance = supervisor._instances[name]
    instance.handle(TimePassed(supervisor._clock.steady()))
    return instance


async def ask_twice(supervisor: Supervisor, world: FakeWorld) -> None:
    """The turn of `ana` runs, and that of `boris` waits for its place."""
    await supervisor.submit(Prompt("desk", "first", user="ana"))
    await until_written(world, "first")
    await (await supervisor.submit(Prompt("desk", "second", user="boris"))).accepted()
    await anyio.wait_all_tasks_blocked()


# What clients report


async def test_a_prompt_goes_all_the_way_to_its_outcome(start: Start, make_template: MakeTemplate) -> None:
    async with start(make_template(**ONE), **SELDOM) as supervisor:
        with anyio.fail_after(3):
            assert isinstance(await (await supervisor.submit(Prompt("desk", "hello"))).outcome(), Done)


async def test_the_next_turn_of_a_session_begins_when_its_turn_has_ended(
    start: Start, held: FakeWorld, make_template: MakeTemplate
) -> None:
    async with start(make_template(**ONE), **SELDOM) as supervisor:
        for text in ("one", "two"):
            await (await supervisor.submit(Prompt("desk", text, user="ana"))).accepted()
        await until_written(held, "one")
        held.connections[0].reply("done")
        await until_written(held, "one", "two")


async def test_another_sessions_turn_begins_when_the_place_is_free(
    start: Start, held: FakeWorld, make_template: MakeTemplate
) -> None:
    """Two reports: the turn has ended, and its client has gone."""
    async with start(make_template(**ONE), **SELDOM) as supervisor:
        await ask_twice(supervisor, held)
        held.connections[0].reply("done")
        await until_written(held, "first", "second")


async def test_a_turn_begins_when_the_one_that_the_agent_began_by_itself_has_ended(
    start: Start, held: FakeWorld, make_template: MakeTemplate
) -> None:
    async with start(make_template(**ONE), **SELDOM) as supervisor:
        ticket = await supervisor.submit(Prompt("desk", "one", user="ana"))
        await until_written(held, "one")
        held.connections[0].reply("done")
        await ticket.outcome()
        held.connections[0].begin_own("a timer")
        await until(lambda: supervisor.view.snapshot().sessions[0].is_self_begun)
        await (await supervisor.submit(Prompt("desk", "two", user="ana"))).accepted()
        await anyio.wait_all_tasks_blocked()
        held.connections[0].finish_own("woken")
        await until_written(held, "one", "two")


async def test_a_freed_turn_goes_on_when_its_question_is_answered(
    start: Start, world: FakeWorld, make_template: MakeTemplate
) -> None:
    pool = {"spares": 0, "askingTtl": 60.0}
    async with start(make_template(**ONE | {"pool": pool}), **SELDOM) as supervisor, anyio.create_task_group() as group:

        def act(connection: FakeConnection, text: str) -> None:
            if text == "ask":
                group.start_soon(connection.ask, WRITE)
            else:
                connection.reply("done")

        world.on_prompt = act
        ticket = await supervisor.submit(Prompt("desk", "ask", user="ana"))
        await until(lambda: supervisor.view.snapshot().questions)
        second = await supervisor.submit(Prompt("desk", "second", user="boris"))
        await second.accepted()
        instance = await let_time_be_due(supervisor)
        instance.handle(TimePassed(supervisor._clock.steady() + 100))
        with anyio.fail_after(3):
            await second.outcome()
            await supervisor.answer((await supervisor.snapshot()).questions[0].id, Allow())
            assert isinstance(await ticket.outcome(), Done)
        group.cancel_scope.cancel()


# What the journal reports


async def test_what_could_not_be_recorded_begins_when_the_disk_is_well_again(
    start: Start, held: FakeWorld, make_template: MakeTemplate
) -> None:
    async with start(make_template(**ONE), **SELDOM) as supervisor:
        await supervisor.pause("desk")
        await (await supervisor.submit(Prompt("desk", "kept", user="ana"))).accepted()
        journal = supervisor._host.journal
        await journal.flush()
        await journal._connection.execute_fetchall("PRAGMA query_only = 1")
        await supervisor.pause("desk")  # is noted, and shows how the disk is
        await until(lambda: journal.failing)
        await supervisor.resume("desk")
        await anyio.wait_all_tasks_blocked()
        assert held.connections == []
        await journal._connection.execute_fetchall("PRAGMA query_only = 0")
        await until_written(held, "kept")


async def test_spares_are_started_before_anybody_asks(
    start: Start, world: FakeWorld, make_template: MakeTemplate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also while the first measurement takes long."""

    async def take_long(*_: object, **__: object) -> None:
        await anyio.sleep_forever()

    monkeypatch.setattr(Census, "take", take_long)
    async with start(make_template(pool={"spares": 1, "maxClients": 2}), **SELDOM):
        await until(lambda: world.live, within=3.0)


# What the operator does


async def test_a_resume_begins_what_waits(start: Start, held: FakeWorld, make_template: MakeTemplate) -> None:
    async with start(make_template(**ONE), **SELDOM) as supervisor:
        await until(lambda: math.isfinite(supervisor._host.room._capacity))  # its first look around is over
        await supervisor.pause("desk")
        await (await supervisor.submit(Prompt("desk", "kept", user="ana"))).accepted()
        await anyio.wait_all_tasks_blocked()
        await supervisor.resume("desk")
        await until_written(held, "kept")


async def test_a_drain_begins_what_a_pause_kept(start: Start, held: FakeWorld, make_template: MakeTemplate) -> None:
    """It was accepted, so it still runs."""
    async with start(make_template(**ONE), **SELDOM) as supervisor:
        await supervisor.pause("desk")
        await (await supervisor.submit(Prompt("desk", "kept", user="ana"))).accepted()
        await anyio.wait_all_tasks_blocked()
        await supervisor.drain("desk")
        await until_written(held, "kept")


@pytest.mark.parametrize("how", ["scale", "adjust", "host"])
async def test_a_raised_limit_begins_what_it_kept(
    start: Start, held: FakeWorld, make_template: MakeTemplate, how: str
) -> None:
    keys = ONE if how != "host" else ONE | {"concurrency": {"maxSessions": 2}}
    async with start(make_template(**keys), **SELDOM, max_agents=1 if how == "host" else 4) as supervisor:
        await ask_twice(supervisor, held)
        assert len(held.connections) == 1
        match how:
            case "scale":
                await supervisor.scale("desk", 2)
            case "adjust":
                await supervisor.adjust("desk", "maxClients", "2")
                await supervisor.adjust("desk", "maxSessions", "2")
            case _:
                await supervisor.adjust("", "max_agents", "2")
        await until_written(held, "first", "second")


@pytest.mark.parametrize("how", ["withdraw", "interrupt", "clear"])
async def test_a_turn_that_waited_for_its_client_and_is_taken_back_lets_the_next_one_start(
    start: Start, held: FakeWorld, make_template: MakeTemplate, how: str
) -> None:
    """Its client was on the way, and counted as a turn to come."""
    held.gate = anyio.Event()
    keys = ONE | {"pool": {"spares": 0, "maxClients": 2}}
    async with start(make_template(**keys), **SELDOM) as supervisor:
        ticket = await supervisor.submit(Prompt("desk", "first", user="ana"))
        await until(lambda: held.starting == 1)
        await (await supervisor.submit(Prompt("desk", "second", user="boris"))).accepted()
        await anyio.wait_all_tasks_blocked()
        assert len(held.connections) == 1
        match how:
            case "withdraw":
                await supervisor.withdraw(ticket.turn_id)
            case "interrupt":
                await supervisor.interrupt(ANA)
            case _:
                await supervisor.clear_queue("desk", ANA)
        await until(lambda: len(held.connections) == 2, within=3.0)
        held.gate.set()
        await until_written(held, "second")


@pytest.mark.parametrize("how", ["withdraw", "clear"])
async def test_who_stood_behind_a_turn_that_was_taken_back_moves_up(
    start: Start, held: FakeWorld, make_template: MakeTemplate, how: str
) -> None:
    """D1"""
    chen = SessionKey("desk", "chen", "default")
    async with start(make_template(**ONE), **SELDOM) as supervisor:
        await ask_twice(supervisor, held)
        await (await supervisor.submit(Prompt("desk", "third", user="chen"))).accepted()
        await anyio.wait_all_tasks_blocked()
        with reading(supervisor) as rows:
            assert [turn.place for turn in rows[chen].waiting] == [2]  # type: ignore[attr-defined]
            if how == "clear":
                await supervisor.clear_queue("desk", BORIS)
            else:
                (turn,) = rows[BORIS].waiting  # type: ignore[attr-defined]
                await supervisor.withdraw(turn.turn_id)
            assert [turn.place for turn in rows[chen].waiting] == [1]  # type: ignore[attr-defined]


# What time allows


async def test_a_pool_that_was_parked_begins_when_it_looks_and_its_time_has_come(
    start: Start, held: FakeWorld, make_template: MakeTemplate
) -> None:
    turned = TurnedClock()
    async with start(make_template(**ONE), **SELDOM, clock=turned.clock) as supervisor:
        ticket = await supervisor.submit(Prompt("desk", "first", user="ana"))
        await until_written(held, "first")
        held.connections[0].tell(Limited(is_rejected=True, resets_at=math.floor(turned.clock.wall()) + 40.0))
        held.connections[0].reply("done")
        await ticket.outcome()
        await (await supervisor.submit(Prompt("desk", "second", user="ana"))).accepted()
        await anyio.wait_all_tasks_blocked()
        assert (await supervisor.snapshot()).instances[0].state is InstanceState.PARKED
        turned.seconds = 50
        await let_time_be_due(supervisor)
        await until_written(held, "first", "second")


async def test_a_session_that_backed_off_is_tried_again_when_it_looks_and_its_time_has_come(
    start: Start, held: FakeWorld, make_template: MakeTemplate
) -> None:
    turned = TurnedClock()
    async with start(make_template(**ONE), **SELDOM, clock=turned.clock) as supervisor:
        held.connect_failures.append(ConnectFailed("it would not start"))
        await (await supervisor.submit(Prompt("desk", "first", user="ana"))).outcome()
        await (await supervisor.submit(Prompt("desk", "second", user="ana"))).accepted()
        await anyio.wait_all_tasks_blocked()
        assert (await supervisor.snapshot()).sessions[0].why is WhyWaiting.BACKING_OFF
        turned.seconds = 2
        await let_time_be_due(supervisor)
        await until_written(held, "second")


async def test_turns_that_ask_or_stand_still_are_no_trial_and_the_next_one_begins(
    start: Start, world: FakeWorld, make_template: MakeTemplate
) -> None:
    """S1.18: a pool that tries again lets one turn go first, and one that waits for a human shows nothing."""
    turned = TurnedClock()
    keys = ONE | {"concurrency": {"maxSessions": 3}}
    async with (
        start(make_template(**keys), **SELDOM, clock=turned.clock, stall_after=30) as supervisor,
        anyio.create_task_group() as group,
    ):

        def act(connection: FakeConnection, text: str) -> None:
            if text == "asks":
                group.start_soon(connection.ask, WRITE)

        world.on_prompt = act
        await supervisor.submit(Prompt("desk", "before", user="ana"))
        await until_written(world, "before")
        world.connections[0].tell(Limited(is_rejected=True, resets_at=math.floor(turned.clock.wall()) + 40.0))
        await until(lambda: supervisor.view.snapshot().instances[0].state is InstanceState.PARKED)
        for text, user in (("asks", "boris"), ("is silent", "chen"), ("last", "dora")):
            await (await supervisor.submit(Prompt("desk", text, user=user))).accepted()
        await anyio.wait_all_tasks_blocked()
        await supervisor.scale("desk", 4)
        turned.seconds = 50
        await let_time_be_due(supervisor)
        await until_written(world, "before", "asks", "is silent")
        await anyio.wait_all_tasks_blocked()
        assert len(world.written) == 3, "this one shows how it is"
        turned.seconds = 90
        await let_time_be_due(supervisor)
        await until_written(world, "is silent", "last")
        group.cancel_scope.cancel()


async def test_a_place_that_another_instance_gives_up_is_taken_at_the_next_look(
    start: Start, world: FakeWorld, make_template: MakeTemplate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S5.7: no instance looks after another one, so the housekeeping does, five times a second."""
    monkeypatch.undo()
    templates = [make_template("desk", **ONE), make_template("other", **ONE)]
    async with start(*templates, max_agents=1, **SELDOM) as supervisor:
        await (await supervisor.submit(Prompt("other", "first"))).outcome()
        with anyio.fail_after(3):
            assert isinstance(await (await supervisor.submit(Prompt("desk", "second"))).outcome(), Done)
        assert [row.instance for row in (await supervisor.snapshot()).clients] == ["desk"]


async def test_a_client_that_outgrew_its_hard_ceiling_ends_with_the_measurement_that_shows_it(
    start: Start, world: FakeWorld, make_template: MakeTemplate
) -> None:
    """S2.30"""
    pool = {"spares": 0, "softMemory": "100MiB", "hardMemory": "200MiB", "panicMemory": "400MiB"}
    async with start(make_template(**ONE | {"pool": pool}), **SELDOM | {"memory_interval": 0.1}) as supervisor:
        await (await supervisor.submit(Prompt("desk", "one", user="ana"))).outcome()
        world.connections[0].memory_bytes = 300 * 1024**2
        await until(lambda: not world.live, within=3.0)
        states = {row.state for row in (await supervisor.snapshot()).clients}
        assert states <= {SlotState.CLOSING}
