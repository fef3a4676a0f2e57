"""A prompt that the API rejects spoils its own turn, and no later one."""

from __future__ import annotations

import pytest

from supervisor.client_events import Compacted, Result, ToolStarted
from supervisor.model import Done, Failed, FailureKind, Prompt, SessionState, Usage
from supervisor.session import find_rejection
from supervisor.testing import FakeConnection, FakeWorld
from tests.engine.conftest import Start
from tests.waiting import until

pytestmark = pytest.mark.anyio


def judge(connection: FakeConnection, text: str) -> None:
    """The API looks at the whole conversation every time."""
    bad = next((one for one in connection.remembers if one.startswith("bad")), None)
    if bad is None:
        connection.reply(f"remembers {', '.join(connection.remembers)}")
    else:
        if "tools" in bad:
            connection.tell(ToolStarted("t", "Bash", "rm x", "rm x"))
        if "compacted" in bad:
            connection.tell(Compacted(1000))
        connection.reject(413 if "long" in bad else 400)


@pytest.mark.parametrize(
    ("bad", "kind", "words"),
    [
        ("bad", FailureKind.REJECTED, "API Error: 400; the prompt was taken out of the conversation"),
        ("bad and long", FailureKind.TOO_LONG, "too long for the model together with the conversation"),
        (
            "bad, long, compacted",
            FailureKind.TOO_LONG,
            "too long for the model even with the conversation compacted",
        ),
        ("bad after tools", FailureKind.REJECTED, "what its tools have done stays done"),
    ],
)
@pytest.mark.parametrize("is_first", [True, False])
async def test_the_session_goes_on_without_it(
    start: Start, world: FakeWorld, bad: str, kind: FailureKind, words: str, is_first: bool
) -> None:
    world.on_prompt = judge
    async with start() as supervisor:
        if not is_first:
            await supervisor.submit(Prompt("desk", "good", user="ana")).outcome()
        ticket = supervisor.submit(Prompt("desk", bad, user="ana"))
        after = supervisor.submit(Prompt("desk", "after", user="ana"))
        outcome = await ticket.outcome()
        assert isinstance(outcome, Failed)
        assert outcome.kind is kind
        assert words in outcome.message
        answer = await after.outcome()
        assert isinstance(answer, Done)
        assert answer.text == f"remembers {'' if is_first else 'good, '}after"
        assert supervisor.snapshot().sessions[0].state is SessionState.IDLE
        assert [one.text for one in world.written].count(bad) == 1, "it is not tried again"
    assert not world.violations


async def test_a_row_of_rejections_offers_a_new_conversation(start: Start, world: FakeWorld) -> None:
    world.on_prompt = judge
    async with start() as supervisor:
        for number in range(2):
            outcome = await supervisor.submit(Prompt("desk", f"bad {number}", user="ana")).outcome()
            assert isinstance(outcome, Failed)
            assert ("close the session" in outcome.message) is (number == 1)


async def test_the_cut_outlives_a_restart(start: Start, world: FakeWorld) -> None:
    world.on_prompt = judge
    async with start() as supervisor:
        await supervisor.submit(Prompt("desk", "good", user="ana")).outcome()
        await supervisor.submit(Prompt("desk", "bad", user="ana")).outcome()
    async with start() as supervisor:
        answer = await supervisor.submit(Prompt("desk", "after", user="ana")).outcome()
    assert isinstance(answer, Done)
    assert answer.text == "remembers good, after"


async def test_a_rejection_neither_parks_the_pool_nor_holds_the_session(start: Start, world: FakeWorld) -> None:
    world.on_prompt = judge
    async with start() as supervisor:
        for number in range(6):
            await supervisor.submit(Prompt("desk", f"bad {number}", user="ana")).outcome()
        (row,) = supervisor.snapshot().instances
        assert row.state == "running"
        await until(lambda: not supervisor.snapshot().clients)
        assert row.pool.crashes == 0


def rejected(
    status: int | None, error: str = "API Error", reason: str = "api_error", *, aborted: bool = False
) -> Result:
    return Result(("u",), "", True, aborted, reason, error, status)


@pytest.mark.parametrize(
    ("result", "kind"),
    [
        (rejected(400), FailureKind.REJECTED),
        (rejected(422), FailureKind.REJECTED),
        (rejected(413), FailureKind.TOO_LONG),
        (rejected(400, "Prompt is too long", "prompt_too_long"), FailureKind.TOO_LONG),
        (rejected(None, "Prompt is too long", "prompt_too_long"), FailureKind.TOO_LONG),
        (rejected(400, "API Error: 400 Your credit balance is too low"), None),
        (rejected(500), None),
        (rejected(429), None),
        (rejected(401), None),
        (rejected(400, aborted=True), None),
        (Result(("u",), "ok", False, False, "completed", "", None, Usage()), None),
    ],
)
async def test_a_rejection_is_one_that_is_about_the_prompt(result: Result, kind: FailureKind | None) -> None:
    assert find_rejection(result) is kind
