"""Work beside the queues that is given up before it begins."""

from __future__ import annotations

import gc
import warnings
from pathlib import Path

import pytest

import tui
from tests.tui import stage
from tests.tui.theatre import playing
from tui.terminal import workers
from tui.terminal.workers import start_worker


@pytest.mark.anyio
async def test_what_is_cancelled_before_its_first_turn_leaves_nothing_behind() -> None:
    """As by ctrl+q in the instant of another key: Python would complain of a coroutine that nothing awaits."""
    begun: list[str] = []

    async def work() -> None:
        begun.append("it")

    async with playing(stage.busy()) as (app, pilot):
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            start_worker(app, work, group="other")
            app.workers.cancel_group(app, "other")
            await pilot.pause()
            gc.collect()
        assert (begun, [str(one.message) for one in told]) == ([], [])


def test_every_worker_is_started_there() -> None:
    files = Path(tui.__path__[0]).rglob("*.py")
    assert [path for path in files if "run_worker(" in path.read_text()] == [Path(workers.__file__)]
