"""Restart without amnesia (R2, S3.23): what waits runs, what ran is offered, nothing is sent twice."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from supervisor.api import events as past
from supervisor.api.entries import Asked, QuestionClosed, Replied, TurnEnded
from supervisor.api.errors import StateInUse, Suspended, UnknownTarget
from supervisor.api.keys import SessionKey
from supervisor.api.outcomes import Cancelled, Done, Interrupted, Outcome
from supervisor.api.prompts import Prompt
from supervisor.api.questions import QuestionOutcome
from supervisor.api.states import SessionState
from supervisor.engine.supervisor import Supervisor
from supervisor.permissions.requests import ToolRequest
from supervisor.recovery.takeover import INTERRUPTED
from supervisor.sessions.turn import Turn
from supervisor.testing import FakeConnection, FakeWorld, hold
from tests.engine.conftest import MakeTemplate, Start
from tests.engine.journal_stage import read
from tests.waiting import until

pytestmark = pytest.mark.anyio

ANA = SessionKey("desk", "ana", "default")


class Crash(BaseException):
    """Tears a supervisor down as a kill would: nothing more is written, and nobody is told."""


@asynccontextmanager
async def crashing(supervisor: Supervisor, world: FakeWorld) -> AsyncIterator[Supervisor]:
    """Runs it for the body, then loses it: what is durable by then is all that is left."""
    async with anyio.create_task_group() as group:
        await group.start(supervisor.run)
        yield supervisor
        journal = supervisor._host.journal
        await journal.flush()
        # From here on nothing reaches the disk, as if the process had been killed now.
        journal._writer.add = lambda note: None  # type: ignore[method-assign]
        for connection in world.connections:
            connection.die()
        group.cancel_scope.cancel()


async def outcome_of(supervisor: Supervisor, turn_id: str) -> Outcome | None:
    record = await supervisor._host.journal.find_turn(turn_id)
    assert record is not None, "an accepted turn is on record"
    return record.outcome


async def crash_with_one_running_and_one_waiting(start: Start, world: FakeWorld, *templates: object) -> list[Turn]:
    """`ana` has an answered turn, one that runs and one that waits."""
    async with crashing(start(*templates), world) as supervisor:  # type: ignore[arg-type]
        first = await supervisor.submit(Prompt("desk", "first", user="ana"))
        await first.outcome()
        world.on_prompt = hold
        running = await supervisor.submit(Prompt("desk", "running", user="ana"))
        waiting = await supervisor.submit(Prompt("desk", "waiting", user="ana"))
        await until(lambda: "running" in world.connections[-1].prompts)
        await waiting.accepted()
    world.on_prompt = lambda connection, text: connection.reply(f"You said: {text}")
    return [first, running, waiting]


async def test_a_conversation_goes_on_though_its_very_first_turn_was_cut_by_a_crash(
    start: Start, world: FakeWorld
) -> None:
    """R2: which conversation is the session's own is on record before its first prompt is written."""
    world.on_prompt = hold
    async with crashing(start(), world) as supervisor:
        await supervisor.submit(Prompt("desk", "first", user="ana"))
        await until(lambda: world.written)
    world.on_prompt = lambda connection, text: connection.reply("fine")
    async with start() as supervisor:
        await (await supervisor.submit(Prompt("desk", "second", user="ana"))).outcome()
    assert len({one.session_uuid for one in world.written}) == 1


async def test_what_is_to_be_cut_is_on_record_as_soon_as_it_is_known(start: Start, world: FakeWorld) -> None:
    """R2: the next run may be cut short as well, before anything else has happened in the session."""
    async with crashing(start(), world) as supervisor:
        await (await supervisor.submit(Prompt("desk", "first", user="ana"))).outcome()
        world.on_prompt = hold
        await supervisor.submit(Prompt("desk", "cut short", user="ana"))
        await until(lambda: len(world.written) == 2)
    async with crashing(start(), world) as supervisor:
        assert (await supervisor.snapshot()).sessions[0].offer is not None
    world.on_prompt = lambda connection, text: connection.reply("fine")
    async with start() as supervisor:
        await (await supervisor.submit(Prompt("desk", "next", user="ana"))).outcome()
        assert world.connections[-1].remembers == ["first", "next"]


async def test_a_call_whose_caller_is_gone_is_not_on_offer(
    start: Start, world: FakeWorld, make_template: MakeTemplate
) -> None:
    """S1.2, R2: it leaves nothing behind, and the log says how many of the interrupted turns are not in the inbox."""
    world.on_prompt = hold
    templates = (make_template("lookup", archetype="tool"), make_template("desk"), make_template("old"))
    async with crashing(start(*templates), world) as supervisor:
        for name in ("lookup", "desk", "old"):
            await supervisor.submit(Prompt(name, "one", user="ana"))
        await until(lambda: len(world.written) == 3)
    async with start(*templates[:2]) as supervisor:
        assert [row.key for row in (await supervisor.snapshot()).sessions if row.offer is not None] == [ANA]
        (told,) = supervisor._feed.greeting
        assert isinstance(told, past.Restarted)
        assert (told.interrupted, told.not_offered) == (3, 2)


async def test_a_process_is_on_record_before_it_runs_and_with_its_session_once_it_has_one(
    start: Start, world: FakeWorld, make_template: MakeTemplate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R2, R4: whatever becomes of it, the next run finds it and ends it."""
    monkeypatch.setattr(FakeConnection, "pid", property(lambda one: 4711 if one.is_alive else 0))
    world.gate, world.on_prompt = anyio.Event(), hold
    async with start(make_template(pool={"spares": 1})) as supervisor:

        async def recorded() -> list[Any]:
            await supervisor._host.journal.flush()
            return read(tmp_path / "state", "SELECT mark, pid, user FROM clients WHERE id = 'desk-1'")

        await until(lambda: world.starting)
        ((mark, *facts),) = await recorded()
        assert (mark, facts) == (world.connections[0].launch.mark, [0, ""])
        world.gate.set()
        await until(lambda: supervisor.view.snapshot().instances[0].pool.spare == 1)
        assert await recorded() == [(mark, 4711, "")]
        await supervisor.submit(Prompt("desk", "hello", user="ana"))
        await until(lambda: world.written)
        assert await recorded() == [(mark, 4711, "ana")]


async def test_what_waited_runs_by_itself_and_what_ran_is_interrupted_and_offered(
    start: Start, world: FakeWorld
) -> None:
    """R2, R1"""
    first, running, waiting = await crash_with_one_running_and_one_waiting(start, world)
    world.gate = anyio.Event()  # nothing runs yet
    async with start() as supervisor:
        assert (await supervisor.snapshot()).sessions[0].note == INTERRUPTED
        world.gate.set()
        await until(lambda: supervisor.view.snapshot().sessions[0].turns == 3)
        row = (await supervisor.snapshot()).sessions[0]
        assert row.state is SessionState.INTERRUPTED
        assert row.offer is not None
        assert (row.offer.turn_id, row.offer.text) == (running.turn_id, "running")
        assert isinstance(await outcome_of(supervisor, first.turn_id), Done)
        assert isinstance(await outcome_of(supervisor, running.turn_id), Interrupted)
        assert isinstance(await outcome_of(supervisor, waiting.turn_id), Done)
        assert world.transcripts[row.session_uuid] == ["first", "waiting"], "the unanswered prompt was cut"
    assert world.violations == []


async def test_a_replay_sends_the_unanswered_prompt_once(start: Start, world: FakeWorld) -> None:
    """R2"""
    _, running, _ = await crash_with_one_running_and_one_waiting(start, world)
    async with start() as supervisor:
        await until(lambda: supervisor.view.snapshot().sessions[0].turns == 3)
        with await supervisor.watch() as feed:
            ticket = await supervisor.replay(ANA)
            assert isinstance(await ticket.outcome(), Done)
            settled = [event for event in feed.take().events if isinstance(event, past.OfferSettled)]
        (told,) = settled
        assert (told.outcome, told.replayed, told.turn) == ("replayed", running.turn_id, ticket.turn_id)
        row = (await supervisor.snapshot()).sessions[0]
        assert world.transcripts[row.session_uuid] == ["first", "waiting", "running"]
        assert row.offer is None
        with pytest.raises(UnknownTarget, match="no interrupted turn"):
            await supervisor.replay(ANA)
        assert isinstance(await outcome_of(supervisor, running.turn_id), Interrupted), "its own outcome stands"
    async with start() as supervisor:
        assert (await supervisor.snapshot()).sessions[0].offer is None, "it was decided for good"


async def test_a_template_may_say_that_it_is_replayed_before_all_that_waits(
    start: Start, world: FakeWorld, make_template: MakeTemplate
) -> None:
    """R2: onRestart."""
    template = make_template(onRestart="replay", pool={"spares": 0})
    await crash_with_one_running_and_one_waiting(start, world, template)
    async with start(template) as supervisor:
        await until(lambda: supervisor.view.snapshot().sessions[0].turns == 4)
        uuid = (await supervisor.snapshot()).sessions[0].session_uuid
        assert world.transcripts[uuid] == ["first", "running", "waiting"]
    assert world.violations == []


async def test_a_template_may_say_that_it_is_dropped(
    start: Start, world: FakeWorld, make_template: MakeTemplate
) -> None:
    """R2: onRestart."""
    template = make_template(onRestart="drop", pool={"spares": 0})
    await crash_with_one_running_and_one_waiting(start, world, template)
    async with start(template) as supervisor:
        await until(lambda: supervisor.view.snapshot().sessions[0].turns == 3)
        row = (await supervisor.snapshot()).sessions[0]
        assert row.offer is None
        assert world.transcripts[row.session_uuid] == ["first", "waiting"]


async def test_an_offer_that_nobody_takes_expires(start: Start, world: FakeWorld, make_template: MakeTemplate) -> None:
    template = make_template(questionTtl=1.0, pool={"spares": 0})
    await crash_with_one_running_and_one_waiting(start, world, template)
    async with start(template) as supervisor, anyio.create_task_group():
        with await supervisor.watch() as feed:
            await until(lambda: supervisor.view.snapshot().sessions[0].offer is None)
            settled = [event for event in feed.take().events if isinstance(event, past.OfferSettled)]
        assert [event.outcome for event in settled] == ["expired"]


async def test_a_session_that_waits_for_a_decision_gets_no_client_in_the_place_of_a_rolled_one(
    start: Start, world: FakeWorld, make_template: MakeTemplate
) -> None:
    """R2, S3.1-2: what is decided brings it one, and nothing may be."""
    template = make_template(pool={"spares": 0})
    await crash_with_one_running_and_one_waiting(start, world, template)
    async with start(template) as supervisor:
        pool = supervisor._instances["desk"].pool
        await until(lambda: [slot.turns for slot in pool if slot.is_ready] == [1])
        with await supervisor.watch() as feed:
            told: list[past.Event] = []

            def has_gone() -> bool:
                told.extend(feed.take().events)
                return any(isinstance(event, past.ClientGone) for event in told)

            await supervisor.replace_template(template.model_copy(update={"system_prompt": "Help in verse."}))
            await until(has_gone)
        assert (await supervisor.snapshot()).sessions[0].offer is not None
        assert len(pool) == 0
        assert any(isinstance(event, past.TemplateRolled) for event in told)


async def test_a_session_is_as_it_was_left(start: Start, world: FakeWorld) -> None:
    """S3.23: its conversation, totals and place are there before anybody prompts it."""
    async with crashing(start(), world) as supervisor:
        for text in ("one", "two"):
            await (await supervisor.submit(Prompt("desk", text, user="ana"))).outcome()
        before = (await supervisor.snapshot()).sessions[0]
        said = (await supervisor.conversation(ANA)).read().entries
    async with start() as supervisor:
        after = (await supervisor.snapshot()).sessions[0]
        assert after.state is SessionState.HIBERNATED
        assert (after.session_uuid, after.turns, after.usage) == (before.session_uuid, before.turns, before.usage)
        assert (after.created_at, after.last_activity_at) == (before.created_at, before.last_activity_at)
        assert (await supervisor.conversation(ANA)).read().entries == said
        assert isinstance(await (await supervisor.submit(Prompt("desk", "three", user="ana"))).outcome(), Done)
        assert world.transcripts[after.session_uuid] == ["one", "two", "three"]
        kinds = [
            type(entry)
            for entry in (await supervisor.conversation(ANA)).read().entries
            if not hasattr(entry, "is_warning")
        ]
        assert kinds == [Asked, Replied, TurnEnded] * 3


async def test_the_first_turn_of_a_session_begins_anew(start: Start, world: FakeWorld) -> None:
    """R2: there is nothing to resume, and nothing is lost."""
    world.on_prompt = hold
    async with crashing(start(), world) as supervisor:
        await supervisor.submit(Prompt("desk", "first of all", user="ana"))
        await until(lambda: world.connections and world.connections[0].prompts)
    world.on_prompt = lambda connection, text: connection.reply("fine")
    async with start() as supervisor:
        with await supervisor.watch() as feed:
            assert isinstance(await (await supervisor.replay(ANA)).outcome(), Done)
            assert not any(isinstance(event, past.ContextLost) for event in feed.take().events)
        assert world.transcripts[(await supervisor.snapshot()).sessions[0].session_uuid] == ["first of all"]


async def test_a_replay_that_is_interrupted_by_a_crash_is_offered_again_and_sent_once(
    start: Start, world: FakeWorld
) -> None:
    """R2: killed twice."""
    await crash_with_one_running_and_one_waiting(start, world)
    world.on_prompt = lambda connection, text: None if text == "running" else connection.reply("fine")
    async with crashing(start(), world) as supervisor:
        await until(lambda: supervisor.view.snapshot().sessions[0].turns == 3)
        await supervisor.replay(ANA)
        await until(lambda: world.connections[-1].prompts[-1:] == ["running"])
    world.on_prompt = lambda connection, text: connection.reply("fine")
    async with start() as supervisor:
        assert isinstance(await (await supervisor.replay(ANA)).outcome(), Done)
        uuid = (await supervisor.snapshot()).sessions[0].session_uuid
        assert world.transcripts[uuid] == ["first", "waiting", "running"]


async def test_a_stop_in_order_keeps_what_waits_for_the_next_start(start: Start, world: FakeWorld) -> None:
    """R1, R2: whoever waits is told so; the outcome comes in the next run."""
    world.on_prompt = hold
    async with start() as supervisor:
        running = await supervisor.submit(Prompt("desk", "running", user="ana"))
        waiting = await supervisor.submit(Prompt("desk", "waiting", user="ana"))
        await until(lambda: world.connections and world.connections[0].prompts)
    assert isinstance(await running.outcome(), Interrupted)
    with pytest.raises(Suspended, match="runs when it starts again"):
        await waiting.outcome()
    world.on_prompt = lambda connection, text: connection.reply("fine")
    async with start() as supervisor:
        await until(lambda: supervisor.view.snapshot().sessions[0].turns == 2)
        assert isinstance(await outcome_of(supervisor, waiting.turn_id), Done)
        assert (await supervisor.snapshot()).sessions[0].offer is not None, "what ran is on offer, as after a crash"
    assert world.violations == []


async def test_a_one_shot_run_leaves_the_queue_of_others_alone(start: Start, world: FakeWorld) -> None:
    async with start() as supervisor:
        await supervisor.pause("desk")
        waiting = await supervisor.submit(Prompt("desk", "waiting", user="ana"))
        await waiting.accepted()
    async with start(keeps_queue=False) as supervisor:
        own = await supervisor.submit(Prompt("desk", "mine", user="boris"))
        assert isinstance(await own.outcome(), Done)
        await supervisor.pause("desk")
        left = await supervisor.submit(Prompt("desk", "not any more", user="boris"))
        await left.accepted()
    assert isinstance(await left.outcome(), Cancelled)
    async with start() as supervisor:
        await until(
            lambda: supervisor.view.session_row(ANA) is not None and supervisor.view.session_row(ANA).turns == 1
        )  # type: ignore[union-attr]
        assert isinstance(await outcome_of(supervisor, waiting.turn_id), Done)


async def test_what_the_end_of_a_one_shot_run_interrupts_is_not_on_offer(start: Start, world: FakeWorld) -> None:
    """R2: its caller has seen the run end, and does not ask for that turn again."""
    world.on_prompt = hold
    async with start(keeps_queue=False) as supervisor:
        running = await supervisor.submit(Prompt("desk", "mine", user="ana"))
        await until(lambda: world.connections and world.connections[0].prompts)
    assert isinstance(await running.outcome(), Interrupted)
    async with start() as supervisor:
        (row,) = (await supervisor.snapshot()).sessions
        assert (row.offer, row.state) == (None, SessionState.HIBERNATED)
        assert (await supervisor.snapshot()).instances[0].offers == 0


async def test_a_call_that_the_end_of_a_run_interrupts_is_not_on_offer(
    start: Start, world: FakeWorld, make_template: MakeTemplate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S1.2: who called is gone. Not even while its client ends: a kill in between would leave the offer."""
    world.on_prompt = hold
    offered: list[object] = []
    async with start(make_template(archetype="tool")) as supervisor:
        monkeypatch.setattr(supervisor._host.journal.turns, "offer", lambda *facts: offered.append(facts))
        running = await supervisor.submit(Prompt("desk", "mine"))
        await until(lambda: world.connections and world.connections[0].prompts)
    assert isinstance(await running.outcome(), Interrupted)
    assert offered == []


async def test_what_belongs_to_an_agent_that_is_not_here_is_left_as_it_is(
    start: Start, world: FakeWorld, make_template: MakeTemplate
) -> None:
    async with start() as supervisor:
        await supervisor.pause("desk")
        waiting = await supervisor.submit(Prompt("desk", "waiting", user="ana"))
        await waiting.accepted()
    async with start(make_template("other")) as supervisor:
        assert (await supervisor.snapshot()).sessions == ()
    async with start() as supervisor:
        await until(lambda: supervisor.view.snapshot().sessions[0].turns == 1)
        assert isinstance(await outcome_of(supervisor, waiting.turn_id), Done)


async def test_questions_of_the_earlier_run_are_lost_on_record(start: Start, world: FakeWorld) -> None:
    """D4: neither denied nor forgotten."""
    world.on_prompt = hold
    async with anyio.create_task_group() as group:
        async with crashing(start(), world) as supervisor:
            await supervisor.submit(Prompt("desk", "go", user="ana"))
            await until(lambda: world.connections and world.connections[0].prompts)
            group.start_soon(world.connections[0].ask, ToolRequest("Write", {"file_path": "x"}))
            await until(lambda: supervisor.view.snapshot().questions)
        group.cancel_scope.cancel()
    async with start() as supervisor:
        assert (await supervisor.snapshot()).questions == ()
        await supervisor._host.journal.flush()
        assert (await supervisor._host.journal.load()).questions == ()
        *_, closed, ended = (await supervisor.conversation(ANA)).read().entries
        assert isinstance(closed, QuestionClosed)
        assert closed.outcome is QuestionOutcome.LOST
        assert isinstance(ended, TurnEnded)


async def test_two_supervisors_do_not_share_a_state_directory(start: Start, world: FakeWorld) -> None:
    """R2: the second refuses and names the first; nothing of the first is touched."""
    async with start() as supervisor:
        with pytest.raises(BaseExceptionGroup) as caught:
            async with start():
                pass
        assert caught.group_contains(StateInUse, match=r"in use by bullpen pid \d+")
        assert isinstance(await (await supervisor.submit(Prompt("desk", "x", user="ana"))).outcome(), Done)


async def test_a_hibernated_sessions_text_is_let_go_of_and_read_back(start: Start, world: FakeWorld) -> None:
    """Reading it holds it for as long as it is read, and a prompt that was withdrawn for as long as it waits."""
    async with start() as supervisor:
        await (await supervisor.submit(Prompt("desk", "one", user="ana"))).outcome()
        text = supervisor._instances["desk"].sessions[ANA]._text
        reader = await supervisor.conversation(ANA)
        await supervisor.hibernate(ANA)
        await until(lambda: not supervisor.view.snapshot().clients)
        assert not text.is_held
        assert (await supervisor.conversation(ANA)).name == reader.name, "this test still holds it"
        said = reader.read().entries
        del reader
        assert (await supervisor.conversation(ANA)).read().entries == said
        assert not text.is_held
        await supervisor.pause("desk")
        waiting = await supervisor.submit(Prompt("desk", "two", user="ana"))
        assert text.is_held
        await waiting.accepted()
        await supervisor.withdraw(waiting.turn_id)
        assert not text.is_held
        assert (await supervisor.conversation(ANA)).read().entries[: len(said)] == said
