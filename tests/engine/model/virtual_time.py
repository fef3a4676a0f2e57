"""An event loop whose clock is turned by the test: it passes only when nothing is left to do, and then at once."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Awaitable
from typing import Any, TypeVar

T = TypeVar("T")

BEGINNING = 1_000.0
"""Seconds the clock stands at first: nothing is at or before zero by accident."""


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """Runs until it is idle: no callback ready, and no timer due up to a horizon. It does not wait for threads.

    Timers keep their order and their distances. `jump` is what a process sees that was suspended: everything that fell
    due meanwhile is due at once.
    """

    def __init__(self) -> None:
        self._now = self._horizon = BEGINNING
        self.problems: list[dict[str, Any]] = []
        """What nobody handled."""
        super().__init__(_ImpatientSelector(self))
        self.set_exception_handler(lambda loop, context: self.problems.append(context))

    def time(self) -> float:
        return self._now

    def settle(self) -> None:
        """Runs everything that can run now."""
        self.run_for(0)

    def run_for(self, seconds: float) -> None:
        """Lets that much time pass, timer by timer."""
        self._horizon = self._now + seconds
        self.run_forever()

    def jump(self, seconds: float) -> None:
        """Turns the clock without running anything."""
        self._now += seconds

    def step(self, count: int) -> None:
        """Runs what is ready, `count` times over: stops in the middle of things."""
        self._horizon = self._now
        for _ in range(count):
            self.call_soon(self.stop)
            self.run_forever()

    def finish(self, work: Awaitable[T], within: float = 0.0) -> T:
        """Runs until it is done, at most `within` seconds of the loop's time; else raises `TimeoutError`."""
        self._horizon = self._now + within
        task = asyncio.ensure_future(work, loop=self)
        task.add_done_callback(lambda _: self.stop())
        self.run_forever()
        if not task.done():
            raise TimeoutError(f"not done after {within:g} s: {task!r}")
        return task.result()

    def idle(self, timeout: float | None) -> None:
        """Called when nothing is ready: goes to the next timer, or ends the run when that is beyond the horizon."""
        if timeout is None or self._now + timeout > self._horizon:
            self._now = max(self._now, self._horizon)
            self.stop()
        else:
            self._now += timeout


class _ImpatientSelector(selectors.SelectSelector):
    """Never waits: it lets the loop's clock jump to where it would have waited for."""

    def __init__(self, loop: VirtualTimeLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and (timeout is None or timeout > 0):
            self._loop.idle(timeout)
        return ready
