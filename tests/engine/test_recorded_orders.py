"""Orders of events in which a law of the model could be broken, each as short as it gets."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator
from contextlib import contextmanager

import anyio
import pytest

from supervisor.api.errors import ConnectFailed, UnknownTarget
from supervisor.api.keys import SessionKey
from supervisor.api.outcomes import Done, Failed, Interrupted
from supervisor.api.prompts import Prompt
from supervisor.api.questions import Deny
from supervisor.api.snapshot import InstanceRow
from supervisor.api.states import SessionState, SlotState, WhyWaiting
from supervisor.engine.supervisor import Supervisor
from supervisor.permissions.requests import ToolRequest
from supervisor.process import attribution
from supervisor.process.reports import Limited, TextDelta
from supervisor.testing import FakeWorld, hold
from tests.engine.conftest import MakeTemplate, Start
from tests.engine.turned_clock import TurnedClock, until_looked_after
from tests.waiting import at_once, until

pytestmark = pytest.mark.anyio

ANA, BORIS = SessionKey("desk", "ana", "default"), SessionKey("desk", "boris", "default")


@contextmanager
def reading(supervisor: Supervisor) -> Iterator[dict[str, object]]:
    """What a reader of the feed knows of instances and sessions, by name or key; looked at again at each access."""

    class Picture(dict[object, object]):
        def __getitem__(self, name: object) -> object:
            changes = feed.take()
            self.update({row.name: row for row in changes.instances})
            self.update({row.key: row for row in changes.sessions})
            if changes.host is not None:
                self["host"] = changes.host
            return super().__getitem__(name)

    with at_once(supervisor.watch()) as feed:
        rows = feed.snapshot.instances + feed.snapshot.sessions
        yield Picture({getattr(row, "name", None) or getattr(row, "key", None): row for row in rows})


async def test_an_offer_goes_with_its_session(start: Start, world: FakeWorld, make_template: MakeTemplate) -> None:
    """R2: nobody has used the session for long, and the offer's own end in time is nobody's business any more."""
    world.on_prompt = hold
    turned = TurnedClock()
    template = make_template(pool={"spares": 0}, session_ttl=30, question_ttl=60)
    async with start(template, clock=turned.clock) as supervisor:
        await supervisor.submit(Prompt("desk", "cut short", user="ana"))
        await until(lambda: world.written)
    async with start(template, clock=turned.clock) as supervisor:
        assert (await supervisor.snapshot()).sessions[0].offer is not None
        turned.seconds = 40
        await until(lambda: supervisor.view.snapshot().sessions == ())
        await supervisor.submit(Prompt("desk", "another conversation", user="ana"))
        with pytest.raises(UnknownTarget):
            await supervisor.replay(ANA)
        turned.seconds = 80
        await until_looked_after(supervisor)
        assert supervisor.failure is None
        assert not supervisor._offers._open, "its prompt is let go of as well"


async def test_a_turn_that_ends_well_while_bullpen_stops_is_not_sent_again(
    start: Start, world: FakeWorld, make_template: MakeTemplate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R1, R2: its Result has come, and the idle sign after it never does."""
    monkeypatch.setattr(attribution, "REST", 0.05)
    world.on_prompt = hold
    template = make_template(pool={"spares": 0}, on_restart="replay")
    async with start(template) as supervisor:
        ticket = await supervisor.submit(Prompt("desk", "x", user="ana"))
        await until(lambda: world.written)
        world.connections[0].reply("done", rests=False)
    assert isinstance(await ticket.outcome(), Done)
    async with start(template) as supervisor:
        await anyio.wait_all_tasks_blocked()
        (row,) = (await supervisor.snapshot()).sessions
        assert (row.offer, row.waiting, row.turn_id) == (None, (), "")
    assert [one.text for one in world.written] == ["x"]


async def test_a_turn_counts_until_its_client_has_gone(
    start: Start, world: FakeWorld, make_template: MakeTemplate
) -> None:
    """S1.4: one whose process does not answer runs on while it is being ended."""
    world.on_prompt = hold
    template = make_template(concurrency={"maxSessions": 1}, pool={"spares": 0, "maxClients": 2})
    async with start(template) as supervisor:
        await supervisor.submit(Prompt("desk", "one", user="ana"))
        second = await supervisor.submit(Prompt("desk", "two", user="boris"))
        await second.accepted()
        await until(lambda: world.written)
        world.connections[0].hang()
        await supervisor.kill_client("desk-1")
        await supervisor.resume("desk")  # looks whether anything may begin
        (row,) = (await supervisor.snapshot()).clients
        assert row.state is SlotState.CLOSING
        assert (await supervisor.snapshot()).instances[0].active_sessions == 1
        world.connections[0].die()
        await until(lambda: len(world.written) == 2)


async def test_a_spare_is_opened_when_another_instance_gives_its_place_up(
    start: Start, world: FakeWorld, make_template: MakeTemplate
) -> None:
    """S2.32: `minClients` are kept although nothing happens in the instance itself."""
    templates = [make_template("desk", pool={"minClients": 1, "spares": 0}), make_template("other", pool={"spares": 0})]
    turned = TurnedClock()
    world.connect_failures.append(ConnectFailed("not now"))
    async with start(*templates, max_agents=1, memory_interval=1_000, clock=turned.clock) as supervisor:
        await (await supervisor.submit(Prompt("other", "x", user="ana"))).outcome()
        turned.seconds = 10  # the spare that could not be started may be tried again, and has no room
        await until_looked_after(supervisor)
        await supervisor.hibernate(SessionKey("other", "ana", "default"))
        await until(lambda: any(row.instance == "desk" for row in supervisor.view.snapshot().clients))


async def test_a_client_whose_task_is_cancelled_has_not_crashed(start: Start, world: FakeWorld) -> None:
    """S1.18: nothing backs off because of it, and the turn says what happened."""
    world.on_prompt = hold
    async with start() as supervisor:
        ticket = await supervisor.submit(Prompt("desk", "x", user="ana"))
        await until(lambda: world.written)
        (task,) = [task for task in asyncio.all_tasks() if task.get_name() == "client desk-1"]
        task.cancel()
        outcome = await ticket.outcome()
        assert isinstance(outcome, Interrupted)
        assert outcome.reason == "its task was cancelled"
        assert (await supervisor.snapshot()).instances[0].pool.failures == ()


# What readers are told


async def test_the_hosts_row_is_told_when_a_client_comes_and_goes(start: Start, world: FakeWorld) -> None:
    """S2.29–31: what is expected of it, and what it uses, is in the host's figures."""
    world.gate = anyio.Event()
    async with start(memory_interval=1_000) as supervisor:
        with reading(supervisor) as told:
            await supervisor.submit(Prompt("desk", "a", user="ana"))
            await until(lambda: world.starting)
            assert (await supervisor.snapshot()).host.memory_reserved == world.expected_bytes
            assert told["host"] == (await supervisor.snapshot()).host
            await supervisor.kill("desk")
            await until(lambda: not supervisor.view.snapshot().clients)
            assert told["host"] == (await supervisor.snapshot()).host


async def test_an_instances_row_is_told_when_a_stalled_turn_speaks_again(start: Start, world: FakeWorld) -> None:
    """S2.33"""
    world.on_prompt = hold
    turned = TurnedClock()
    async with start(clock=turned.clock) as supervisor:
        with reading(supervisor) as told:
            await supervisor.submit(Prompt("desk", "a", user="ana"))
            await until(lambda: world.written)
            world.connections[0].say("hm")
            await anyio.wait_all_tasks_blocked()
            turned.seconds = 100
            await until(lambda: supervisor.view.snapshot().sessions[0].state is SessionState.STALLED)
            row = told["desk"]
            assert isinstance(row, InstanceRow)
            assert row.stalled == 1
            world.connections[0].tell(TextDelta("still here"))
            await anyio.wait_all_tasks_blocked()
            row = told["desk"]
            assert isinstance(row, InstanceRow)
            assert row.stalled == 0


async def test_a_sessions_row_is_told_when_it_may_be_tried_again(
    start: Start, world: FakeWorld, make_template: MakeTemplate
) -> None:
    """S1.18: it still waits, but no longer because it backs off."""
    world.on_prompt = hold
    turned = TurnedClock()
    template = make_template(concurrency={"maxSessions": 1}, pool={"spares": 0})
    async with start(template, clock=turned.clock) as supervisor:
        with reading(supervisor) as told:
            world.connect_failures.append(ConnectFailed("it would not start"))
            failed = await supervisor.submit(Prompt("desk", "a", user="ana"))
            await supervisor.submit(Prompt("desk", "b", user="ana"))
            await supervisor.submit(Prompt("desk", "c", user="boris"))
            assert isinstance(await failed.outcome(), Failed)
            await until(lambda: told[ANA].why is WhyWaiting.BACKING_OFF)  # type: ignore[attr-defined]
            await until(lambda: world.written)
            await (await supervisor.submit(Prompt("desk", "waits as well", user="chen"))).accepted()
            assert told[ANA].why is WhyWaiting.BACKING_OFF  # type: ignore[attr-defined]
            turned.seconds = 2
            await until(lambda: told[ANA].why is WhyWaiting.NO_SLOT)  # type: ignore[attr-defined]


async def test_a_parked_instances_row_is_told_that_it_takes_longer(start: Start, world: FakeWorld) -> None:
    """S1.18: also when the time on its note is the same to the second."""
    world.on_prompt = hold
    turned = TurnedClock()
    turned.seconds = 0.2
    async with start(clock=turned.clock) as supervisor:
        with reading(supervisor) as told:
            await supervisor.submit(Prompt("desk", "a", user="ana"))
            await until(lambda: world.written)
            for seconds in (40.1, 40.4):
                resets_at = math.floor(turned.clock.wall()) + seconds
                world.connections[0].tell(Limited(is_rejected=True, resets_at=resets_at))
                await anyio.wait_all_tasks_blocked()
                row = told["desk"]
                assert isinstance(row, InstanceRow)
                assert row.parked_until == pytest.approx(resets_at, rel=0, abs=0.01)


async def test_who_waits_for_a_provider_is_told_that_it_takes_no_turns(
    start: Start, world: FakeWorld, make_template: MakeTemplate
) -> None:
    """S1.18: it waited for a place before, as others still do."""
    world.on_prompt = hold
    template = make_template(pool={"spares": 0}, concurrency={"maxSessions": 1})
    second = {"second": {"base_url": "http://127.0.0.1:9", "api_key": "env:HOME"}}
    async with start(template, providers=second) as supervisor:
        with reading(supervisor) as told:
            await supervisor.submit(Prompt("desk", "runs", user="ana", provider="second"))
            await until(lambda: world.written)
            await (await supervisor.submit(Prompt("desk", "waits", user="boris", provider="second"))).accepted()
            await (await supervisor.submit(Prompt("desk", "waits as well", user="chen"))).accepted()
            await until(lambda: told[BORIS].why is WhyWaiting.NO_SLOT)  # type: ignore[attr-defined]
            resets_at = supervisor._clock.wall() + 3600
            world.connections[0].tell(Limited(is_rejected=True, resets_at=resets_at))
            await until(lambda: told[BORIS].why is WhyWaiting.RATE_LIMIT)  # type: ignore[attr-defined]


async def test_who_is_overtaken_is_told_the_new_place(
    start: Start, world: FakeWorld, make_template: MakeTemplate
) -> None:
    """D1: a newcomer who was served longer ago goes first, and whoever watches sees the others move down."""
    world.on_prompt = hold
    async with start(make_template(pool={"spares": 0}, concurrency={"maxSessions": 1})) as supervisor:
        for session in ("one", "two"):
            await supervisor.submit(Prompt("desk", "hello", user="ana", session=session))
        await until(lambda: world.written)
        await anyio.wait_all_tasks_blocked()
        with reading(supervisor) as rows:
            second = SessionKey("desk", "ana", "two")
            assert [turn.place for turn in rows[second].waiting] == [1]  # type: ignore[attr-defined]
            await supervisor.submit(Prompt("desk", "hello", user="boris"))
            await until(lambda: [turn.place for turn in rows[BORIS].waiting] == [1])  # type: ignore[attr-defined]
            assert [turn.place for turn in rows[second].waiting] == [2]  # type: ignore[attr-defined]


async def test_nobody_is_asked_for_a_process_that_is_being_ended(
    start: Start, world: FakeWorld, make_template: MakeTemplate
) -> None:
    """S5.15: the question would outlive its turn: what it asked for is never done."""
    world.on_prompt = hold
    async with start(make_template(pool={"spares": 0}), kill_grace=0.1) as supervisor:
        await supervisor.submit(Prompt("desk", "hello", user="ana"))
        await until(lambda: world.written)
        (connection,) = world.connections
        connection.survives_terminate = True
        await supervisor.kill_client((await supervisor.snapshot()).clients[0].id)
        verdict = await connection.ask(ToolRequest("Write", {"path": "notes"}))
        assert isinstance(verdict.answer, Deny)
        assert (await supervisor.snapshot()).questions == ()
        await until(lambda: supervisor.view.snapshot().clients == ())
