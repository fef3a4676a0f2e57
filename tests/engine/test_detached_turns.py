"""A human wait that costs nobody else a place: the client is freed, the question stays answerable (S1.14, D4)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from supervisor.api import events as past
from supervisor.api.errors import AlreadyAnswered
from supervisor.api.outcomes import Done, Interrupted
from supervisor.api.prompts import Prompt
from supervisor.api.questions import Allow, Answer, Choose, Deny, QuestionOutcome
from supervisor.api.states import SessionState, SlotState, WhyWaiting
from supervisor.clock import Clock
from supervisor.config.templates import Template
from supervisor.engine.supervisor import Supervisor
from supervisor.instance.stimuli import TimePassed
from supervisor.permissions.requests import ToolRequest, Verdict
from supervisor.sessions.turn import Turn
from supervisor.testing import FakeConnection, FakeWorld
from tests.engine.conftest import MakeTemplate, Start
from tests.engine.turned_clock import TurnedClock
from tests.waiting import until

pytestmark = pytest.mark.anyio

WRITE = ToolRequest("Write", {"file_path": "notes.md"})
CHOICE = ToolRequest(
    "AskUserQuestion",
    {"questions": [{"question": "Which?", "header": "Which", "options": [{"label": "red"}, {"label": "blue"}]}]},
)


@pytest.fixture
def template(make_template: MakeTemplate) -> Template:
    return make_template(concurrency={"maxSessions": 1}, pool={"spares": 0, "askingTtl": 0.02})


@asynccontextmanager
async def asking(supervisor: Supervisor, world: FakeWorld, request: ToolRequest) -> AsyncIterator[Turn]:
    """The turn of `ana` has asked, `boris` has been served on the only place, and nobody has answered."""

    def act(connection: FakeConnection, text: str) -> None:
        if text == "go":
            group.start_soon(ask, connection)
        else:
            connection.reply(f"said {text}")

    async def ask(connection: FakeConnection) -> None:
        with anyio.CancelScope() as scope:
            disconnect = connection.disconnect

            async def leave() -> None:
                scope.cancel()
                await disconnect()

            connection.disconnect = leave  # type: ignore[method-assign]
            await connection.ask(request)

    world.on_prompt = act
    async with anyio.create_task_group() as group:
        ticket = await supervisor.submit(Prompt("desk", "go", user="ana"))
        await until(lambda: supervisor.view.snapshot().questions)
        outcome = await (await supervisor.submit(Prompt("desk", "me too", user="boris"))).outcome()
        assert isinstance(outcome, Done)
        yield ticket


@pytest.mark.parametrize("dormant_after", ["none", "50ms"])
async def test_a_client_that_asks_gives_its_turn_to_one_whose_own_client_waits_for_it(
    start: Start, world: FakeWorld, make_template: MakeTemplate, dormant_after: str
) -> None:
    """S1.14: with more clients than turns it is not a place that is missing."""
    pool = {"spares": 0, "askingTtl": 0.02, "maxClients": 2, "dormantAfter": dormant_after}
    template = make_template(concurrency={"maxSessions": 1}, pool=pool)
    async with start(template, memory_interval=0.1) as supervisor:
        await (await supervisor.submit(Prompt("desk", "hello", user="boris"))).outcome()
        wanted = SlotState.READY if dormant_after == "none" else SlotState.DORMANT
        await until(lambda: [row.state for row in supervisor.view.snapshot().clients] == [wanted])
        async with asking(supervisor, world, WRITE) as ticket:
            await until(lambda: supervisor.view.session_row(ticket.key).why is WhyWaiting.QUESTION)  # type: ignore[union-attr]
            assert world.connections[0].prompts == ["hello", "me too"]
            (question,) = (await supervisor.snapshot()).questions
            await supervisor.answer(question.id, Allow())
            assert isinstance(await ticket.outcome(), Done)
    assert world.violations == []


async def test_a_client_that_asks_is_given_to_who_waits_and_the_turn_goes_on_when_answered(
    start: Start, world: FakeWorld, template: Template
) -> None:
    """S1.14, R1: one ticket, one outcome, one prompt in the conversation."""
    async with start(template) as supervisor:
        with await supervisor.watch() as feed:
            async with asking(supervisor, world, WRITE) as ticket:
                row = supervisor.view.session_row(ticket.key)
                assert row is not None
                assert (row.state, row.client_id, row.why) == (SessionState.ASKING, "", WhyWaiting.QUESTION)
                (question,) = (await supervisor.snapshot()).questions
                await supervisor.answer(question.id, Allow())
                outcome = await ticket.outcome()
            events = feed.take().events
        assert isinstance(outcome, Done)
        told = world.connections[-1].prompts[-1]
        assert "Write (notes.md) was approved" in told
        assert world.connections[-1].launch.resume
        settled = [event.outcome for event in events if isinstance(event, past.QuestionSettled)]
        assert settled == [QuestionOutcome.APPROVED]
        assert sum(isinstance(event, past.TurnFinished) and event.turn == ticket.turn_id for event in events) == 1
        asked = [
            one
            for one in (await supervisor.conversation(ticket.key)).read().entries
            if getattr(one, "text", "") == "go"
        ]
        assert len(asked) == 1
    assert world.violations == []


@pytest.mark.parametrize(
    ("request_", "answer", "words"),
    [
        (WRITE, Deny("not today"), "was denied: not today"),
        (CHOICE, Choose({"Which?": "blue"}), "Which? → blue"),
    ],
)
async def test_the_agent_is_told_what_was_answered(
    start: Start, world: FakeWorld, template: Template, request_: ToolRequest, answer: Answer, words: str
) -> None:
    """D4"""
    async with start(template) as supervisor, asking(supervisor, world, request_) as ticket:
        await supervisor.answer((await supervisor.snapshot()).questions[0].id, answer)
        assert isinstance(await ticket.outcome(), Done)
        assert words in world.connections[-1].prompts[-1]


async def test_what_was_approved_once_runs_once_without_being_asked_again(
    start: Start, world: FakeWorld, template: Template
) -> None:
    verdicts: list[Verdict | None] = []

    async def go_on(connection: FakeConnection) -> None:
        verdicts.append(await connection.ask(WRITE))
        verdicts.append(await connection.ask(WRITE))
        connection.reply("done")

    async with start(template) as supervisor, anyio.create_task_group() as group:
        async with asking(supervisor, world, WRITE) as ticket:
            world.on_prompt = lambda connection, text: group.start_soon(go_on, connection)
            await supervisor.answer((await supervisor.snapshot()).questions[0].id, Allow())
            await until(lambda: verdicts and supervisor.view.snapshot().questions)
            assert verdicts == [Verdict(Allow())], "the call that was approved"
            await supervisor.answer((await supervisor.snapshot()).questions[0].id, Deny())
            assert isinstance(await ticket.outcome(), Done)
        assert len(verdicts) == 2, "the second one was a question again"


async def test_what_was_approved_is_asked_about_anew_when_its_path_leads_elsewhere_meanwhile(
    start: Start, world: FakeWorld, template: Template, tmp_path: Path
) -> None:
    reports, secret = tmp_path / "reports", tmp_path / "secret"
    reports.mkdir()
    secret.mkdir()
    request = ToolRequest("Write", {"file_path": str(reports / "a.md"), "content": "x"})
    verdicts: list[Verdict | None] = []

    async def go_on(connection: FakeConnection) -> None:
        verdicts.append(await connection.ask(request))
        connection.reply("done")

    async with (
        start(template) as supervisor,
        anyio.create_task_group() as group,
        asking(supervisor, world, request) as ticket,
    ):
        world.on_prompt = lambda connection, text: group.start_soon(go_on, connection)
        reports.rmdir()
        reports.symlink_to(secret)
        await supervisor.answer((await supervisor.snapshot()).questions[0].id, Allow())
        await until(lambda: verdicts or (supervisor.view.snapshot().questions and not ticket.finished))
        assert not verdicts
        (question,) = (await supervisor.snapshot()).questions
        assert f"The path leads to {secret / 'a.md'}" in question.warnings
        await supervisor.answer(question.id, Deny())
        assert isinstance(await ticket.outcome(), Done)


async def test_nobody_is_freed_while_nobody_waits(start: Start, world: FakeWorld, template: Template) -> None:
    async with start(template) as supervisor, anyio.create_task_group() as group:
        world.on_prompt = lambda connection, text: group.start_soon(connection.ask, WRITE)
        await supervisor.submit(Prompt("desk", "go", user="ana"))
        await until(lambda: supervisor.view.snapshot().questions)
        slot = next(iter(supervisor._instances["desk"].pool))
        assert slot.asking_since is not None
        await until(lambda: supervisor._clock.steady() - (slot.asking_since or 0) > 0.5)
        assert world.live
        assert (await supervisor.snapshot()).sessions[0].client_id
        group.cancel_scope.cancel()


async def test_a_question_that_nobody_answers_expires_and_the_turn_goes_on(
    start: Start, world: FakeWorld, make_template: MakeTemplate
) -> None:
    """D4: expired is not denied, with or without a client."""
    template = make_template(questionTtl=600, concurrency={"maxSessions": 1}, pool={"spares": 0, "askingTtl": 0.02})
    turned = TurnedClock()
    async with start(template, clock=Clock(wall=turned.clock.wall)) as supervisor:
        with await supervisor.watch() as feed:
            async with asking(supervisor, world, WRITE) as ticket:
                turned.seconds = 601
                assert isinstance(await ticket.outcome(), Done)
            settled = [event.outcome for event in feed.take().events if isinstance(event, past.QuestionSettled)]
        assert settled == [QuestionOutcome.EXPIRED]
        assert "was not answered in time. It was not run" in world.connections[-1].prompts[-1]


@pytest.mark.parametrize("how", ["interrupt", "withdraw", "kill", "clear"])
async def test_it_can_be_ended_while_it_has_no_client(
    start: Start, world: FakeWorld, template: Template, how: str
) -> None:
    """R1, D4: the question is lost with its turn, and a late answer is an error."""
    async with start(template) as supervisor, asking(supervisor, world, WRITE) as ticket:
        (question,) = (await supervisor.snapshot()).questions
        match how:
            case "interrupt":
                assert await supervisor.interrupt(ticket.key)
            case "withdraw":
                await supervisor.withdraw(ticket.turn_id)
            case "kill":
                await supervisor.kill("desk")
            case _:
                await supervisor.clear_queue("desk")
        assert isinstance(await ticket.outcome(), Interrupted)
        assert (await supervisor.snapshot()).questions == ()
        with pytest.raises(AlreadyAnswered, match="lost"):
            await supervisor.answer(question.id, Allow())


async def test_a_turn_with_two_questions_goes_on_when_both_are_answered(
    start: Start, world: FakeWorld, template: Template
) -> None:
    """D4: the agent is told both, and is not woken for the first."""
    async with start(template) as supervisor, anyio.create_task_group() as group:

        def act(connection: FakeConnection, text: str) -> None:
            if text == "go":
                for path in ("one.md", "two.md"):
                    group.start_soon(connection.ask, ToolRequest("Write", {"file_path": path}))
            else:
                connection.reply(f"said {text}")

        world.on_prompt = act
        ticket = await supervisor.submit(Prompt("desk", "go", user="ana"))
        await until(lambda: len(supervisor.view.snapshot().questions) == 2)
        await (await supervisor.submit(Prompt("desk", "me too", user="boris"))).outcome()
        first, second = sorted((await supervisor.snapshot()).questions, key=lambda question: question.summary)
        await supervisor.answer(first.id, Allow())
        await anyio.wait_all_tasks_blocked()
        row = supervisor.view.session_row(ticket.key)
        assert row is not None
        assert (row.state, row.client_id, row.why) == (SessionState.ASKING, "", WhyWaiting.QUESTION)
        await supervisor.answer(second.id, Deny("no"))
        assert isinstance(await ticket.outcome(), Done)
        told = world.connections[-1].prompts[-1]
        assert "one.md) was approved" in told
        assert "two.md) was denied" in told
        group.cancel_scope.cancel()


async def test_one_asker_is_freed_for_one_waiter_and_the_next_when_it_has_gone(
    start: Start, world: FakeWorld, make_template: MakeTemplate
) -> None:
    """S1.14: no more conversations lose their client than others need places, however long a process takes to end."""
    template = make_template(
        concurrency={"maxSessions": 2}, pool={"spares": 0, "askingTtl": 60.0}, queue={"maxWait": "none"}
    )
    async with start(template) as supervisor, anyio.create_task_group() as group:

        def act(connection: FakeConnection, text: str) -> None:
            if text == "ask":
                group.start_soon(connection.ask, WRITE)

        world.on_prompt = act
        for user in ("ana", "boris"):
            await supervisor.submit(Prompt("desk", "ask", user=user))
        await until(lambda: len(supervisor.view.snapshot().questions) == 2)
        for connection in world.live:
            connection.survives_terminate = True
        await (await supervisor.submit(Prompt("desk", "wait", user="chen"))).accepted()
        instance = supervisor._instances["desk"]
        for _ in range(3):
            instance.handle(TimePassed(supervisor._clock.steady() + 100))
            await anyio.wait_all_tasks_blocked()
            states = sorted(row.state for row in (await supervisor.snapshot()).clients)
            assert states == [SlotState.ASKING, SlotState.CLOSING]
        leaving = next(row.id for row in (await supervisor.snapshot()).clients if row.state is SlotState.CLOSING)
        next(one for one in world.live if one.launch.client_id == leaving).kill()
        await until(lambda: any("wait" in one.prompts for one in world.connections))
        instance.handle(TimePassed(supervisor._clock.steady() + 100))
        assert sorted(row.state for row in (await supervisor.snapshot()).clients) == [SlotState.ASKING, SlotState.BUSY]
        group.cancel_scope.cancel()


async def test_it_can_be_ended_while_its_new_client_starts(start: Start, world: FakeWorld, template: Template) -> None:
    """R1, D4: it has its answer and no process yet: there is nothing to interrupt, and nothing to wait for. The call
    that was approved is never made."""
    async with start(template) as supervisor, asking(supervisor, world, WRITE) as ticket:
        world.gate = anyio.Event()
        feed = await supervisor.watch()
        (question,) = (await supervisor.snapshot()).questions
        await supervisor.answer(question.id, Allow())
        await until(lambda: world.starting)
        assert await supervisor.interrupt(ticket.key)
        with anyio.fail_after(3):
            assert isinstance(await ticket.outcome(), Interrupted)
        lost = [event.question.id for event in feed.take().events if isinstance(event, past.ApprovalLost)]
        assert lost == [question.id]
        world.gate.set()
        await until(lambda: supervisor.view.snapshot().sessions[0].state is not SessionState.ASKING)
        assert not any("Go on with" in text for one in world.connections for text in one.prompts)
