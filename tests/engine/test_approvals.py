"""An answer counts or is an error, in every order with what ends its turn; nothing is recorded as approved that is not
known to have run (D4, S5.15)."""

from __future__ import annotations

import itertools
import threading
from pathlib import Path

import anyio
import pytest

from supervisor.api import events as past
from supervisor.api.entries import QuestionClosed, QuestionPosed
from supervisor.api.errors import AlreadyAnswered
from supervisor.api.keys import SessionKey
from supervisor.api.prompts import Prompt
from supervisor.api.questions import Allow, Deny, Question, QuestionOutcome
from supervisor.clock import Clock
from supervisor.engine.supervisor import Supervisor
from supervisor.journal import SessionRecord
from supervisor.permissions.call_details import MOST_SHOWN
from supervisor.permissions.requests import ToolRequest, Verdict
from supervisor.process.reports import ToolEnded
from supervisor.sessions.approvals import BEGUN_AFTER
from supervisor.sessions.records import revive_session
from supervisor.testing import FakeConnection, FakeWorld, hold
from tests.engine.conftest import Start
from tests.engine.test_questions import asking, only_question
from tests.waiting import at_once, until

pytestmark = pytest.mark.anyio

BASH = ToolRequest("Bash", {"command": "touch done"}, "toolu_1")
APPROVED, LOST = QuestionOutcome.APPROVED, QuestionOutcome.LOST


def closings(supervisor: Supervisor, question: Question) -> list[QuestionOutcome]:
    entries = at_once(supervisor.conversation(question.key)).read().entries
    return [e.outcome for e in entries if isinstance(e, QuestionClosed) and e.question_id == question.id]


async def recorded(supervisor: Supervisor, question: Question) -> str:
    """The outcome in the journal."""
    journal = supervisor._host.journal
    await journal.flush()
    cursor = await journal._connection.execute("SELECT outcome FROM questions WHERE id = ?", (question.id,))
    row = await cursor.fetchone()
    assert row is not None
    return str(row[0])


def end_turn(supervisor: Supervisor, connection: FakeConnection, how: str) -> None:
    match how:
        case "interrupt":
            at_once(supervisor.interrupt(only_key(supervisor)))
        case "kill":
            at_once(supervisor.kill("desk"))
        case "drain":
            at_once(supervisor.drain("desk", deadline=0.0))
        case "death":
            connection.die()
        case "result":
            connection.reply("ok")
        case _:
            raise AssertionError(how)


def only_key(supervisor: Supervisor) -> SessionKey:
    return supervisor.view.snapshot().sessions[0].key


ENDS = ["interrupt", "kill", "drain", "death", "result"]


@pytest.mark.parametrize(("how", "pause"), itertools.product(ENDS, [0, 1, 5]))
async def test_an_answer_before_the_end_is_approved_only_when_the_agent_was_told(
    start: Start, world: FakeWorld, how: str, pause: int
) -> None:
    async with start() as supervisor:
        async with asking(supervisor, world, BASH) as verdicts:
            question = only_question(supervisor)
            await supervisor.answer(question.id, Allow())
            for _ in range(pause):
                await anyio.lowlevel.checkpoint()
            end_turn(supervisor, world.connections[-1], how)
            await until(
                lambda: (
                    supervisor.view.session_row(question.key) is None
                    or not supervisor.view.snapshot().sessions[0].turn_id
                )
            )
            was_told = any(isinstance(verdict.answer, Allow) for verdict in verdicts if verdict is not None)
        found = await recorded(supervisor, question)
        assert found == closings(supervisor, question)[-1]
        assert found in (APPROVED, LOST)
        if found == APPROVED:
            assert was_told
        if how == "death":
            assert found == LOST
        with pytest.raises(AlreadyAnswered, match=found):
            await supervisor.answer(question.id, Allow())


@pytest.mark.parametrize("how", ["interrupt", "kill", "drain"])
async def test_an_answer_after_the_stop_is_an_error_and_counts_for_nothing(
    start: Start, world: FakeWorld, how: str
) -> None:
    async with start() as supervisor:
        async with asking(supervisor, world, BASH) as verdicts:
            question = only_question(supervisor)
            end_turn(supervisor, world.connections[-1], how)
            with pytest.raises(AlreadyAnswered, match="lost"):
                await supervisor.answer(question.id, Allow(always=True))
            await until(lambda: not supervisor.view.snapshot().questions)
        assert not any(isinstance(verdict.answer, Allow) for verdict in verdicts if verdict is not None)
        assert await recorded(supervisor, question) == LOST


async def test_a_question_that_is_being_withdrawn_takes_no_answer(start: Start, world: FakeWorld) -> None:
    """The CLI takes its request back without any word to the operator."""
    async with start() as supervisor:
        async with asking(supervisor, world, BASH) as verdicts:
            question = only_question(supervisor)
            world.connections[-1]._lose_questions()
            with pytest.raises(AlreadyAnswered, match="taken back"):
                await supervisor.answer(question.id, Allow(always=True))
            await until(lambda: verdicts)
        assert verdicts == [None]
        assert await recorded(supervisor, question) == LOST
        assert supervisor._instances["desk"].sessions[question.key].allowed == set()


async def test_the_result_of_its_call_makes_an_approval_certain(start: Start, world: FakeWorld) -> None:
    async with start() as supervisor, asking(supervisor, world, BASH) as verdicts:
        question = only_question(supervisor)
        await supervisor.answer(question.id, Allow())
        await until(lambda: verdicts)
        connection = world.connections[-1]
        connection.tell(ToolEnded("toolu_1", "done", False))
        connection.die()
        await until(lambda: not supervisor.view.snapshot().clients)
        assert await recorded(supervisor, question) == APPROVED
        assert closings(supervisor, question) == [APPROVED]


@pytest.mark.parametrize(("seconds", "outcome"), [(0.0, LOST), (BEGUN_AFTER + 1, APPROVED)])
async def test_a_call_that_was_stopped_at_once_is_not_known_to_have_run(
    start: Start, world: FakeWorld, seconds: float, outcome: QuestionOutcome
) -> None:
    async with start() as supervisor, asking(supervisor, world, BASH) as verdicts:
        question = only_question(supervisor)
        with await supervisor.watch() as feed:
            feed.take()
            await supervisor.answer(question.id, Allow(always=True))
            await until(lambda: verdicts)
            (approval,) = supervisor._host.pending_questions.approvals._followed
            assert approval.given_at is not None
            approval.given_at -= seconds
            connection = world.connections[-1]
            connection.tell(ToolEnded("toolu_1", "The user doesn't want to proceed", True, was_stopped=True))
            await connection.interrupt()
            await until(lambda: not supervisor.view.snapshot().sessions[0].turn_id)
            events = feed.take().events
        assert await recorded(supervisor, question) == outcome
        assert any(isinstance(event, past.ApprovalLost) for event in events) is (outcome is LOST)
        assert bool(supervisor._instances["desk"].sessions[question.key].allowed) is (outcome is APPROVED)


@pytest.mark.parametrize("writes", [True, False])
async def test_a_file_that_was_written_proves_that_the_call_has_run(
    start: Start, world: FakeWorld, writes: bool
) -> None:
    """Also where the client dies before it can say so."""
    async with start() as supervisor:
        await supervisor.submit(Prompt("desk", "hello", user="ana"))
        await until(lambda: supervisor.view.snapshot().sessions[0].turns == 1)
        workspace = supervisor._instances["desk"].sessions[only_key(supervisor)].workspace
        assert workspace is not None
        workspace.mkdir(parents=True, exist_ok=True)
        request = ToolRequest("Write", {"file_path": "a.md", "content": "x"}, "toolu_2")
        async with asking(supervisor, world, request) as verdicts:
            question = only_question(supervisor)
            await supervisor.answer(question.id, Allow())
            await until(lambda: verdicts)
            if writes:
                (workspace / "a.md").write_text("x")
            world.connections[-1].die()
            await until(lambda: not supervisor.view.snapshot().clients)
        assert await recorded(supervisor, question) == (APPROVED if writes else LOST)


async def test_what_is_too_large_or_names_no_tool_is_denied_with_words_and_never_put(
    start: Start, world: FakeWorld
) -> None:
    world.on_prompt = hold
    async with start() as supervisor:
        ticket = await supervisor.submit(Prompt("desk", "x", user="ana"))
        await until(lambda: world.connections and world.connections[0].is_in_turn)
        for request in (
            ToolRequest("Bash", {"command": "x" * (MOST_SHOWN + 1)}),
            ToolRequest("", {"command": "ls"}),
            ToolRequest("Bash", {"command": ""}),
        ):
            verdict = await world.connections[0].ask(request)
            assert isinstance(verdict, Verdict)
            assert isinstance(verdict.answer, Deny)
            assert len(verdict.message) > 20
            assert verdict.message in (await supervisor.conversation(ticket.key)).read().entries[-1].text  # type: ignore[attr-defined]
        assert not any(isinstance(e, QuestionPosed) for e in (await supervisor.conversation(ticket.key)).read().entries)


async def test_always_where_it_is_not_on_offer_allows_one_call_and_is_recorded_so(
    start: Start, world: FakeWorld
) -> None:
    fetch = ToolRequest("WebFetch", {"url": "https://example.org"})
    async with start() as supervisor, asking(supervisor, world, fetch) as verdicts:
        question = only_question(supervisor)
        assert question.always == ""
        await supervisor.answer(question.id, Allow(always=True))
        await until(lambda: verdicts)
        assert verdicts[0].answer == Allow()
        closed = [
            e.answer
            for e in (await supervisor.conversation(question.key)).read().entries
            if isinstance(e, QuestionClosed)
        ]
        assert closed == ["once"]
        assert supervisor._instances["desk"].sessions[question.key].allowed == set()


async def test_a_file_system_that_does_not_answer_keeps_no_question_waiting(
    start: Start, world: FakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = threading.Event()
    monkeypatch.setattr("supervisor.sessions.open_questions.DISK_TIME", 0.05)
    monkeypatch.setattr("supervisor.sessions.open_questions.examine", lambda *_: release.wait(20))
    request = ToolRequest("Write", {"file_path": "/hung/a.md", "content": "x"})
    async with start() as supervisor, asking(supervisor, world, request):
        question = only_question(supervisor)
        assert "content: x" in question.detail
        assert question.always == ""
        release.set()


def test_rules_of_an_older_journal_do_not_keep_their_wide_meaning() -> None:
    record = SessionRecord(SessionKey("desk", "ana", "a"), 0.0, 0.0, allowed=frozenset({"Write", "Read", "Bash: ls"}))
    session = revive_session(record, Clock(), None)  # type: ignore[arg-type]
    assert {rule.split('"')[1] for rule in session.allowed} == {"Bash"}


@pytest.mark.parametrize("always", [False, True])
async def test_an_approval_is_void_when_the_path_leads_elsewhere_than_was_shown(
    start: Start, world: FakeWorld, tmp_path: Path, always: bool
) -> None:
    """A link was put in the place of the folder while the question was open."""
    reports, secret = tmp_path / "reports", tmp_path / "secret"
    reports.mkdir()
    secret.mkdir()
    request = ToolRequest("Write", {"file_path": str(reports / "a.md"), "content": "x"})
    async with start() as supervisor, asking(supervisor, world, request) as verdicts:
        question = only_question(supervisor)
        reports.rmdir()
        reports.symlink_to(secret)
        await supervisor.answer(question.id, Allow(always=always))
        await until(lambda: verdicts)
        assert isinstance(verdicts[0].answer, Deny)
        assert "lead to another file" in verdicts[0].message
        assert await recorded(supervisor, question) == LOST
        assert supervisor._instances["desk"].sessions[question.key].allowed == set()


async def test_a_turn_that_ends_while_the_path_is_looked_at_leaves_no_approval(
    start: Start, world: FakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks, go_on = threading.Event(), threading.Event()

    def look(*_: object) -> str:
        looks.set()
        go_on.wait(10)
        return "/somewhere"

    request = ToolRequest("Write", {"file_path": "a.md", "content": "x"})
    async with start() as supervisor, asking(supervisor, world, request) as verdicts:
        question = only_question(supervisor)
        monkeypatch.setattr("supervisor.sessions.open_questions.find_target", look)
        await supervisor.answer(question.id, Allow(always=True))
        await until(looks.is_set)
        await supervisor.kill("desk")
        await until(lambda: not supervisor.view.snapshot().questions)
        go_on.set()
        assert await recorded(supervisor, question) == LOST
        assert not any(isinstance(verdict.answer, Allow) for verdict in verdicts if verdict is not None)
