"""Turns that the bundled CLI begins by itself: not at all by default, and else turns of their own."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import anyio
import pytest

from supervisor.api.entries import Asked, Replied, TurnEnded
from supervisor.api.errors import Refused
from supervisor.api.outcomes import Done, Interrupted
from supervisor.api.prompts import Prompt, Source
from supervisor.api.questions import Allow
from supervisor.api.states import SessionState
from supervisor.claude.options import SELF_STARTING_TOOLS
from tests.acceptance.conftest import Bullpen, Open
from tests.waiting import at_once, until

pytestmark = pytest.mark.anyio

BACKGROUND = {"CLAUDE_CODE_DISABLE_BACKGROUND_TASKS": ""}


def start_task(seconds: float, output: str) -> str:
    arguments = {"command": f"sleep {seconds}; echo over", "run_in_background": True, "description": output}
    return f"[[tool: Bash {json.dumps(arguments)}]] [[say: it runs]]"


@asynccontextmanager
async def allowing(bullpen: Bullpen) -> AsyncIterator[None]:
    """Whatever is asked meanwhile is allowed."""

    async def answer() -> None:
        with await bullpen.supervisor.watch() as feed:
            while True:
                await feed.wait()
                for question in feed.take().questions or ():
                    with suppress(Refused):
                        await bullpen.supervisor.answer(question.id, Allow())

    async with anyio.create_task_group() as group:
        group.start_soon(answer)
        yield
        group.cancel_scope.cancel()


def sources_of(bullpen: Bullpen) -> dict[str, Source]:
    (row,) = bullpen.supervisor.view.snapshot().sessions
    entries = at_once(bullpen.supervisor.conversation(row.key)).read().entries
    return {one.turn_id: one.source for one in entries if isinstance(one, Asked)}


def ended(bullpen: Bullpen) -> list[tuple[Source, object]]:
    (row,) = bullpen.supervisor.view.snapshot().sessions
    sources = sources_of(bullpen)
    entries = at_once(bullpen.supervisor.conversation(row.key)).read().entries
    return [(sources[one.turn_id], one.outcome) for one in entries if isinstance(one, TurnEnded)]


async def test_no_tool_that_starts_turns_is_offered(open_bullpen: Open) -> None:
    async with open_bullpen(keys={"tools": None}) as bullpen:
        await (await bullpen.supervisor.submit(Prompt("desk", "[[say: hi]]", user="ana"))).outcome()
        (request,) = bullpen.rehearsal.record
    assert "Bash" in request.tools
    assert not set(request.tools) & set(SELF_STARTING_TOOLS)
    assert not any(f'"{name}"' in request.text or f"{name}\n" in request.text for name in SELF_STARTING_TOOLS)


@pytest.mark.parametrize("is_wanted", [False, True])
async def test_a_timer_in_the_workspace_fires_only_where_the_template_names_its_tools(
    open_bullpen: Open, is_wanted: bool
) -> None:
    """A missed one fires at the start of the process: its words would be the first prompt's answer."""
    tools = ["Bash", *(["CronList"] if is_wanted else [])]
    async with open_bullpen(keys={"tools": tools}) as bullpen:
        supervisor = bullpen.supervisor
        ticket = await supervisor.submit(Prompt("desk", "[[say: hello]]", user="ana"))
        await ticket.outcome()
        folder = supervisor._instances["desk"].sessions[ticket.key].workspace
        assert folder is not None
        await supervisor.hibernate(ticket.key)
        await until(lambda: not supervisor.view.snapshot().clients, within=30)
        job = {
            "id": "45d31a33",
            "cron": "* * * * *",
            "prompt": "[[say: the timer speaks]]",
            "createdAt": int(time.time() * 1000) - 120_000,
            "recurring": True,
            "maxAgeMs": 2_592_000_000,
            "createdInProject": str(folder),
            "createdUnderSignIn": "none",
            "createdBySessionId": "167a3100-9e27-4ae1-a32c-d97c748b7992",
            "createdByPid": 1,
            "createdByProcStart": "1",
        }
        (folder / ".claude").mkdir(exist_ok=True)
        (folder / ".claude" / "scheduled_tasks.json").write_text(json.dumps({"tasks": [job]}), encoding="utf-8")
        outcome = await (await supervisor.submit(Prompt("desk", "[[say: hello again]]", user="ana"))).outcome()
        assert isinstance(outcome, Done)
        assert outcome.text == "hello again"
        if is_wanted:
            await until(lambda: Source.AGENT in [source for source, _ in ended(bullpen)], within=90)
            (own,) = [outcome for source, outcome in ended(bullpen) if source is Source.AGENT]
            assert isinstance(own, Done)
            assert own.text == "the timer speaks"
        else:
            assert not [request for request in bullpen.rehearsal.record if "the timer speaks" in request.prompt]
            assert [source for source, _ in ended(bullpen)] == [Source.CALLER] * 2


async def test_a_background_tasks_turn_is_one_of_its_own(open_bullpen: Open) -> None:
    async with open_bullpen(variables=BACKGROUND) as bullpen, allowing(bullpen):
        supervisor = bullpen.supervisor
        ticket = await supervisor.submit(Prompt("desk", start_task(0.5, "a build"), user="ana"))
        first = await ticket.outcome()
        assert isinstance(first, Done)
        await until(lambda: len(ended(bullpen)) == 2, within=60)
        (_, (source, outcome)) = ended(bullpen)
        assert source is Source.AGENT
        assert isinstance(outcome, Done)
        assert outcome.usage.cost_usd > 0
        (row,) = (await supervisor.snapshot()).sessions
        assert row.usage.cost_usd == pytest.approx(first.usage.cost_usd + outcome.usage.cost_usd)
        await until(lambda: supervisor.view.snapshot().sessions[0].state is SessionState.IDLE, within=30)
        asked = [one for one in (await supervisor.conversation(row.key)).read().entries if isinstance(one, Asked)]
        assert "a background task has ended" in asked[-1].text
        after = await (await supervisor.submit(Prompt("desk", "[[say: the answer]]", user="ana"))).outcome()
        assert isinstance(after, Done)
        assert after.text == "the answer"


async def test_prompts_sent_around_its_beginning_get_their_own_answers(open_bullpen: Open) -> None:
    """Whatever the moment: before it, in it, and while it runs."""
    async with open_bullpen(variables=BACKGROUND, pace=1.0) as bullpen, allowing(bullpen):
        supervisor = bullpen.supervisor
        await (await supervisor.submit(Prompt("desk", start_task(0.3, "a"), user="ana"))).outcome()
        for number in range(12):
            outcome = await (await supervisor.submit(Prompt("desk", f"[[say: answer {number}]]", user="ana"))).outcome()
            assert isinstance(outcome, Done)
            assert outcome.text == f"answer {number}"
        await until(lambda: len(ended(bullpen)) == 14, within=60)
        assert [source for source, _ in ended(bullpen)].count(Source.AGENT) == 1
        own = next(turn_id for turn_id, source in sources_of(bullpen).items() if source is Source.AGENT)
        (row,) = (await supervisor.snapshot()).sessions
        replies = [one for one in (await supervisor.conversation(row.key)).read().entries if isinstance(one, Replied)]
        assert sum(one.turn_id == own for one in replies) <= 1


async def test_it_is_interrupted_and_its_client_lives_on(open_bullpen: Open) -> None:
    async with open_bullpen(variables=BACKGROUND) as bullpen, allowing(bullpen):
        supervisor = bullpen.supervisor
        prompt = start_task(0.3, "a").replace("[[say: it runs]]", "[[stream: 400 words, 0.05]]")
        ticket = await supervisor.submit(Prompt("desk", prompt, user="ana"))
        await until(lambda: supervisor.view.snapshot().sessions[0].turn_id == ticket.turn_id, within=30)
        first = await ticket.outcome()
        assert isinstance(first, Done)
        await until(lambda: supervisor.view.snapshot().sessions[0].is_self_begun, within=60)
        pids = bullpen.pids
        assert await supervisor.interrupt(ticket.key)
        await until(lambda: len(ended(bullpen)) == 2, within=30)
        assert isinstance(ended(bullpen)[1][1], Interrupted)
        after = await (await supervisor.submit(Prompt("desk", "[[say: the answer]]", user="ana"))).outcome()
        assert isinstance(after, Done)
        assert (after.text, bullpen.pids) == ("the answer", pids)
