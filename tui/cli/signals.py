"""The signals that ask the program to end: heard from its first line to its last, and none of them is a way out.

The first asks for an orderly end, each further one shortens it (`Supervisor.hurry`), whichever signal it is. Where
nothing runs yet that would have to be ended, the first ends the program; when all has been ended, none changes
anything. The exit code is 128 + the number of the first.
"""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from types import FrameType
from typing import Any

from tui.cli.exit_codes import SIGNAL

HEARD = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


class Signals:
    """The signals that this process was sent. One object for the process."""

    def __init__(self) -> None:
        self._heard: list[int] = []
        self._notify: Callable[[], object] | None = None
        """Wakes the loop. Called between two bytecodes of the main thread, where nothing else is safe."""
        self._on_interrupt: Callable[[], object] | None = None
        """Called for SIGINT instead of all else."""
        self._is_running = False
        """From before the engine may start until everything has ended."""
        self._is_over = False
        self._is_obeyed = False

    @property
    def exit_code(self) -> int | None:
        """The exit code for the first signal; None when no signal came or it was obeyed."""
        return SIGNAL + self._heard[0] if self._heard and not self._is_obeyed else None

    def obey_term(self) -> None:
        """TERM alone has asked for the end, and what it asked for has been done: the program ends with its own code."""
        self._is_obeyed = set(self._heard) == {signal.SIGTERM}

    def listen(self) -> None:
        """Takes the place of what these signals would do. One that is ignored (`nohup`, a job in the background) stays
        ignored. To be called in the main thread."""
        for number in HEARD:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._hear)

    def run(self, work: Callable[[], Coroutine[Any, Any, int]]) -> int:
        """Runs it to its end, whatever is heard meanwhile. Returns the program's exit code."""
        import anyio

        self._is_running = True
        try:
            code = anyio.run(work)
        except BaseException:
            if self.exit_code is None:
                raise
            # What else went wrong while everything was being broken off is for the log.
            _log_exception()
            code = self.exit_code
        finally:
            self._stop_listening()
        return code if self.exit_code is None else self.exit_code

    @asynccontextmanager
    async def heeded(self, first: Callable[[], object], further: Callable[[], object]) -> AsyncIterator[None]:
        """Calls `first` for the first signal and `further` for each that follows, for as long as the block lasts; also
        for those that came before it."""
        import anyio

        async with anyio.create_task_group() as group:
            group.start_soon(self._heed, first, further)
            yield
            group.cancel_scope.cancel()

    @contextmanager
    def interrupts_call(self, call: Callable[[], object]) -> Iterator[None]:
        """While the block runs, ctrl+c does not end the program: `call` is called on the loop instead."""
        import asyncio

        loop = asyncio.get_running_loop()
        self._on_interrupt = lambda: loop.call_soon_threadsafe(call)
        try:
            yield
        finally:
            self._on_interrupt = None

    async def _heed(self, first: Callable[[], object], further: Callable[[], object]) -> None:
        import asyncio

        import anyio

        loop, heeded = asyncio.get_running_loop(), 0
        try:
            while True:
                arrived = anyio.Event()
                self._notify = lambda event=arrived: loop.call_soon_threadsafe(event.set)
                while heeded < len(self._heard):
                    heeded += 1
                    (first if heeded == 1 else further)()
                await arrived.wait()
        finally:
            self._notify = None  # a loop that is closed raises when it is woken

    def _hear(self, number: int, _: FrameType | None) -> None:
        if number == signal.SIGINT and self._on_interrupt is not None:
            self._on_interrupt()
            return
        self._heard.append(number)
        if self._notify is not None:
            self._notify()
        elif not self._is_running and not self._is_over:
            self._stop_listening()
            raise SystemExit(SIGNAL + number)

    def _stop_listening(self) -> None:
        self._is_over, self._notify = True, None
        for number in HEARD:
            if signal.getsignal(number) == self._hear:
                # The interpreter gives every other handler back to the system before its last line.
                signal.signal(number, signal.SIG_IGN)


def _log_exception() -> None:
    import logging

    logging.getLogger(__name__).warning("while ending for a signal", exc_info=True)


SIGNALS = Signals()
"""Of this process."""
