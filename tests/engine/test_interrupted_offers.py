"""Turns that a restart interrupted stand in the snapshot until somebody decides."""

from __future__ import annotations

from pathlib import Path

import pytest

from supervisor.api.states import SessionState
from tests.engine.conftest import Start
from tests.engine.journal_stage import KEY, accept, make_session, make_turn, opened
from tests.engine.test_recorded_orders import reading

pytestmark = pytest.mark.anyio


async def test_an_offer_stands_in_the_rows_of_its_session_and_its_instance(tmp_path: Path, start: Start) -> None:
    """R2: and a reader hears that it does no more."""
    async with opened(tmp_path / "state") as journal:
        journal.sessions.keep(make_session())
        await accept(journal, make_turn("ran"))
        journal.turns.start("ran", 2.0, lambda: None)
    async with start() as supervisor:
        (instance,), (session,) = (await supervisor.snapshot()).instances, (await supervisor.snapshot()).sessions
        assert instance.offers == 1
        assert session.state is SessionState.INTERRUPTED
        assert session.offer is not None
        assert (session.offer.turn_id, session.offer.text) == ("ran", "Hello")
        with reading(supervisor) as rows:
            await supervisor.drop_offer(KEY)
            assert (rows["desk"].offers, rows[KEY].offer) == (0, None)  # type: ignore[attr-defined]
