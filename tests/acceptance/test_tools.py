"""Python functions as tools of real Claude Code processes."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

import anyio
import pytest

from supervisor.api.errors import BullpenError
from supervisor.api.outcomes import Done, Failed, FailureKind, Interrupted
from supervisor.api.prompts import Prompt
from supervisor.api.questions import Allow, Question
from supervisor.files.user_folder import user_folder
from supervisor.rehearsal import MessagesRequest
from supervisor.rehearsal.reply import Reply, Say, Use
from tests.acceptance.conftest import Bullpen, Open
from tests.waiting import until

pytestmark = pytest.mark.anyio

SOURCE = '''
import asyncio, time
from pathlib import Path
from supervisor import RunContext, tool

@tool(read_only=True)
async def look(seconds: float) -> str:
    """Looks."""
    await asyncio.sleep(seconds)
    return "looked"

def block(context: RunContext) -> str:
    """Blocks its thread until it may go on."""
    (context.folder / "blocks").touch()
    while not (context.folder / "go").exists():
        time.sleep(0.01)
    return "blocked"

def who(context: RunContext) -> str:
    """Says whose call it is."""
    return f"{context.instance} {context.user} {context.session} {context.turn}"

async def linger(context: RunContext) -> None:
    """Stays until its turn is over."""
    (context.folder / "began").touch()
    try:
        await asyncio.sleep(600)
    finally:
        (context.folder / "ended").touch()
'''
SCHEDULE = "supervisor.tools.schedule:create_schedule"
ENTRY = '[[tool: mcp__bullpen__create_schedule {"title": "Dentist", "at": "2026-05-04T09:30"}]]'


async def _approve(bullpen: Bullpen, seen: list[Question]) -> None:
    """Answers every question as it comes."""
    with await bullpen.supervisor.watch() as feed:
        while True:
            await feed.wait()
            changes = feed.take()
            for question in changes.snapshot.questions if changes.snapshot else changes.questions or ():
                if question not in seen:
                    seen.append(question)
                    with suppress(BullpenError):
                        await bullpen.supervisor.answer(question.id, Allow())


async def test_functions_run_for_their_callers_beside_each_other(open_bullpen: Open, tmp_path: Path) -> None:
    """Two users enter something in their calendars at once: two stores, two ids, and each is asked for (S3.6,
    S3.17-19). A short turn is not held up by a long one with eight calls, though one of them blocks. The context is
    bullpen's, calls end with their turn, a turn in a circle is stopped (S4.15-16), and `forget` takes a store along."""
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "acceptance_tools.py").write_text(SOURCE)
    ours = [f"acceptance_tools:{name}" for name in ("look", "block", "who", "linger")]
    async with (
        open_bullpen(max_sessions=3, keys={"tools": ["Read", SCHEDULE, *ours], "doomLoop": 8}, pace=1.0) as bullpen,
        anyio.create_task_group() as approving,
    ):
        supervisor, asked = bullpen.supervisor, list[Question]()
        state_dir = supervisor.settings.state_dir
        approving.start_soon(_approve, bullpen, asked)
        said: dict[str, str] = {}

        async def say(user: str, text: str) -> None:
            ticket = await supervisor.submit(Prompt("desk", text, user=user))
            with anyio.fail_after(60):
                outcome = await ticket.outcome()
            assert isinstance(outcome, Done), outcome
            said[user] = outcome.text

        async with anyio.create_task_group() as group:
            for user in ("ana", "bob"):
                group.start_soon(say, user, ENTRY)
        assert sorted(one.key.user for one in asked) == ["ana", "bob"]
        assert {one.tool for one in asked} == {"mcp__bullpen__create_schedule"}
        assert all("Dentist" in one.detail for one in asked)
        ids = {user: re.findall(r'"id": "(\w{12})"', said[user])[0] for user in ("ana", "bob")}
        assert ids["ana"] != ids["bob"]
        for user, entry in ids.items():
            with closing(sqlite3.connect(user_folder(state_dir, user) / "schedule.db")) as store:
                assert store.execute("SELECT id FROM entries").fetchall() == [(entry,)]

        look = '[[tool: mcp__bullpen__look {"seconds": 0}]]'
        async with anyio.create_task_group() as group:
            group.start_soon(say, "ana", "[[tool: mcp__bullpen__block {}]]" + look * 7 + "[[say: long]]")
            await until(lambda: (user_folder(state_dir, "ana") / "blocks").exists(), within=30)
            await say("bob", "[[say: short]]")
            (user_folder(state_dir, "ana") / "go").touch()
        assert (said["ana"], said["bob"]) == ("long", "short")

        await say("ana", '[[tool: mcp__bullpen__who {"context": {"user": "bob"}}]]')
        assert said["ana"].startswith("The tool returned: desk ana default ")

        ticket = await supervisor.submit(Prompt("desk", look * 9, user="ana"))
        outcome = await ticket.outcome()
        assert isinstance(outcome, Failed)
        assert outcome.kind is FailureKind.DOOM_LOOP

        ticket = await supervisor.submit(Prompt("desk", "[[tool: mcp__bullpen__linger {}]]", user="bob"))
        await until(lambda: (user_folder(state_dir, "bob") / "began").exists(), within=30)
        await supervisor.interrupt(ticket.key)
        assert isinstance(await ticket.outcome(), Interrupted)
        await until(lambda: (user_folder(state_dir, "bob") / "ended").exists(), within=10)

        await supervisor.forget_user("ana")
        await until(lambda: not user_folder(state_dir, "ana").exists(), within=30)
        assert user_folder(state_dir, "bob").exists()
        approving.cancel_scope.cancel()


MEETING = '''
import asyncio
from supervisor import tool

inside = most = 0

async def count(seconds: float) -> int:
    global inside, most
    inside += 1
    most = max(most, inside)
    for _ in range(int(seconds * 100)):
        if most > 1:
            break
        await asyncio.sleep(0.01)
    inside -= 1
    return most

@tool(read_only=True)
async def look(number: int) -> str:
    """Looks, waits for who is to do so at the same time, and says how many did so at once."""
    return f"{await count(30)} at once"

async def change(number: int) -> str:
    """Changes, and says how many did so at once."""
    return f"{await count(0.5)} at once"
'''


@pytest.mark.parametrize(("name", "most"), [("look", 2), ("change", 1)])
async def test_of_one_reply_functions_that_only_read_run_in_parallel_and_others_one_after_the_other(
    open_bullpen: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, most: int
) -> None:
    """S3.6: what a function declares reaches the CLI, which decides."""
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / f"meeting_{name}.py").write_text(MEETING)
    tool = f"mcp__bullpen__{name}"

    def reply(request: MessagesRequest, **more: object) -> Reply:
        if not request.tool_results and "[both]" in request.prompt:
            return Use(tool, {"number": 1}), Use(tool, {"number": 2})
        return (Say(tuple(one.text for one in request.tool_results) or ("nothing",)),)

    monkeypatch.setattr("supervisor.rehearsal.script.decide", reply)
    async with (
        open_bullpen(keys={"tools": [f"meeting_{name}:{name}"]}) as bullpen,
        anyio.create_task_group() as approving,
    ):
        approving.start_soon(_approve, bullpen, [])
        outcome = await (await bullpen.supervisor.submit(Prompt("desk", "[both]", user="ana"))).outcome()
        approving.cancel_scope.cancel()
    assert isinstance(outcome, Done)
    assert outcome.text == f"{most} at once" * 2


@pytest.mark.parametrize("mode", ["default", "dontAsk"])
async def test_what_a_template_allows_runs_without_a_question(open_bullpen: Open, tmp_path: Path, mode: str) -> None:
    """S3.17: another function of the same template is asked for as before, or refused where nothing is asked for."""
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "acceptance_tools.py").write_text(SOURCE)
    look, who = "acceptance_tools:look", "acceptance_tools:who"
    keys = {"tools": ["Read", look, who], "allow": [look], "permissionMode": mode}
    async with open_bullpen(keys=keys) as bullpen, anyio.create_task_group() as approving:
        asked = list[Question]()
        approving.start_soon(_approve, bullpen, asked)

        async def say(text: str) -> str:
            outcome = await (await bullpen.supervisor.submit(Prompt("desk", text, user="ana"))).outcome()
            assert isinstance(outcome, Done), outcome
            return outcome.text

        assert "looked" in await say('[[tool: mcp__bullpen__look {"seconds": 0}]]')
        assert not asked
        assert ("desk ana" in await say("[[tool: mcp__bullpen__who {}]]")) == (mode == "default")
        assert [one.tool for one in asked] == (["mcp__bullpen__who"] if mode == "default" else [])
        approving.cancel_scope.cancel()
