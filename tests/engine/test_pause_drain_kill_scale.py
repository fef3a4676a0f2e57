"""Pause, drain, kill, scale: four different stops, never confused (D3)."""

from __future__ import annotations

import time

import anyio
import pytest

from supervisor.api import events as past
from supervisor.api.engine import Ticket
from supervisor.api.errors import NotAccepting, Refused, UnknownTarget
from supervisor.api.keys import SessionKey
from supervisor.api.outcomes import Cancelled, Done, Failed, FailureKind, Interrupted
from supervisor.api.prompts import Prompt
from supervisor.api.snapshot import InstanceRow
from supervisor.api.states import InstanceState, SlotState, WhyWaiting
from supervisor.clock import Clock
from supervisor.engine.supervisor import Supervisor
from supervisor.instance.stimuli import TimePassed
from supervisor.permissions.requests import ToolRequest
from supervisor.sessions.open_questions import OpenQuestions
from supervisor.testing import FakeWorld, hold
from tests.engine.conftest import MakeTemplate, Start
from tests.engine.turned_clock import TurnedClock
from tests.waiting import until

pytestmark = pytest.mark.anyio


def state_of(supervisor: Supervisor) -> InstanceState:
    return supervisor.view.snapshot().instances[0].state


async def test_pause_queues_and_resume_runs(start: Start, world: FakeWorld) -> None:
    async with start() as supervisor:
        await supervisor.pause("desk")
        ticket = await supervisor.submit(Prompt("desk", "hi"))
        await anyio.wait_all_tasks_blocked()
        assert (await supervisor.snapshot()).sessions[0].why is WhyWaiting.PAUSED
        assert world.connections == []
        await supervisor.resume("desk")
        assert isinstance(await ticket.outcome(), Done)


async def one_runs_and_one_waits(supervisor: Supervisor, world: FakeWorld) -> tuple[Ticket, Ticket]:
    running = await supervisor.submit(Prompt("desk", "running", user="ana"))
    queued = await supervisor.submit(Prompt("desk", "queued", user="ana"))
    await until(lambda: world.connections and world.connections[0].prompts)
    return running, queued


async def test_drain_finishes_what_was_accepted_and_ends_with_nothing_running(start: Start, world: FakeWorld) -> None:
    """S1.17"""
    world.on_prompt = hold
    async with start() as supervisor:
        running, queued = await one_runs_and_one_waits(supervisor, world)
        await supervisor.drain("desk")
        with pytest.raises(NotAccepting, match="draining"):
            await supervisor.submit(Prompt("desk", "late"))
        assert "ana" in (await supervisor.snapshot()).instances[0].note, "it names who holds it up"
        world.connections[0].reply("one")
        await until(lambda: len(world.connections[0].prompts) == 2)
        world.connections[0].reply("two")
        assert isinstance(await running.outcome(), Done)
        assert isinstance(await queued.outcome(), Done)
        await until(lambda: state_of(supervisor) is InstanceState.DRAINED)
        assert (await supervisor.snapshot()).clients == ()
        assert world.live == []


async def test_drain_is_reversible_until_it_ends(start: Start, world: FakeWorld) -> None:
    world.on_prompt = hold
    async with start() as supervisor:
        await supervisor.submit(Prompt("desk", "running", user="ana"))
        await until(lambda: world.connections and world.connections[0].prompts)
        await supervisor.drain("desk")
        await supervisor.resume("desk")
        await supervisor.submit(Prompt("desk", "welcome again", user="ana"))
        assert state_of(supervisor) is InstanceState.RUNNING
        world.connections[0].reply("done")
        await until(lambda: len(world.connections[0].prompts) == 2)


async def test_a_closed_instance_says_what_resume_does_to_it(start: Start, make_template: MakeTemplate) -> None:
    """D3: as a field of its own, because each reader has another key or verb for it."""
    async with start(make_template(autoStart=False)) as supervisor:

        def row() -> InstanceRow:
            (found,) = supervisor.view.snapshot().instances
            return found

        assert (row().note, row().resume_does) == ("not started", "starts it")
        await supervisor.resume("desk")
        assert (row().note, row().resume_does) == ("", "")
        await supervisor.drain("desk")
        assert row().resume_does == "" or row().state is InstanceState.DRAINED
        await until(lambda: row().state is InstanceState.DRAINED)
        assert (row().note, row().resume_does) == ("", "opens it again")
        await supervisor.resume("desk")
        await supervisor.kill("desk")
        await until(lambda: row().state is InstanceState.STOPPED)
        assert (row().note, row().resume_does) == ("", "opens it again")
        supervisor._instances["desk"].core.state_before_removal = InstanceState.RUNNING
        assert (row().note, row().resume_does) == ("its template was removed", "")
        with pytest.raises(Refused, match="was removed"):
            await supervisor.resume("desk")


async def test_a_second_drain_interrupts_at_once(start: Start, world: FakeWorld) -> None:
    world.on_prompt = hold
    async with start() as supervisor:
        running, queued = await one_runs_and_one_waits(supervisor, world)
        await supervisor.drain("desk")
        await supervisor.drain("desk")
        assert isinstance(await running.outcome(), Interrupted)
        assert isinstance(await queued.outcome(), Cancelled)
        await until(lambda: state_of(supervisor) is InstanceState.DRAINED)


async def test_a_drain_past_its_deadline_interrupts_and_then_kills(start: Start, world: FakeWorld) -> None:
    world.on_prompt = lambda connection, text: connection.hang()
    async with start() as supervisor:
        running = await supervisor.submit(Prompt("desk", "stuck", user="ana"))
        await until(lambda: world.connections and world.connections[0].prompts)
        client = next(iter(supervisor._instances["desk"].pool)).client
        assert client is not None
        client._deadlines = client._deadlines._replace(control=0.01)
        await supervisor.drain("desk", deadline=0.01)
        assert isinstance(await running.outcome(), Interrupted)
        await until(lambda: state_of(supervisor) is InstanceState.DRAINED)
        assert world.live == []


async def test_a_drain_says_when_what_runs_is_interrupted(start: Start, world: FakeWorld) -> None:
    world.on_prompt = hold
    async with start() as supervisor:
        running, _ = await one_runs_and_one_waits(supervisor, world)
        await supervisor.drain("desk", deadline=60.0)
        rows = supervisor.view.snapshot().instances
        at = time.strftime("%H:%M", time.localtime(time.time() + 60))
        soon = time.strftime("%H:%M", time.localtime(time.time() + 61))
        assert f"interrupted at {at}" in rows[0].note or f"interrupted at {soon}" in rows[0].note
        await supervisor.drain("desk", deadline=0.0)
        assert isinstance(await running.outcome(), Interrupted)


async def test_kill_cancels_what_waits_ends_what_runs_and_leaves_nothing(start: Start, world: FakeWorld) -> None:
    """R3"""
    world.on_prompt = hold
    async with start() as supervisor:
        running, queued = await one_runs_and_one_waits(supervisor, world)
        await supervisor.kill("desk")
        for too_early in (supervisor.pause, supervisor.resume):
            with pytest.raises(Refused, match="is being killed: wait until it is stopped"):
                await too_early("desk")
        assert isinstance(await running.outcome(), Interrupted)
        assert isinstance(await queued.outcome(), Cancelled)
        await until(lambda: state_of(supervisor) is InstanceState.STOPPED)
        assert world.live == []
        await supervisor.resume("desk")
        again = await supervisor.submit(Prompt("desk", "again", user="ana"))
        await until(lambda: any("again" in one.prompts for one in world.live))
        world.holder_of("again").reply("back")
        assert isinstance(await again.outcome(), Done)
        assert world.connections[-1].launch.resume, "the conversation outlived the kill"


async def test_killing_one_client_spares_the_others(start: Start, world: FakeWorld) -> None:
    world.on_prompt = hold
    async with start() as supervisor:
        victim = await supervisor.submit(Prompt("desk", "a", user="ana"))
        other = await supervisor.submit(Prompt("desk", "b", user="boris"))
        await until(lambda: sum(len(one.prompts) for one in world.connections) == 2)
        client = next(row.id for row in (await supervisor.snapshot()).clients if row.key == victim.key)
        with await supervisor.watch() as feed:
            await supervisor.kill_client(client)
            outcome = await victim.outcome()
            await until(lambda: len(supervisor.view.snapshot().clients) == 1)
            steps = [event.step for event in feed.take().events if isinstance(event, past.ClientEnding)]
        assert isinstance(outcome, Interrupted)
        assert outcome.reason == "killed by the operator"
        assert steps == ["interrupt", "disconnect", "verify"], "a kill can be watched"
        world.holder_of("b").reply("fine")
        assert isinstance(await other.outcome(), Done)
        with pytest.raises(UnknownTarget, match="gone"):
            await supervisor.kill_client(client)


async def test_a_process_that_survives_term_is_killed_before_it_is_called_gone(start: Start, world: FakeWorld) -> None:
    """R3"""
    async with start() as supervisor:
        await (await supervisor.submit(Prompt("desk", "a", user="ana"))).outcome()
        world.connections[0].survives_terminate = True
        client = next(iter(supervisor._instances["desk"].pool)).client
        assert client is not None
        client._deadlines = client._deadlines._replace(disconnect=0.01)
        with await supervisor.watch() as feed:
            await supervisor.kill_client((await supervisor.snapshot()).clients[0].id)
            assert (await supervisor.snapshot()).clients[0].state is SlotState.CLOSING
            await until(lambda: not supervisor.view.snapshot().clients)
            events = feed.take().events
        steps = [event.step for event in events if isinstance(event, past.ClientEnding)]
        assert steps == ["disconnect", "terminate", "kill", "verify"]
        assert [event.left_over for event in events if isinstance(event, past.ClientGone)] == [0]
        assert world.live == []


async def test_scale_up_lets_more_run_and_scale_down_ends_idle_clients(start: Start, world: FakeWorld) -> None:
    world.on_prompt = hold
    async with start() as supervisor:
        tickets = [await supervisor.submit(Prompt("desk", "x", user=f"u{n}")) for n in range(4)]
        await until(lambda: len(world.live) == 2)
        await supervisor.scale("desk", 4)
        await until(lambda: sum(len(one.prompts) for one in world.connections) == 4)
        for connection in world.connections:
            connection.reply("done")
        for ticket in tickets:
            await ticket.outcome()
        await supervisor.scale("desk", 1)
        await until(lambda: len(world.live) == 1)
        with pytest.raises(Refused, match="from 1 to 1000"):
            await supervisor.scale("desk", 0)


async def test_clearing_a_queue_leaves_the_running_turn_alone(start: Start, world: FakeWorld) -> None:
    world.on_prompt = hold
    async with start() as supervisor:
        running = await supervisor.submit(Prompt("desk", "running", user="ana"))
        queued = [await supervisor.submit(Prompt("desk", text, user="ana")) for text in "ab"]
        other = await supervisor.submit(Prompt("desk", "other", user="boris"))
        await until(lambda: sum(len(one.prompts) for one in world.connections) == 2)
        assert await supervisor.clear_queue("desk", running.key) == 2
        assert all(isinstance(ticket.finished, Cancelled) for ticket in queued)
        assert running.finished is None
        assert other.finished is None


async def test_hibernating_keeps_the_conversation_and_refuses_a_busy_one(start: Start, world: FakeWorld) -> None:
    """S1.14"""
    async with start() as supervisor:
        key = SessionKey("desk", "ana", "default")
        await (await supervisor.submit(Prompt("desk", "a", user="ana"))).outcome()
        await supervisor.hibernate(key)
        await until(lambda: not world.live)
        assert (await supervisor.snapshot()).sessions[0].state == "hibernated"
        world.on_prompt = hold
        await supervisor.submit(Prompt("desk", "b", user="ana"))
        await until(lambda: world.live and world.live[0].prompts)
        with pytest.raises(Refused, match="working"):
            await supervisor.hibernate(key)


async def test_closing_a_session_takes_it_off_the_books(start: Start, world: FakeWorld) -> None:
    """S5.17–23: a session can be removed by hand, never a busy one."""
    async with start() as supervisor:
        ticket = await supervisor.submit(Prompt("desk", "a", user="ana"))
        with pytest.raises(Refused, match="running or waiting"):
            await supervisor.close_session(ticket.key)
        await ticket.outcome()
        await supervisor.close_session(ticket.key)
        await until(lambda: not supervisor.view.snapshot().sessions)
        assert world.live == []


async def test_an_idle_client_hibernates_after_its_time(
    start: Start, world: FakeWorld, make_template: MakeTemplate
) -> None:
    """S1.14"""
    async with start(make_template(pool={"idleTtl": 0.01})) as supervisor:
        await (await supervisor.submit(Prompt("desk", "a", user="ana"))).outcome()
        await until(lambda: not world.live)
        assert (await supervisor.snapshot()).sessions[0].state == "hibernated"


async def test_no_more_clients_live_than_the_host_may_hold_and_idle_ones_make_room(
    start: Start, world: FakeWorld, make_template: MakeTemplate
) -> None:
    """S5.7: over all instances; the one kept out gets the place of another's idle client."""
    templates = [make_template(name, concurrency={"maxSessions": 2}, pool={"spares": 0}) for name in ("one", "two")]
    async with start(*templates, max_agents=2) as supervisor:
        for user in ("ana", "boris"):
            await (await supervisor.submit(Prompt("one", "x", user=user))).outcome()
        assert isinstance(await (await supervisor.submit(Prompt("two", "x", user="chen"))).outcome(), Done)
        assert len(world.live) == 2
        assert [row.pool.evictions for row in (await supervisor.snapshot()).instances] == [1, 0]


async def test_stopping_ends_everything_that_runs(start: Start, world: FakeWorld) -> None:
    world.on_prompt = hold
    async with start() as supervisor:
        ticket = await supervisor.submit(Prompt("desk", "a", user="ana"))
        await until(lambda: world.live and world.live[0].prompts)
    assert isinstance(ticket.finished, Interrupted)
    assert ticket.finished.reason == "the supervisor stops"
    assert world.live == []


async def test_our_own_failure_is_published_ends_everything_and_is_raised(
    start: Start, world: FakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Design §2: the third kind of error, where it can be laid to no client."""

    def fail(*_: object) -> None:
        raise ZeroDivisionError("ours")

    world.on_prompt = hold
    supervisor = start()
    assert isinstance(supervisor, Supervisor)
    events: list[past.Event] = []
    with pytest.raises(BaseExceptionGroup) as caught:  # noqa: PT012 - the block's exit is what raises
        async with supervisor:
            with await supervisor.watch() as feed:
                await supervisor.submit(Prompt("desk", "a", user="ana"))
                await until(lambda: world.live and world.live[0].prompts)
                monkeypatch.setattr(OpenQuestions, "expire", fail)
                try:
                    await anyio.sleep_forever()  # the failure ends this block
                finally:
                    events.extend(feed.take().events)
    assert caught.group_contains(ZeroDivisionError)
    assert any(isinstance(event, past.EngineFailed) and "ours" in event.message for event in events)
    assert world.live == []


async def test_a_spare_that_cannot_start_is_not_tried_again_at_once(
    start: Start, world: FakeWorld, make_template: MakeTemplate
) -> None:
    """S1.18: no crash loop."""
    from supervisor.api.errors import ConnectFailed

    world.connect_failures = [ConnectFailed("broken") for _ in range(50)]
    template = make_template(concurrency={"maxSessions": 2}, pool={"spares": 1})
    async with start(template, clock=Clock(steady=lambda: 0.0)) as supervisor:
        await until(lambda: supervisor.view.snapshot().instances[0].pool.crashes == 1)
        await anyio.wait_all_tasks_blocked()
        assert len(world.connections) == 1


@pytest.mark.parametrize("key", ["turnTimeout", "stallTimeout"])
async def test_a_turn_that_takes_too_long_or_is_silent_too_long_is_stopped(
    start: Start, world: FakeWorld, make_template: MakeTemplate, key: str
) -> None:
    """S1.28; the client lives on."""
    world.on_prompt = lambda connection, text: None if text == "stuck" else connection.reply("fine")
    turned = TurnedClock()
    async with start(make_template(**{key: 30}), clock=turned.clock) as supervisor:
        stuck = await supervisor.submit(Prompt("desk", "stuck", user="ana"))
        await until(lambda: world.written)
        outcome = None
        while outcome is None:
            turned.seconds += 31  # once more where a sign of life was on its way when it was turned
            with anyio.move_on_after(2):
                outcome = await stuck.outcome()
        if key == "turnTimeout":
            assert isinstance(outcome, Interrupted)
            assert key in outcome.reason
        else:
            assert isinstance(outcome, Failed)
            assert (outcome.kind, key in outcome.message) == (FailureKind.STALLED, True)
        assert isinstance(await (await supervisor.submit(Prompt("desk", "next", user="ana"))).outcome(), Done)
        assert len(world.connections) == 1


async def test_a_turn_that_waits_for_an_answer_is_not_stalled(
    start: Start, world: FakeWorld, make_template: MakeTemplate
) -> None:
    world.on_prompt = hold
    turned = TurnedClock()
    async with start(make_template(stallTimeout=30), clock=turned.clock) as supervisor:
        ticket = await supervisor.submit(Prompt("desk", "x", user="ana"))
        await until(lambda: world.connections and world.connections[0].prompts)
        async with anyio.create_task_group() as group:
            group.start_soon(world.connections[0].ask, ToolRequest("Write", {"file_path": "x"}))
            await until(lambda: supervisor.view.snapshot().questions)
            supervisor._instances["desk"].handle(TimePassed(60.0))
            await anyio.wait_all_tasks_blocked()
            assert ticket.finished is None
            group.cancel_scope.cancel()


async def test_statistics_say_how_turns_found_their_client(
    start: Start, world: FakeWorld, make_template: MakeTemplate
) -> None:
    """S2.24, S1.15: hot, adopted and cold are counted; active sessions are derived from what runs."""
    world.on_prompt = hold
    async with start(make_template(concurrency={"maxSessions": 3}, pool={"spares": 1})) as supervisor:
        await until(lambda: supervisor.view.snapshot().instances[0].pool.spare == 1)
        for text in ("adopts the spare", "finds it hot"):
            ticket = await supervisor.submit(Prompt("desk", text, user="ana"))
            await until(lambda text=text: any(text in one.prompts for one in world.connections))
            assert (await supervisor.snapshot()).instances[0].active_sessions == 1
            world.holder_of(text).reply("done")
            await ticket.outcome()
        row = (await supervisor.snapshot()).instances[0]
        assert (row.pool.adopted, row.pool.hot, row.pool.cold, row.active_sessions) == (1, 1, 0, 0)
        assert row.pool.hit_rate == 1.0


async def test_a_missing_session_is_the_users_own(start: Start) -> None:
    """S3.11–12: never one that is shared."""
    async with start() as supervisor:
        keys = [(await supervisor.submit(Prompt("desk", "hi", user=user))).key for user in ("ana", "boris", "ana")]
        assert keys[0] == keys[2]
        assert keys[0] != keys[1]
