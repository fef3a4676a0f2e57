"""Turns that are interrupted or withdrawn, and callers that are cancelled."""

from __future__ import annotations

import anyio
import pytest
from anyio.lowlevel import checkpoint

from supervisor.api.outcomes import Cancelled, Done, Interrupted
from supervisor.api.prompts import Prompt
from supervisor.testing import FakeConnection, FakeWorld, hold
from tests.engine.conftest import Start
from tests.engine.test_turns import prompts_of
from tests.waiting import at_once, until

pytestmark = pytest.mark.anyio


async def test_an_interrupt_drains_the_turn_and_the_next_answer_is_the_new_one(start: Start, world: FakeWorld) -> None:
    world.on_prompt = lambda connection, text: None if text == "old" else connection.reply(f"answer to {text}")
    async with start() as supervisor:
        old = await supervisor.submit(Prompt("desk", "old", user="ana"))
        new = await supervisor.submit(Prompt("desk", "new", user="ana"))
        await until(lambda: prompts_of(world) == ["old"])
        assert await supervisor.interrupt(old.key)
        assert isinstance(await old.outcome(), Interrupted)
        outcome = await new.outcome()
        assert isinstance(outcome, Done)
        assert outcome.text == "answer to new"
        assert len(world.connections) == 1, "the client lived on"


async def test_an_interrupt_is_over_with_the_result_though_its_reply_never_comes(
    start: Start, world: FakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt = FakeConnection.interrupt

    async def interrupt_without_a_reply(connection: FakeConnection) -> None:
        await interrupt(connection)
        await anyio.sleep_forever()

    monkeypatch.setattr(FakeConnection, "interrupt", interrupt_without_a_reply)
    world.on_prompt = hold
    async with start(control_timeout=60) as supervisor:
        for text in ("one", "two"):
            ticket = await supervisor.submit(Prompt("desk", text, user="ana"))
            await until(lambda text=text: text in prompts_of(world))
            assert await supervisor.interrupt(ticket.key)
            with anyio.fail_after(10):
                assert isinstance(await ticket.outcome(), Interrupted)
        assert len(world.connections) == 1, "the client lived on"


async def test_an_interrupt_takes_out_the_turn_that_still_waits_for_its_client(start: Start, world: FakeWorld) -> None:
    world.on_prompt = hold
    async with start() as supervisor:
        for user in ("ana", "boris"):
            await supervisor.submit(Prompt("desk", user, user=user))
        await until(lambda: len(prompts_of(world)) == 2)
        first, second = (at_once(supervisor.submit(Prompt("desk", text, user="chen"))) for text in ("c", "d"))
        row = next(row for row in (await supervisor.snapshot()).sessions if row.key == first.key)
        assert (row.turn_id, row.stoppable) == ("", first.turn_id)
        assert await supervisor.interrupt(first.key)
        assert await first.outcome() == Cancelled("interrupted by the operator")
        assert second.finished is None
        assert await supervisor.interrupt(second.key)
        assert not await supervisor.interrupt(second.key)


async def test_an_interrupt_that_names_its_turn_leaves_the_next_one_alone(start: Start, world: FakeWorld) -> None:
    """A confirmation takes a moment: what the operator agreed to stop may have ended by then."""
    world.on_prompt = lambda connection, text: connection.reply("fine") if text == "one" else None
    async with start() as supervisor:
        first = await supervisor.submit(Prompt("desk", "one", user="ana"))
        await first.outcome()
        second = await supervisor.submit(Prompt("desk", "two", user="ana"))
        await until(lambda: prompts_of(world) == ["one", "two"])
        assert not await supervisor.interrupt(first.key, first.turn_id)
        assert second.finished is None
        assert await supervisor.interrupt(second.key, second.turn_id)
        assert isinstance(await second.outcome(), Interrupted)


async def test_a_client_that_ignores_an_interrupt_is_ended_and_the_session_goes_on(
    start: Start, world: FakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S2.33"""

    def stop_once(connection: FakeConnection, text: str) -> None:
        if text == "stuck":
            connection.hang()
        else:
            connection.reply("fine")

    world.on_prompt = stop_once
    async with start() as supervisor:
        await (await supervisor.submit(Prompt("desk", "before", user="ana"))).outcome()
        stuck = await supervisor.submit(Prompt("desk", "stuck", user="ana"))
        await until(lambda: "stuck" in prompts_of(world))
        slot = next(iter(supervisor._instances["desk"].pool))
        assert slot.client is not None
        slot.client._deadlines = slot.client._deadlines._replace(control=0.01)
        await supervisor.interrupt(stuck.key)
        assert isinstance(await stuck.outcome(), Interrupted)
        after = await (await supervisor.submit(Prompt("desk", "after", user="ana"))).outcome()
        assert isinstance(after, Done)
    assert world.violations == []


async def test_a_waiting_turn_can_be_withdrawn(start: Start, world: FakeWorld) -> None:
    world.on_prompt = hold
    async with start() as supervisor:
        running = await supervisor.submit(Prompt("desk", "a", user="ana"))
        waiting = await supervisor.submit(Prompt("desk", "b", user="ana"))
        await until(lambda: prompts_of(world))
        await supervisor.withdraw(waiting.turn_id)
        assert isinstance(waiting.finished, Cancelled)
        await supervisor.withdraw(running.turn_id)
        assert isinstance(await running.outcome(), Interrupted)
        assert prompts_of(world) == ["a"]


async def test_cancelling_a_caller_leaves_its_turn_and_the_pool_alone(start: Start, world: FakeWorld) -> None:
    """R4: a vanished reader never ends a turn. S2.20: no slot is lost."""
    world.on_prompt = hold
    async with start() as supervisor:
        ticket = await supervisor.submit(Prompt("desk", "a", user="ana"))
        with anyio.move_on_after(0.01):
            await ticket.outcome()
        await until(lambda: prompts_of(world))
        world.connections[0].reply("done")
        assert isinstance(await ticket.outcome(), Done)


async def test_two_turns_never_share_an_outcome_after_an_interrupted_reader(start: Start, world: FakeWorld) -> None:
    world.on_prompt = hold
    async with start() as supervisor:
        first = await supervisor.submit(Prompt("desk", "a", user="ana"))
        await until(lambda: prompts_of(world) == ["a"])
        async with anyio.create_task_group() as group:
            group.start_soon(first.outcome)
            await checkpoint()
            group.cancel_scope.cancel()
        second = await supervisor.submit(Prompt("desk", "b", user="ana"))
        world.connections[0].reply("to a")
        await until(lambda: len(prompts_of(world)) == 2)
        world.connections[0].reply("to b")
        outcomes = [await first.outcome(), await second.outcome()]
    assert [outcome.text for outcome in outcomes if isinstance(outcome, Done)] == ["to a", "to b"]
