"""What a submitter is told stands: it is in the journal before it is told, so no restart takes it back (R1)."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from supervisor.api.errors import OutcomeUnknown
from supervisor.api.outcomes import Cancelled, Done
from supervisor.api.prompts import Prompt
from supervisor.journal import writer as writing
from supervisor.testing import FakeWorld, hold
from tests.engine.conftest import Start
from tests.engine.journal_stage import read
from tests.waiting import until

pytestmark = pytest.mark.anyio

READ_ONLY, WRITABLE = "PRAGMA query_only = 1", "PRAGMA query_only = 0"


async def test_an_outcome_is_durable_when_it_is_told(start: Start, tmp_path: Path) -> None:
    """R1"""
    async with start() as supervisor:
        ticket = await supervisor.submit(Prompt("desk", "hello", user="ana"))
        await ticket.outcome()
        assert read(tmp_path / "state", "SELECT outcome FROM turns") == [("done",)]


async def test_a_turn_withdrawn_while_it_waits_is_durably_so_when_that_is_told(
    start: Start, tmp_path: Path, world: FakeWorld
) -> None:
    """R1: a caller who was told "cancelled" must not find it done after a restart."""
    world.on_prompt = hold
    async with start() as supervisor:
        await supervisor.submit(Prompt("desk", "first", user="ana"))
        waiting = await supervisor.submit(Prompt("desk", "second", user="ana"))
        await waiting.accepted()
        await supervisor.withdraw(waiting.turn_id)
        assert isinstance(await waiting.outcome(), Cancelled)
        assert ("cancelled",) in read(tmp_path / "state", "SELECT outcome FROM turns")


async def test_a_prompt_withdrawn_before_it_is_recorded_is_accepted_only_when_it_is(
    start: Start, tmp_path: Path
) -> None:
    async with start() as supervisor:
        ticket = await supervisor.submit(Prompt("desk", "hello", user="ana"))
        await supervisor.withdraw(ticket.turn_id)
        await ticket.accepted()
        assert read(tmp_path / "state", "SELECT text FROM turns") == [("hello",)]


async def test_while_the_disk_is_read_only_nobody_is_told_an_outcome(
    start: Start, tmp_path: Path, world: FakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "FIRST_DELAY", 0.01)
    world.on_prompt = hold
    async with start() as supervisor:
        ticket = await supervisor.submit(Prompt("desk", "hello", user="ana"))
        await until(lambda: [prompt for connection in world.connections for prompt in connection.prompts])
        journal = supervisor._host.journal
        await journal._connection.execute_fetchall(READ_ONLY)
        world.connections[0].reply("fine")
        await until(lambda: ticket.finished and journal.failing)
        with anyio.move_on_after(0.05) as patience:
            await ticket.outcome()
        assert patience.cancelled_caught
        await journal._connection.execute_fetchall(WRITABLE)
        assert isinstance(await ticket.outcome(), Done)
    assert read(tmp_path / "state", "SELECT outcome FROM turns") == [("done",)]


async def test_an_outcome_that_could_not_be_recorded_is_not_waited_for_for_ever(
    start: Start, world: FakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "FIRST_DELAY", 0.01)
    monkeypatch.setattr(writing, "CLOSING_TIME", 0.05)
    world.on_prompt = hold
    async with start() as supervisor:
        ticket = await supervisor.submit(Prompt("desk", "hello", user="ana"))
        await until(lambda: [prompt for connection in world.connections for prompt in connection.prompts])
        await supervisor._host.journal._connection.execute_fetchall(READ_ONLY)
        world.connections[0].reply("fine")
        await until(lambda: ticket.finished)
    with pytest.raises(OutcomeUnknown):
        await ticket.outcome()
