"""The driver on a real pty: what a terminal does never holds up the event loop (R4), and it is left as it was found."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pyte
import pytest
from textual.app import App

from tui.terminal.driver import SafeDriver
from tui.terminal.notifications import RESTORE_TITLE, SAVE_TITLE, title_of

APP = Path(__file__).with_name("driven_app.py")
ROOT = Path(__file__).parents[2]
WIDTH, HEIGHT = 80, 24
MANY = 20
"""Pictures: many more than any queue of the driver would hold."""
DEADLINE = 20.0
"""Seconds. Generous: it only decides when a test that fails stops waiting."""


class Terminal:
    """The far end of a pty: what a terminal emulator would hold."""

    def __init__(self, report: Path) -> None:
        self.report = report
        self.master, self.slave = os.openpty()
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", HEIGHT, WIDTH, 0, 0))
        self.attributes = termios.tcgetattr(self.slave)
        self.output = bytearray()
        environment = {key: value for key, value in os.environ.items() if not key.startswith("TEXTUAL")}
        environment |= {"TERM": "xterm-256color", "COLORTERM": "truecolor", "PYTHONPATH": str(ROOT)}
        self.process = subprocess.Popen(
            [sys.executable, str(APP), str(report)],
            stdin=self.slave,
            stdout=self.slave,
            stderr=self.slave,
            env=environment,
            start_new_session=True,
            cwd=ROOT,
        )

    def read(self, until: Callable[[], bool], what: str) -> None:
        """Reads like a terminal until the condition holds."""
        deadline = time.monotonic() + DEADLINE
        while not until():
            assert time.monotonic() < deadline, f"waited in vain until {what}"
            self._read_some()

    def read_until_quiet(self) -> None:
        """Reads until the app has nothing more to say."""
        deadline = time.monotonic() + DEADLINE
        while self._read_some(0.5):
            assert time.monotonic() < deadline, "the app never stopped painting"

    def _read_some(self, patience: float = 0.05) -> bool:
        if not select.select([self.master], [], [], patience)[0]:
            return False
        try:
            self.output += os.read(self.master, 65_536)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            return False
        return True

    def ignore(self, until: Callable[[], bool], what: str) -> None:
        """Does not read, while the app has its time."""
        deadline = time.monotonic() + DEADLINE
        while not until():
            assert time.monotonic() < deadline, f"waited in vain until {what}"
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(0.05)

    def ignore_many_pictures(self) -> None:
        """Long enough to fill every buffer between the app and the screen."""
        enough = self.facts()["frame"] + MANY
        self.ignore(lambda: self.facts()["frame"] > enough, "the app painted many pictures nobody read")

    def press(self, keys: str) -> None:
        os.write(self.master, keys.encode())

    def facts(self) -> dict[str, float]:
        try:
            return dict(json.loads(self.report.read_text()))
        except FileNotFoundError:
            return {"gap": 0.0, "frame": 0}

    def has_ended(self) -> bool:
        return self.process.poll() is not None

    def screen(self) -> list[str]:
        """What the last pictures left on the screen. (Half a megabyte is several of them.)"""
        screen = pyte.Screen(WIDTH, HEIGHT)
        screen.set_mode(7, private=True)
        pyte.ByteStream(screen).feed(bytes(self.output[-500_000:]))
        return list(screen.display)

    def close(self) -> None:
        for descriptor in (self.master, self.slave):
            with contextlib.suppress(OSError):
                os.close(descriptor)
        if not self.has_ended():
            self.process.send_signal(signal.SIGKILL)
        self.process.wait(DEADLINE)


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    terminal = Terminal(tmp_path / "report.json")
    try:
        terminal.read(lambda: terminal.facts()["frame"] > 5, "the app paints")
        yield terminal
    finally:
        terminal.close()


def test_a_terminal_that_does_not_read_never_holds_up_the_loop(terminal: Terminal) -> None:
    """R4: nobody reads; the app goes on painting and its heart beating, and then one whole picture arrives."""
    terminal.ignore_many_pictures()
    assert terminal.facts()["gap"] < 2.0, "the loop was held up"

    terminal.press("f")
    terminal.ignore(lambda: terminal.facts()["frame"] == 0, "the last picture was painted while nobody read")
    terminal.read_until_quiet()
    assert terminal.screen() == ["".join(str((x + y) % 10) for x in range(WIDTH)) for y in range(HEIGHT)]


def test_a_terminal_that_goes_away_ends_the_app(terminal: Terminal) -> None:
    """Hang-up without SIGHUP (the app is not the pty's session leader): it notices by itself, and does not spin."""
    os.close(terminal.slave)
    os.close(terminal.master)
    deadline = time.monotonic() + DEADLINE
    assert terminal.process.wait(max(0.0, deadline - time.monotonic())) == 129


def test_the_terminal_is_left_as_it_was_found(terminal: Terminal) -> None:
    terminal.press("\x11")
    terminal.read(terminal.has_ended, "the app has ended")
    terminal.read(lambda: b"\x1b[?1049l" in terminal.output, "the alternate screen is left")
    end = bytes(terminal.output).rpartition(b"\x1b[?1049l")
    assert b"\x1b[?2004l" in end[0]
    assert b"\x1b[?25h" in end[2]
    assert b"\x1b[?1000l" in end[0]
    assert termios.tcgetattr(terminal.slave) == terminal.attributes
    assert terminal.process.returncode == 0


def test_the_title_is_put_back_at_the_end_and_not_touched_before_it_is_set(terminal: Terminal) -> None:
    assert SAVE_TITLE.encode() not in terminal.output
    terminal.press("t")
    terminal.read(lambda: title_of(2).encode() in terminal.output, "the title is set")
    assert bytes(terminal.output).index(SAVE_TITLE.encode()) < bytes(terminal.output).index(title_of(2).encode())
    terminal.press("")
    terminal.read(terminal.has_ended, "the app has ended")
    terminal.read_until_quiet()
    assert bytes(terminal.output).rindex(RESTORE_TITLE.encode()) > bytes(terminal.output).rindex(title_of(2).encode())


def test_quitting_in_front_of_a_terminal_that_does_not_read_is_bounded(terminal: Terminal) -> None:
    """The last words get their time, then the process goes."""
    terminal.ignore_many_pictures()
    terminal.press("\x11")
    terminal.ignore(terminal.has_ended, "the app has ended")


def test_last_words_come_through_when_the_terminal_reads_again_in_time(terminal: Terminal) -> None:
    """Stalled, then quit, then read: not one restoring sequence was left out for a picture."""
    terminal.ignore_many_pictures()
    terminal.press("\x11")
    terminal.read(terminal.has_ended, "the app has ended")
    terminal.read_until_quiet()
    for sequence in (b"\x1b[?2004l", b"\x1b[?1000l", b"\x1b[<u", b"\x1b[?1049l", b"\x1b[?25h", b"\x1b[?1004l"):
        assert sequence in terminal.output[-4_000:]


@pytest.mark.anyio
async def test_a_terminal_that_has_no_size_is_taken_for_one_size_by_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pty begins with 0 columns and 0 lines. Two answers would have the app laid out anew without end."""
    monkeypatch.setattr(os, "get_terminal_size", lambda _: os.terminal_size((0, 0)))
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.delenv("LINES", raising=False)
    app: App[None] = App()
    assert SafeDriver(app)._get_terminal_size() == tuple(app.console.size)


def test_suspending_while_the_app_paints_neither_blocks_nor_writes(terminal: Terminal) -> None:
    """`App.suspend` leaves the terminal to others: not a byte of ours in between, and the picture comes back."""
    terminal.press("s")
    terminal.read(lambda: b"<suspended>" in terminal.output, "it was suspended")
    again = terminal.facts()["frame"]
    terminal.read(lambda: terminal.facts()["frame"] > again + 5, "painting goes on")
    assert b"a picture nobody should see" not in terminal.output
    left, _, _ = bytes(terminal.output).partition(b"<suspended>")
    assert left.endswith(b"\x1b[?1004l"), "the terminal was given back before anybody else wrote"
    terminal.read(lambda: b"\x1b[?1049h" in terminal.output[len(left) :], "the alternate screen is back")
