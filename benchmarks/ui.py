"""What the dashboard costs: bytes to the terminal, processor time, and the time from a key to its paint.

python -m benchmarks.ui      writes its figures into docs/benchmarks.md
"""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import statistics
import struct
import subprocess
import sys
import termios
import time
from dataclasses import dataclass, field

import psutil

from benchmarks.dashboard_process import SESSIONS
from benchmarks.panes import measure_all
from benchmarks.sections import write_section

WIDTH, HEIGHT = 160, 50
SETTLING = 6.0
"""Seconds after the start that are not measured."""
SECONDS = 8.0
KEY_EVERY = 0.25
HELP_EVERY = 0.5
BAR = "▌".encode()
"""What a moved cursor paints anew, and nothing else does."""

HELP = b"Four stops"
"""A heading of the list of keys, which stands on no other screen."""


@dataclass
class Figures:
    bytes_per_second: float = 0.0
    cpu_share: float = 0.0
    """Of one core."""
    keys: list[float] = field(default_factory=list)
    """Seconds from a key to the bytes that move the cursor."""
    helps: list[float] = field(default_factory=list)
    """Seconds from `?` to the bytes of the list of all keys."""

    def percentile(self, share: float, of: str = "keys") -> float:
        ordered = sorted(getattr(self, of))
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else float("nan")


class Screen:
    """A dashboard in a pseudo-terminal of its own."""

    def __init__(self, *arguments: str) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", HEIGHT, WIDTH, 0, 0))
        environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.dashboard_process", *arguments],
            stdin=slave, stdout=slave, stderr=slave, env=environment, start_new_session=True,
        )  # fmt: skip
        os.close(slave)

    def read(self, seconds: float, until: bytes = b"") -> bytes:
        """What it paints within so many seconds, or until these bytes have come."""
        end, found = time.monotonic() + seconds, b""
        while (left := end - time.monotonic()) > 0 and not (until and until in found):
            if select.select([self._master], [], [], left)[0]:
                found += os.read(self._master, 65_536)
        return found

    def press(self, key: bytes) -> None:
        os.write(self._master, key)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        os.close(self._master)


def measure(*arguments: str, seconds: float = SECONDS, with_keys: bool = True) -> Figures:
    """One run. Bytes and processor time are measured while no key is pressed, then the keys."""
    screen = Screen(*arguments)
    figures = Figures()
    try:
        screen.read(SETTLING)
        tree = psutil.Process(screen.process.pid)
        before, began = sum(tree.cpu_times()[:2]), time.monotonic()
        painted = screen.read(seconds)
        took = time.monotonic() - began
        figures.bytes_per_second = len(painted) / took
        figures.cpu_share = (sum(tree.cpu_times()[:2]) - before) / took
        for number in range(int(seconds / KEY_EVERY) if with_keys else 0):
            screen.read(KEY_EVERY)
            at = time.monotonic()
            screen.press(b"k" if number % 2 else b"j")
            if BAR in screen.read(2.0, until=BAR):
                figures.keys.append(time.monotonic() - at)
        for _ in range(int(seconds / HELP_EVERY) if with_keys else 0):
            screen.read(HELP_EVERY / 2)
            at = time.monotonic()
            screen.press(b"?")
            if HELP in screen.read(2.0, until=HELP):
                figures.helps.append(time.monotonic() - at)
            screen.read(HELP_EVERY / 2)
            screen.press(b"q")
    finally:
        screen.close()
    return figures


def section(text: str) -> str:
    """The part of the page that this run writes."""
    head = (
        "## The dashboard in a terminal\n\n"
        f"Made by `make bench-ui`, {time.strftime('%Y-%m-%d')}: the real driver on a pseudo-terminal, canned rows, "
        "a census of all clients every two seconds. "
        "Key to paint: from the byte of a cursor key to the bytes that move the cursor."
    )
    return f"{head}\n\n{text}"


def table(idle: Figures, busy: Figures) -> str:
    lines = [
        f"| {SESSIONS:,} sessions, {WIDTH}x{HEIGHT} | idle | 2,000 events/s | busy / idle |",
        "|---|---|---|---|",
        f"| bytes to the terminal (aim < 5, < 60 kB/s) | {_kilobytes(idle)} | {_kilobytes(busy)} | "
        f"{busy.bytes_per_second / idle.bytes_per_second:.1f} × |",
        f"| processor time, of one core | {idle.cpu_share:.1%} | {busy.cpu_share:.1%} | "
        f"{busy.cpu_share / idle.cpu_share:.1f} × |",
        *(
            f"| key to paint, p{share:.0%} | {_ms(idle, share)} | {_ms(busy, share)} | "
            f"{busy.percentile(share) / idle.percentile(share):.1f} × |".replace("%", "", 1)
            for share in (0.5, 0.95)
        ),
        f"| `?` to the list of keys, p50 (aim < 50 ms) | {_help(idle)} | {_help(busy)} | "
        f"{busy.percentile(0.5, 'helps') / idle.percentile(0.5, 'helps'):.1f} × |",
    ]
    return "\n".join(lines)


def panes_table(results: dict[str, dict[str, float]]) -> str:
    lines = [
        "| panes, 200x50 | processor time, of one core | bytes to the terminal | against one pane |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {name} | {each['cpu']:.1%} | {each['bytes'] / 1000:.1f} kB/s | {each['ratio']:.2f} × |"
        for name, each in results.items()
    ]
    return "\n".join(lines)


def _kilobytes(figures: Figures) -> str:
    return f"{figures.bytes_per_second / 1000:.1f} kB/s"


def _ms(figures: Figures, share: float) -> str:
    return f"{figures.percentile(share) * 1000:.0f} ms"


def _help(figures: Figures) -> str:
    return f"{figures.percentile(0.5, 'helps') * 1000:.0f} ms"


def main() -> None:
    runs = {mode: [measure(mode) for _ in range(3)] for mode in ("idle", "busy")}
    found = {
        mode: Figures(
            statistics.median(one.bytes_per_second for one in each),
            statistics.median(one.cpu_share for one in each),
            [key for one in each for key in one.keys],
            [key for one in each for key in one.helps],
        )
        for mode, each in runs.items()
    }
    text = f"{table(found['idle'], found['busy'])}\n\n{panes_table(measure_all())}"
    print(text)
    write_section("ui", section(text))


if __name__ == "__main__":
    main()
