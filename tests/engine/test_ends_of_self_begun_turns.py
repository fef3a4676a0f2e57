"""How turns end that the CLI has begun by itself: interrupted, failed, stopped, or without a sign."""

from __future__ import annotations

import anyio
import pytest

from supervisor.api.entries import Asked
from supervisor.api.outcomes import Done, Failed, Interrupted, Usage
from supervisor.api.prompts import Source
from supervisor.api.states import SessionState
from supervisor.process import attribution
from supervisor.process.reports import (
    Requested,
    Result,
    TextBlock,
    Woke,
)
from supervisor.testing import FakeWorld
from tests.engine.conftest import Start
from tests.engine.test_self_begun_turns import PROMPT, overtaken, settled
from tests.waiting import until

pytestmark = pytest.mark.anyio


async def test_it_can_be_interrupted(start: Start, world: FakeWorld) -> None:
    async with settled(start, world) as scene:
        scene.agent.begin_own()
        await until(lambda: scene.supervisor.view.snapshot().sessions[0].is_self_begun)
        assert await scene.supervisor.interrupt(scene.key)
        await until(lambda: len(scene.outcomes) == 2)
        assert isinstance(scene.outcomes[1][1], Interrupted)
        assert scene.agent.is_alive


async def test_withdrawing_a_prompt_that_waits_behind_it_stops_both(start: Start, world: FakeWorld) -> None:
    """An interrupt does not reach what is queued in the CLI: it is sent again when that is picked up."""
    async with settled(start, world) as scene:
        ticket = await overtaken(scene)
        scene.agent.begin_own()
        await until(lambda: scene.supervisor.view.snapshot().sessions[0].is_self_begun)
        await scene.supervisor.withdraw(ticket.turn_id)
        outcome = await ticket.outcome()
        assert isinstance(outcome, Interrupted)
        assert scene.agent.interrupts == 2
        assert scene.agent.is_alive


async def test_a_prompt_interrupted_before_it_could_be_written_never_is(start: Start, world: FakeWorld) -> None:
    async with settled(start, world) as scene:
        scene.agent.tell(Woke())
        scene.agent._has_begun = True
        await anyio.wait_all_tasks_blocked()
        ticket = await scene.supervisor.submit(PROMPT)
        await until(lambda: scene.supervisor.view.snapshot().sessions[0].turn_id == ticket.turn_id)
        await scene.supervisor.interrupt(scene.key)
        assert isinstance(await ticket.outcome(), Interrupted)
        assert "hello" not in scene.agent.prompts
        scene.agent.tell(Requested())
        scene.agent.finish_own()


@pytest.mark.parametrize("has_prompt", [True, False])
async def test_its_clients_death_ends_it_as_a_failure(start: Start, world: FakeWorld, has_prompt: bool) -> None:
    async with settled(start, world) as scene:
        ticket = await overtaken(scene) if has_prompt else None
        scene.agent.begin_own()
        scene.agent.tell(TextBlock("half"))
        await until(lambda: scene.supervisor.view.snapshot().sessions[0].is_self_begun)
        scene.agent.die()
        await until(lambda: len(scene.outcomes) == 2 + has_prompt)
        failed = scene.outcomes[1][1]
        assert isinstance(failed, Failed)
        assert failed.text == "half"
        if ticket is not None:
            outcome = await ticket.outcome()
            assert isinstance(outcome, Failed)
            assert outcome.text == ""


async def test_it_is_interrupted_when_the_supervisor_stops_and_offered_to_nobody(
    start: Start, world: FakeWorld
) -> None:
    async with settled(start, world) as scene:
        scene.agent.begin_own()
        await until(lambda: scene.supervisor.view.snapshot().sessions[0].is_self_begun)
    assert scene.agent.interrupts == 1
    async with start() as supervisor:
        (row,) = (await supervisor.snapshot()).sessions
        assert row.offer is None
        assert any(
            one.source is Source.AGENT
            for one in (await supervisor.conversation(scene.key)).read().entries
            if isinstance(one, Asked)
        )


async def test_a_stray_result_in_the_middle_of_a_turn_changes_nothing(start: Start, world: FakeWorld) -> None:
    async with settled(start, world) as scene:
        ticket = await scene.supervisor.submit(PROMPT)
        await until(lambda: "hello" in scene.agent.prompts)
        scene.agent.say("the ")
        scene.agent.tell(Result(None, "done", False, False, "completed", "", None, Usage(1, 1), is_own=False))
        scene.agent.reply("answer")
        outcome = await ticket.outcome()
        assert isinstance(outcome, Done)
        assert outcome.text == "the answer"
        assert [source for source, _ in scene.outcomes] == [Source.CALLER, Source.CALLER]


async def test_one_without_an_idle_sign_after_it_is_over_all_the_same(
    start: Start, world: FakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second later: the sign is waited for, and not relied on. Its own end ends it, and no other."""
    monkeypatch.setattr(attribution, "REST", 1_000.0)  # of the turn before: that wait has nothing to do with these
    async with settled(start, world) as scene:
        monkeypatch.setattr(attribution, "REST", 0.05)
        for text in ("woken", "woken again"):
            scene.agent.begin_own()
            await until(lambda: scene.supervisor.view.snapshot().sessions[0].is_self_begun)
            scene.agent._has_begun = False
            usage = Usage(10, 1, 0, scene.agent._cost)
            scene.agent.tell(Result(None, text, False, False, "completed", "", None, usage, is_own=False))
            await until(lambda: scene.supervisor.view.snapshot().sessions[0].state is SessionState.IDLE)
        ticket = await scene.supervisor.submit(PROMPT)
        await until(lambda: "hello" in scene.agent.prompts)
        scene.agent.reply("hi", rests=False)
        assert isinstance(await ticket.outcome(), Done)
        assert [source for source, _ in scene.outcomes][1:] == [Source.AGENT, Source.AGENT, Source.CALLER]
