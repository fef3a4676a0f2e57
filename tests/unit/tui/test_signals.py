"""Signals that come when nothing is left to be woken by them."""

from __future__ import annotations

import signal

import anyio
import anyio.lowlevel

from tui.cli.exit_codes import SIGNAL
from tui.cli.signals import Signals


def test_one_that_comes_after_the_loop_has_ended_is_heard_and_breaks_nothing() -> None:
    """R3: a second Ctrl+C while the interpreter leaves."""
    signals, heeded = Signals(), []
    signals._is_running = True  # as `run` does, which also takes over the handlers of this process

    async def work() -> None:
        async with signals.heeded(lambda: heeded.append("first"), lambda: heeded.append("further")):
            await anyio.lowlevel.checkpoint()

    anyio.run(work)
    signals._hear(signal.SIGTERM, None)
    assert signals.exit_code == SIGNAL + signal.SIGTERM
    assert heeded == []
