"""Turns that a restart interrupted stand in the snapshot until somebody decides."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from supervisor.api.errors import NotRecorded
from supervisor.api.states import SessionState
from supervisor.engine.supervisor import Supervisor
from supervisor.testing import FakeWorld
from tests.engine.conftest import Start
from tests.engine.journal_stage import KEY, accept, make_session, make_turn, opened, read
from tests.engine.test_recorded_orders import reading

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def interrupted(tmp_path: Path, start: Start) -> AsyncIterator[Supervisor]:
    """With a turn on offer that an earlier run had begun."""
    async with opened(tmp_path / "state") as journal:
        journal.sessions.keep(make_session())
        await accept(journal, make_turn("ran"))
        journal.turns.start("ran", 2.0, lambda: None)
    async with start() as supervisor:
        yield supervisor


async def test_what_is_on_offer_is_not_resumed_ahead_of_the_decision(
    tmp_path: Path, start: Start, world: FakeWorld
) -> None:
    """R2: whether its prompt is cut from the conversation is known by then."""
    async with interrupted(tmp_path, start) as supervisor:
        world.transcripts[supervisor._instances["desk"].sessions[KEY].uuid] = ["Hello"]
        assert await supervisor.warm(KEY) is False
        await supervisor.drop_offer(KEY)
        assert await supervisor.warm(KEY) is True


async def test_a_replay_that_cannot_be_recorded_leaves_the_offer_as_it_was(tmp_path: Path, start: Start) -> None:
    """R2: in the rows, in what can be decided, and on record."""
    async with interrupted(tmp_path, start) as supervisor:
        journal = supervisor._host.journal
        with reading(supervisor) as rows:
            await journal.flush()
            await journal._connection.execute_fetchall("PRAGMA query_only = 1")
            with pytest.raises(NotRecorded):
                await (await supervisor.replay(KEY)).accepted()
            await journal._connection.execute_fetchall("PRAGMA query_only = 0")
            assert (rows["desk"].offers, rows[KEY].offer.turn_id) == (1, "ran")  # type: ignore[attr-defined]
            await journal.flush()
            assert read(tmp_path / "state", "SELECT turn_id, settled FROM offers") == [("ran", "")]
            await supervisor.drop_offer(KEY)


async def test_an_offer_stands_in_the_rows_of_its_session_and_its_instance(tmp_path: Path, start: Start) -> None:
    """R2: and a reader hears that it does no more."""
    async with interrupted(tmp_path, start) as supervisor:
        (instance,), (session,) = (await supervisor.snapshot()).instances, (await supervisor.snapshot()).sessions
        assert instance.offers == 1
        assert session.state is SessionState.INTERRUPTED
        assert session.offer is not None
        assert (session.offer.turn_id, session.offer.text) == ("ran", "Hello")
        with reading(supervisor) as rows:
            await supervisor.drop_offer(KEY)
            assert (rows["desk"].offers, rows[KEY].offer) == (0, None)  # type: ignore[attr-defined]
