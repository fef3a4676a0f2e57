"""A prompt that the API rejects, with the bundled CLI: it is cut from the conversation on disk, and only it."""

from __future__ import annotations

import pytest

from supervisor.model import Done, Failed, FailureKind, Prompt
from tests.acceptance.conftest import Open

pytestmark = pytest.mark.anyio

TOOL = '[[tool: Bash {"command": "echo one"}]]'


@pytest.mark.parametrize(
    ("bad", "kind"),
    [
        ("[[reject: 400, messages.1.content: bad]]", FailureKind.REJECTED),
        ("[[reject: 400, prompt is too long: 250000 tokens > 200000 maximum]]", FailureKind.TOO_LONG),
        ("[[reject: 413, request too large]]", FailureKind.TOO_LONG),
    ],
)
@pytest.mark.parametrize("is_first", [True, False])
async def test_the_session_goes_on_without_it(open_house: Open, bad: str, kind: FailureKind, is_first: bool) -> None:
    async with open_house() as house:
        supervisor = house.supervisor
        if not is_first:
            await supervisor.submit(Prompt("desk", "[[say: noted]] my number is 4711", user="ana")).outcome()
        outcome = await supervisor.submit(Prompt("desk", bad, user="ana")).outcome()
        assert isinstance(outcome, Failed)
        assert outcome.kind is kind
        for _ in range(2):
            after = await supervisor.submit(Prompt("desk", "[[recall]]", user="ana")).outcome()
            assert isinstance(after, Done)
            assert "reject" not in after.text
            # The CLI has tried a compaction before it gave up on one that is too long: then a summary stands there.
            remembers = "4711" in after.text or "continued from a previous conversation" in after.text
            assert remembers is not is_first


async def test_one_in_the_middle_of_a_turn_is_cut_with_the_whole_turn(open_house: Open) -> None:
    """After a tool call: the error comes at the second request."""
    async with open_house() as house:
        supervisor = house.supervisor
        await supervisor.submit(Prompt("desk", "[[say: noted]] my number is 4711", user="ana")).outcome()
        outcome = await supervisor.submit(Prompt("desk", f"{TOOL} [[error: 400]] bad turn", user="ana")).outcome()
        assert isinstance(outcome, Failed)
        assert outcome.kind is FailureKind.REJECTED
        assert "what its tools have done stays done" in outcome.message
        after = await supervisor.submit(Prompt("desk", "[[recall]]", user="ana")).outcome()
        assert isinstance(after, Done)
        assert "4711" in after.text
        assert "bad turn" not in after.text
