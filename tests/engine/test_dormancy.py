"""Idle clients sleep: stopped, their memory handed back. A prompt wakes them, and nothing is lost or sent twice."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest

from supervisor.api import events as past
from supervisor.api.errors import Saturated
from supervisor.api.keys import SessionKey
from supervisor.api.outcomes import Done, Interrupted
from supervisor.api.prompts import Prompt
from supervisor.api.states import SessionState, SlotState, WhyAwake, WhyWaiting
from supervisor.engine.supervisor import Supervisor
from supervisor.instance.dormancy import find_why_awake
from supervisor.process.end_reason import EndReason
from supervisor.process.host_memory import HostMemory
from supervisor.process.reports import Rested
from supervisor.testing import FakeConnection, FakeWorld, hold
from tests.engine.conftest import MakeTemplate, Start
from tests.engine.test_recorded_orders import reading
from tests.waiting import at_once, until

pytestmark = pytest.mark.anyio

MiB = 1024**2
SOON: dict[str, Any] = {"memory_interval": 0.1, "health_interval": 0.05}
"""A client has to be measured before it sleeps; an awake one would be pinged all the time."""
USERS = ("ana", "boris", "chen")


@pytest.fixture
def world() -> FakeWorld:
    return FakeWorld(expected_bytes=100 * MiB)


@pytest.fixture(autouse=True)
def host(monkeypatch: pytest.MonkeyPatch, world: FakeWorld) -> HostMemory:
    """It has 1 GiB of swap, of which clients find 380 MiB free."""
    memory = HostMemory(swap_total=1024 * MiB, swap_free=380 * MiB, pages_out=True)

    def read_swap() -> tuple[int, int]:
        filled = sum(one.memory_bytes * 9 // 10 for one in world.live if one.is_asleep)
        return memory.swap_total, memory.swap_free - filled

    monkeypatch.setattr("supervisor.engine.runtime.look_at_host", lambda: memory)
    monkeypatch.setattr("supervisor.engine.memory_sampler.read_swap", read_swap)
    return memory


def key(user: str) -> SessionKey:
    return SessionKey("desk", user, "default")


def states(supervisor: Supervisor) -> list[SlotState]:
    return [row.state for row in supervisor.view.snapshot().clients]


def why_awake(supervisor: Supervisor, client: str) -> WhyAwake | None:
    return next(row.why_awake for row in supervisor.view.snapshot().clients if row.id == client)


async def say(supervisor: Supervisor, text: str, user: str, instance: str = "desk") -> Done:
    outcome = await (await supervisor.submit(Prompt(instance, text, user=user))).outcome()
    assert isinstance(outcome, Done), outcome
    return outcome


async def until_asleep(supervisor: Supervisor, world: FakeWorld, count: int = 1) -> None:
    await until(lambda: states(supervisor).count(SlotState.DORMANT) == count)
    await until(lambda: sum(one.is_asleep for one in world.live) == count)


@pytest.fixture
def sleepy(make_template: MakeTemplate) -> Callable[..., Any]:
    def make(name: str = "desk", sessions: int = 3, **pool: object) -> Any:
        pool = {"spares": 0, "dormantAfter": "50ms"} | pool
        return make_template(name, concurrency={"maxSessions": sessions}, pool=pool)

    return make


async def test_an_idle_client_sleeps_and_its_next_prompt_wakes_it(
    start: Start, world: FakeWorld, sleepy: Callable[..., Any]
) -> None:
    """S1.14: the same client, the same conversation, and a session that says so."""
    async with start(sleepy(), **SOON) as supervisor:
        with await supervisor.watch() as feed:
            await say(supervisor, "hello", "ana")
            await until_asleep(supervisor, world)
            (connection,) = world.live
            connection.peak_bytes, connection.pressure = 140 * MiB, 2.5
            await until(lambda: supervisor.view.snapshot().clients[0].memory_bytes == 10 * MiB)
            await until(lambda: supervisor.view.snapshot().clients[0].peak_bytes == 140 * MiB)
            assert supervisor.view.snapshot().clients[0].pressure == 2.5
            picture = supervisor.view.snapshot()
            (row,), pool = picture.clients, picture.instances[0].pool
            assert (row.awake_bytes, row.swap_bytes, row.dormant_since is not None) == (100 * MiB, 90 * MiB, True)
            assert (pool.dormant, pool.idle, pool.total) == (1, 0, 1)
            assert picture.sessions[0].state is SessionState.DORMANT
            assert picture.host.memory_bytes == 10 * MiB

            await say(supervisor, "again", "ana")
            told = [event for event in feed.take().events if isinstance(event, past.ClientDormant | past.ClientWoken)]
        assert [type(event) for event in told][:2] == [past.ClientDormant, past.ClientWoken]
        assert (told[0].before, told[0].after) == (100 * MiB, 10 * MiB)  # type: ignore[union-attr]
        pool = supervisor.view.snapshot().instances[0].pool
        assert (pool.cold, pool.woken, pool.hot) == (1, 1, 0)
        assert world.connections == [connection]
        assert connection.prompts == ["hello", "again"]
    assert world.violations == []


@pytest.mark.parametrize("reads", [False, True], ids=["never-wakes", "reads-and-says-nothing"])
async def test_one_that_gives_no_sign_of_life_is_replaced_and_its_turn_is_sent_once(
    start: Start, world: FakeWorld, sleepy: Callable[..., Any], reads: bool
) -> None:
    """R2: the prompt may stand in the conversation; it is cut before it is sent again."""
    async with start(sleepy(), wake_timeout=0.2, **SOON) as supervisor:
        await say(supervisor, "hello", "ana")
        await until_asleep(supervisor, world)
        (first,) = world.live
        first.is_stuck_asleep = not reads
        first.is_hanging = reads
        with await supervisor.watch() as feed:
            assert (await say(supervisor, "again", "ana")).text == "You said: again"
            told = feed.take().events
        assert [event.reason for event in told if isinstance(event, past.TurnPutBack)] == [
            "it gave no sign of life within 0.2 s after it was woken"
        ]
        assert len(world.connections) == 2
        uuid = supervisor.view.session_row(key("ana")).session_uuid  # type: ignore[union-attr]
        assert world.transcripts[uuid] == ["hello", "again"]
    assert world.violations == []


async def test_sessions_that_sleep_keep_their_clients_where_nothing_else_is_said(
    start: Start, world: FakeWorld, sleepy: Callable[..., Any]
) -> None:
    """One turn at a time, and as many clients as the host may have; what is said is exact, live as well."""
    async with start(sleepy(sessions=1), sleepy("shop", sessions=1, maxClients=2), max_agents=8, **SOON) as supervisor:
        for count, user in enumerate(USERS, 1):
            await say(supervisor, "hello", user)
            await until_asleep(supervisor, world, count)
        assert (await supervisor.limits("desk"))["pool.maxClients"] == "8"
        assert {row.name: row.pool.max_clients for row in supervisor.view.snapshot().instances} == {
            "desk": 8,
            "shop": 2,
        }
        await supervisor.adjust("", "max_agents", "6")
        assert (await supervisor.limits("desk"))["pool.maxClients"] == "6"
        await supervisor.scale("desk", 2)
        assert (await supervisor.limits("desk"))["pool.maxClients"] == "6"
        await supervisor.adjust("desk", "dormantAfter", "none")
        assert (await supervisor.limits("desk"))["pool.maxClients"] == "2", "who is awake costs what it did"
        await until(lambda: len(world.live) == 2)
        await supervisor.adjust("desk", "maxClients", "3")
        await supervisor.scale("desk", 3)
        assert (await supervisor.limits("desk"))["pool.maxClients"] == "4"
    assert world.violations == []


@pytest.mark.parametrize(
    ("said", "clients"),
    [({}, 8), ({"maxClients": 8}, 10), ({"maxClients": 2}, 5), ({"dormantAfter": "none"}, 5)],
    ids=["the-host's", "as-many-as-the-host's", "fewer-than-turns", "awake"],
)
async def test_a_row_says_how_many_clients_scale_will_allow(
    start: Start, sleepy: Callable[..., Any], said: dict[str, Any], clients: int
) -> None:
    """Before it is done, and as it is then: also where a template says the very number that the host may have."""
    async with start(sleepy(sessions=3, **said), max_agents=8, **SOON) as supervisor:
        (before,) = (await supervisor.snapshot()).instances
        assert before.client_limit.at(5) == clients
        await supervisor.scale("desk", 5)
        (row,) = (await supervisor.snapshot()).instances
        assert (row.max_sessions, row.pool.max_clients) == (5, clients)


@pytest.mark.parametrize(
    ("said", "ttl", "idle"),
    [({}, "4h", "4h"), ({"agent_ttl": "1h"}, "1h", "1h"), ({"agent_ttl": "9h"}, "9h", "4h")],
    ids=["nothing", "its-usual-value", "more"],
)
async def test_what_sleeps_has_four_hours_unless_the_settings_say_how_long_any_client_may_be_idle(
    start: Start, sleepy: Callable[..., Any], said: dict[str, str], ttl: str, idle: str
) -> None:
    """S5.7: what is said holds, the usual value too."""
    async with start(sleepy(), **said, **SOON) as supervisor:
        assert (await supervisor.limits())["agent_ttl"] == ttl
        assert (await supervisor.limits("desk"))["pool.idleTtl"] == idle
        assert supervisor.view.snapshot().host.agent_ttl == float(ttl[:-1]) * 3600


async def test_where_sleeping_gives_no_memory_back_there_are_as_many_clients_as_turns(
    start: Start, world: FakeWorld, sleepy: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """S5.7, S2.4"""
    monkeypatch.setattr("supervisor.engine.runtime.look_at_host", HostMemory)
    async with start(sleepy(sessions=1), **SOON) as supervisor:
        for user in USERS:
            await say(supervisor, "hello", user)
        assert len(world.live) == 1
        limits = await supervisor.limits("desk")
        assert (limits["pool.maxClients"], limits["pool.idleTtl"]) == ("1", "15m")
        assert (await supervisor.limits())["agent_ttl"] == "1h"
    assert world.violations == []


async def _kill(supervisor: Supervisor) -> None:
    await supervisor.kill("desk")


async def _hibernate(supervisor: Supervisor) -> None:
    await supervisor.hibernate(key("ana"))


async def _drain(supervisor: Supervisor) -> None:
    await supervisor.drain("desk", deadline=0)


@pytest.mark.parametrize("end", [_kill, _hibernate, _drain])
async def test_one_that_sleeps_is_killed_and_not_woken_in_order_to_end(
    start: Start, world: FakeWorld, sleepy: Callable[..., Any], end: Callable[[Supervisor], Awaitable[None]]
) -> None:
    """S1.14: its memory is not read back only to be thrown away; the conversation goes on, and costs are not lost."""
    async with start(sleepy(), **SOON) as supervisor:
        await say(supervisor, "hello", "ana")
        await until_asleep(supervisor, world)
        (first,) = world.live
        with await supervisor.watch() as feed:
            await end(supervisor)
            await until(lambda: not world.live)
            await until(lambda: not states(supervisor))
            told = feed.take().events
        assert [event.step for event in told if isinstance(event, past.ClientEnding)] == [
            "disconnect",
            "kill",
            "verify",
        ]
        assert not any(isinstance(event, past.ClientWoken) for event in told)
        if supervisor.view.snapshot().instances[0].state != "running":
            await until(lambda: supervisor.view.snapshot().instances[0].state in ("stopped", "drained"))
            await supervisor.resume("desk")
        await say(supervisor, "again", "ana")
        row = supervisor.view.session_row(key("ana"))
        assert row is not None
        assert world.transcripts[row.session_uuid] == ["hello", "again"]
        assert row.usage.cost_usd == pytest.approx(2 * first.price)
    assert world.violations == []


async def test_as_many_wake_at_once_as_may_and_others_are_asked_when_one_has(
    start: Start, world: FakeWorld, sleepy: Callable[..., Any]
) -> None:
    """Over all instances, and in the order in which they wait."""
    templates = sleepy("desk"), sleepy("shop", sessions=1)
    async with start(*templates, connect_limit=1, wake_timeout=60, dormant_budget="none", **SOON) as supervisor:
        for user in USERS:
            await say(supervisor, "hello", user)
        await say(supervisor, "hello", "dora", "shop")
        await until_asleep(supervisor, world, 4)
        world.on_prompt = hold
        stuck = world.connections[0]
        stuck.is_stuck_asleep = True
        for user in USERS:
            await supervisor.submit(Prompt("desk", "again", user=user))
        shop = await supervisor.submit(Prompt("shop", "again", user="dora"))
        await until(lambda: states(supervisor).count(SlotState.WAKING) == 1)
        rows = {row.key.user: row for row in supervisor.view.snapshot().sessions}
        assert {user: rows[user].why for user in ("boris", "chen", "dora")} == dict.fromkeys(
            ("boris", "chen", "dora"), WhyWaiting.WAKING
        )
        stuck.is_stuck_asleep = False
        stuck.wake()
        await until(lambda: all(one.prompts[-1] == "again" for one in world.live))
        await until(lambda: not any(one.is_asleep for one in world.live))
        for connection in world.live:
            connection.reply("well")
        assert isinstance(await shop.outcome(), Done)
    assert world.violations == []


async def test_when_one_has_woken_another_instance_is_asked_at_once(
    start: Start, world: FakeWorld, sleepy: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not at the next look of the housekeeping, nor when memory is measured again: neither comes here."""
    monkeypatch.setattr("supervisor.engine.housekeeping.TICK", 3_600)
    host = {"connect_limit": 1, "wake_timeout": 60, "memory_interval": 3_600, "health_interval": 3_600}
    async with start(sleepy("desk", 1), sleepy("shop", 1), **host) as supervisor:
        for instance in ("desk", "shop"):
            await say(supervisor, "hello", "ana", instance)
        await until(lambda: states(supervisor) == [SlotState.READY] * 2)
        for instance in ("desk", "shop"):
            one = supervisor._instances[instance]
            one._dormancy.sleep(next(iter(one.pool)))
        await until_asleep(supervisor, world, 2)
        first, second = world.connections
        first.is_stuck_asleep = True
        world.on_prompt = hold
        tickets = [await supervisor.submit(Prompt(instance, "again", user="ana")) for instance in ("desk", "shop")]
        await until(lambda: first.prompts[-1] == "again")
        assert second.is_asleep
        first.is_stuck_asleep = False
        first.wake()
        await until(lambda: second.prompts[-1] == "again")
        assert supervisor.view.snapshot().instances[0].pool.busy == 1, "its turn is not over"
        for connection, ticket in zip(world.connections, tickets, strict=True):
            connection.reply("well")
            assert isinstance(await ticket.outcome(), Done)
    assert world.violations == []


async def test_where_memory_is_short_an_idle_one_sleeps_before_another_wakes(
    start: Start, world: FakeWorld, sleepy: Callable[..., Any]
) -> None:
    """S2.29–31: waking is admitted by bytes, as opening is; what sleeps keeps its place."""
    async with start(sleepy(dormantAfter="1h"), memory_budget="280MiB", **SOON) as supervisor:
        for user in USERS[:2]:
            await say(supervisor, "hello", user)
        ana, boris = world.connections
        await until(lambda: all(row.memory_bytes for row in supervisor.view.snapshot().clients))
        slot = supervisor._instances["desk"].pool.get("desk-1")
        assert slot is not None
        supervisor._instances["desk"]._dormancy.sleep(slot)
        await until(lambda: supervisor.view.snapshot().clients[0].memory_bytes == 10 * MiB)
        boris.memory_bytes = 200 * MiB
        await until(lambda: supervisor.view.snapshot().host.memory_bytes == 210 * MiB)
        await say(supervisor, "again", "ana")
        assert boris.is_asleep
        assert ana.prompts == ["hello", "again"]
        assert world.connections == [ana, boris], "none was evicted for it"
    assert world.violations == []


async def test_a_turn_that_finds_no_memory_to_wake_says_so(
    start: Start, world: FakeWorld, sleepy: Callable[..., Any]
) -> None:
    """And that all turns are in use, while they are: more memory would not help it. A reader hears of either (D1)."""
    async with start(sleepy(maxClients=3), memory_budget="280MiB", **SOON) as supervisor:
        for user in USERS[:2]:
            await say(supervisor, "hello", user)
        await until_asleep(supervisor, world, 2)
        world.on_prompt = hold
        await supervisor.submit(Prompt("desk", "long", user="boris"))
        await until(lambda: states(supervisor)[1] is SlotState.BUSY)
        world.connections[1].memory_bytes = 220 * MiB
        await until(lambda: supervisor.view.snapshot().clients[1].memory_bytes == 220 * MiB)
        waiting = await supervisor.submit(Prompt("desk", "again", user="ana"))
        await until(lambda: supervisor.view.session_row(key("ana")).why is WhyWaiting.MEMORY)  # type: ignore[union-attr]
        assert states(supervisor)[0] is SlotState.DORMANT
        with reading(supervisor) as rows:
            for most, why in (("1", WhyWaiting.NO_SLOT), ("2", WhyWaiting.MEMORY)):
                await supervisor.adjust("desk", "maxSessions", most)
                assert rows[key("ana")].why is why  # type: ignore[attr-defined]
        behind = await supervisor.submit(Prompt("desk", "and again", user="ana"))
        world.on_prompt = lambda connection, text: connection.reply("well")
        world.connections[1].reply("at last")
        assert isinstance(await waiting.outcome(), Done)
        assert isinstance(await behind.outcome(), Done)
    assert world.violations == []


async def test_one_that_wakes_is_interrupted_when_it_has_shown_that_it_has(
    start: Start, world: FakeWorld, sleepy: Callable[..., Any]
) -> None:
    """R1: it reads nothing before, and silence on an interrupt would be its end."""
    async with start(sleepy(), **SOON) as supervisor:
        await say(supervisor, "hello", "ana")
        await until_asleep(supervisor, world)
        (client,) = world.live
        client.is_stuck_asleep = True
        world.on_prompt = hold
        ticket = await supervisor.submit(Prompt("desk", "again", user="ana"))
        await until(lambda: states(supervisor) == [SlotState.WAKING] and client.prompts[-1] == "again")
        assert await supervisor.interrupt(key("ana"))
        await anyio.wait_all_tasks_blocked()
        assert client.interrupts == 0
        client.is_stuck_asleep = False
        client.wake()
        assert isinstance(await ticket.outcome(), Interrupted)
        assert client.interrupts
        assert world.live == [client]
    assert world.violations == []


async def test_a_client_that_slept_is_not_started_again_because_its_template_has_changed(
    start: Start, world: FakeWorld, sleepy: Callable[..., Any]
) -> None:
    """S3.1-2: it was not needed for some time; its next prompt starts one."""
    template = sleepy()
    async with start(template, **SOON) as supervisor:
        await say(supervisor, "hello", "ana")
        await until_asleep(supervisor, world)
        await supervisor.replace_template(template.model_copy(update={"system_prompt": "Help in verse."}))
        await until(lambda: states(supervisor) == [])
        await anyio.wait_all_tasks_blocked()
        assert len(world.connections) == 1
        assert supervisor.view.session_row(key("ana")).state is SessionState.HIBERNATED  # type: ignore[union-attr]
    assert world.violations == []


async def test_opening_a_chat_wakes_its_client_ahead_and_it_sleeps_again(
    start: Start, world: FakeWorld, sleepy: Callable[..., Any]
) -> None:
    async with start(sleepy(), **SOON) as supervisor:
        await say(supervisor, "hello", "ana")
        await until_asleep(supervisor, world)
        assert await supervisor.warm(key("ana")) is True
        await until(lambda: world.connections[0].suspensions == 2)
        await until_asleep(supervisor, world)
        assert supervisor.view.snapshot().instances[0].pool.woken == 0
    assert world.violations == []


async def test_one_on_which_no_turn_begins_any_more_is_not_woken_ahead(
    start: Start, world: FakeWorld, sleepy: Callable[..., Any]
) -> None:
    """It would take its memory back to be ended."""
    async with start(sleepy(), **SOON) as supervisor:
        await say(supervisor, "hello", "ana")
        await until_asleep(supervisor, world)
        (slot,) = supervisor._instances["desk"].pool
        slot.is_stale = True
        assert at_once(supervisor.warm(key("ana"))) is False
        assert world.connections[0].is_asleep
    assert world.violations == []


async def test_a_turn_of_its_own_shows_what_a_client_needs_and_one_that_was_never_written_does_not(
    start: Start, world: FakeWorld, sleepy: Callable[..., Any]
) -> None:
    """S2.29–31: what was woken counts for what it had until it has worked."""
    async with start(sleepy(dormantAfter="1h"), **SOON) as supervisor:
        await say(supervisor, "hello", "ana")
        (slot,) = supervisor._instances["desk"].pool
        await until(lambda: slot.is_ready and slot.memory_bytes)
        await supervisor.adjust("", "memory_interval", "1h")
        supervisor._instances["desk"]._dormancy.sleep(slot)
        await until_asleep(supervisor, world)
        assert slot.is_thin

        def stop(event: past.Event) -> None:
            if isinstance(event, past.TurnStarted) and event.acquisition == "dormant":  # its record is not durable yet
                asyncio.get_running_loop().call_soon(at_once, supervisor.interrupt(key("ana")))

        supervisor._feed.listen(stop)
        ticket = await supervisor.submit(Prompt("desk", "never mind", user="ana"))
        assert isinstance(await ticket.outcome(), Interrupted)
        (client,) = world.live
        assert client.prompts == ["hello"]
        assert slot.is_thin
        await until(lambda: slot.is_ready)
        client.begin_own()
        client.finish_own("done")
        await until(lambda: slot.turns == 2)
        assert not slot.is_thin
    assert world.violations == []


async def test_a_client_is_woken_ahead_though_turns_of_others_wait_for_theirs(
    start: Start, world: FakeWorld, make_template: MakeTemplate
) -> None:
    """Who opens a chat of a busy instance finds its client awake, as in a calm one. A refusal counts it as idle."""
    pool = {"spares": 0, "dormantAfter": "50ms", "maxClients": 2}
    one = make_template("desk", concurrency={"maxSessions": 1}, pool=pool, queue={"maxWaiting": 1})
    async with start(one, **SOON) as supervisor:
        await say(supervisor, "hello", "ana")
        await until_asleep(supervisor, world)
        world.on_prompt = hold
        await supervisor.submit(Prompt("desk", "now", user="boris"))
        await until(lambda: len(world.live) == 2 and bool(world.live[-1].prompts))
        await supervisor.submit(Prompt("desk", "then", user="boris"))
        with pytest.raises(Saturated) as refused:
            await supervisor.submit(Prompt("desk", "too much", user="chen"))
        assert (refused.value.total, refused.value.active, refused.value.idle) == (2, 1, 1)
        assert await supervisor.warm(key("ana")) is True
        await until(lambda: not world.connections[0].is_asleep)
    assert world.violations == []


async def test_a_spare_may_sleep_and_is_woken_for_who_takes_it(
    start: Start, world: FakeWorld, sleepy: Callable[..., Any]
) -> None:
    async with start(sleepy(spares=1, maxClients=1), **SOON) as supervisor:
        await until_asleep(supervisor, world)
        (spare,) = world.live
        await say(supervisor, "hello", "ana")
        assert spare.prompts == ["hello"]
        assert supervisor.view.snapshot().instances[0].pool.adopted == 1
    assert world.violations == []


async def test_one_whose_commands_work_or_whose_timer_runs_stays_awake(
    start: Start, world: FakeWorld, sleepy: Callable[..., Any]
) -> None:
    from supervisor.process.reports import ToolStarted

    def set_a_timer(connection: FakeConnection, text: str) -> None:
        connection.tell(ToolStarted("t1", "CronCreate", "", ""))
        connection.reply("later")

    async with start(sleepy(), **SOON) as supervisor:
        await say(supervisor, "hello", "ana")
        world.on_prompt = set_a_timer
        await say(supervisor, "wake up at nine", "boris")
        await until_asleep(supervisor, world)
        assert [one.is_asleep for one in world.connections] == [True, False]
        instance = supervisor._instances["desk"]
        boris = instance.pool.get("desk-2")
        assert boris is not None
        await until(lambda: boris.cpu_since >= boris.idle_since)
        assert why_awake(supervisor, "desk-2") is WhyAwake.TIMER
        boris.is_sleepless, boris.cpu_percent = False, 40.0
        instance._dormancy.advance(1e9)
        assert boris.is_ready
        assert find_why_awake(boris) is WhyAwake.AT_WORK
        boris.cpu_percent, known_since = 0.0, boris.cpu_since
        boris.cpu_since = boris.idle_since - 1
        instance._dormancy.advance(1e9)
        assert boris.is_ready, "what it used while its turn ran says nothing"
        boris.cpu_since, boris.is_stale = known_since, True
        instance._dormancy.advance(1e9)
        assert boris.is_ready, "no turn begins on it any more: it is not worth keeping"
        boris.is_stale = False
        instance._dormancy.advance(1e9)
        assert boris.is_dormant
    assert world.violations == []


async def test_one_that_sleeps_again_before_it_was_measured_is_known_by_what_it_needs(
    start: Start, world: FakeWorld, sleepy: Callable[..., Any]
) -> None:
    """S2.29–31: what it measures asleep is not what the next one that wakes is admitted by."""
    async with start(sleepy(), **SOON) as supervisor:
        await say(supervisor, "hello", "ana")
        await until_asleep(supervisor, world)
        await until(lambda: supervisor.view.snapshot().clients[0].memory_bytes == 10 * MiB)
        await supervisor.adjust("", "memory_interval", "1h")
        await say(supervisor, "again", "ana")
        (slot,) = supervisor._instances["desk"].pool
        await until(lambda: slot.is_ready)
        slot.note_memory(10 * MiB, slot.woken_at)  # as if it had been measured when it woke, and not since
        supervisor._instances["desk"]._dormancy.sleep(slot)
        assert slot.awake_bytes == 100 * MiB
    assert world.violations == []


async def test_one_that_could_not_be_stopped_is_tried_again_after_its_next_turn(
    start: Start, world: FakeWorld, sleepy: Callable[..., Any]
) -> None:
    world.can_suspend = False
    async with start(sleepy(), **SOON) as supervisor:
        await say(supervisor, "hello", "ana")
        (slot,) = supervisor._instances["desk"].pool
        await until(lambda: slot.slept_at and slot.is_ready and slot.cpu_since >= slot.unused_since)
        supervisor._instances["desk"]._dormancy.advance(1e9)
        assert slot.is_ready, "not again and again"
        await until(lambda: why_awake(supervisor, "desk-1") is WhyAwake.NOT_STOPPED)
        world.can_suspend = True
        await say(supervisor, "again", "ana")
        await until_asleep(supervisor, world)
    assert world.violations == []


async def test_that_one_was_woken_is_told_where_its_sleep_was(
    start: Start, world: FakeWorld, sleepy: Callable[..., Any]
) -> None:
    """Of one that is woken before its memory was handed back neither is."""
    async with start(sleepy(dormantAfter="1h"), **SOON) as supervisor:
        await say(supervisor, "hello", "ana")
        (slot,) = supervisor._instances["desk"].pool
        await until(lambda: slot.is_ready and slot.memory_bytes)
        dormancy = supervisor._instances["desk"]._dormancy
        with await supervisor.watch() as feed:
            dormancy.sleep(slot)
            dormancy.wake(slot)
            await until(lambda: slot.is_ready)
            told = [event for event in feed.take().events if isinstance(event, past.ClientDormant | past.ClientWoken)]
            assert told == []
            dormancy.sleep(slot)
            await until(lambda: not slot.is_falling_asleep)
            await say(supervisor, "later", "ana")
            told = [event for event in feed.take().events if isinstance(event, past.ClientDormant | past.ClientWoken)]
            assert [type(event) for event in told] == [past.ClientDormant, past.ClientWoken]
    assert world.violations == []


async def test_one_with_an_agent_in_the_background_stays_awake(
    start: Start, world: FakeWorld, sleepy: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its turn is over and the next one may begin, but it has not said that it is idle."""
    monkeypatch.setattr("supervisor.process.attribution.REST", 0.05)
    world.on_prompt = lambda connection, text: connection.reply("they work on it", rests=False)
    async with start(sleepy(), **SOON) as supervisor:
        await say(supervisor, "let others do it", "ana")
        (slot,) = supervisor._instances["desk"].pool
        await until(lambda: slot.is_ready and slot.cpu_since >= slot.idle_since)
        instance = supervisor._instances["desk"]
        instance._dormancy.advance(1e9)
        assert instance._dormancy.find_sleeper() is None
        assert slot.is_ready
        await until(lambda: why_awake(supervisor, "desk-1") is WhyAwake.IN_BACKGROUND)
        world.connections[0].tell(Rested())
        await until_asleep(supervisor, world)
    assert world.violations == []


async def test_where_clients_fill_their_share_of_the_swap_the_one_that_slept_longest_hibernates(
    start: Start, world: FakeWorld, sleepy: Callable[..., Any]
) -> None:
    """Half of what is free and what they have is 190 MiB: two that sleep fill 180 MiB of it."""
    async with start(sleepy(), **SOON) as supervisor:
        with await supervisor.watch() as feed:
            for count, user in enumerate(USERS[:2], start=1):
                await say(supervisor, "hello", user)
                await until_asleep(supervisor, world, count)
            await until(lambda: supervisor.view.snapshot().host.swap_bytes == 180 * MiB)
            host = supervisor.view.snapshot().host
            assert host.dormant == 2
            await until(lambda: supervisor.view.snapshot().host.swap_budget == 190 * MiB)
            await say(supervisor, "hello", "chen")
            await until(lambda: all(row.id != "desk-1" for row in supervisor.view.snapshot().clients))
            await until_asleep(supervisor, world, 2)
            ends = [event.reason for event in feed.take().events if isinstance(event, past.ClientGone)]
        assert ends == [str(EndReason.SWAPPED)]
        row = supervisor.view.session_row(key("ana"))
        assert row is not None
        assert (row.state, row.client_end) == (SessionState.HIBERNATED, EndReason.SWAPPED)
        assert row.client_ended_at is not None
    assert world.violations == []
