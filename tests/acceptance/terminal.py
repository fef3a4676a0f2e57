"""A real terminal for the program: a pty with a session of its own, read through pyte."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pyte

ROOT = Path(__file__).resolve().parents[2]


class Terminal:
    """Runs a command on a pty. A thread reads its output, as a terminal does, until `stall`."""

    def __init__(
        self, command: Sequence[str], *, columns: int = 120, lines: int = 36, environ: Mapping[str, str] | None = None
    ) -> None:
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self._slave = os.dup(slave)
        self.before = termios.tcgetattr(self._slave)
        self.written = bytearray()
        """Everything the program has written so far."""
        self._screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self._screen)
        self._unread = bytearray()
        """Written, and not yet taken by the screen: that is done when the screen is looked at, as it costs more than
        the program's own drawing."""
        self._shown = ""
        self._arrived = threading.Condition()
        self._reading = threading.Event()
        self._reading.set()
        self._is_open = True
        self.process = subprocess.Popen(
            command,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            cwd=ROOT,
            env={**os.environ, "TERM": "xterm-256color", **(environ or {})},
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(slave)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    # Queries

    @property
    def text(self) -> str:
        with self._arrived:
            if self._unread or not self._shown:
                data = bytes(self._unread)
                self._unread.clear()
                self._stream.feed(data)
                self._shown = "\n".join(self._screen.display)
            return self._shown

    def wait_for(self, *texts: str, within: float = 30.0) -> str:
        """Waits until all texts are on the screen; shows the screen when they do not come."""
        self.until(lambda: all(text in self.text for text in texts), f"{texts} on the screen", within)
        return self.text

    def until(self, condition: Callable[[], object], what: str, within: float = 30.0) -> None:
        """Looks again when something was written, at most fifty times a second, and every tenth of a second for what
        is not on the screen."""
        deadline = time.monotonic() + within
        while True:
            began = time.monotonic()
            if condition():
                return
            if began > deadline:
                raise AssertionError(f"no {what} within {within} s; the screen:\n{self.text}")
            time.sleep(0.02)
            with self._arrived:
                if not self._unread:
                    self._arrived.wait(0.08)

    # Acting

    def press(self, keys: str) -> None:
        os.write(self.master, keys.encode())

    def stall(self) -> None:
        """Stops reading, as a terminal whose flow is held."""
        self._reading.clear()

    def go_on(self) -> None:
        self._reading.set()

    def hang_up(self) -> None:
        """Closes the terminal's window: the program gets SIGHUP, and its writes fail."""
        self._is_open = False
        self._reading.set()
        os.close(self._slave)
        os.close(self.master)

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.process.pid, number)

    def wait(self, within: float = 30.0) -> int:
        """Waits for the end; gives the exit code, negative for a signal."""
        try:
            return self.process.wait(within)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {within} s; the screen:\n{self.text}") from None

    # Judging

    def assert_sane(self) -> None:
        """The terminal is as it was: its modes, the normal screen, a visible cursor, no mouse reports."""
        self.until(lambda: not self._pending(), "end of output")
        assert termios.tcgetattr(self._slave) == self.before, "the tty's modes were not restored"
        for on, off, what in (
            (b"\x1b[?1049h", b"\x1b[?1049l", "the alternate screen"),
            (b"\x1b[?1000h", b"\x1b[?1000l", "mouse reports"),
            (b"\x1b[?2004h", b"\x1b[?2004l", "bracketed paste"),
            (b"\x1b[?25l", b"\x1b[?25h", "the hidden cursor"),
        ):
            assert self.written.rfind(on) <= self.written.rfind(off), f"{what} was left on"

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if self._is_open:
            self._is_open = False
            os.close(self._slave)
            os.close(self.master)
        self._reading.set()
        self._reader.join(5)

    def _pending(self) -> bool:
        return bool(struct.unpack("i", fcntl.ioctl(self.master, termios.FIONREAD, b"\0" * 4))[0])

    def _read(self) -> None:
        while self._is_open:
            self._reading.wait()
            try:
                data = os.read(self.master, 65_536)
            except OSError:
                return
            with self._arrived:
                self.written += data
                self._unread += data
                self._arrived.notify_all()


@contextlib.contextmanager
def run_bullpen(
    arguments: Sequence[str], *, columns: int = 120, lines: int = 36, patch: str = ""
) -> Iterator[Terminal]:
    """The program in a terminal. `patch` is Python that runs in its process before it starts."""
    code = f"{patch}\nfrom tui.cli.main import main\nmain()"
    terminal = Terminal([sys.executable, "-c", code, *arguments], columns=columns, lines=lines)
    try:
        yield terminal
    finally:
        terminal.close()
