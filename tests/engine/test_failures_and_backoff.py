"""What goes wrong is named, backed off from, and told: typed exits, backoffs, parked pools, health (S1.18, S2.33)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

import anyio
import anyio.lowlevel
import pytest

from supervisor.api import events as past
from supervisor.api.errors import ConnectFailed
from supervisor.api.outcomes import Done, Failed, FailureKind
from supervisor.api.prompts import Prompt
from supervisor.api.snapshot import InstanceRow, SessionRow
from supervisor.api.states import InstanceState, Server, SessionState, WhyWaiting
from supervisor.clock import Clock
from supervisor.engine.supervisor import Supervisor
from supervisor.journal import ClientRecord
from supervisor.permissions.requests import ToolRequest
from supervisor.process.reports import Limited, Retrying
from supervisor.sessions.backoff import TRIES
from supervisor.testing import FakeConnection, FakeWorld, hold
from tests.engine.conftest import MakeTemplate, Start
from tests.engine.turned_clock import TurnedClock, until_looked_after
from tests.waiting import until

pytestmark = pytest.mark.anyio


@dataclass
class Hands:
    """Turns the engine's clock forward."""

    ahead: float = 0.0

    def clock(self) -> Clock:
        plain = Clock()
        return Clock(wall=lambda: plain.wall() + self.ahead, steady=lambda: plain.steady() + self.ahead)


@pytest.fixture
def hands() -> Hands:
    return Hands()


def row_of(supervisor: Supervisor) -> InstanceRow:
    return supervisor.view.snapshot().instances[0]


async def fail_once(supervisor: Supervisor, world: FakeWorld, user: str = "ana") -> Failed:
    outcome = await (await supervisor.submit(Prompt("desk", "die", user=user))).outcome()
    assert isinstance(outcome, Failed)
    return outcome


def die_when_told(connection: FakeConnection, text: str) -> None:
    if text == "die":
        connection.die()
    else:
        connection.reply("fine")


async def test_a_session_waits_longer_after_each_crash_and_a_good_turn_forgives(
    start: Start, world: FakeWorld, hands: Hands
) -> None:
    """S1.18"""
    world.on_prompt = die_when_told
    async with start(clock=hands.clock()) as supervisor:
        assert (await fail_once(supervisor, world)).kind is FailureKind.CRASHED
        for seconds in (1, 2, 4):
            ticket = await supervisor.submit(Prompt("desk", "fine" if seconds == 4 else "die", user="ana"))
            await ticket.accepted()
            assert (await supervisor.snapshot()).sessions[0].why is WhyWaiting.BACKING_OFF
            started = len(world.connections)
            hands.ahead += seconds - 0.9
            await anyio.wait_all_tasks_blocked()
            assert len(world.connections) == started
            hands.ahead += 1
            await ticket.outcome()
        assert isinstance(ticket.finished, Done)
        assert supervisor._instances["desk"].sessions[ticket.key].backoff.failures == 0


async def test_after_five_crashes_in_a_row_whoever_waits_is_told(start: Start, world: FakeWorld, hands: Hands) -> None:
    """S1.18: five tries."""
    world.on_prompt = die_when_told
    async with start(clock=hands.clock()) as supervisor:
        for _ in range(4):
            await fail_once(supervisor, world)
            hands.ahead += 60
        last = await supervisor.submit(Prompt("desk", "die", user="ana"))
        waiting = await supervisor.submit(Prompt("desk", "behind it", user="ana"))
        assert (await last.outcome()).kind is FailureKind.CRASHED  # type: ignore[union-attr]
        outcome = await waiting.outcome()
        assert isinstance(outcome, Failed)
        assert outcome.kind is FailureKind.CRASH_LOOP
        assert row_of(supervisor).state is InstanceState.PARKED
        assert row_of(supervisor).parked_for is FailureKind.CRASH_LOOP


async def test_bad_ends_are_counted_from_the_last_good_turn_on(start: Start, world: FakeWorld, hands: Hands) -> None:
    """S1.18: of all sessions together, and of spares."""
    world.on_prompt = die_when_told
    async with start(clock=hands.clock()) as supervisor:
        core = supervisor._instances["desk"].core
        for number in range(TRIES - 1):
            await fail_once(supervisor, world, f"user-{number}")
        core.spare_backoff.fail(0.0)
        outcome = await (await supervisor.submit(Prompt("desk", "well", user="ana"))).outcome()
        assert isinstance(outcome, Done)
        assert core.spare_backoff.failures == 0
        await fail_once(supervisor, world, "boris")
        assert row_of(supervisor).state is InstanceState.RUNNING


async def test_a_client_that_never_became_ready_is_not_started_again_for_the_same_turn(
    start: Start, world: FakeWorld
) -> None:
    """S1.18"""
    world.connect_failures = [ConnectFailed("exit code 1")]
    async with start() as supervisor:
        outcome = await (await supervisor.submit(Prompt("desk", "x", user="ana"))).outcome()
        assert isinstance(outcome, Failed)
        assert outcome.kind is FailureKind.START_FAILED
        assert len(world.connections) == 1
        assert dict(row_of(supervisor).pool.failures) == {FailureKind.START_FAILED: 1}


@pytest.mark.parametrize("is_at_once", [True, False])
async def test_a_prompt_that_did_not_reach_a_dead_client_is_given_to_another(
    start: Start, world: FakeWorld, monkeypatch: pytest.MonkeyPatch, is_at_once: bool
) -> None:
    """R1: an idle client died unnoticed; the prompt is not its victim, whether it is written at once or has to wait."""
    if not is_at_once:
        monkeypatch.setattr(FakeConnection, "send_at_once", lambda self, text, uuid: False)
    async with start() as supervisor:
        await (await supervisor.submit(Prompt("desk", "one", user="ana"))).outcome()
        world.connections[0].is_alive = False
        with await supervisor.watch() as feed:
            outcome = await (await supervisor.submit(Prompt("desk", "two", user="ana"))).outcome()
            events = feed.take().events
        assert isinstance(outcome, Done)
        assert world.connections[1].launch.resume
        assert world.connections[1].prompts == ["two"]
        assert sum(isinstance(event, past.TurnFinished) for event in events) == 1
        assert sum(isinstance(event, past.TurnPutBack) for event in events) == 1
        asked = (await supervisor.conversation((await supervisor.snapshot()).sessions[0].key)).read().entries
        assert sum(getattr(entry, "text", "") == "two" for entry in asked) == 1, "it is not asked twice"
    assert world.violations == []


async def test_a_refused_credential_parks_the_pool_and_holds_no_turn_for_minutes(
    start: Start, world: FakeWorld, hands: Hands
) -> None:
    """S1.18; sdk-facts §3: a constant 401 was repeated for 178 s."""
    world.on_prompt = hold
    async with start(clock=hands.clock()) as supervisor:
        first = await supervisor.submit(Prompt("desk", "one", user="ana"))
        await until(lambda: world.connections and world.connections[0].prompts)
        second = await supervisor.submit(Prompt("desk", "two", user="ana"))
        world.connections[0].tell(Retrying(1, 3, 0.5, 401, "authentication_error"))
        outcome = await first.outcome()
        assert isinstance(outcome, Failed)
        assert outcome.kind is FailureKind.AUTHENTICATION
        assert row_of(supervisor).state is InstanceState.PARKED
        assert row_of(supervisor).parked_for is FailureKind.AUTHENTICATION
        assert row_of(supervisor).parked_until is not None
        assert (await supervisor.snapshot()).sessions[0].why is WhyWaiting.PARKED
        assert second.finished is None
        await supervisor.resume("desk")
        await until(lambda: world.connections[0].prompts == ["one", "two"])
        world.connections[0].reply("fine")
        assert isinstance(await second.outcome(), Done)


async def test_a_rate_limit_parks_until_the_provider_says_and_one_turn_goes_first(
    start: Start, world: FakeWorld, make_template: MakeTemplate, hands: Hands
) -> None:
    """The countdown is in the row; the resume is staggered."""
    world.on_prompt = hold
    template = make_template(concurrency={"maxSessions": 3}, pool={"spares": 0}, queue={"maxWait": "none"})
    async with start(template, clock=hands.clock()) as supervisor:
        await supervisor.submit(Prompt("desk", "first", user="ana"))
        await until(lambda: world.connections and world.connections[0].prompts)
        clock = supervisor._clock
        world.connections[0].tell(Limited(True, clock.wall() + 500))
        await until(lambda: row_of(supervisor).state is InstanceState.PARKED)
        until_at = row_of(supervisor).parked_until
        assert until_at is not None
        assert 490 < until_at - clock.wall() <= 500
        for user in ("boris", "chen", "dora"):
            await supervisor.submit(Prompt("desk", user, user=user))
        world.connections[0].fail(429)
        await anyio.wait_all_tasks_blocked()
        assert {row.why for row in (await supervisor.snapshot()).sessions if row.waiting} == {WhyWaiting.RATE_LIMIT}
        hands.ahead += 501
        await until(lambda: sum(len(one.prompts) for one in world.connections) == 2)
        await anyio.wait_all_tasks_blocked()
        row = row_of(supervisor)
        assert (row.state, row.parked_until) == (InstanceState.RUNNING, None)
        assert "one turn first" in row.note
        assert sum(len(one.prompts) for one in world.connections) == 2, "one turn goes first"
        world.connections[-1].reply("it works")
        await until(lambda: sum(len(one.prompts) for one in world.connections) == 4)
        for connection in (one for one in world.connections if one.is_in_turn):
            connection.reply("it works on")
        await until(lambda: "one turn first" not in row_of(supervisor).note)


async def test_a_turn_that_waits_for_a_human_does_not_keep_a_parked_pool_from_trying(
    start: Start, world: FakeWorld, hands: Hands
) -> None:
    """One that was running before is not the one that goes first."""
    world.on_prompt = hold
    async with start(clock=hands.clock()) as supervisor, anyio.create_task_group() as group:
        await supervisor.submit(Prompt("desk", "asks", user="ana"))
        await until(lambda: world.connections and world.connections[0].prompts)
        group.start_soon(world.connections[0].ask, ToolRequest("Write", {"file_path": "x"}))
        await until(lambda: supervisor.view.snapshot().questions)
        world.connections[0].tell(Limited(True, None))
        await until(lambda: row_of(supervisor).state is InstanceState.PARKED)
        world.on_prompt = lambda connection, text: connection.reply("fine")
        second = await supervisor.submit(Prompt("desk", "two", user="boris"))
        hands.ahead += 20
        assert isinstance(await second.outcome(), Done)
        assert (await supervisor.snapshot()).questions
        group.cancel_scope.cancel()


async def test_an_idle_client_that_answers_no_ping_is_replaced(start: Start, world: FakeWorld) -> None:
    """S2.33: a stopped process answers nothing; its session is resumed with the next prompt."""
    async with start(health_interval=0.02, control_timeout=0.05) as supervisor:
        await (await supervisor.submit(Prompt("desk", "one", user="ana"))).outcome()
        world.connections[0].hang()
        await until(lambda: not supervisor.view.snapshot().clients)
        assert dict(row_of(supervisor).pool.failures) == {FailureKind.STALLED: 1}
        assert isinstance(await (await supervisor.submit(Prompt("desk", "two", user="ana"))).outcome(), Done)
        assert world.connections[1].launch.resume


async def test_an_idle_client_that_is_found_dead_is_replaced(start: Start, world: FakeWorld) -> None:
    """S2.33: nothing was read of its end."""
    async with start(health_interval=0.02) as supervisor:
        await (await supervisor.submit(Prompt("desk", "one", user="ana"))).outcome()
        world.connections[0].is_alive = False
        await until(lambda: not supervisor.view.snapshot().clients)
        assert dict(row_of(supervisor).pool.failures) == {FailureKind.CRASHED_IDLE: 1}
        assert isinstance(await (await supervisor.submit(Prompt("desk", "two", user="ana"))).outcome(), Done)
        assert world.connections[1].launch.resume


async def test_one_that_has_begun_a_turn_before_its_answer_was_given_up_is_left_alone(
    start: Start, world: FakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S2.33: it is busy by then, and silence of a busy one is no proof of anything."""
    world.on_prompt = lambda connection, text: connection.reply("fine") if text == "one" else None
    is_asked, has_begun = anyio.Event(), anyio.Event()

    async def answer_nothing(seconds: float, work: object) -> bool:
        is_asked.set()
        await has_begun.wait()
        return False

    async with start(health_interval=0.02) as supervisor:
        await (await supervisor.submit(Prompt("desk", "one", user="ana"))).outcome()
        with monkeypatch.context() as patch:
            patch.setattr("supervisor.process.client.happens_within", answer_nothing)
            await is_asked.wait()
            ticket = await supervisor.submit(Prompt("desk", "two", user="ana"))
            await until(lambda: world.connections[0].prompts == ["one", "two"])
            has_begun.set()
            await anyio.wait_all_tasks_blocked()
        world.connections[0].reply("done")
        assert isinstance(await ticket.outcome(), Done)
        assert world.live == world.connections
        assert len(world.live) == 1


async def test_time_in_which_the_supervisor_itself_stood_still_is_no_silence_of_a_client(
    start: Start, world: FakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S2.33, as after Ctrl+Z and `fg`: the answer has come meanwhile, and is read only now."""
    answered: list[FakeConnection] = []

    async def ping(connection: FakeConnection) -> tuple[Server, ...]:
        if not answered:
            time.sleep(0.5)  # noqa: ASYNC251 - that is what it is about
            for _ in range(3):
                await anyio.lowlevel.checkpoint()
        answered.append(connection)
        return ()

    async with start(health_interval=0.02, control_timeout=0.2) as supervisor:
        await (await supervisor.submit(Prompt("desk", "one", user="ana"))).outcome()
        monkeypatch.setattr(FakeConnection, "ping", ping)
        await until(lambda: len(answered) > 1)
        assert world.live == world.connections
        assert len(world.live) == 1


async def test_silence_is_shown_when_it_is_long_enough_and_ends_nothing(start: Start, world: FakeWorld) -> None:
    """S2.33"""
    world.on_prompt = hold
    turned = TurnedClock()
    async with start(clock=turned.clock, stall_after=60, health_interval=1_000) as supervisor:
        ticket = await supervisor.submit(Prompt("desk", "x", user="ana"))
        await until(lambda: world.written)
        await anyio.wait_all_tasks_blocked()  # what it says at its beginning is heard

        def row() -> SessionRow:
            return supervisor.view.snapshot().sessions[0]

        for turned.seconds, state in (
            (50.0, SessionState.WORKING),
            (59.0, SessionState.WORKING),
            (62.0, SessionState.STALLED),
        ):
            await until_looked_after(supervisor)
            assert row().state is state
        assert row().silent_since == row().last_activity_at
        assert row_of(supervisor).stalled == 1
        world.connections[0].say("I am here")
        await until(lambda: row().state is SessionState.WORKING)
        assert row_of(supervisor).stalled == 0
        world.connections[0].reply("done")
        assert isinstance(await ticket.outcome(), Done)


async def test_a_turn_interrupted_before_it_was_written_never_reaches_the_process(
    start: Start, world: FakeWorld
) -> None:
    async with start() as supervisor:
        await (await supervisor.submit(Prompt("desk", "one", user="ana"))).outcome()
        ticket = await supervisor.submit(Prompt("desk", "two", user="ana"))
        await supervisor.interrupt(ticket.key)
        await ticket.outcome()
        assert isinstance(await (await supervisor.submit(Prompt("desk", "three", user="ana"))).outcome(), Done)
        assert "three" in world.connections[0].prompts
    assert world.violations == []


async def test_processes_that_outlive_a_kill_are_left_to_the_next_run(
    start: Start, world: FakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S2.20: their mark stays in the journal until somebody has seen them gone."""
    found: list[str] = []

    async def find_orphans(records: Sequence[ClientRecord]) -> tuple[int, int]:
        found.extend(record.mark for record in records)
        return len(records), 0

    monkeypatch.setattr("supervisor.engine.runtime.end_orphans", find_orphans)
    async with start() as supervisor:
        await (await supervisor.submit(Prompt("desk", "stuck", user="ana"))).outcome()
        await (await supervisor.submit(Prompt("desk", "well", user="boris"))).outcome()
        stuck = world.holder_of("stuck")
        stuck.leaves_behind = 1
        with await supervisor.watch() as feed:
            for client in ("desk-1", "desk-2"):
                await supervisor.kill_client(client)
            await until(lambda: not supervisor.view.snapshot().clients)
            gone = {event.client: event.left_over for event in feed.take().events if isinstance(event, past.ClientGone)}
        assert gone == {"desk-1": 1, "desk-2": 0}
    async with start():
        assert found == [stuck.launch.mark]


async def test_a_tree_is_looked_at_before_every_step_of_its_end(
    start: Start, world: FakeWorld, make_template: MakeTemplate
) -> None:
    """R3: what leaves its parent in between would never be found again; and how long it takes is told."""
    async with start(make_template(pool={"spares": 0}), kill_grace=0.1) as supervisor:
        await (await supervisor.submit(Prompt("desk", "x"))).outcome()
        world.connections[0].survives_terminate = True
        with await supervisor.watch() as feed:
            await supervisor.kill_client("desk-1")
            await until(lambda: not supervisor.view.snapshot().clients)
            events = feed.take().events
        steps = [event.step for event in events if isinstance(event, past.ClientEnding)]
        assert steps == ["disconnect", "terminate", "kill", "verify"]
        (gone,) = [event for event in events if isinstance(event, past.ClientGone)]
        assert 2.0 < gone.seconds < 30.0
    assert world.violations == []


async def test_the_seconds_of_a_start_are_those_from_its_first_moment_on(
    start: Start, world: FakeWorld, hands: Hands, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.get_running_loop()
    plain = loop.time
    monkeypatch.setattr(loop, "time", lambda: plain() + hands.ahead)
    world.gate = anyio.Event()
    async with start() as supervisor:
        with await supervisor.watch() as feed:
            ticket = await supervisor.submit(Prompt("desk", "x"))
            await until(lambda: world.starting)
            hands.ahead = 5.0
            world.gate.set()
            await ticket.outcome()
            (started,) = [event for event in feed.take().events if isinstance(event, past.ClientStarted)]
        assert started.seconds >= 5.0
