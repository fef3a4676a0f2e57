"""How a bullpen ends that was asked to: what runs is let end first, and each further wish shortens that."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

import anyio

from supervisor import BullpenError, InstanceState
from tui.wording.format import some

if TYPE_CHECKING:
    from supervisor import InstanceRow, Supervisor

LOOK_SECONDS = 0.5
"""Between two looks how far it is."""


class GentleEnd:
    """State: whether it was asked for, and how often since."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._drain = anyio.CancelScope()
        self._is_hurried = False

    def hurry(self) -> None:
        """The first time: nothing is waited for any more. After that as `Supervisor.hurry`."""
        if self._is_hurried:
            self._supervisor.hurry()
        self._is_hurried = True
        self._drain.cancel()

    async def let_end(self, show: Callable[[str], object]) -> None:
        """Refuses new prompts and returns when all is empty, or `drain_deadline` is over; what is left then is kept by
        the end of the supervisor. `show` gets a line each time that something has changed."""
        with self._drain:
            for row in (await self._supervisor.snapshot()).instances:
                with suppress(BullpenError):
                    await self._supervisor.drain(row.name, before_end=True)
            async with anyio.create_task_group() as group:
                group.start_soon(self._tell_progress, show)
                with anyio.move_on_after(self._supervisor.settings.drain_deadline):
                    await self._supervisor.drained()
                group.cancel_scope.cancel()

    async def _tell_progress(self, show: Callable[[str], object]) -> None:
        last = ""
        while True:
            if (line := describe_drain((await self._supervisor.snapshot()).instances)) != last:
                last = line
                show(line)
            await anyio.sleep(LOOK_SECONDS)


def describe_drain(rows: Iterable[InstanceRow]) -> str:
    """`draining: 1 turn left · helpdesk/ana/default waits for an answer, interrupted at 12:00:30`"""
    rows = [row for row in rows if row.active_sessions or row.waiting]
    notes = [row.note for row in rows if row.note and row.state is InstanceState.DRAINING]
    return " · ".join(
        [f"draining: {some(sum(row.active_sessions + row.waiting for row in rows), 'turn')} left", *notes]
    )
