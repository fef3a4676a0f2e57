"""The engine of a dashboard: opened behind its first frame, and ended when the screen has left."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

import anyio

from supervisor import BullpenError, load
from tui.cli.ending import GentleEnd
from tui.cli.errors import only

if TYPE_CHECKING:
    from supervisor import Supervisor

FIRST_FRAME_WITHIN = 2.0
"""Seconds that the engine waits for the first frame: a terminal that shows none keeps no prompt waiting."""

_log = logging.getLogger(__name__)


class EmbeddedEngine:
    """One supervisor. `run` owns it: when that has returned, no process is left."""

    def __init__(
        self, prepare: Callable[[], AbstractAsyncContextManager[Supervisor]], on_failure: Callable[[], object]
    ) -> None:
        """`prepare` makes the supervisor. `on_failure` is called when the engine could not be opened, or has failed."""
        self._prepare = prepare
        self._on_failure = on_failure
        self._life = anyio.CancelScope()
        self._is_over = anyio.Event()
        self._ending: GentleEnd | None = None
        self.prepared: Supervisor | None = None
        """Also while it is being opened."""
        self.opened: Supervisor | None = None
        self.failure: BaseException | None = None
        """A `BullpenError` where it could not be opened: then nothing was started."""

    async def run(self, painted: anyio.Event, begin: Callable[[Supervisor], Awaitable[None]]) -> None:
        """Opens the engine as soon as the first frame is painted, awaits `begin` and runs the engine to its end. Raises
        nothing: see `failure`."""
        try:
            with self._life:
                with anyio.move_on_after(FIRST_FRAME_WITHIN):
                    await painted.wait()
                # In a thread: the frame that is there answers keys meanwhile.
                await load("Supervisor")
                async with self._prepare() as supervisor, anyio.create_task_group() as group:
                    self.prepared = supervisor
                    await group.start(supervisor.run)
                    self._ending, self.opened = GentleEnd(supervisor), supervisor
                    await begin(supervisor)
        except Exception as raised:
            self.failure = only(raised)
            if not isinstance(self.failure, BullpenError):
                _log.critical("the engine failed", exc_info=self.failure)
            self._on_failure()
        finally:
            self._is_over.set()

    async def let_end(self, show: Callable[[str], object]) -> None:
        """Waits for what runs, if it was opened: see `GentleEnd`."""
        if self._ending is not None and self.failure is None:
            await self._ending.let_end(show)

    def hurry(self, *, is_gentle: bool) -> None:
        """Shortens its end. `is_gentle`: it was asked to let end what runs."""
        if is_gentle and self._ending is not None:
            self._ending.hurry()
        elif self.prepared is not None:
            self.prepared.hurry()

    async def stop(self) -> None:
        """Returns when no process is left. One that is still being opened is broken off."""
        if self.opened is None:
            self._life.cancel()
        else:
            await self.opened.stop()
        await self._is_over.wait()
