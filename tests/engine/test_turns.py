"""Prompts through the rooms: order, isolation, outcomes."""

from __future__ import annotations

import asyncio

import anyio
import pytest

from supervisor.api.errors import InvalidId, InvalidPrompt, Saturated, UnknownAgent
from supervisor.api.outcomes import Done, Expired, Outcome
from supervisor.api.prompts import Priority, Prompt, Source
from supervisor.api.snapshot import Limit
from supervisor.api.states import SessionState, WhyWaiting
from supervisor.engine.supervisor import Supervisor
from supervisor.testing import FakeWorld, hold
from tests.engine.conftest import MakeTemplate, Start
from tests.engine.turned_clock import TurnedClock
from tests.waiting import until

pytestmark = pytest.mark.anyio


def prompts_of(world: FakeWorld) -> list[str]:
    return [prompt for connection in world.connections for prompt in connection.prompts]


async def test_a_prompt_is_answered_and_its_outcome_recorded_once(start: Start) -> None:
    """R1"""
    async with start() as supervisor:
        outcome = await (await supervisor.submit(Prompt("desk", "hello", user="ana"))).outcome()
        row = (await supervisor.snapshot()).sessions[0]
    assert isinstance(outcome, Done)
    assert outcome.text == "You said: hello"
    assert (row.turns, row.state) == (1, SessionState.IDLE)


async def test_the_reply_can_be_streamed_from_its_first_character(start: Start, world: FakeWorld) -> None:
    world.on_prompt = hold
    async with start() as supervisor:
        ticket = await supervisor.submit(Prompt("desk", "hello"))
        heard: list[str] = []

        async def listen() -> None:
            async for fragment in ticket.stream():
                heard.append(fragment)

        async with anyio.create_task_group() as group:
            group.start_soon(listen)
            await until(lambda: prompts_of(world))
            world.connections[0].say("one ")
            await until(lambda: heard == ["one "])
            world.connections[0].say("two")
            world.connections[0].reply()
    assert "".join(heard) == "one two\n"


async def test_one_key_is_served_in_order_and_one_turn_at_a_time(start: Start, world: FakeWorld) -> None:
    """S2.4, S3.13–16: the key is held to the terminal Result, not to the return of the send."""
    world.on_prompt = hold
    async with start() as supervisor:
        tickets = [await supervisor.submit(Prompt("desk", text, user="ana")) for text in ("first", "second", "third")]
        await until(lambda: prompts_of(world) == ["first"])
        connection = world.connections[0]
        assert (await supervisor.snapshot()).sessions[0].why is WhyWaiting.SESSION_BUSY
        for done, text in enumerate(("first", "second", "third"), start=1):
            assert connection.prompts == ["first", "second", "third"][:done]
            connection.reply(text.upper())
            await tickets[done - 1].outcome()
            await until(lambda done=done: len(connection.prompts) == min(3, done + 1))
    assert world.violations == []


async def test_different_keys_do_not_delay_each_other(start: Start, world: FakeWorld) -> None:
    """S3.16–18"""
    world.on_prompt = lambda connection, text: None if text == "slow" else connection.reply("quick")
    async with start() as supervisor:
        slow = await supervisor.submit(Prompt("desk", "slow", user="ana"))
        quick = await supervisor.submit(Prompt("desk", "fast", user="boris"))
        assert isinstance(await quick.outcome(), Done)
        assert slow.finished is None
        world.holder_of("slow").reply("at last")
        assert isinstance(await slow.outcome(), Done)


async def test_a_client_serves_one_session_only_until_its_end(start: Start, world: FakeWorld) -> None:
    """S2.11: never reused for another user."""
    async with start() as supervisor:
        for user in ("ana", "boris", "chen", "ana", "boris"):
            await (await supervisor.submit(Prompt("desk", f"I am {user}", user=user))).outcome()
    for connection in world.connections:
        assert len(set(connection.prompts)) == 1, "one client heard two users"
    assert world.violations == []


async def test_an_evicted_session_is_resumed_with_its_context(start: Start, world: FakeWorld) -> None:
    """S2.10, S5.17–23"""
    async with start() as supervisor:
        for user in ("ana", "boris", "chen", "ana"):
            await (await supervisor.submit(Prompt("desk", f"I am {user}", user=user))).outcome()
        ana = [one for one in world.connections if "I am ana" in one.prompts]
        assert [one.launch.resume for one in ana] == [False, True]
        assert ana[0].launch.session_uuid == ana[1].launch.session_uuid
        assert ana[0].launch.workspace == ana[1].launch.workspace
        assert world.transcripts[ana[0].launch.session_uuid] == ["I am ana"] * 2
        assert (await supervisor.snapshot()).instances[0].pool.evictions == 2


async def test_busy_and_asking_sessions_are_never_evicted(start: Start, world: FakeWorld) -> None:
    """S1.14"""
    world.on_prompt = hold
    async with start() as supervisor:
        await supervisor.submit(Prompt("desk", "a", user="ana"))
        await supervisor.submit(Prompt("desk", "b", user="boris"))
        await until(lambda: len(prompts_of(world)) == 2)
        waiting = await supervisor.submit(Prompt("desk", "c", user="chen"))
        await anyio.wait_all_tasks_blocked()
        assert (await supervisor.snapshot()).instances[0].pool.evictions == 0
        row = next(row for row in (await supervisor.snapshot()).sessions if row.key.user == "chen")
        assert row.why is WhyWaiting.NO_SLOT
        world.holder_of("a").reply("done")
        await until(lambda: "c" in prompts_of(world))
        world.holder_of("c").reply("done")
        assert isinstance(await waiting.outcome(), Done)


async def test_a_new_session_adopts_a_spare_with_its_id_and_workspace(
    start: Start, world: FakeWorld, make_template: MakeTemplate
) -> None:
    """S2.11: spares are for new sessions only, consumed once."""
    async with start(make_template(concurrency={"maxSessions": 3}, pool={"spares": 1})) as supervisor:
        await until(lambda: supervisor.view.snapshot().instances[0].pool.spare == 1)
        spare = world.connections[0]
        await (await supervisor.submit(Prompt("desk", "hello", user="ana"))).outcome()
        row = (await supervisor.snapshot()).sessions[0]
        assert spare.prompts == ["hello"]
        assert row.session_uuid == spare.launch.session_uuid
        assert (await supervisor.snapshot()).instances[0].pool.adopted == 1
        await until(lambda: supervisor.view.snapshot().instances[0].pool.spare == 1)


async def test_a_turn_that_waits_too_long_expires_with_the_counts(
    start: Start, world: FakeWorld, make_template: MakeTemplate
) -> None:
    """S2.25–27: maxWait; the message carries total, active, idle and waiting."""
    world.on_prompt = hold
    template = make_template(concurrency={"maxSessions": 1}, queue={"maxWait": 0.05})
    async with start(template) as supervisor:
        # The operator's waits for its client as long as that takes.
        await supervisor.submit(Prompt("desk", "a", user="ana", source=Source.OPERATOR))
        await until(lambda: prompts_of(world))
        late = await supervisor.submit(Prompt("desk", "b", user="boris"))
        outcome = await late.outcome()
        snapshot = await supervisor.snapshot()
    session = next(row for row in snapshot.sessions if row.key.user == "boris")
    assert session.state is SessionState.FAILED, "the operator finds it among those that failed"
    assert session.note.startswith("refused: no turn could begin within 0 s: 1 of 1 turn runs (maxSessions) (")
    instance = snapshot.instances[0]
    assert (instance.failed, instance.refused) == (1, 1)
    assert instance.refused_at is not None
    assert isinstance(outcome, Expired)
    assert "no turn could begin within 0 s: 1 of 1 turn runs (maxSessions) (" in outcome.message
    assert "total=1 active=1 idle=0 waiting=1" in outcome.message
    assert outcome.retry_after > 0
    assert "b" not in prompts_of(world)


async def test_a_session_that_failed_counts_as_failed_until_its_next_turn_waits(start: Start, world: FakeWorld) -> None:
    """D1: the instance's count agrees with the rows of its sessions, at each step."""

    def states() -> tuple[SessionState, int]:
        snapshot = supervisor.view.snapshot()
        return snapshot.sessions[0].state, snapshot.instances[0].failed

    world.on_prompt = lambda connection, text: connection.fail(500) if text == "first" else None
    async with start() as supervisor:
        await (await supervisor.submit(Prompt("desk", "first", user="ana"))).outcome()
        assert states() == (SessionState.FAILED, 1)
        await supervisor.pause("desk")
        await (await supervisor.submit(Prompt("desk", "second", user="ana"))).accepted()
        assert states() == (SessionState.WAITING, 0)
        await supervisor.resume("desk")
        await until(lambda: "second" in prompts_of(world))
        assert states() == (SessionState.WORKING, 0)


async def test_a_refusal_names_the_limit_that_binds_though_clients_are_idle(
    start: Start, world: FakeWorld, make_template: MakeTemplate
) -> None:
    """S2.25: all turns run, one of them asks, and two clients have nothing to do: more clients would not help."""
    template = make_template(concurrency={"maxSessions": 2}, pool={"maxClients": 4}, queue={"maxWait": "none"})
    async with start(template) as supervisor:
        for user in ("ana", "boris", "chen", "dora"):
            await (await supervisor.submit(Prompt("desk", "hello", user=user))).outcome()
        world.on_prompt = hold
        for user in ("ana", "boris"):
            await supervisor.submit(Prompt("desk", "hold", user=user))
        await until(lambda: prompts_of(world).count("hold") == 2)
        late = await supervisor.submit(Prompt("desk", "b", user="chen"))
        await late.accepted()
        row = (await supervisor.snapshot()).instances[0]
        assert (row.limit, row.pool.idle) == (Limit("maxSessions", 2, 2), 2)
        await supervisor.adjust("desk", "maxWait", "0.01s")
        outcome = await late.outcome()
        assert isinstance(outcome, Expired)
        assert "2 of 2 turns run (maxSessions) (total=4 active=2 idle=2 waiting=1)" in outcome.message
        assert (await supervisor.snapshot()).instances[0].limit is None, "nothing waits any more"


async def test_a_prompt_for_which_there_is_no_client_names_the_limit_of_clients(
    start: Start, world: FakeWorld, make_template: MakeTemplate
) -> None:
    """S2.25, S5.7: of the instance, or of all of them."""
    world.on_prompt = hold
    more, few = ({"pool": {"spares": 0, "maxClients": most}, "queue": {"maxWait": "none"}} for most in (3, 1))
    templates = [make_template(name, concurrency={"maxSessions": 3}, **own) for name, own in (("a", few), ("b", more))]
    async with start(*templates) as supervisor:
        await supervisor.adjust("", "max_agents", "3")
        for agent, user in (("a", "ana"), ("b", "ana"), ("b", "boris")):
            await supervisor.submit(Prompt(agent, "hold", user=user))
        await until(lambda: len(prompts_of(world)) == 3)
        for agent in ("a", "b"):
            await (await supervisor.submit(Prompt(agent, "waits", user="chen"))).accepted()
        limits = {row.name: row.limit for row in (await supervisor.snapshot()).instances}
        assert limits == {"a": Limit("maxClients", 1, 1), "b": Limit("max_agents", 3, 3)}


async def test_what_is_queued_behind_a_turn_does_not_make_it_wait_from_the_beginning(
    start: Start, world: FakeWorld, make_template: MakeTemplate
) -> None:
    """S2.25–27: it waits since nothing but the pool kept it."""
    world.on_prompt = hold
    turned = TurnedClock()
    template = make_template(concurrency={"maxSessions": 1}, queue={"maxWait": 30})
    async with start(template, clock=turned.clock) as supervisor:
        await supervisor.submit(Prompt("desk", "a", user="ana", source=Source.OPERATOR))
        await until(lambda: prompts_of(world))
        first = await supervisor.submit(Prompt("desk", "b", user="boris"))
        await first.accepted()
        turned.seconds = 20
        await (await supervisor.submit(Prompt("desk", "behind it", user="boris"))).accepted()
        turned.seconds = 35
        with anyio.fail_after(20):
            assert isinstance(await first.outcome(), Expired)


async def test_the_operators_prompt_does_not_expire(
    start: Start, world: FakeWorld, make_template: MakeTemplate
) -> None:
    world.on_prompt = hold
    async with start(make_template(queue={"maxWait": 0.05})) as supervisor:
        await supervisor.submit(Prompt("desk", "a", user="ana", source=Source.OPERATOR))
        await until(lambda: prompts_of(world))
        mine = await supervisor.submit(Prompt("desk", "b", user="boris", source=Source.OPERATOR))
        assert isinstance(await (await supervisor.submit(Prompt("desk", "c", user="chen"))).outcome(), Expired)
        assert mine.finished is None


async def test_a_full_queue_refuses_at_once(start: Start, world: FakeWorld, make_template: MakeTemplate) -> None:
    world.on_prompt = hold
    async with start(make_template(queue={"maxWaiting": 2})) as supervisor:
        await supervisor.submit(Prompt("desk", "a", user="ana"))
        await until(lambda: prompts_of(world))
        for text in ("b", "c"):
            await supervisor.submit(Prompt("desk", text, user="ana"))
        with pytest.raises(Saturated, match="waiting=2"):
            await supervisor.submit(Prompt("desk", "d", user="ana"))
        row = (await supervisor.snapshot()).instances[0]
        assert (row.waiting, row.refused) == (2, 1), "a refusal changes nothing, and is counted"


async def test_a_user_with_many_prompts_does_not_starve_the_others(
    start: Start, world: FakeWorld, make_template: MakeTemplate
) -> None:
    async with start(make_template(concurrency={"maxSessions": 1})) as supervisor:
        crowd = [await supervisor.submit(Prompt("desk", f"a{n}", user="ana", session=f"s{n}")) for n in range(10)]
        single = await supervisor.submit(Prompt("desk", "b", user="boris"))
        await single.outcome()
        assert sum(ticket.finished is not None for ticket in crowd) <= 2
        for ticket in crowd:
            assert isinstance(await ticket.outcome(), Done)


async def test_an_employee_is_one_colleague_with_priorities(
    start: Start, world: FakeWorld, make_template: MakeTemplate
) -> None:
    """S1.1, S1.3: strictly serial, one shared session; first in, first out inside one priority."""
    world.on_prompt = hold
    async with start(make_template("clerk", archetype="employee")) as supervisor:
        await supervisor.submit(Prompt("clerk", "running", user="ana"))
        await until(lambda: prompts_of(world))
        for text, priority in (
            ("low", Priority.LOW),
            ("normal", Priority.NORMAL),
            ("critical", Priority.CRITICAL),
            ("normal too", Priority.NORMAL),
        ):
            ticket = await supervisor.submit(Prompt("clerk", text, user="boris", priority=priority))
        connection = world.connections[0]
        for count in range(1, 6):
            await until(lambda count=count: len(connection.prompts) == count)
            connection.reply("done")
        assert connection.prompts == ["running", "critical", "normal", "normal too", "low"]
        assert len((await supervisor.snapshot()).sessions) == 1
        assert ticket.key.session == "desk"


async def test_a_tool_call_without_a_session_leaves_none_behind(
    start: Start, world: FakeWorld, make_template: MakeTemplate
) -> None:
    """S1.1, S1.2"""
    async with start(make_template("lookup", archetype="tool")) as supervisor:
        first = await (await supervisor.submit(Prompt("lookup", "one", user="ana"))).outcome()
        second = await (await supervisor.submit(Prompt("lookup", "two", user="ana"))).outcome()
        assert isinstance(first, Done)
        assert isinstance(second, Done)
        await until(lambda: not supervisor.view.snapshot().sessions)
    assert [connection.prompts for connection in world.connections if connection.prompts] == [["one"], ["two"]]


async def test_a_tool_call_that_never_got_a_client_leaves_none_behind_either(
    start: Start, world: FakeWorld, make_template: MakeTemplate
) -> None:
    """S1.2"""
    world.on_prompt = hold
    async with start(make_template("lookup", archetype="tool", queue={"maxWait": 0.05})) as supervisor:
        await supervisor.submit(Prompt("lookup", "one", user="ana", source=Source.OPERATOR))
        await until(lambda: prompts_of(world))
        refused = await (await supervisor.submit(Prompt("lookup", "two", user="boris"))).outcome()
        assert isinstance(refused, Expired)
        assert [row.key.user for row in (await supervisor.snapshot()).sessions] == ["ana"]


async def test_connects_are_throttled(start: Start, world: FakeWorld, make_template: MakeTemplate) -> None:
    world.gate = anyio.Event()
    async with start(make_template(concurrency={"maxSessions": 20})) as supervisor:
        limit = supervisor.settings.connect_limit
        tickets = [await supervisor.submit(Prompt("desk", "hi", user=f"u{n}")) for n in range(limit * 3)]
        await until(lambda: world.starting == limit)
        await anyio.wait_all_tasks_blocked()
        assert world.most_starting == limit
        world.gate.set()
        for ticket in tickets:
            assert isinstance(await ticket.outcome(), Done)
        assert world.most_starting == limit


@pytest.mark.parametrize("user", ["", "../root", "a/b", "x" * 129, "a\0b", "аna"])
async def test_ids_that_could_mean_something_else_are_refused(start: Start, user: str) -> None:
    """S3.3–5; the last one has a Cyrillic а."""
    async with start() as supervisor:
        with pytest.raises(InvalidId):
            await supervisor.submit(Prompt("desk", "hi", user=user))
        assert (await supervisor.snapshot()).sessions == ()


async def test_mistakes_of_the_caller_name_the_remedy(start: Start) -> None:
    async with start() as supervisor:
        with pytest.raises(UnknownAgent, match="there are: desk"):
            await supervisor.submit(Prompt("nobody", "hi"))
        with pytest.raises(InvalidPrompt, match="empty"):
            await supervisor.submit(Prompt("desk", "  \n"))


def test_the_package_is_ours() -> None:
    import supervisor as package

    assert Supervisor.__module__ == "supervisor.engine.supervisor"
    assert package.__file__ is not None
    assert (package.__file__).endswith("supervisor/__init__.py")
    assert package.Supervisor is Supervisor


async def test_every_waiting_turn_knows_its_place_in_the_queue(
    start: Start, world: FakeWorld, make_template: MakeTemplate
) -> None:
    """S1.16: among all sessions of the instance, and it moves up."""
    world.on_prompt = hold
    async with start(make_template(pool={"spares": 0}, queue={"maxWait": "none"})) as supervisor:
        for user in ("ana", "boris", "chen", "dora"):
            await (await supervisor.submit(Prompt("desk", f"{user} one", user=user))).accepted()
        await (await supervisor.submit(Prompt("desk", "chen two", user="chen"))).accepted()

        def places() -> dict[str, list[int | None]]:
            rows = supervisor.view.snapshot().sessions
            return {row.key.user: [turn.place for turn in row.waiting] for row in rows if row.waiting}

        assert places() == {"boris": [1], "chen": [2, None], "dora": [3]}
        await until(lambda: world.connections and world.connections[0].prompts)
        with await supervisor.watch() as feed:
            world.connections[0].reply("done")
            await until(lambda: places() == {"chen": [1, None], "dora": [2]})
            assert {row.key.user for row in feed.take().sessions} >= {"chen", "dora"}, "whoever moved up is told"


async def test_a_reader_that_takes_its_time_is_told_the_end_too(start: Start, world: FakeWorld) -> None:
    """R4: what happens while it handles a part is not missed."""
    world.on_prompt = hold
    async with start() as supervisor:
        ticket = await supervisor.submit(Prompt("desk", "hi", user="ana"))
        await until(lambda: bool(world.connections) and bool(world.connections[-1].prompts))
        world.connections[-1].say("A first part")
        parts = []
        with anyio.fail_after(5):
            async for part in ticket.stream():
                parts.append(part)
                if len(parts) == 1:
                    world.connections[-1].reply(", and the rest.")
                    await ticket.outcome()
        assert "".join(parts) == "A first part, and the rest.\n"


def test_it_runs_on_a_loop_that_asyncio_has_started(start: Start) -> None:
    """Not only under `anyio.run`, which says in every context which library runs."""

    async def main() -> Outcome:
        async with start() as supervisor:
            return await (await supervisor.submit(Prompt("desk", "hi", user="ana"))).outcome()

    assert isinstance(asyncio.run(main()), Done)
