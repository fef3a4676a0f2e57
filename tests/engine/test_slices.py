"""Long work on the loop is done a piece at a time."""

from __future__ import annotations

import anyio
import anyio.lowlevel
import pytest

from supervisor.engine.housekeeping import SLICE, in_slices

pytestmark = pytest.mark.anyio


async def test_others_have_their_turn_in_between() -> None:
    """S2.29–31: what ten thousand sessions have on disk is told without holding up a prompt."""
    things = list(range(3 * SLICE))
    done: list[int] = []
    seen: list[int] = []

    async def watch() -> None:
        while len(done) < 3 * SLICE:
            seen.append(len(done))
            await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as group:
        group.start_soon(watch)
        async for thing in in_slices(things):
            things.clear()  # what comes and goes meanwhile changes nothing
            done.append(thing)
    assert done == list(range(3 * SLICE))
    assert {SLICE, 2 * SLICE} <= set(seen)
