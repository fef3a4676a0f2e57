"""Requests with a name of their own (idempotency keys): handed in again, they are the turn they were the first time."""

from __future__ import annotations

from pathlib import Path

import anyio
import anyio.lowlevel
import pytest
from msgspec.structs import replace

from supervisor.api.errors import InvalidPrompt, OverShare, RequestConflict, UnknownTarget
from supervisor.api.keys import SessionKey
from supervisor.api.outcomes import Done, Interrupted
from supervisor.api.prompts import Prompt
from supervisor.api.states import WhyWaiting
from supervisor.api.turns import TurnState
from supervisor.testing import FakeWorld, hold
from tests.engine.conftest import MakeTemplate, Start
from tests.engine.journal_stage import ignore, make_turn, opened
from tests.engine.test_restart import crashing
from tests.waiting import until

pytestmark = pytest.mark.anyio

HELLO = Prompt("desk", "hello", user="ana", request="r-1")
ANA = SessionKey("desk", "ana", "default")


async def test_a_request_handed_in_again_is_one_turn_while_it_waits_runs_and_after_its_end(
    start: Start, world: FakeWorld
) -> None:
    world.on_prompt = hold
    async with start() as supervisor:
        first = await supervisor.submit(HELLO)
        again = await supervisor.submit(HELLO)
        assert again.turn_id == first.turn_id, "not recorded yet"
        await first.accepted()
        await until(lambda: bool(world.connections) and world.connections[-1].prompts == ["hello"])
        assert (await supervisor.submit(HELLO)).turn_id == first.turn_id, "it runs"
        world.connections[-1].reply("Hi.")
        outcome = await first.outcome()
        late = await supervisor.submit(HELLO)
        assert (late.turn_id, late.finished, await late.outcome()) == (first.turn_id, outcome, outcome)
        assert [part async for part in late.stream()] == [part async for part in first.stream()]
        assert world.connections[-1].prompts == ["hello"], "the agent was asked once"


async def test_a_request_is_one_turn_after_a_crash_too(start: Start, world: FakeWorld) -> None:
    """R2"""
    async with crashing(start(), world) as supervisor:
        ended = await supervisor.submit(HELLO)
        await ended.outcome()
        world.on_prompt = hold
        cut = await supervisor.submit(replace(HELLO, request="r-2", text="cut"))
        waits = await supervisor.submit(replace(HELLO, request="r-3", text="waits"))
        await until(lambda: "cut" in world.connections[-1].prompts)
        await waits.accepted()
    async with start() as supervisor:
        again = [
            await supervisor.submit(replace(HELLO, request=name, text=text))
            for name, text in (("r-1", "hello"), ("r-2", "cut"), ("r-3", "waits"))
        ]
        assert [ticket.turn_id for ticket in again] == [ended.turn_id, cut.turn_id, waits.turn_id]
        assert isinstance(await again[0].outcome(), Done)
        assert isinstance(await again[1].outcome(), Interrupted)
        await until(lambda: "waits" in world.connections[-1].prompts)
        world.connections[-1].reply("Done.")
        assert isinstance(await again[2].outcome(), Done)
        replayed = await supervisor.replay(ANA)
        assert replayed.turn_id != cut.turn_id
        same = await supervisor.submit(replace(HELLO, request="r-2", text="cut"))
        assert same.turn_id == cut.turn_id, "the replay is the operator's, not the caller's"


async def test_of_two_turns_under_one_name_the_first_is_the_request(folder: Path) -> None:
    """As a journal may have them in which a replay has kept the name of what it replays."""
    async with opened(folder) as journal:
        for name in ("first", "replay"):
            record = make_turn(name)
            journal.turns.accept(record._replace(prompt=replace(record.prompt, request="r-1")), ignore)
        await journal.flush()
        assert journal.find_request(record.prompt.user, "r-1") == "first"


async def test_another_prompt_under_the_same_name_is_refused_and_changes_nothing(
    start: Start, world: FakeWorld
) -> None:
    async with start() as supervisor:
        ticket = await supervisor.submit(HELLO)
        for other in (replace(HELLO, text="other"), replace(HELLO, session="s")):
            with pytest.raises(RequestConflict, match=r"r-1.*another prompt already"):
                await supervisor.submit(other)
        await ticket.outcome()
        with pytest.raises(RequestConflict):
            await supervisor.submit(replace(HELLO, text="other"))
        boris = await supervisor.submit(replace(HELLO, user="boris", text="mine"))
        assert boris.turn_id != ticket.turn_id, "names are each user's own"
        for bad in ("x" * 256, "zwölf", "a\nb", 3):
            with pytest.raises(InvalidPrompt, match="name of a request"):
                await supervisor.submit(replace(HELLO, request=bad))
        assert len((await supervisor.snapshot()).sessions) == 2


async def test_prompts_without_a_name_are_turns_of_their_own(start: Start) -> None:
    async with start() as supervisor:
        plain = replace(HELLO, request="")
        assert (await supervisor.submit(plain)).turn_id != (await supervisor.submit(plain)).turn_id


async def test_a_turn_can_be_looked_at_from_its_acceptance_to_long_after_its_end(
    start: Start, world: FakeWorld, make_template: MakeTemplate
) -> None:
    world.on_prompt = hold
    async with start(make_template(pool={"spares": 0})) as supervisor:
        running = await supervisor.submit(HELLO)
        waiting = await supervisor.submit(Prompt("desk", "next", user="ana"))
        other = await supervisor.submit(Prompt("desk", "other", user="boris"))
        await other.accepted()
        await until(lambda: bool(world.connections) and world.connections[-1].prompts == ["hello"])
        view = await supervisor.turn(running.turn_id)
        assert (view.state, view.key, view.prompt, view.outcome) == (TurnState.RUNNING, ANA, HELLO, None)
        view = await supervisor.turn(waiting.turn_id)
        assert (view.state, view.why, view.position) == (TurnState.WAITING, WhyWaiting.SESSION_BUSY, 1)
        view = await supervisor.turn(other.turn_id)
        assert (view.state, view.why, view.place) == (TurnState.WAITING, WhyWaiting.NO_SLOT, 1)
        world.on_prompt = lambda connection, text: connection.reply(f"You said: {text}")
        world.connections[-1].reply("Hi.")
        await other.outcome()
    async with start(make_template(pool={"spares": 0})) as supervisor:
        view = await supervisor.turn(running.turn_id)
        assert view.state is TurnState.ENDED
        assert isinstance(view.outcome, Done)
        assert view.outcome.text == "Hi."
        assert view.started_at is not None
        assert view.ended_at is not None
        assert view.queued_at <= view.started_at <= view.ended_at
        for unknown in ("x", "", "x" * 5_000, 3):
            with pytest.raises(UnknownTarget):
                await supervisor.turn(unknown)  # type: ignore[arg-type]


async def test_one_users_share_is_limited_and_anothers_is_not_touched_by_it(
    start: Start, world: FakeWorld, make_template: MakeTemplate
) -> None:
    world.on_prompt = hold
    async with start(make_template(queue={"maxPerUser": 2})) as supervisor:
        for session in ("a", "b"):
            await supervisor.submit(Prompt("desk", "hi", user="ana", session=session))
        with pytest.raises(OverShare, match=r"ana has 2 prompts .*maxPerUser") as caught:
            await supervisor.submit(Prompt("desk", "hi", user="ana", session="c"))
        assert caught.value.retry_after >= 1
        await supervisor.submit(Prompt("desk", "hi", user="boris"))
        await until(lambda: bool(world.connections) and bool(world.connections[-1].prompts))
        await supervisor.clear_queue("desk")
        await supervisor.interrupt(SessionKey("desk", "ana", "a"))
        await anyio.lowlevel.checkpoint()
        await supervisor.submit(Prompt("desk", "hi", user="ana", session="c"))
