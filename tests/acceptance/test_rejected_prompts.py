"""A prompt that the API rejects, with the bundled CLI: it is cut from the conversation on disk, and only it."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from supervisor.api.outcomes import Done, Failed, FailureKind, Interrupted
from supervisor.api.prompts import Prompt
from supervisor.api.questions import Allow
from supervisor.rehearsal import Stall
from tests.acceptance.conftest import Open
from tests.waiting import until

pytestmark = pytest.mark.anyio

TOOL = '[[tool: Bash {"command": "echo one"}]]'


@pytest.mark.parametrize(
    ("bad", "kind"),
    [
        ("[[reject: 400, messages.1.content: bad]]", FailureKind.REJECTED),
        ("[[reject: 400, prompt is too long: 250000 tokens > 200000 maximum]]", FailureKind.TOO_LONG),
        pytest.param("[[reject: 413, request too large]]", FailureKind.TOO_LONG, marks=pytest.mark.exhaustive),
    ],
)
@pytest.mark.parametrize("is_first", [pytest.param(True, marks=pytest.mark.exhaustive), False])
async def test_the_session_goes_on_without_it(open_bullpen: Open, bad: str, kind: FailureKind, is_first: bool) -> None:
    async with open_bullpen() as bullpen:
        supervisor = bullpen.supervisor
        if not is_first:
            await (await supervisor.submit(Prompt("desk", "[[say: noted]] my number is 4711", user="ana"))).outcome()
        outcome = await (await supervisor.submit(Prompt("desk", bad, user="ana"))).outcome()
        assert isinstance(outcome, Failed)
        assert outcome.kind is kind
        for _ in range(2):
            after = await (await supervisor.submit(Prompt("desk", "[[recall]]", user="ana"))).outcome()
            assert isinstance(after, Done)
            assert "reject" not in after.text
            # The CLI has tried a compaction before it gave up on one that is too long: then a summary stands there.
            remembers = "4711" in after.text or "continued from a previous conversation" in after.text
            assert remembers is not is_first


async def test_one_in_the_middle_of_a_turn_is_cut_with_the_whole_turn(open_bullpen: Open) -> None:
    """After a tool call: the error comes at the second request."""
    async with open_bullpen() as bullpen:
        supervisor = bullpen.supervisor
        await (await supervisor.submit(Prompt("desk", "[[say: noted]] my number is 4711", user="ana"))).outcome()
        outcome = await (
            await supervisor.submit(Prompt("desk", f"{TOOL} [[error: 400]] bad turn", user="ana"))
        ).outcome()
        assert isinstance(outcome, Failed)
        assert outcome.kind is FailureKind.REJECTED
        assert "what its tools have done stays done" in outcome.message
        after = await (await supervisor.submit(Prompt("desk", "[[recall]]", user="ana"))).outcome()
        assert isinstance(after, Done)
        assert "4711" in after.text
        assert "bad turn" not in after.text


REJECT = "[[reject: 400, messages: bad]]"
RESULT = """[[tool: Bash {"command": "touch it; echo '[[re''ject: 400, messages: bad]]'"}]] [[say: never]]"""


@pytest.mark.parametrize(
    ("end", "bad"),
    [
        pytest.param("crash", REJECT, id="crash-its prompt"),
        pytest.param("interrupt", RESULT, id="interrupt-what its tool returned"),
        pytest.param("crash", RESULT, id="crash-what its tool returned", marks=pytest.mark.exhaustive),
        pytest.param("interrupt", REJECT, id="interrupt-its prompt", marks=pytest.mark.exhaustive),
    ],
)
async def test_a_prompt_is_not_rejected_for_a_turn_that_ended_before_the_api_had_judged_it(
    open_bullpen: Open, tmp_path: Path, end: str, bad: str
) -> None:
    async with open_bullpen() as bullpen:
        supervisor = bullpen.supervisor
        await (await supervisor.submit(Prompt("desk", "[[say: noted]] my number is 4711", user="ana"))).outcome()
        with ExitStack() as silence:
            if bad == REJECT:
                silence.enter_context(bullpen.rehearsal.outage(Stall()))
            lost = await supervisor.submit(Prompt("desk", f"lost {bad}", user="ana"))
            if bad == RESULT:
                await until(lambda: supervisor.view.snapshot().questions, within=60)
                silence.enter_context(bullpen.rehearsal.outage(Stall()))
                await supervisor.answer((await supervisor.snapshot()).questions[0].id, Allow())
            await until(lambda: any(REJECT in request.text for request in bullpen.rehearsal.record), within=60)
            await until(lambda: any(REJECT in file.read_text() for file in tmp_path.glob("claude/projects/*/*.jsonl")))
            if end == "crash":
                (pid,) = bullpen.pids
                psutil.Process(pid).kill()
            else:
                await supervisor.interrupt(lost.key)
            outcome = await lost.outcome()
            assert isinstance(outcome, Interrupted) or (
                isinstance(outcome, Failed) and outcome.kind is FailureKind.CRASHED
            )
        for number in range(2):
            after = await (await supervisor.submit(Prompt("desk", f"[[recall]] after {number}", user="ana"))).outcome()
            assert isinstance(after, Done)
            assert "4711" in after.text
            assert ("after 0" in after.text) is (number == 1)
        entries = (await supervisor.conversation(lost.key)).read().entries
        assert sum("sent again without that" in getattr(one, "text", "") for one in entries) == 1


async def test_a_bad_prompt_behind_one_without_an_answer_is_the_one_that_is_rejected(open_bullpen: Open) -> None:
    """Sent again without what stood before it, it is rejected once more; the next prompt is sent once."""
    async with open_bullpen() as bullpen:
        supervisor = bullpen.supervisor
        await (await supervisor.submit(Prompt("desk", "[[say: noted]] my number is 4711", user="ana"))).outcome()
        with bullpen.rehearsal.outage(Stall()):
            lost = await supervisor.submit(Prompt("desk", "[[say: never]] lost", user="ana"))
            await until(lambda: any("] lost" in request.prompt for request in bullpen.rehearsal.record), within=60)
            await supervisor.interrupt(lost.key)
            await lost.outcome()
        outcome = await (await supervisor.submit(Prompt("desk", f"bad {REJECT}", user="ana"))).outcome()
        assert isinstance(outcome, Failed)
        assert outcome.kind is FailureKind.REJECTED
        after = await (await supervisor.submit(Prompt("desk", "[[recall]] after", user="ana"))).outcome()
        assert isinstance(after, Done)
        assert "4711" in after.text
        assert "bad" not in after.text
        assert len([one for one in bullpen.rehearsal.record if one.prompt == "[[recall]] after"]) == 1
