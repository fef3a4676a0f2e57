"""Permission questions and AskUserQuestion of the real CLI, answered by id (D4)."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import anyio
import pytest

from supervisor.api.entries import ToolReturned
from supervisor.api.errors import AlreadyAnswered
from supervisor.api.outcomes import Done
from supervisor.api.prompts import Prompt
from supervisor.api.questions import Allow, Choose, Deny, QuestionKind
from tests.acceptance.conftest import Open
from tests.waiting import until

pytestmark = pytest.mark.anyio

WRITE = '[[tool: Write {"file_path": "notes.txt", "content": "from the agent"}]] [[say: that is all]]'


async def test_an_approved_tool_runs_in_the_sessions_own_directory(open_bullpen: Open) -> None:
    """S3.3–5"""
    async with open_bullpen() as bullpen:
        supervisor = bullpen.supervisor
        ticket = await supervisor.submit(Prompt("desk", WRITE, user="ana"))
        await until(lambda: supervisor.view.snapshot().questions, within=30)
        (question,) = (await supervisor.snapshot()).questions
        assert (question.kind, question.tool) == (QuestionKind.PERMISSION, "Write")
        await supervisor.answer(question.id, Allow())
        assert isinstance(await ticket.outcome(), Done)
        (row,) = (await supervisor.snapshot()).sessions
        written = supervisor.settings.state_dir / "workspaces" / "desk" / row.session_uuid / "notes.txt"
        assert written.read_text() == "from the agent"


async def test_a_denied_tool_does_not_run_and_the_agent_reads_the_reason(open_bullpen: Open) -> None:
    async with open_bullpen() as bullpen:
        supervisor = bullpen.supervisor
        ticket = await supervisor.submit(Prompt("desk", WRITE, user="ana"))
        await until(lambda: supervisor.view.snapshot().questions, within=30)
        (question,) = (await supervisor.snapshot()).questions
        await supervisor.answer(question.id, Deny("use the wiki instead"))
        assert isinstance(await ticket.outcome(), Done)
        results = [e for e in (await supervisor.conversation(ticket.key)).read().entries if isinstance(e, ToolReturned)]
        assert [(entry.is_error, "use the wiki instead" in entry.text) for entry in results] == [(True, True)]
        assert not list(supervisor.settings.state_dir.rglob("notes.txt"))


async def test_an_expired_question_is_not_run_and_a_late_answer_is_refused(open_bullpen: Open) -> None:
    """S5.15"""
    async with open_bullpen(keys={"questionTtl": 0.3}) as bullpen:
        supervisor = bullpen.supervisor
        ticket = await supervisor.submit(Prompt("desk", WRITE, user="ana"))
        await until(lambda: supervisor.view.snapshot().questions, within=30)
        (question,) = (await supervisor.snapshot()).questions
        assert isinstance(await ticket.outcome(), Done)
        with pytest.raises(AlreadyAnswered, match="expired"):
            await supervisor.answer(question.id, Allow())
        assert not list(supervisor.settings.state_dir.rglob("notes.txt"))


async def test_a_choice_reaches_the_agent(open_bullpen: Open) -> None:
    async with open_bullpen() as bullpen:
        supervisor = bullpen.supervisor
        ticket = await supervisor.submit(
            Prompt("desk", "[[ask: Which colour? | red | blue]] [[say: thanks]]", user="ana")
        )
        await until(lambda: supervisor.view.snapshot().questions, within=30)
        (question,) = (await supervisor.snapshot()).questions
        assert question.kind is QuestionKind.CHOICE
        assert [label for label, _ in question.choices[0].options] == ["red", "blue"]
        await supervisor.answer(question.id, Choose({question.choices[0].question: "blue"}))
        assert isinstance(await ticket.outcome(), Done)
        (result,) = [
            e for e in (await supervisor.conversation(ticket.key)).read().entries if isinstance(e, ToolReturned)
        ]
        assert "blue" in result.text
        assert "red" not in result.text.replace("answered", "")


@pytest.mark.parametrize(
    "how", ["kill", *(pytest.param(how, marks=pytest.mark.exhaustive) for how in ("interrupt", "death"))]
)
async def test_approved_is_recorded_exactly_where_the_tool_has_run(open_bullpen: Open, how: str) -> None:
    """The answer and the end of its client at once, many times and milliseconds apart."""
    async with open_bullpen() as bullpen:
        supervisor = bullpen.supervisor
        for number, pause in enumerate((0.0, 0.0, 0.001, 0.003, 0.01, 0.03)):
            ticket = await supervisor.submit(Prompt("desk", WRITE, user=f"u{number}"))
            await until(lambda: supervisor.view.snapshot().questions, within=30)
            (question,) = (await supervisor.snapshot()).questions
            await supervisor.answer(question.id, Allow())
            await anyio.sleep(pause)
            match how:
                case "interrupt":
                    await supervisor.interrupt(ticket.key)
                case "kill":
                    await supervisor.kill("desk")
                case _:
                    (pid,) = bullpen.pids
                    os.kill(pid, signal.SIGKILL)
            await ticket.outcome()
            row = supervisor.view.session_row(ticket.key)
            assert row is not None
            written = supervisor.settings.state_dir / "workspaces" / "desk" / row.session_uuid / "notes.txt"
            journal = supervisor._host.journal
            await journal.flush()
            cursor = await journal._connection.execute("SELECT outcome FROM questions WHERE id = ?", (question.id,))
            found = await cursor.fetchone()
            assert found is not None
            assert (found[0] == "approved") is written.exists(), f"{how} after {pause} s: {found[0]}"
            if how != "interrupt":
                await until(lambda: not supervisor.view.snapshot().clients, within=30)
                await supervisor.resume("desk")


async def test_what_is_approved_is_what_runs_hidden_characters_included(open_bullpen: Open) -> None:
    content = "seen\u202e\u200bhidden\u001b[2K   end"
    call = json.dumps({"file_path": "notes.txt", "content": content})
    async with open_bullpen() as bullpen:
        supervisor = bullpen.supervisor
        ticket = await supervisor.submit(Prompt("desk", f"[[tool: Write {call}]] [[say: that is all]]", user="ana"))
        await until(lambda: supervisor.view.snapshot().questions, within=30)
        (question,) = (await supervisor.snapshot()).questions
        assert "seen⟨U+202E⟩⟨U+200B⟩hidden⟨ESC⟩[2K   end" in question.detail
        assert "RIGHT-TO-LEFT OVERRIDE" in " ".join(question.warnings)
        await supervisor.answer(question.id, Allow())
        await ticket.outcome()
        (written,) = supervisor.settings.state_dir.rglob("notes.txt")
        assert written.read_bytes() == content.encode()


async def test_always_for_write_covers_the_workspace_and_nothing_else(open_bullpen: Open, tmp_path: Path) -> None:
    async with open_bullpen() as bullpen:
        supervisor = bullpen.supervisor
        outside = tmp_path / "outside" / "x.txt"
        first = await supervisor.submit(Prompt("desk", WRITE, user="ana"))
        await until(lambda: supervisor.view.snapshot().questions, within=30)
        await supervisor.answer((await supervisor.snapshot()).questions[0].id, Allow(always=True))
        await first.outcome()
        call = json.dumps({"file_path": str(outside), "content": "x"})
        second = await supervisor.submit(Prompt("desk", f"[[tool: Write {call}]] [[say: that is all]]", user="ana"))
        await until(
            lambda: supervisor.view.snapshot().questions or supervisor.view.snapshot().sessions[0].turns == 2,
            within=30,
        )
        for question in (await supervisor.snapshot()).questions:
            assert question.always == f"Write in {outside.parent}/ and below"
            await supervisor.answer(question.id, Deny())
        await second.outcome()
        assert not outside.exists()


async def test_always_is_remembered_by_the_session_after_it_was_evicted(open_bullpen: Open) -> None:
    async with open_bullpen() as bullpen:
        supervisor = bullpen.supervisor
        first = await supervisor.submit(Prompt("desk", WRITE, user="ana"))
        await until(lambda: supervisor.view.snapshot().questions, within=30)
        await supervisor.answer((await supervisor.snapshot()).questions[0].id, Allow(always=True))
        await first.outcome()
        await supervisor.hibernate(first.key)
        await until(lambda: not supervisor.view.snapshot().clients, within=30)
        again = WRITE.replace("notes.txt", "more.txt")
        assert isinstance(await (await supervisor.submit(Prompt("desk", again, user="ana"))).outcome(), Done)
        assert list(supervisor.settings.state_dir.rglob("more.txt"))
