"""What panes cost: processor time and bytes while replies stream into one pane, into four, and into hidden tabs.

`python -m benchmarks.panes` prints one object of JSON: for each case the share of one processor and the bytes a second
that reach the terminal. The dashboard runs in a terminal of its own, over the engine with the shipped fake client; the
words are put into the conversations at a steady rate, so that only drawing is measured.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import pty
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from pathlib import Path
from typing import NamedTuple

import anyio

from benchmarks.fake import AGENT, open_sessions, running
from supervisor import Asked, Replied, SessionKey, Source
from supervisor.conversation import Conversation
from supervisor.testing import FakeConnection, FakeWorld

COLUMNS, LINES = 200, 50
SESSIONS = 4
HISTORY = 200
"""Entries of each conversation before the measurement."""
RATE = 20
"""Fragments a second, in each streaming conversation."""
FRAGMENT = "some words, "
SETTLE, SECONDS = 2.0, 6.0


class Case(NamedTuple):
    panes: int
    """In sight."""
    tabs: int
    streaming: int
    """Conversations that a reply streams into, the first ones."""


CASES = {
    "one pane, nothing streams": Case(1, 1, 0),
    "one pane streams": Case(1, 1, 1),
    "four panes, nothing streams": Case(4, 4, 0),
    "four panes, one streams": Case(4, 4, 1),
    "four panes stream": Case(4, 4, 4),
    "four tabs stream, one is in sight": Case(1, 4, 4),
}


async def play(case: Case) -> dict[str, float]:
    """Runs the dashboard on this process's terminal."""
    from tui.app import BullpenApp
    from tui.terminal.driver import SafeDriver

    world = FakeWorld(on_prompt=_answer)
    figures: dict[str, float] = {}
    async with running(world, SESSIONS) as supervisor:
        await open_sessions(supervisor, 0, SESSIONS, SESSIONS)
        keys = [SessionKey(AGENT, f"user-{number}", "default") for number in range(SESSIONS)]
        talks = [supervisor._session(key).conversation for key in keys]
        for talk in talks:
            _fill(talk)
        app = BullpenApp(supervisor, rehearsal=True, driver_class=SafeDriver)

        async def measure() -> None:
            await anyio.sleep(SETTLE)
            if case.panes > 1:
                app.call_later(app.open_chats, keys[: case.panes])
            else:
                for key in reversed(keys[: case.tabs]):
                    app.call_later(app.open_chats, [key])
            await anyio.sleep(SETTLE)
            began, cpu = time.perf_counter(), time.process_time()
            count = 0
            while (now := time.perf_counter()) < began + SECONDS:
                for talk in talks[: case.streaming]:
                    talk.stream(FRAGMENT if count % 12 else FRAGMENT + "\n\n", "t-bench")
                count += 1
                await anyio.sleep(max(0.0, began + count / RATE - now))
            figures["cpu"] = (time.process_time() - cpu) / (time.perf_counter() - began)
            app.exit(0)

        async with anyio.create_task_group() as group:
            group.start_soon(measure)
            await app.run_async()
    return figures


def _answer(connection: FakeConnection, _text: str) -> None:
    connection.reply("x" * 100)


def _fill(talk: Conversation) -> None:
    reply = "## A heading\n\nSome **words** and `code`.\n\n1. one\n2. two\n\n```python\nx = 1\n```\n"
    for number in range(HISTORY // 2):
        talk.append(Asked(at=time.time(), turn_id="t", text=f"question {number}", source=Source.CALLER, user="u"))
        talk.append(Replied(at=time.time(), turn_id="t", text=reply))


def measure(name: str) -> dict[str, float]:
    """One case in a process and a terminal of its own."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "result.json"
        process = subprocess.Popen(
            [sys.executable, "-m", __spec__.name, name, str(result)],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"},
            start_new_session=True,
        )
        os.close(slave)
        written = _Reader(master)
        began = time.perf_counter()
        code = process.wait(timeout=120)
        seconds = time.perf_counter() - began
        os.close(master)
        if code or not result.exists():
            raise RuntimeError(f"{name}: the dashboard ended with {code}")
        figures: dict[str, float] = json.loads(result.read_text("utf-8"))
    return {"cpu": round(figures["cpu"], 4), "bytes": round(written.count / seconds)}


class _Reader(threading.Thread):
    """Takes what is written to a terminal, as a terminal does, and counts it."""

    def __init__(self, master: int) -> None:
        super().__init__(daemon=True)
        self._master = master
        self.count = 0
        self.start()

    def run(self) -> None:
        while True:
            try:
                data = os.read(self._master, 65_536)
            except OSError:
                return
            self.count += len(data)


def measure_all() -> dict[str, dict[str, float]]:
    """Case → `cpu` (share of one processor), `bytes` (a second), `ratio` (`cpu` against one streaming pane)."""
    results = {name: measure(name) for name in CASES}
    one = results["one pane streams"]["cpu"]
    return {name: {**figures, "ratio": round(figures["cpu"] / one, 2)} for name, figures in results.items()}


def main() -> None:
    if len(sys.argv) == 3:
        name, result = sys.argv[1:]
        figures = asyncio.run(play(CASES[name]))
        Path(result).write_text(json.dumps(figures), "utf-8")
        return
    print(json.dumps(measure_all(), indent=2))


if __name__ == "__main__":
    main()
