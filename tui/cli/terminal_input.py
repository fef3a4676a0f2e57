"""Reads one line of the person at the terminal."""

from __future__ import annotations

import sys
import termios
from contextlib import suppress

from tui.cli.output import ask_line
from tui.cli.threads import run_apart

END_OF_INPUT = "\x04"
"""What `read_line` returns at the end of the input."""


async def read_line(prompt: str) -> str:
    """Reads a line. Text that was typed before the prompt stood there is discarded: it was no answer to it."""
    discard_typed()
    ask_line(prompt)
    line = await run_apart(sys.stdin.readline)
    return line.strip() if line else END_OF_INPUT


def discard_typed() -> None:
    """Takes what was typed and not read out of the terminal."""
    with suppress(OSError, ValueError, termios.error):
        termios.tcflush(sys.stdin.fileno(), termios.TCIFLUSH)
