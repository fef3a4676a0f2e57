"""A turn that fails: its outcome has the reason, and its session goes on."""

from __future__ import annotations

import pytest

from supervisor.api.errors import ConnectFailed
from supervisor.api.keys import SessionKey
from supervisor.api.outcomes import Done, Failed, FailureKind
from supervisor.api.prompts import Prompt
from supervisor.api.states import SessionState
from supervisor.testing import FakeWorld
from tests.engine.conftest import Start
from tests.waiting import until

pytestmark = pytest.mark.anyio


async def test_a_crash_in_a_turn_fails_that_turn_alone_and_the_next_one_resumes(start: Start, world: FakeWorld) -> None:
    """S1.18: one process is one session."""
    world.on_prompt = lambda connection, text: connection.die() if text == "crash" else connection.reply("fine")
    async with start() as supervisor:
        await (await supervisor.submit(Prompt("desk", "before", user="ana"))).outcome()
        outcome = await (await supervisor.submit(Prompt("desk", "crash", user="ana"))).outcome()
        assert isinstance(outcome, Failed)
        assert outcome.kind is FailureKind.CRASHED
        assert (await supervisor.snapshot()).sessions[0].state is SessionState.FAILED
        assert isinstance(await (await supervisor.submit(Prompt("desk", "after", user="ana"))).outcome(), Done)
        assert world.connections[-1].launch.resume


async def test_a_conversation_missing_on_disk_goes_on_as_a_new_one_and_says_so(start: Start, world: FakeWorld) -> None:
    """S2.34"""
    async with start() as supervisor:
        key = SessionKey("desk", "ana", "default")
        await (await supervisor.submit(Prompt("desk", "before", user="ana"))).outcome()
        await supervisor.hibernate(key)
        await until(lambda: not world.live)
        world.transcripts.clear()
        assert isinstance(await (await supervisor.submit(Prompt("desk", "after", user="ana"))).outcome(), Done)
        texts = [getattr(entry, "text", "") for entry in (await supervisor.conversation(key)).read().entries]
    assert any("no longer remembers" in text for text in texts)
    assert "before" in texts, "our own transcript is kept"


async def test_an_api_error_is_a_failure_with_its_kind_and_the_session_lives_on(start: Start, world: FakeWorld) -> None:
    world.on_prompt = lambda connection, text: connection.fail(429) if text == "bad" else connection.reply("ok")
    async with start() as supervisor:
        outcome = await (await supervisor.submit(Prompt("desk", "bad", user="ana"))).outcome()
        assert isinstance(outcome, Failed)
        assert outcome.kind is FailureKind.RATE_LIMIT
        await supervisor.resume("desk")  # it has parked itself
        assert isinstance(await (await supervisor.submit(Prompt("desk", "good", user="ana"))).outcome(), Done)
        assert len(world.connections) == 1


@pytest.mark.parametrize(
    ("why", "kind"), [("no such model", FailureKind.START_FAILED), ("Invalid API key", FailureKind.AUTHENTICATION)]
)
async def test_a_client_that_cannot_be_started_fails_its_turn_with_the_reason(
    start: Start, world: FakeWorld, why: str, kind: FailureKind
) -> None:
    world.connect_failures = [ConnectFailed(why)]
    async with start() as supervisor:
        outcome = await (await supervisor.submit(Prompt("desk", "a"))).outcome()
        assert isinstance(outcome, Failed)
        assert (outcome.kind, outcome.message) == (kind, why)
        await supervisor.resume("desk")  # without credentials it has parked itself
        assert isinstance(await (await supervisor.submit(Prompt("desk", "b"))).outcome(), Done)
