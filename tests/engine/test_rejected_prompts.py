"""A prompt that the API rejects spoils its own turn, and no later one."""

from __future__ import annotations

from contextlib import AsyncExitStack

import anyio.lowlevel
import pytest

from supervisor.api.entries import Asked
from supervisor.api.outcomes import Done, Failed, FailureKind, Usage
from supervisor.api.prompts import Prompt
from supervisor.api.states import SessionState
from supervisor.process.reports import Compacted, Result, ToolStarted
from supervisor.sessions.outcomes import find_rejection
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
        ("bad and long", FailureKind.TOO_LONG, "too long for the model together with the conversation; the prompt was"),
        (
            "bad, long, compacted",
            FailureKind.TOO_LONG,
            "too long for the model even with the conversation compacted; the prompt was",
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
            await (await supervisor.submit(Prompt("desk", "good", user="ana"))).outcome()
        ticket = await supervisor.submit(Prompt("desk", bad, user="ana"))
        after = await supervisor.submit(Prompt("desk", "after", user="ana"))
        outcome = await ticket.outcome()
        assert isinstance(outcome, Failed)
        assert outcome.kind is kind
        assert words in outcome.message
        answer = await after.outcome()
        assert isinstance(answer, Done)
        assert answer.text == f"remembers {'' if is_first else 'good, '}after"
        assert (await supervisor.snapshot()).sessions[0].state is SessionState.IDLE
        assert [one.text for one in world.written].count(bad) == 1, "it is not tried again"
    assert not world.violations


async def test_a_row_of_rejections_offers_a_new_conversation(start: Start, world: FakeWorld) -> None:
    world.on_prompt = judge
    async with start() as supervisor:
        for text, is_offered in (("bad 0", False), ("good", False), ("bad 1", False), ("bad 2", True)):
            outcome = await (await supervisor.submit(Prompt("desk", text, user="ana"))).outcome()
            assert isinstance(outcome, Done if text == "good" else Failed)
            assert ("close the session" in getattr(outcome, "message", "")) is is_offered


async def test_the_cut_outlives_a_restart(start: Start, world: FakeWorld) -> None:
    world.on_prompt = judge
    async with start() as supervisor:
        await (await supervisor.submit(Prompt("desk", "good", user="ana"))).outcome()
        await (await supervisor.submit(Prompt("desk", "bad", user="ana"))).outcome()
    async with start() as supervisor:
        answer = await (await supervisor.submit(Prompt("desk", "after", user="ana"))).outcome()
    assert isinstance(answer, Done)
    assert answer.text == "remembers good, after"


@pytest.mark.parametrize("end", ["crash", "interrupt", "restart"])
@pytest.mark.parametrize("is_first", [True, False])
async def test_a_prompt_is_not_rejected_for_one_that_the_model_never_replied_to(
    start: Start, world: FakeWorld, end: str, is_first: bool
) -> None:
    """The turn of the bad one ended before the API had judged it: its words stay in the conversation."""
    world.on_prompt = lambda connection, text: None if text == "bad" else judge(connection, text)
    async with AsyncExitStack() as stack:
        supervisor = await stack.enter_async_context(start())
        if not is_first:
            await (await supervisor.submit(Prompt("desk", "good", user="ana"))).outcome()
        ticket = await supervisor.submit(Prompt("desk", "bad", user="ana"))
        await until(lambda: world.written and world.written[-1].text == "bad")
        if end == "interrupt":
            await supervisor.interrupt(ticket.key)
        elif end == "crash":
            world.live[0].die()
        await (ticket.outcome() if end != "restart" else stack.aclose())
        if end == "restart":
            world.conversations.uuids.clear()  # where to cut it cannot be found again
            supervisor = await stack.enter_async_context(start())
        for number in range(2):
            answer = await (await supervisor.submit(Prompt("desk", f"after {number}", user="ana"))).outcome()
            assert isinstance(answer, Done)
            assert answer.text == f"remembers {'' if is_first else 'good, '}after 0{', after 1' if number else ''}"
        entries = (await supervisor.conversation(ticket.key)).read().entries
        assert [one.text for one in entries if isinstance(one, Asked)][-2:] == ["after 0", "after 1"]
        tries = sum("sent again without that" in getattr(one, "text", "") for one in entries)
        assert tries == (0 if is_first and end == "crash" else 1), "a conversation without any reply begins anew"
    assert not world.violations


async def test_a_bad_prompt_behind_one_without_an_answer_is_sent_twice_and_no_more(
    start: Start, world: FakeWorld
) -> None:
    world.on_prompt = lambda connection, text: None if text == "lost" else judge(connection, text)
    async with start() as supervisor:
        await (await supervisor.submit(Prompt("desk", "good", user="ana"))).outcome()
        ticket = await supervisor.submit(Prompt("desk", "lost", user="ana"))
        await until(lambda: world.written[-1].text == "lost")
        world.live[0].die()
        await ticket.outcome()
        outcome = await (await supervisor.submit(Prompt("desk", "bad", user="ana"))).outcome()
        assert isinstance(outcome, Failed)
        assert outcome.kind is FailureKind.REJECTED
        answer = await (await supervisor.submit(Prompt("desk", "after", user="ana"))).outcome()
        assert isinstance(answer, Done)
        assert answer.text == "remembers good, after"
        assert [one.text for one in world.written if one.text in ("bad", "after")] == ["bad", "bad", "after"]
    assert not world.violations


async def test_one_that_is_stopped_while_it_is_sent_again_ends_as_stopped(start: Start, world: FakeWorld) -> None:
    """Between the two tries its client is gone, and it waits like any other."""
    world.on_prompt = lambda connection, text: None if text == "lost" else judge(connection, text)
    async with start() as supervisor:
        await (await supervisor.submit(Prompt("desk", "good", user="ana"))).outcome()
        ticket = await supervisor.submit(Prompt("desk", "lost", user="ana"))
        await until(lambda: world.written[-1].text == "lost")
        world.live[0].die()
        await ticket.outcome()
        bad = await supervisor.submit(Prompt("desk", "bad", user="ana"))
        while not any(
            "sent again" in getattr(one, "text", "") for one in (await supervisor.conversation(bad.key)).read().entries
        ):
            await anyio.lowlevel.checkpoint()
        await supervisor.interrupt(bad.key)
        outcome = await bad.outcome()
        assert not isinstance(outcome, Done | Failed)
        answer = await (await supervisor.submit(Prompt("desk", "after", user="ana"))).outcome()
        assert isinstance(answer, Done)
        assert answer.text == "remembers good, after"
    assert not world.violations


async def test_a_rejection_neither_parks_the_pool_nor_holds_the_session(start: Start, world: FakeWorld) -> None:
    world.on_prompt = judge
    async with start() as supervisor:
        for number in range(6):
            await (await supervisor.submit(Prompt("desk", f"bad {number}", user="ana"))).outcome()
        (row,) = (await supervisor.snapshot()).instances
        assert row.state == "running"
        await until(lambda: not supervisor.view.snapshot().clients)
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
