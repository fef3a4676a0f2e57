"""Turns that the CLI begins by itself: turns of their own, and no word of them in a caller's answer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import permutations
from pathlib import Path
from typing import NamedTuple

import anyio
import pytest

from supervisor.api.engine import Ticket
from supervisor.api.entries import Asked, Replied, ToolCalled, TurnEnded
from supervisor.api.errors import InvalidPrompt, Refused
from supervisor.api.keys import SessionKey
from supervisor.api.outcomes import Done, Usage
from supervisor.api.prompts import Prompt, Source
from supervisor.api.questions import Allow
from supervisor.api.states import SessionState, WhyWaiting
from supervisor.engine.supervisor import Supervisor
from supervisor.permissions.requests import ToolRequest
from supervisor.process import attribution
from supervisor.process.reports import (
    ClientEvent,
    Requested,
    Rested,
    Result,
    Retrying,
    TextBlock,
    TextDelta,
    ToolEnded,
    ToolStarted,
    Woke,
)
from supervisor.testing import FakeConnection, FakeWorld, hold
from tests.engine.conftest import MakeTemplate, Start
from tests.engine.turned_clock import TurnedClock, until_looked_after
from tests.waiting import at_once, until

pytestmark = pytest.mark.anyio

PROMPT = Prompt("desk", "hello", user="ana")


class Scene(NamedTuple):
    """A session whose first turn is over, and its agent."""

    supervisor: Supervisor
    agent: FakeConnection
    key: SessionKey

    @property
    def outcomes(self) -> list[tuple[Source, object]]:
        entries = at_once(self.supervisor.conversation(self.key)).read().entries
        sources = {one.turn_id: one.source for one in entries if isinstance(one, Asked)}
        return [(sources[one.turn_id], one.outcome) for one in entries if isinstance(one, TurnEnded)]


@asynccontextmanager
async def settled(start: Start, world: FakeWorld, **host: object) -> AsyncIterator[Scene]:
    async with start(**host) as supervisor:
        ticket = await supervisor.submit(Prompt("desk", "first", user="ana"))
        await ticket.outcome()
        await until(lambda: supervisor.view.snapshot().sessions[0].state is SessionState.IDLE)
        world.on_prompt = hold
        yield Scene(supervisor, world.live[0], ticket.key)
    assert not world.violations


async def overtaken(scene: Scene) -> Ticket:
    """A prompt is written in the moment in which the agent begins by itself: neither has heard of the other."""
    scene.agent.may_be_overtaken = True
    scene.agent._has_begun = True
    ticket = await scene.supervisor.submit(PROMPT)
    await until(lambda: scene.agent._queued)
    return ticket


async def test_its_words_and_costs_are_those_of_a_turn_of_its_own(start: Start, world: FakeWorld) -> None:
    async with settled(start, world) as scene:
        before = (await scene.supervisor.snapshot()).sessions[0]
        scene.agent.begin_own("a background task has ended: build")
        await until(lambda: scene.supervisor.view.snapshot().sessions[0].is_self_begun)
        row = (await scene.supervisor.snapshot()).sessions[0]
        assert (row.state, (await scene.supervisor.snapshot()).clients[0].state) == (SessionState.WORKING, "busy")
        scene.agent.finish_own("the build is done")
        await until(lambda: scene.supervisor.view.snapshot().sessions[0].state is SessionState.IDLE)
        after = (await scene.supervisor.snapshot()).sessions[0]
        assert (after.turns, after.usage.cost_usd) == (before.turns + 1, pytest.approx(before.usage.cost_usd + 0.001))
        asked = [
            one for one in (await scene.supervisor.conversation(scene.key)).read().entries if isinstance(one, Asked)
        ][-1]
        assert asked.source is Source.AGENT
        assert "a background task has ended: build" in asked.text
        (_, (source, outcome)) = scene.outcomes
        assert source is Source.AGENT
        assert isinstance(outcome, Done)
        assert (outcome.text, outcome.usage.cost_usd) == ("the build is done", pytest.approx(0.001))


async def test_a_prompt_waits_until_it_is_over_and_says_why(start: Start, world: FakeWorld) -> None:
    async with settled(start, world) as scene:
        scene.agent.begin_own()
        await until(lambda: scene.supervisor.view.snapshot().sessions[0].is_self_begun)
        ticket = await scene.supervisor.submit(PROMPT)
        await ticket.accepted()
        await until(lambda: scene.supervisor.view.snapshot().sessions[0].why is WhyWaiting.SELF_BEGUN)
        assert "hello" not in scene.agent.prompts
        scene.agent.finish_own("own words")
        await until(lambda: "hello" in scene.agent.prompts)
        scene.agent.reply("the answer")
        outcome = await ticket.outcome()
        assert isinstance(outcome, Done)
        assert (outcome.text, outcome.usage.cost_usd) == ("the answer", pytest.approx(0.001))


async def test_a_prompt_is_not_written_to_an_agent_that_has_woken(start: Start, world: FakeWorld) -> None:
    """It is known to be awake 20 ms before it is known what for."""
    async with settled(start, world) as scene:
        scene.agent.tell(Woke())
        scene.agent._has_begun = True
        await anyio.wait_all_tasks_blocked()
        ticket = await scene.supervisor.submit(PROMPT)
        await until(lambda: scene.supervisor.view.snapshot().sessions[0].turn_id == ticket.turn_id)
        await anyio.wait_all_tasks_blocked()
        assert "hello" not in scene.agent.prompts
        scene.agent.tell(Requested())
        scene.agent.finish_own("own words")
        await until(lambda: "hello" in scene.agent.prompts)
        scene.agent.reply("the answer")
        assert (await ticket.outcome()).text == "the answer"  # type: ignore[union-attr]


async def test_what_comes_before_a_written_prompt_is_picked_up_is_not_its_answer(
    start: Start, world: FakeWorld
) -> None:
    async with settled(start, world) as scene:
        ticket = await overtaken(scene)
        scene.agent.begin_own("a background task has ended")
        scene.agent.tell(ToolStarted("t1", "Bash", "ls", "ls"))
        scene.agent.tell(ToolEnded("t1", "files", False))
        scene.agent.tell(Retrying(1, 2, 0.1, 529, "overloaded"))
        scene.agent.finish_own("own words")
        await until(lambda: len(scene.outcomes) == 2)
        assert ticket.finished is None, "the Result of the other turn has not ended ours"
        scene.agent.reply("the answer")
        outcome = await ticket.outcome()
        assert isinstance(outcome, Done)
        assert (outcome.text, outcome.usage.cost_usd) == ("the answer", pytest.approx(0.001))
        entries = (await scene.supervisor.conversation(scene.key)).read().entries
        assert [one.text for one in entries if isinstance(one, Replied) and one.turn_id == ticket.turn_id] == [
            "the answer"
        ]
        assert all(one.turn_id != ticket.turn_id for one in entries if isinstance(one, ToolCalled))
        assert [source for source, _ in scene.outcomes] == [Source.CALLER, Source.AGENT, Source.CALLER]


async def test_a_merged_turn_ends_where_the_prompt_is_picked_up(start: Start, world: FakeWorld) -> None:
    async with settled(start, world) as scene:
        ticket = await overtaken(scene)
        scene.agent.begin_own()
        scene.agent.tell(TextDelta("own words"))
        scene.agent.tell(TextBlock("own words"))
        scene.agent.merge()
        await until(lambda: len(scene.outcomes) == 2)
        scene.agent.reply("the answer")
        outcome = await ticket.outcome()
        assert isinstance(outcome, Done)
        assert outcome.text == "the answer"
        assert isinstance(scene.outcomes[1][1], Done)
        assert scene.outcomes[1][1].text == "own words"


OWN: tuple[ClientEvent, ...] = (Woke(), Requested(), TextBlock("own words"))


@pytest.mark.parametrize("order", list(permutations(range(3))))
async def test_the_words_are_its_own_whatever_sign_of_it_comes_first(
    start: Start, world: FakeWorld, order: tuple[int, ...]
) -> None:
    async with settled(start, world) as scene:
        ticket = await overtaken(scene)
        for place in order:
            scene.agent.tell(OWN[place])
        scene.agent.finish_own()
        await until(lambda: len(scene.outcomes) == 2)
        scene.agent.reply("the answer")
        assert (await ticket.outcome()).text == "the answer"  # type: ignore[union-attr]
        assert scene.outcomes[1][1].text == "own words"  # type: ignore[attr-defined]


@pytest.mark.parametrize("rests", [True, False], ids=["idle-between", "at-once"])
async def test_one_follows_another_and_each_is_a_turn(start: Start, world: FakeWorld, rests: bool) -> None:
    async with settled(start, world) as scene:
        for text in ("one", "two"):
            scene.agent.begin_own()
            scene.agent.tell(TextBlock(text))
            scene.agent._cost += 0.001
            usage = Usage(1, 1, 0, scene.agent._cost)
            scene.agent.tell(Result(None, text, False, False, "completed", "", None, usage, is_own=False))
            if rests:
                scene.agent.tell(Rested())
        scene.agent.tell(Rested())
        scene.agent._has_begun = False
        await until(lambda: len(scene.outcomes) == 3)
        assert [one.text for _, one in scene.outcomes[1:]] == ["one", "two"]  # type: ignore[attr-defined]
        snapshot = await scene.supervisor.snapshot()
        assert (snapshot.clients[0].turns, snapshot.sessions[0].turns) == (3, 3)


async def test_waking_for_nothing_is_no_turn(start: Start, world: FakeWorld) -> None:
    async with settled(start, world) as scene:
        scene.agent.tell(Woke())
        scene.agent.tell(Rested())
        ticket = await scene.supervisor.submit(PROMPT)
        await until(lambda: "hello" in scene.agent.prompts)
        scene.agent.reply("the answer")
        await ticket.outcome()
        assert [source for source, _ in scene.outcomes] == [Source.CALLER, Source.CALLER]


async def test_its_client_is_neither_evicted_nor_hibernated(
    start: Start, world: FakeWorld, make_template: MakeTemplate
) -> None:
    template = make_template(concurrency={"maxSessions": 1}, pool={"spares": 0, "idleTtl": "2s", "maxClients": 1})
    world.on_prompt = hold
    turned = TurnedClock()
    async with start(template, clock=turned.clock) as supervisor:
        first = await supervisor.submit(Prompt("desk", "first", user="ana"))
        await until(lambda: world.written)
        agent = world.live[0]
        agent.reply("ok")
        agent.begin_own()
        await first.outcome()
        await until(lambda: supervisor.view.snapshot().sessions[0].is_self_begun)
        with pytest.raises(Refused):
            await supervisor.hibernate(first.key)
        with pytest.raises(Refused):
            await supervisor.close_session(first.key)
        second = await supervisor.submit(Prompt("desk", "second", user="boris"))
        await second.accepted()
        turned.seconds += 3
        await until_looked_after(supervisor)
        assert agent.is_alive
        agent.finish_own("done")
        await until(lambda: any(one.text == "second" for one in world.written))
        world.holder_of("second").reply("ok")
        await second.outcome()
    assert not world.violations


async def test_its_questions_are_asked_in_its_name(start: Start, world: FakeWorld) -> None:
    async with settled(start, world) as scene, anyio.create_task_group() as group:
        scene.agent.begin_own()
        await until(lambda: scene.supervisor.view.snapshot().sessions[0].is_self_begun)
        group.start_soon(scene.agent.ask, ToolRequest("Bash", {"command": "ls"}))
        await until(lambda: scene.supervisor.view.snapshot().questions)
        (question,) = (await scene.supervisor.snapshot()).questions
        assert question.turn_id == (await scene.supervisor.snapshot()).sessions[0].turn_id
        assert (await scene.supervisor.snapshot()).sessions[0].state is SessionState.ASKING
        await scene.supervisor.answer(question.id, Allow())
        scene.agent.finish_own("done")
        await until(lambda: len(scene.outcomes) == 2)


async def test_a_spare_that_begins_by_itself_is_ended(
    start: Start, world: FakeWorld, make_template: MakeTemplate
) -> None:
    async with start(make_template(pool={"spares": 1})) as supervisor:
        await until(lambda: supervisor.view.snapshot().instances[0].pool.spare == 1)
        spare = world.live[0]
        spare.begin_own()
        await until(lambda: not spare.is_alive)


async def test_no_caller_may_send_in_the_agents_name(start: Start) -> None:
    async with start() as supervisor:
        with pytest.raises(InvalidPrompt, match="caller, operator, hook"):
            await supervisor.submit(Prompt("desk", "x", source=Source.AGENT))


async def test_it_stands_in_the_journal_with_its_outcome(start: Start, world: FakeWorld, tmp_path: Path) -> None:
    async with settled(start, world) as scene:
        scene.agent.begin_own()
        scene.agent.finish_own("own words")
        await until(lambda: len(scene.outcomes) == 2)
        log = scene.supervisor._host.log
        assert log is not None
        turn_id = [
            one.turn_id
            for one in (await scene.supervisor.conversation(scene.key)).read().entries
            if isinstance(one, Asked)
        ][-1]
        record = await log.find_turn(turn_id)
        assert record is not None
        assert record.prompt.source is Source.AGENT
        assert isinstance(record.outcome, Done)


async def test_an_agent_that_woke_for_nothing_holds_a_prompt_up_no_longer_than_it_is_awake(
    start: Start, world: FakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its idle sign is enough: the time after which a sign is not waited for any more has not to pass."""
    monkeypatch.setattr(attribution, "REST", 1_000.0)
    async with settled(start, world) as scene:
        scene.agent.tell(Woke())
        await anyio.wait_all_tasks_blocked()
        ticket = await scene.supervisor.submit(PROMPT)
        await until(lambda: scene.supervisor.view.snapshot().sessions[0].turn_id)
        await scene.supervisor._host.journal.flush()
        await anyio.wait_all_tasks_blocked()
        assert "hello" not in scene.agent.prompts
        scene.agent.tell(Rested())
        await until(lambda: "hello" in scene.agent.prompts)
        scene.agent.reply("hi")
        assert isinstance(await ticket.outcome(), Done)
