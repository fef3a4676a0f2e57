"""How long the dashboard takes from the start of the process to its first frame, beside an empty Textual app.

    python -m benchmarks.paint              # half a minute

Nothing that is drawn with Textual can be quicker than the empty app. Both start in turn, on a pseudo-terminal, with
their bytecode written, as an installed program has it; each pair is a ratio of its own.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import pty
import select
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Mapping, Sequence

from benchmarks.figures import paired_ratio

WIDTH, HEIGHT = 120, 36
LIMIT = 60.0
"""Seconds for a first frame, and for an end."""
AIM = 0.5
"""Seconds, on a quiet machine."""
STARTS = 15

DASHBOARD = ("bullpen demo", b"Instances")
"""What is started, and what its first frame shows."""
EMPTY = ("an empty Textual app", b"NOTHING-MORE")
APP = """
from textual.app import App
from textual.widgets import Static

class Empty(App):
    def compose(self):
        yield Static("NOTHING-MORE")

Empty().run()
"""


def measure(starts: int) -> dict[str, list[float]]:
    """Seconds of each start, those at the same place one after the other. The first of each, which writes bytecode, is
    not counted."""
    found: dict[str, list[float]] = {DASHBOARD[0]: [], EMPTY[0]: []}
    with tempfile.TemporaryDirectory(prefix="bullpen-paint-", ignore_cleanup_errors=True) as folder:
        kept = ("PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX")
        environ = {name: value for name, value in os.environ.items() if name not in kept}
        environ |= {"TERM": "xterm-256color", "PYTHONPYCACHEPREFIX": f"{folder}/bytecode"}
        for number in range(-1, starts):
            state = f"{folder}/state-{number}"
            took = {
                DASHBOARD[0]: time_start(
                    [sys.executable, "-m", "tui", "demo", "--state", state], DASHBOARD[1], environ
                ),
                EMPTY[0]: time_start([sys.executable, "-c", APP], EMPTY[1], environ),
            }
            for name, seconds in took.items() if number >= 0 else ():
                found[name].append(seconds)
    return found


def time_start(command: Sequence[str], shows: bytes, environ: Mapping[str, str]) -> float:
    """Seconds until the program has painted that; then it is ended, and its processes with it."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", HEIGHT, WIDTH, 0, 0))
    began = time.perf_counter()
    process = subprocess.Popen(
        command, stdin=slave, stdout=slave, stderr=slave, env=dict(environ), start_new_session=True
    )
    os.close(slave)
    painted = b""
    try:
        while shows not in painted:
            if time.perf_counter() - began > LIMIT or process.poll() is not None:
                raise RuntimeError(f"{command} has painted nothing: {painted[-500:]!r}")
            painted += _read(master)
        return time.perf_counter() - began
    finally:
        process.terminate()
        while process.poll() is None and time.perf_counter() - began < 2 * LIMIT:
            _read(master)
        process.kill()
        process.wait()
        os.close(master)


def _read(master: int) -> bytes:
    try:
        return os.read(master, 65_536) if select.select([master], [], [], 0.05)[0] else b""
    except OSError:  # the other end is closed
        return b""


def describe(found: Mapping[str, Sequence[float]]) -> str:
    lines = [f"{name:24} p50 {statistics.median(took):.3f} s, best {min(took):.3f} s" for name, took in found.items()]
    ratio, low, high = paired_ratio(found[DASHBOARD[0]], found[EMPTY[0]])
    return "\n".join([*lines, f"{'ratio of each pair, p50':24} {ratio:.2f} ({low:.2f}-{high:.2f})"])


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.paint", description=__doc__.split("\n")[0])
    parser.add_argument("--starts", type=int, default=STARTS, help="of each; default: %(default)s")
    chosen = parser.parse_args()
    print(describe(measure(chosen.starts)), flush=True)
    print(f"{chosen.starts} starts of each, aim {AIM} s on a quiet machine, load {os.getloadavg()[0]:.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
