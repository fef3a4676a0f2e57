"""Admission by measured bytes, ceilings of a client, and how a pool grows and shrinks (S2.29–32, S1.14)."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import anyio
import psutil
import pytest

from supervisor.api import events as past
from supervisor.api.keys import SessionKey
from supervisor.api.outcomes import Done, Failed, FailureKind, Interrupted
from supervisor.api.prompts import Prompt
from supervisor.api.snapshot import ClientRow
from supervisor.api.states import MemoryLevel, SlotState, WhyWaiting
from supervisor.engine import housekeeping, memory_sampler
from supervisor.engine.supervisor import Supervisor
from supervisor.feed import Subscription
from supervisor.permissions.requests import ToolRequest
from supervisor.scheduling.memory_reserve import ENOUGH
from supervisor.testing import FakeConnection, FakeWorld, hold
from tests.engine.conftest import MakeTemplate, Start
from tests.waiting import at_once, until

pytestmark = pytest.mark.anyio

MiB = 1024**2
OFTEN = {"memory_interval": 0.1}
CEILINGS = {"spares": 0, "softMemory": "100MiB", "hardMemory": "200MiB", "panicMemory": "400MiB"}


def client(supervisor: Supervisor) -> ClientRow:
    (row,) = supervisor.view.snapshot().clients
    return row


async def until_prompted(world: FakeWorld, prompt: str) -> FakeConnection:
    await until(lambda: any(prompt in one.prompts for one in world.connections))
    return world.holder_of(prompt)


async def until_level(supervisor: Supervisor, level: MemoryLevel) -> None:
    await until(lambda: client(supervisor).memory_level is level)


def endings(feed: Subscription) -> list[str]:
    return [event.reason for event in feed.take().events if isinstance(event, past.ClientGone)]


async def test_above_the_soft_ceiling_the_next_turn_runs_in_a_fresh_process(
    start: Start, world: FakeWorld, make_template: MakeTemplate
) -> None:
    """The conversation is resumed; until somebody asks for it, the client stays."""
    async with start(make_template(pool=CEILINGS), **OFTEN) as supervisor:
        with await supervisor.watch() as feed:
            await (await supervisor.submit(Prompt("desk", "one", user="ana"))).outcome()
            world.connections[0].memory_bytes = 150 * MiB
            await until_level(supervisor, MemoryLevel.SOFT)
            assert isinstance(await (await supervisor.submit(Prompt("desk", "two", user="ana"))).outcome(), Done)
            assert endings(feed) == ["recycled: over its memory ceiling"]
    assert [(one.prompts, one.launch.resume) for one in world.connections] == [(["one"], False), (["two"], True)]
    assert world.violations == []


async def test_a_client_whose_only_prompt_was_never_written_has_not_worked_yet(
    start: Start, world: FakeWorld, make_template: MakeTemplate
) -> None:
    """S2.29–31: interrupted before it was written, its turn says nothing of the client. One that is above its soft
    ceiling from the beginning gets the next turn: a fresh one would be no smaller."""
    key = SessionKey("desk", "ana", "default")
    async with start(make_template(pool=CEILINGS), **OFTEN) as supervisor:

        def stop(event: past.Event) -> None:
            if isinstance(event, past.TurnStarted) and event.acquisition == "cold":  # its record is not durable yet
                asyncio.get_running_loop().call_soon(at_once, supervisor.interrupt(key))

        supervisor._feed.listen(stop)
        ticket = await supervisor.submit(Prompt("desk", "never mind", user="ana"))
        assert isinstance(await ticket.outcome(), Interrupted)
        await until(lambda: client(supervisor).state is SlotState.READY)
        assert client(supervisor).turns == 0
        world.connections[0].memory_bytes = 150 * MiB
        await until_level(supervisor, MemoryLevel.SOFT)
        assert isinstance(await (await supervisor.submit(Prompt("desk", "two", user="ana"))).outcome(), Done)
        assert client(supervisor).turns == 1
    assert [one.prompts for one in world.connections] == [["two"]]
    assert world.violations == []


async def test_above_the_hard_ceiling_a_client_ends_with_its_turn(
    start: Start, world: FakeWorld, make_template: MakeTemplate
) -> None:
    """Nobody has to wait for it. While the turn runs it is only shown."""
    world.on_prompt = hold
    async with start(make_template(pool=CEILINGS), **OFTEN) as supervisor:
        ticket = await supervisor.submit(Prompt("desk", "one", user="ana"))
        connection = await until_prompted(world, "one")
        connection.memory_bytes = 300 * MiB
        await until_level(supervisor, MemoryLevel.HARD)
        assert client(supervisor).state is SlotState.BUSY
        connection.reply("the whole answer")
        outcome = await ticket.outcome()
        assert isinstance(outcome, Done)
        assert outcome.text == "the whole answer"
        await until(lambda: not world.live)
        assert (await supervisor.snapshot()).sessions[0].state == "hibernated"


async def test_an_idle_client_found_above_its_hard_ceiling_is_ended(
    start: Start, world: FakeWorld, make_template: MakeTemplate
) -> None:
    async with start(make_template(pool=CEILINGS), **OFTEN) as supervisor:
        await (await supervisor.submit(Prompt("desk", "one", user="ana"))).outcome()
        world.connections[0].memory_bytes = 300 * MiB
        await until(lambda: not world.live)


async def test_a_client_that_asks_is_not_ended_below_its_panic_ceiling(
    start: Start, world: FakeWorld, make_template: MakeTemplate
) -> None:
    """S1.14"""
    world.on_prompt = hold
    async with start(make_template(pool=CEILINGS), **OFTEN) as supervisor:
        await supervisor.submit(Prompt("desk", "one", user="ana"))
        connection = await until_prompted(world, "one")
        async with anyio.create_task_group() as group:
            group.start_soon(connection.ask, ToolRequest("Write", {"file_path": "x"}))
            await until(lambda: client(supervisor).state is SlotState.ASKING)
            connection.memory_bytes = 399 * MiB
            await until_level(supervisor, MemoryLevel.HARD)
            assert client(supervisor).state is SlotState.ASKING
            group.cancel_scope.cancel()


@pytest.mark.parametrize("is_stubborn", [False, True])
async def test_above_the_panic_ceiling_a_turn_fails_as_out_of_memory_and_the_session_goes_on(
    start: Start, world: FakeWorld, make_template: MakeTemplate, is_stubborn: bool
) -> None:
    """Ended at once: nobody waits for its Result, nor for a process that does not leave."""
    world.on_prompt = hold
    async with start(make_template(pool=CEILINGS), **OFTEN) as supervisor:
        ticket = await supervisor.submit(Prompt("desk", "one", user="ana"))
        connection = await until_prompted(world, "one")
        connection.survives_terminate = is_stubborn
        connection.memory_bytes = 4300 * MiB
        with await supervisor.watch() as feed:
            outcome = await ticket.outcome()
            steps = [event.step for event in feed.take().events if isinstance(event, past.ClientEnding)]
        assert isinstance(outcome, Failed)
        assert outcome.kind is FailureKind.OUT_OF_MEMORY
        assert "used 4.2 GiB, more than panicMemory (400MiB)" in outcome.message
        assert steps == ["disconnect", "terminate", "kill", "verify"] if is_stubborn else ["disconnect", "verify"]
        assert connection.interrupts == 0
        assert world.live == []
        world.on_prompt = lambda connection, text: connection.reply("here again")
        assert isinstance(await (await supervisor.submit(Prompt("desk", "two", user="ana"))).outcome(), Done)
    assert [one for one in world.violations if "without an interrupt" not in one] == []


async def test_a_budget_that_holds_one_client_queues_the_second_and_says_why(
    start: Start, world: FakeWorld, make_template: MakeTemplate
) -> None:
    """S2.29–31: of an instance; its own idle client makes room afterwards."""
    world.on_prompt = hold
    world.expected_bytes = 100 * MiB
    template = make_template(
        concurrency={"maxSessions": 2}, pool={"spares": 1, "memoryBudget": "150MiB"}, queue={"maxWait": "none"}
    )
    async with start(template, **OFTEN) as supervisor:
        await supervisor.submit(Prompt("desk", "one", user="ana"))
        first = await until_prompted(world, "one")
        with await supervisor.watch() as feed:
            second = await supervisor.submit(Prompt("desk", "two", user="boris"))
            await second.accepted()
            assert [row.why for row in feed.take().sessions if row.key == second.key] == [WhyWaiting.MEMORY]
        await until(lambda: client(supervisor).memory_bytes)
        await anyio.wait_all_tasks_blocked()
        assert len(world.connections) == 1, "no spare is opened either"
        row = (await supervisor.snapshot()).instances[0]
        assert (row.memory_budget, row.memory_reserve, row.note) == (150 * MiB, 100 * MiB, "")
        first.reply("done")
        (await until_prompted(world, "two")).reply("done")
        assert isinstance(await second.outcome(), Done)
        assert len(world.live) == 1


async def test_a_host_that_holds_one_more_client_gives_it_to_who_waits(
    start: Start, world: FakeWorld, make_template: MakeTemplate
) -> None:
    """S5.7, in bytes: the one kept out gets the place of another's idle client."""
    world.expected_bytes = 200 * MiB
    templates = [make_template(name, pool={"spares": 0}) for name in ("one", "two")]
    async with start(*templates, memory_budget="300MiB", **OFTEN) as supervisor:
        await (await supervisor.submit(Prompt("one", "x", user="ana"))).outcome()
        ticket = await supervisor.submit(Prompt("two", "x", user="ana"))
        await ticket.accepted()
        assert supervisor.view.session_row(ticket.key).why is WhyWaiting.MEMORY  # type: ignore[union-attr]
        assert isinstance(await ticket.outcome(), Done)
        assert len(world.live) == 1
        assert [row.pool.evictions for row in (await supervisor.snapshot()).instances] == [1, 0]


async def test_one_instances_long_queue_does_not_starve_the_others(
    start: Start, world: FakeWorld, make_template: MakeTemplate
) -> None:
    """S5.7: a place that is given up goes to the instance that waits longest."""
    templates = [make_template(name, pool={"spares": 0}) for name in ("one", "two")]
    async with start(*templates, max_agents=1, **OFTEN) as supervisor:
        early = [await supervisor.submit(Prompt("one", "x", user=f"early{number}")) for number in range(5)]
        single = await supervisor.submit(Prompt("two", "x", user="ana"))
        late = [await supervisor.submit(Prompt("one", "x", user=f"late{number}")) for number in range(20)]
        assert isinstance(await single.outcome(), Done)
        assert sum(ticket.finished is not None for ticket in late) <= 1
        for ticket in (*early, *late):
            assert isinstance(await ticket.outcome(), Done)


async def test_a_budget_smaller_than_a_client_admits_one_at_a_time_and_says_so(
    start: Start, world: FakeWorld, make_template: MakeTemplate
) -> None:
    world.expected_bytes = 500 * MiB
    template = make_template(concurrency={"maxSessions": 2}, pool={"spares": 1, "memoryBudget": "64MiB"})
    async with start(template, memory_budget="256MiB", **OFTEN) as supervisor:
        for user in ("ana", "boris", "ana"):
            assert isinstance(await (await supervisor.submit(Prompt("desk", user, user=user))).outcome(), Done)
            assert len(world.live) <= 1
        assert "one at a time" in (await supervisor.snapshot()).instances[0].note


async def test_clients_that_grow_above_the_budget_lose_the_idle_ones(
    start: Start, world: FakeWorld, make_template: MakeTemplate
) -> None:
    async with start(
        make_template(concurrency={"maxSessions": 3}, pool={"spares": 0, "dormantAfter": "none"}),
        memory_budget="256MiB",
        **OFTEN,
    ) as supervisor:
        for user in ("ana", "boris", "chen"):
            await (await supervisor.submit(Prompt("desk", user, user=user))).outcome()
        for connection in world.connections:
            connection.memory_bytes = 120 * MiB
        await until(lambda: len(world.live) == 2)
        assert not world.connections[0].is_alive, "the least recently used"
        await until(lambda: client_bytes(supervisor) == 240 * MiB)
        assert len(world.live) == 2


def client_bytes(supervisor: Supervisor) -> int:
    return supervisor.view.snapshot().host.memory_bytes


async def test_what_clients_on_their_way_in_will_need_is_shown(
    start: Start, world: FakeWorld, make_template: MakeTemplate
) -> None:
    world.expected_bytes = 100 * MiB
    world.gate = anyio.Event()
    async with start(**OFTEN) as supervisor:
        ticket = await supervisor.submit(Prompt("desk", "x", user="ana"))
        await ticket.accepted()
        assert (await supervisor.snapshot()).host.memory_reserved == 100 * MiB
        world.gate.set()
        await ticket.outcome()
        await until(lambda: client(supervisor).memory_bytes)
        assert (await supervisor.snapshot()).host.memory_reserved == 0


async def test_the_reserve_follows_what_working_clients_measure(
    start: Start, world: FakeWorld, make_template: MakeTemplate
) -> None:
    """S2.29–31: a spare that nobody has used tells nothing of what a client needs."""
    world.expected_bytes = 100 * MiB
    async with start(make_template(concurrency={"maxSessions": 2}, pool={"spares": 1}), **OFTEN) as supervisor:
        await until(lambda: client(supervisor).memory_trend)
        await (await supervisor.submit(Prompt("desk", "x", user="ana"))).outcome()
        world.holder_of("x").memory_bytes = 170 * MiB
        await until(lambda: max(len(row.memory_trend) for row in supervisor.view.snapshot().clients) > ENOUGH)
        await until(lambda: supervisor.view.snapshot().instances[0].memory_reserve == 170 * MiB)
        assert any(row.memory_growth > 0 for row in (await supervisor.snapshot()).clients)


async def test_idle_clients_leave_one_at_a_time_and_never_below_the_least(
    start: Start, world: FakeWorld, make_template: MakeTemplate
) -> None:
    """S2.32, S1.14: and none is opened in their place."""
    pool = {"spares": 0, "minClients": 2, "idleTtl": 0.01}
    template = make_template(concurrency={"maxSessions": 5}, pool=pool)
    async with start(template) as supervisor:
        await until(lambda: len(world.live) == 2)
        world.on_prompt = hold
        for user in "abcde":
            await supervisor.submit(Prompt("desk", user, user=user))
        for user in "abcde":
            await until_prompted(world, user)
        with await supervisor.watch() as feed:
            for user in "abcde":
                world.holder_of(user).reply()
            await until(lambda: len(world.live) == 2)
            await anyio.wait_all_tasks_blocked()
            events = feed.take().events
        told = [event for event in events if isinstance(event, past.ClientEnding | past.ClientGone)]
        clients = [event.client for event in told]
        assert clients == sorted(clients, key=clients.index), "the next one only when the last one has gone"
        assert len(set(clients)) == 3
        assert len(world.connections) == 5
        assert len(world.live) == 2


async def test_nothing_is_given_up_while_somebody_was_kept_out_lately(
    start: Start, world: FakeWorld, make_template: MakeTemplate
) -> None:
    """S2.32: a pool that was too small a moment ago does not shrink."""
    world.on_prompt = hold
    template = make_template(concurrency={"maxSessions": 1}, pool={"spares": 0, "idleTtl": 0.01})
    async with start(template) as supervisor:
        await supervisor.submit(Prompt("desk", "one", user="ana"))
        first = await until_prompted(world, "one")
        second = await supervisor.submit(Prompt("desk", "two", user="boris"))
        assert supervisor.view.session_row(second.key).why is WhyWaiting.NO_SLOT  # type: ignore[union-attr]
        first.reply()
        (await until_prompted(world, "two")).reply()
        await second.outcome()
        instance = supervisor._instances["desk"]
        await until(lambda: client(supervisor).state is SlotState.READY)
        slot = next(iter(instance.pool))
        await until(lambda: supervisor._clock.steady() - slot.idle_since > 0.3)
        assert world.live
        instance.scheduler.shortage.seen_at -= 60
        await until(lambda: not world.live)


async def test_a_session_that_backs_off_keeps_no_place_from_other_instances(
    start: Start, world: FakeWorld, make_template: MakeTemplate
) -> None:
    """S5.7, S1.18: it would not use it; and it is served when its time has come."""
    templates = [make_template(name, pool={"spares": 0}) for name in ("one", "two")]
    async with start(*templates, max_agents=1, **OFTEN) as supervisor:
        instance = supervisor._instances["one"]
        world.on_prompt = lambda connection, text: connection.die() if text == "bad" else connection.reply("fine")
        outcome = await (await supervisor.submit(Prompt("one", "bad", user="ana"))).outcome()
        assert isinstance(outcome, Failed)
        (session,) = instance.sessions.values()
        session.backoff.until += 3600
        waiting = await supervisor.submit(Prompt("one", "good", user="ana"))
        assert isinstance(await (await supervisor.submit(Prompt("two", "x", user="boris"))).outcome(), Done)
        assert waiting.finished is None
        session.backoff.release()
        assert isinstance(await waiting.outcome(), Done)


async def test_no_client_is_admitted_with_the_hosts_memory_as_it_was_before(
    start: Start, world: FakeWorld, make_template: MakeTemplate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client has shrunk and others have taken what it left: there is no room in any measurement."""
    looks: list[int] = []

    def look() -> SimpleNamespace:
        looks.append(len(looks))
        return SimpleNamespace(available=50 * MiB)

    async def until_measured_again() -> None:
        """The second measurement from now on began after the first one had its effect."""
        seen = len(looks)
        await until(lambda: len(looks) >= seen + 2)

    monkeypatch.setattr(memory_sampler, "psutil", SimpleNamespace(Process=psutil.Process, virtual_memory=look))
    world.on_prompt = hold
    world.expected_bytes = 100 * MiB
    template = make_template(concurrency={"maxSessions": 2}, pool={"spares": 0}, queue={"maxWait": "none"})
    async with start(template, memory_interval=0.1, memory_budget="64GiB") as supervisor:
        await supervisor.submit(Prompt("desk", "one", user="ana"))
        await until(lambda: world.connections and world.connections[0].prompts)
        world.connections[0].memory_bytes = 800 * MiB
        await until(lambda: client(supervisor).memory_bytes == 800 * MiB)
        await until_measured_again()
        await (await supervisor.submit(Prompt("desk", "two", user="boris"))).accepted()
        await until_measured_again()
        assert len(world.connections) == 1, "800 + 100 > 850"
        world.connections[0].memory_bytes = 200 * MiB  # capacity is 50 + 200 now; 200 + 100 do not fit
        await until(lambda: client(supervisor).memory_bytes == 200 * MiB)
        await until_measured_again()
        (boris,) = [row for row in supervisor.view.snapshot().sessions if row.key.user == "boris"]
        assert len(world.connections) == 1, [one.launch for one in world.connections]
        assert boris.why is WhyWaiting.MEMORY


async def test_a_lowered_limit_of_the_host_holds_for_the_step_that_follows(
    start: Start, world: FakeWorld, make_template: MakeTemplate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Something became possible since the last look (here: a backoff has let go), and then the operator says: one."""
    monkeypatch.setattr(housekeeping, "TICK", 1_000.0)
    world.on_prompt = hold
    template = make_template(concurrency={"maxSessions": 2}, pool={"spares": 0}, queue={"maxWait": "none"})
    async with start(template, memory_interval=1_000, cleanup_interval=1_000) as supervisor:
        await (await supervisor.submit(Prompt("desk", "one", user="ana"))).accepted()
        await until(lambda: world.connections and world.connections[0].prompts)
        boris = await supervisor.submit(Prompt("desk", "two", user="boris"))
        session = supervisor._instances["desk"].sessions[boris.key]
        session.backoff.fail(supervisor._clock.steady())
        await boris.accepted()
        await anyio.wait_all_tasks_blocked()
        assert len(world.connections) == 1
        session.backoff.until = 0.0
        await supervisor.adjust("", "max_agents", "1")
        await anyio.wait_all_tasks_blocked()
        assert len(world.connections) == 1, "two clients, and max_agents is 1"
