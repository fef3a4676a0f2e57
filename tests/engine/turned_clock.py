"""Time that a test turns, and the housekeeping that looks at it."""

from __future__ import annotations

import anyio

from supervisor.clock import Clock
from supervisor.engine.supervisor import Supervisor
from tests.waiting import until


class TurnedClock:
    """A steady clock, and one on the wall, that a test turns."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.clock = Clock(wall=lambda: 1_700_000_000.0 + self.seconds, steady=lambda: self.seconds)


async def until_looked_after(supervisor: Supervisor) -> None:
    """Until the housekeeping has looked at a clock that was turned by more than a second."""
    seen = len((await supervisor.snapshot()).instances[0].waiting_trend)
    await until(lambda: len(supervisor.view.snapshot().instances[0].waiting_trend) > seen)
    await anyio.wait_all_tasks_blocked()
