"""Two things at once, in the order that is worst for the engine (R1, S2.20, D4)."""

from __future__ import annotations

import anyio
import pytest

from supervisor.api.errors import NotAccepting, NotRecorded, UnknownTarget
from supervisor.api.outcomes import Done, Interrupted
from supervisor.api.prompts import Prompt
from supervisor.api.questions import Allow
from supervisor.api.states import InstanceState
from supervisor.permissions.requests import ToolRequest
from supervisor.testing import FakeWorld, hold
from tests.engine.conftest import MakeTemplate, Start
from tests.engine.test_detached_turns import asking
from tests.engine.test_restart import ANA, crash_with_one_running_and_one_waiting, crashing
from tests.waiting import until

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("is_stop", [True, False])
async def test_a_turn_whose_client_has_just_died_does_not_outlive_a_kill(
    start: Start, world: FakeWorld, is_stop: bool
) -> None:
    """R1: it is on its way back into the queue while the queue is being emptied."""
    async with start() as supervisor:
        await (await supervisor.submit(Prompt("desk", "one", user="ana"))).outcome()
        first = world.connections[0]
        first.is_alive = False
        disconnect, gate = first.disconnect, anyio.Event()

        async def slow() -> None:
            await gate.wait()
            await disconnect()

        first.disconnect = slow  # type: ignore[method-assign]
        ticket = await supervisor.submit(Prompt("desk", "two", user="ana"))
        await until(lambda: supervisor.view.snapshot().clients[0].state.value == "closing")
        with anyio.fail_after(5):
            if is_stop:
                async with anyio.create_task_group() as group:
                    group.start_soon(supervisor.stop)
                    await anyio.wait_all_tasks_blocked()
                    gate.set()
            else:
                await supervisor.kill("desk")
                gate.set()
                await until(lambda: supervisor.view.snapshot().instances[0].state is InstanceState.STOPPED)
            assert isinstance(await ticket.outcome(), Interrupted)


async def test_an_offer_is_kept_while_everything_ends(start: Start, world: FakeWorld) -> None:
    """R2: a replay into an instance that is being killed would wait for ever."""
    await crash_with_one_running_and_one_waiting(start, world)
    async with start() as supervisor:
        await until(lambda: supervisor.view.snapshot().sessions[0].turns == 3)
        await supervisor.drain("desk")
        with pytest.raises(NotAccepting, match="offer is kept"):
            await supervisor.replay(ANA)
        assert (await supervisor.snapshot()).sessions[0].offer is not None
    with pytest.raises(NotAccepting, match="not running"):
        await supervisor.replay(ANA)
    with pytest.raises(NotAccepting, match="not running"):
        await supervisor.pause("desk")


async def test_what_was_approved_for_a_turn_does_not_outlive_it(
    start: Start, world: FakeWorld, make_template: MakeTemplate
) -> None:
    """D4: nor does it cover another call of the same tool."""
    template = make_template(concurrency={"maxSessions": 1}, pool={"spares": 0, "askingTtl": 0.02})
    notes, passwords = (ToolRequest("Write", {"file_path": name}) for name in ("notes.md", "/etc/passwd"))
    async with start(template) as supervisor, asking(supervisor, world, notes) as ticket:
        session = supervisor._instances["desk"].sessions[ticket.key]
        session.allowed_once.append("Write {}")
        await supervisor.answer((await supervisor.snapshot()).questions[0].id, Allow())
        assert (await supervisor._host.pending_questions.ask(session, "x", passwords, 0.01)).answer != Allow()
        assert isinstance(await ticket.outcome(), Done)
        assert session.allowed_once == []


async def test_an_answer_that_is_on_its_way_is_not_overtaken(
    start: Start, world: FakeWorld, make_template: MakeTemplate
) -> None:
    """D4: a client that has its answer is not given away in the same moment."""
    world.on_prompt = hold
    template = make_template(concurrency={"maxSessions": 1}, pool={"spares": 0, "askingTtl": "1h"})
    async with start(template) as supervisor, anyio.create_task_group() as group:
        ticket = await supervisor.submit(Prompt("desk", "go", user="ana"))
        await until(lambda: world.connections and world.connections[0].prompts)
        group.start_soon(world.connections[0].ask, ToolRequest("Write", {"file_path": "x"}))
        await until(lambda: supervisor.view.snapshot().questions)
        other = await supervisor.submit(Prompt("desk", "me too", user="boris"))
        await other.accepted()
        await supervisor.answer((await supervisor.snapshot()).questions[0].id, Allow())
        supervisor._instances["desk"]._detached.free_askers(supervisor._clock.steady() + 7_200)
        await until(lambda: not supervisor.view.snapshot().questions)
        assert (await supervisor.snapshot()).sessions[0].client_id, "its client is still its own"
        world.on_prompt = lambda connection, text: connection.reply("fine")
        world.connections[0].reply("done")
        assert isinstance(await ticket.outcome(), Done)
        assert isinstance(await other.outcome(), Done)


async def test_a_later_offer_takes_the_place_of_an_earlier_one(start: Start, world: FakeWorld) -> None:
    """R2: each can be settled, and none comes back."""
    await crash_with_one_running_and_one_waiting(start, world)
    async with crashing(start(), world) as supervisor:
        await until(lambda: supervisor.view.snapshot().sessions[0].turns == 3)
        world.on_prompt = hold
        await supervisor.submit(Prompt("desk", "second victim", user="ana"))
        await until(lambda: world.connections[-1].prompts[-1:] == ["second victim"])
    async with start() as supervisor:
        row = supervisor.view.session_row(ANA)
        assert row is not None
        assert row.offer is not None
        assert row.offer.text == "second victim"
        await supervisor.drop_offer(ANA)
    async with start() as supervisor:
        row = supervisor.view.session_row(ANA)
        assert row is not None
        assert row.offer is None


async def test_a_replay_that_cannot_be_recorded_leaves_its_offer(start: Start, world: FakeWorld) -> None:
    """R2: a full disk refuses it, and nothing is changed."""
    await crash_with_one_running_and_one_waiting(start, world)
    async with start() as supervisor:
        await until(lambda: supervisor.view.snapshot().sessions[0].turns == 3)
        journal = supervisor._host.journal
        await journal.flush()
        await journal._connection.execute("PRAGMA query_only = 1")
        with pytest.raises(NotRecorded):
            await (await supervisor.replay(ANA)).accepted()
        assert (await supervisor.snapshot()).sessions[0].offer is not None
        await journal._connection.execute("PRAGMA query_only = 0")
        assert isinstance(await (await supervisor.replay(ANA)).outcome(), Done)
        with pytest.raises(UnknownTarget):
            await supervisor.replay(ANA)


async def test_an_undelivered_prompt_that_a_stop_keeps_runs_at_the_next_start(start: Start, world: FakeWorld) -> None:
    """R2: it had begun on a dead client, and nothing of it has reached anybody."""
    async with start() as supervisor:
        await (await supervisor.submit(Prompt("desk", "one", user="ana"))).outcome()
        world.connections[0].is_alive = False
        world.gate = anyio.Event()
        ticket = await supervisor.submit(Prompt("desk", "two", user="ana"))
        await until(lambda: len(world.connections) == 2)
        await supervisor.pause("desk")
        await supervisor._host.journal.flush()
        record = await supervisor._host.journal.find_turn(ticket.turn_id)
        assert record is not None
        assert record.started_at is None
    world.gate = None
    async with start() as supervisor:
        await until(lambda: supervisor.view.snapshot().sessions[0].turns == 2)
        assert world.transcripts[(await supervisor.snapshot()).sessions[0].session_uuid] == ["one", "two"]
        assert (await supervisor.snapshot()).sessions[0].offer is None
