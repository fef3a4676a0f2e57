"""Questions are data: an id, four outcomes, and no answer that only seems to count (D4, S5.15)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest

from supervisor.api import events as past
from supervisor.api.entries import QuestionClosed
from supervisor.api.errors import AlreadyAnswered, Refused, UnknownTarget
from supervisor.api.prompts import Prompt
from supervisor.api.questions import Allow, Choose, Deny, Question, QuestionOutcome
from supervisor.api.states import SessionState, SlotState, WhyWaiting
from supervisor.engine.supervisor import Supervisor
from supervisor.permissions.requests import ToolRequest, Verdict
from supervisor.rehearsal import stand_in
from supervisor.testing import FakeWorld, hold
from tests.engine.conftest import MakeTemplate, Start
from tests.waiting import until

pytestmark = pytest.mark.anyio

WRITE = ToolRequest("Write", {"file_path": "notes.md", "content": "x"})
COLOUR = ToolRequest(
    "AskUserQuestion",
    {"questions": [{"question": "Which?", "header": "Colour", "options": [{"label": "red"}, {"label": "blue"}]}]},
)


@asynccontextmanager
async def asking(supervisor: Supervisor, world: FakeWorld, request: ToolRequest) -> AsyncIterator[list[Verdict]]:
    """A running turn of `ana` that asks; gives the list that the verdict arrives in."""
    world.on_prompt = hold
    await supervisor.submit(Prompt("desk", "go", user="ana"))
    await until(lambda: world.connections and world.connections[-1].is_in_turn)
    verdicts: list[Verdict] = []

    async def ask() -> None:
        verdicts.append(await world.connections[-1].ask(request))

    async with anyio.create_task_group() as group:
        group.start_soon(ask)
        await until(lambda: supervisor.view.snapshot().questions)
        yield verdicts
        group.cancel_scope.cancel()


def only_question(supervisor: Supervisor) -> Question:
    (question,) = supervisor.view.snapshot().questions
    return question


def outcomes_of(events: tuple[past.Event, ...]) -> list[QuestionOutcome]:
    return [event.outcome for event in events if isinstance(event, past.QuestionSettled)]


async def test_a_question_stands_in_the_snapshot_and_its_session_is_asking(start: Start, world: FakeWorld) -> None:
    async with start() as supervisor, asking(supervisor, world, WRITE):
        question = only_question(supervisor)
        assert (question.tool, question.summary, question.always) == (
            "Write",
            "notes.md",
            "Write in this session's workspace and below",
        )
        assert (await supervisor.snapshot()).sessions[0].state is SessionState.ASKING
        assert (await supervisor.snapshot()).clients[0].state is SlotState.ASKING
        await supervisor.submit(Prompt("desk", "next", user="ana"))
        assert (await supervisor.snapshot()).sessions[0].why is WhyWaiting.QUESTION


async def test_approved_denied_expired_and_lost_are_kept_apart(
    start: Start, world: FakeWorld, make_template: MakeTemplate
) -> None:
    """D4"""
    async with start(make_template(questionTtl=0.05, concurrency={"maxSessions": 1})) as supervisor:
        with await supervisor.watch() as feed:
            for answer in (Allow(), Deny("not today"), None):
                async with asking(supervisor, world, WRITE) as verdicts:
                    if answer is not None:
                        await supervisor.answer(only_question(supervisor).id, answer)
                    await until(lambda verdicts=verdicts: verdicts)
                    world.connections[-1].reply("ok")
                    await until(lambda: supervisor.view.snapshot().sessions[0].state is SessionState.IDLE)
            async with asking(supervisor, world, WRITE):
                pass
            events = feed.take().events
    assert outcomes_of(events) == [
        QuestionOutcome.APPROVED,
        QuestionOutcome.DENIED,
        QuestionOutcome.EXPIRED,
        QuestionOutcome.LOST,
    ]


async def test_a_late_answer_is_an_error_that_says_what_happened(start: Start, world: FakeWorld) -> None:
    """S5.15"""
    async with start() as supervisor:
        async with asking(supervisor, world, WRITE) as verdicts:
            question = only_question(supervisor)
            await supervisor.answer(question.id, Deny("no"))
            with pytest.raises(AlreadyAnswered, match="a moment ago"):
                await supervisor.answer(question.id, Allow())
            await until(lambda: verdicts)
            assert isinstance(verdicts[0].answer, Deny)
            assert verdicts[0].message == "no"
            with pytest.raises(AlreadyAnswered, match="denied"):
                await supervisor.answer(question.id, Allow())
        with pytest.raises(UnknownTarget):
            await supervisor.answer("nonsense", Allow())


async def test_always_holds_for_this_session_and_this_tool_only(start: Start, world: FakeWorld) -> None:
    async with start() as supervisor, asking(supervisor, world, WRITE) as verdicts:
        await supervisor.answer(only_question(supervisor).id, Allow(always=True))
        await until(lambda: verdicts)
        again = await world.connections[-1].ask(WRITE)
        assert isinstance(again.answer, Allow)
        assert (await supervisor.snapshot()).questions == ()
        async with anyio.create_task_group() as group:
            group.start_soon(world.connections[-1].ask, ToolRequest("Bash", {"command": "ls"}))
            await until(lambda: supervisor.view.snapshot().questions)
            group.cancel_scope.cancel()


async def test_always_for_a_command_means_that_command_to_the_letter(start: Start, world: FakeWorld) -> None:
    async with start() as supervisor, asking(supervisor, world, ToolRequest("Bash", {"command": "ls"})) as verdicts:
        await supervisor.answer(only_question(supervisor).id, Allow(always=True))
        await until(lambda: verdicts)
        async with anyio.create_task_group() as group:
            group.start_soon(world.connections[-1].ask, ToolRequest("Bash", {"command": "ls; rm -r ."}))
            await until(lambda: supervisor.view.snapshot().questions)
            group.cancel_scope.cancel()


async def test_a_choice_is_answered_by_a_label_and_nothing_else(start: Start, world: FakeWorld) -> None:
    async with start() as supervisor, asking(supervisor, world, COLOUR) as verdicts:
        question = only_question(supervisor)
        assert [label for label, _ in question.choices[0].options] == ["red", "blue"]
        with pytest.raises(Refused, match="choose one"):
            await supervisor.answer(question.id, Allow())
        with pytest.raises(Refused, match="still needs an answer"):
            await supervisor.answer(question.id, Choose({}))
        await supervisor.answer(question.id, Choose({"Which?": "blue"}))
        await until(lambda: verdicts)
        assert verdicts[0].answer == Choose({"Which?": "blue"})
        closed = [
            e for e in (await supervisor.conversation(question.key)).read().entries if isinstance(e, QuestionClosed)
        ]
        assert [entry.answer for entry in closed] == ["blue"]


async def test_the_stand_in_answers_only_what_was_left_lying(
    start: Start, world: FakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with start() as supervisor, asking(supervisor, world, COLOUR) as verdicts:
        async with anyio.create_task_group() as group:
            monkeypatch.setattr("supervisor.rehearsal.colleague.PATIENCE", 3_600.0)
            group.start_soon(stand_in, supervisor, 0.001)
            await anyio.wait_all_tasks_blocked()
            assert verdicts == []
            monkeypatch.setattr("supervisor.rehearsal.colleague.PATIENCE", 0.0)
            await until(lambda: verdicts)
            group.cancel_scope.cancel()
        assert verdicts[0].answer == Choose({"Which?": "red"})
        (closed,) = [
            entry
            for entry in (await supervisor.conversation((await supervisor.snapshot()).sessions[0].key)).read().entries
            if isinstance(entry, QuestionClosed)
        ]
        assert closed.by == "the stand-in of the demo"


async def test_an_interrupt_loses_the_question_and_frees_the_session(start: Start, world: FakeWorld) -> None:
    async with start() as supervisor:
        async with asking(supervisor, world, WRITE):
            question = only_question(supervisor)
        with pytest.raises(AlreadyAnswered, match="lost"):
            await supervisor.answer(question.id, Allow())
        assert (await supervisor.snapshot()).sessions[0].state is SessionState.WORKING
