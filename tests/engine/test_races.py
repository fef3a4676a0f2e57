"""Things that happen at the wrong moment: cancellation, late interrupts, deaths, hostile input."""

from __future__ import annotations

import anyio
import pytest
from anyio.abc import TaskGroup

from supervisor.api import events as past
from supervisor.api.entries import Asked, QuestionClosed
from supervisor.api.errors import NotAccepting, Refused
from supervisor.api.outcomes import Done, Interrupted, Usage
from supervisor.api.prompts import Prompt
from supervisor.api.questions import Allow, Deny
from supervisor.api.states import InstanceState
from supervisor.clock import Clock
from supervisor.engine.supervisor import Supervisor
from supervisor.permissions.requests import ToolRequest, Verdict
from supervisor.permissions.tool_calls import rule_for
from supervisor.process.reports import Result, TextBlock
from supervisor.testing import FakeConnection, FakeWorld, hold
from tests.engine.conftest import MakeTemplate, Start
from tests.waiting import until

pytestmark = pytest.mark.anyio


async def until_prompted(world: FakeWorld) -> FakeConnection:
    await until(lambda: world.connections and world.connections[0].prompts)
    return world.connections[0]


async def test_cancelling_the_scope_around_it_ends_everything(start: Start, world: FakeWorld) -> None:
    """S2.20"""
    with anyio.fail_after(5), anyio.CancelScope() as scope:
        async with start() as supervisor:
            await (await supervisor.submit(Prompt("desk", "x", user="ana"))).outcome()
            scope.cancel()
            await anyio.sleep_forever()
    assert scope.cancelled_caught
    assert world.live == []


async def test_cancelling_the_task_that_runs_it_ends_everything(start: Start, world: FakeWorld) -> None:
    supervisor = start()
    assert isinstance(supervisor, Supervisor)
    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            await group.start(supervisor.run)
            ticket = await supervisor.submit(Prompt("desk", "x", user="ana"))
            await ticket.outcome()
            group.cancel_scope.cancel()
    assert world.live == []


async def test_an_instance_cannot_be_reopened_while_the_bullpen_stops(
    start: Start, world: FakeWorld, make_template: MakeTemplate
) -> None:
    world.on_prompt = hold
    templates = [make_template(name, pool={"spares": 0}) for name in ("one", "two")]
    async with start(*templates) as supervisor:
        await supervisor.submit(Prompt("one", "x", user="ana"))
        await until_prompted(world)
        async with anyio.create_task_group() as group:
            group.start_soon(supervisor.stop)
            await until(lambda: supervisor.view.instance_row("two").state is InstanceState.STOPPED)  # type: ignore[union-attr]
            with pytest.raises(Refused, match="stopping"):
                await supervisor.resume("two")
    assert world.live == []


async def test_an_impatient_second_interrupt_does_not_hit_the_next_turn(start: Start, world: FakeWorld) -> None:
    world.on_prompt = hold
    async with start() as supervisor:
        first = await supervisor.submit(Prompt("desk", "one", user="ana"))
        second = await supervisor.submit(Prompt("desk", "two", user="ana"))
        connection = await until_prompted(world)
        await anyio.wait_all_tasks_blocked()  # its request was heard: an interrupt before that is sent again by itself
        interrupt, slowed = connection.interrupt, anyio.Event()

        async def slow_interrupt() -> None:
            await slowed.wait()
            await interrupt()

        connection.interrupt = slow_interrupt  # type: ignore[method-assign]
        await supervisor.interrupt(first.key)
        await anyio.wait_all_tasks_blocked()
        await supervisor.interrupt(first.key)
        slowed.set()
        assert isinstance(await first.outcome(), Interrupted)
        await until(lambda: connection.prompts == ["one", "two"])
        await anyio.wait_all_tasks_blocked()
        assert second.finished is None
        assert connection.interrupts == 1


async def test_an_interrupt_that_comes_with_the_result_does_not_hit_the_next_turn(
    start: Start, world: FakeWorld
) -> None:
    world.on_prompt = hold
    async with start() as supervisor:
        first = await supervisor.submit(Prompt("desk", "one", user="ana"))
        second = await supervisor.submit(Prompt("desk", "two", user="ana"))
        connection = await until_prompted(world)
        connection.reply("fine")
        await supervisor.interrupt(first.key)
        assert isinstance(await first.outcome(), Done)
        await until(lambda: connection.prompts == ["one", "two"])
        await anyio.wait_all_tasks_blocked()
        assert second.finished is None


async def test_an_interrupt_waits_for_the_prompt_that_is_just_being_written(start: Start, world: FakeWorld) -> None:
    """Also in the second turn of a client: one that comes before the prompt has nothing to stop, and is lost."""
    async with start() as supervisor:
        await (await supervisor.submit(Prompt("desk", "first", user="ana"))).outcome()
        world.on_prompt = hold
        (agent,) = world.live
        send, may_write, is_writing = agent.send, anyio.Event(), anyio.Event()

        async def send_slowly(text: str, uuid: str) -> None:
            is_writing.set()
            await may_write.wait()
            await send(text, uuid)

        agent.send = send_slowly  # type: ignore[method-assign]
        agent.send_at_once = lambda *_: False  # type: ignore[method-assign]
        ticket = await supervisor.submit(Prompt("desk", "second", user="ana"))
        await is_writing.wait()
        await supervisor.interrupt(ticket.key)
        await anyio.wait_all_tasks_blocked()
        assert agent.interrupts == 0
        may_write.set()
        with anyio.fail_after(3):
            assert isinstance(await ticket.outcome(), Interrupted)
        assert world.live == [agent]
    assert world.violations == []


async def test_a_kill_at_the_very_start_of_a_turn_stops_it(start: Start, world: FakeWorld) -> None:
    """R3: the interrupt waits for the prompt to be written; one that overtook it would have nothing to stop."""
    world.on_prompt = hold

    async def kill_when_started(supervisor: Supervisor) -> None:
        with await supervisor.watch() as feed:
            while not any(isinstance(event, past.TurnStarted) for event in feed.take().events):
                await feed.wait()
            await supervisor.kill("desk")

    async with start() as supervisor, anyio.create_task_group() as group:
        group.start_soon(kill_when_started, supervisor)
        await anyio.wait_all_tasks_blocked()
        ticket = await supervisor.submit(Prompt("desk", "delete it all", user="ana"))
        with anyio.fail_after(3):
            assert isinstance(await ticket.outcome(), Interrupted)


async def test_one_sessions_long_queue_does_not_starve_the_others(
    start: Start, world: FakeWorld, make_template: MakeTemplate
) -> None:
    """S1.4: also when that session's client is the only one there may be, and always has more to do."""
    template = make_template(concurrency={"maxSessions": 1}, pool={"spares": 0}, queue={"maxWaitingPerSession": 50})
    async with start(template) as supervisor:
        crowd = [await supervisor.submit(Prompt("desk", f"a{n}", user="ana")) for n in range(20)]
        single = await supervisor.submit(Prompt("desk", "b", user="boris"))
        await single.outcome()
        assert sum(ticket.finished is not None for ticket in crowd) <= 3
        for ticket in crowd:
            assert isinstance(await ticket.outcome(), Done)
    assert world.violations == []


async def test_spares_do_not_take_the_place_that_somebody_waits_for(
    start: Start, world: FakeWorld, make_template: MakeTemplate
) -> None:
    """S5.7"""
    spared = make_template("one", concurrency={"maxSessions": 2}, pool={"spares": 2})
    other = make_template("two", pool={"spares": 0})
    async with start(spared, other, max_agents=2) as supervisor:
        await until(lambda: len(world.live) == 2)
        with anyio.fail_after(5):
            assert isinstance(await (await supervisor.submit(Prompt("two", "x", user="ana"))).outcome(), Done)
        assert len(world.connections) <= 5


async def test_a_spare_that_dies_unused_is_not_replaced_at_once(
    start: Start, world: FakeWorld, make_template: MakeTemplate
) -> None:
    """S1.18: no crash loop; and it is tried again when the pause is over."""
    template = make_template(concurrency={"maxSessions": 2}, pool={"spares": 1})
    now = [0.0]
    async with start(template, clock=Clock(steady=lambda: now[0])) as supervisor:
        await until(lambda: world.live)
        world.connections[0].die()
        await until(lambda: supervisor.view.snapshot().instances[0].pool.crashes == 1)
        await anyio.wait_all_tasks_blocked()
        assert len(world.connections) == 1
        now[0] = 1.0
        await until(lambda: len(world.connections) == 2)


async def test_a_result_that_came_before_the_death_counts(start: Start, world: FakeWorld) -> None:
    """R1"""
    world.on_prompt = hold
    async with start() as supervisor:
        ticket = await supervisor.submit(Prompt("desk", "x", user="ana"))
        connection = await until_prompted(world)
        connection.tell(TextBlock("the answer"))
        connection.tell(
            Result(
                prompt_uuids=None,
                text="the answer",
                is_error=False,
                was_aborted=False,
                terminal_reason="completed",
                error="",
                api_status=None,
            )
        )
        connection.die()
        outcome = await ticket.outcome()
        assert isinstance(outcome, Done)
        assert outcome.text == "the answer"


async def test_a_stream_begun_late_gives_everything(start: Start) -> None:
    async with start() as supervisor:
        ticket = await supervisor.submit(Prompt("desk", "x", user="ana"))
        await ticket.outcome()
        assert "".join([fragment async for fragment in ticket.stream()]) == "You said: x\n"


async def test_a_session_being_closed_takes_no_prompt(start: Start, world: FakeWorld) -> None:
    async with start() as supervisor:
        ticket = await supervisor.submit(Prompt("desk", "x", user="ana"))
        await ticket.outcome()
        await supervisor.close_session(ticket.key)
        with pytest.raises(NotAccepting, match="being closed"):
            await supervisor.submit(Prompt("desk", "y", user="ana"))
        await until(lambda: not supervisor.view.snapshot().sessions)
        await (await supervisor.submit(Prompt("desk", "z", user="ana"))).outcome()
        assert [connection.launch.resume for connection in world.connections] == [False, False], "a new conversation"


async def test_a_tool_session_that_its_caller_named_is_kept(start: Start, make_template: MakeTemplate) -> None:
    """S1.2"""
    async with start(make_template("lookup", archetype="tool")) as supervisor:
        await (await supervisor.submit(Prompt("lookup", "x", user="ana", session="call-of-duty"))).outcome()
        (kept,) = (await supervisor.snapshot()).sessions
        assert kept.key.session == "call-of-duty"
        ticket = await supervisor.submit(Prompt("lookup", "y", user="ana"))
        told = {row.key: row.ends_with_turn for row in (await supervisor.snapshot()).sessions}
        assert told == {kept.key: False, ticket.key: True}, "what becomes of a session is told while it is there"


async def test_the_cost_of_a_turn_is_right_after_a_crash(start: Start, world: FakeWorld) -> None:
    """Sdk-facts §6: the figure is cumulative, and starts again when the process was killed."""
    costs = iter([0.10, 0.15])

    def answer(connection: FakeConnection, text: str) -> None:
        if text == "crash":
            connection.die()
        else:
            connection._cost = next(costs) - 0.001
            connection.reply("ok")

    world.on_prompt = answer
    async with start() as supervisor:
        booked: list[Usage] = []
        for text in ("one", "crash", "two"):
            outcome = await (await supervisor.submit(Prompt("desk", text, user="ana"))).outcome()
            booked.append(outcome.usage if isinstance(outcome, Done) else Usage())
    assert [round(usage.cost_usd, 3) for usage in booked] == [0.10, 0, 0.15]


async def test_a_drain_past_its_deadline_ends_once(start: Start, world: FakeWorld) -> None:
    """S1.17: a paused instance with a queue is drained, and stays so."""
    async with start() as supervisor:
        await supervisor.pause("desk")
        await supervisor.submit(Prompt("desk", "x", user="ana"))
        with await supervisor.watch() as feed:
            await supervisor.drain("desk", deadline=0)
            await until(lambda: supervisor.view.snapshot().instances[0].state is InstanceState.DRAINED)
            states = [event.state for event in feed.take().events if isinstance(event, past.InstanceChanged)]
    assert states.count(InstanceState.DRAINED) == 1
    assert states[-1] is InstanceState.DRAINED


async def test_what_people_and_tools_say_is_clean_in_every_record(start: Start, world: FakeWorld) -> None:
    """R5: not only on the screen; other readers have no filter. The agent itself gets the prompt as it was."""
    world.on_prompt = hold
    async with start() as supervisor:
        ticket = await supervisor.submit(Prompt("desk", "a\x1b[2Jb\u202ec", user="ana"))
        connection = await until_prompted(world)
        async with anyio.create_task_group() as group:
            await ask(group, connection, ToolRequest("Wri\nte\x1b[2J", {"file_path": "\x1b]0;x\x07f"}))
            await until(lambda: supervisor.view.snapshot().questions)
            (question,) = (await supervisor.snapshot()).questions
            await supervisor.answer(question.id, Deny("no\x1b[2J"))
        entries = (await supervisor.conversation(ticket.key)).read().entries
    assert connection.prompts == ["a\x1b[2Jb\u202ec"]
    asked = next(entry for entry in entries if isinstance(entry, Asked))
    closed = next(entry for entry in entries if isinstance(entry, QuestionClosed))
    for text in (asked.text, closed.answer, question.tool, question.summary):
        assert not set(text) & set("\x1b\x07\u202e\n")


async def ask(group: TaskGroup, connection: FakeConnection, request: ToolRequest) -> None:
    async def put() -> Verdict:
        return await connection.ask(request)

    group.start_soon(put)


@pytest.mark.parametrize(
    "questions",
    [
        *(5, "text", None, [], [7], [{"options": 3}], [{"question": {}, "options": [1]}]),
        [{"question": "Which?", "options": []}],
        [{"question": " ", "options": [{"label": "red"}]}],
        [{"question": "Which?", "options": [{"label": ""}]}],
        [{"question": "Which?", "options": [{"label": "red"}]}, {"question": "Which?", "options": [{"label": "a"}]}],
    ],
)
async def test_a_choice_without_questions_or_options_is_denied_with_words_and_never_put(
    start: Start, world: FakeWorld, questions: object
) -> None:
    world.on_prompt = hold
    async with start() as supervisor:
        await supervisor.submit(Prompt("desk", "x", user="ana"))
        connection = await until_prompted(world)
        with await supervisor.watch() as feed:
            feed.take()
            verdict = await connection.ask(ToolRequest("AskUserQuestion", {"questions": questions}))
            assert not any(isinstance(event, past.QuestionAsked) for event in feed.take().events)
        assert verdict is not None
        assert isinstance(verdict.answer, Deny)
        assert "the operator was not asked" in verdict.message
        assert supervisor.failure is None


def test_always_for_a_command_does_not_cover_its_switches() -> None:
    plain = ToolRequest("Bash", {"command": "make", "description": "Builds"})
    assert rule_for(plain) == rule_for(ToolRequest("Bash", {"command": "make", "description": "Builds again"}))
    assert rule_for(plain) != rule_for(ToolRequest("Bash", {"command": "make", "dangerouslyDisableSandbox": True}))


async def test_an_answer_of_always_is_kept_apart_by_session(start: Start, world: FakeWorld) -> None:
    world.on_prompt = hold
    async with start() as supervisor:
        for user in ("ana", "boris"):
            await supervisor.submit(Prompt("desk", user, user=user))
        await until(lambda: sum(len(one.prompts) for one in world.connections) == 2)
        async with anyio.create_task_group() as group:
            for user in ("ana", "boris"):
                await ask(group, world.holder_of(user), ToolRequest("Write", {"file_path": user}))
            await until(lambda: len(supervisor.view.snapshot().questions) == 2)
            mine = next(one for one in (await supervisor.snapshot()).questions if one.key.user == "ana")
            await supervisor.answer(mine.id, Allow(always=True))
            await until(lambda: len(supervisor.view.snapshot().questions) == 1)
            await ask(group, world.holder_of("boris"), ToolRequest("Write", {"file_path": "again"}))
            await until(lambda: len(supervisor.view.snapshot().questions) == 2)
            for question in (await supervisor.snapshot()).questions:
                await supervisor.answer(question.id, Deny())
