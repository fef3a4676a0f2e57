"""Signals in bursts, at every moment: each makes the end shorter, none skips it, and nothing is left (R3)."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import anyio
import psutil
import pytest

from supervisor.clock import Clock
from supervisor.journal import Journal
from supervisor.process.process_tree import LOST, is_alive, list_tree
from tests.acceptance.conftest import find_clients
from tests.acceptance.terminal import ROOT, Terminal
from tests.acceptance.test_command_line import TEMPLATE
from tests.waiting import until_sync

INT, TERM, HUP, QUIT = signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT
WITHIN = 30.0
"""Seconds. A hang has no end; a busy machine takes its time."""
STREAM = "[[stream: 3000 words, 0.05]]"
DEAF = "trap '' TERM HUP INT; echo deaf; while :; do sleep 1; done"
TOOL = f"[[tool: Bash {json.dumps({'command': DEAF, 'timeout': 600000})}]] [[say: never]]"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "templates"
    made.mkdir()
    (made / "desk.md").write_text(TEMPLATE)
    return tmp_path


def options(folder: Path) -> list[str]:
    return ["--rehearsal", "--templates", str(folder / "templates"), "--state", str(folder / "state")]


@contextmanager
def terminal(folder: Path, *arguments: str) -> Iterator[Terminal]:
    given = options(folder)[1:] if arguments == ("demo",) else options(folder)
    started = Terminal([sys.executable, "-m", "tui", *arguments, *given])
    try:
        yield started
    finally:
        started.close()


def send(process: subprocess.Popen[bytes], signals: Sequence[signal.Signals], pause: float) -> None:
    for number in signals:
        if process.poll() is None:
            process.send_signal(number)
            threading.Event().wait(pause)


def assert_all_is_over(folder: Path, seen: Sequence[psutil.Process] = ()) -> None:
    """No process is left, and the next one gets the state directory, and a journal that it can read."""
    assert find_clients(folder) == []
    assert [process for process in seen if is_alive(process)] == []
    anyio.run(open_journal, folder / "state" / "rehearsal")


async def open_journal(state: Path) -> None:
    assert (state / "journal.db").exists()
    async with Journal.open(state, clock=Clock(), name="the next one"):
        pass


def assert_the_next_one_answers(folder: Path) -> None:
    check = subprocess.run(
        [sys.executable, "-m", "tui", "ask", "desk", "[[say: free]]", *options(folder)],
        cwd=ROOT, capture_output=True, text=True, timeout=90,
    )  # fmt: skip
    assert check.stdout.strip() == "free", check.stderr


def is_streaming(tty: Terminal) -> None:
    tty.wait_for("word3", within=90)


def is_asking(tty: Terminal) -> None:
    tty.wait_for("[a]", within=90)


def has_tool(tty: Terminal) -> None:
    is_asking(tty)
    tty.press("a\n")
    root = psutil.Process(tty.process.pid)
    until_sync(lambda: "sleep" in [name_of(child) for child in list_tree(root)], within=60)


def is_starting(tty: Terminal) -> None:
    until_sync(psutil.Process(tty.process.pid).children, within=90)


def name_of(process: psutil.Process) -> str:
    try:
        return str(process.name())
    except LOST:
        return ""


@pytest.mark.parametrize(
    ("text", "reach", "signals", "pause"),
    [
        pytest.param(STREAM, is_streaming, (INT, INT, INT), 0.1, id="three Ctrl+C while it streams"),
        pytest.param(
            STREAM,
            is_streaming,
            (HUP, TERM, INT, QUIT, INT),
            0.0,
            id="a burst of five while it streams",
            marks=pytest.mark.exhaustive,
        ),
        pytest.param(TOOL, is_asking, (INT,), 0.0, id="one Ctrl+C at a question", marks=pytest.mark.exhaustive),
        pytest.param(TOOL, is_asking, (TERM, HUP, HUP), 0.3, id="three at a question"),
        pytest.param(
            TOOL, has_tool, (HUP, HUP), 0.2, id="a second HUP while a deaf tool runs", marks=pytest.mark.exhaustive
        ),
        pytest.param(TOOL, has_tool, (TERM, TERM, TERM), 0.2, id="three TERM while a deaf tool runs"),
        pytest.param(
            STREAM, is_starting, (INT, INT), 0.05, id="two Ctrl+C while its client starts", marks=pytest.mark.exhaustive
        ),
        pytest.param(STREAM, is_starting, (QUIT, TERM, INT), 0.0, id="a burst while its client starts"),
    ],
)
def test_ask_ends_in_order_after_any_burst_of_signals(
    folder: Path, text: str, reach: Callable[[Terminal], None], signals: Sequence[signal.Signals], pause: float
) -> None:
    with terminal(folder, "ask", "desk", text) as tty:
        reach(tty)
        family = psutil.Process(tty.process.pid).children(recursive=True)
        send(tty.process, signals, pause)
        # Of those that wait together the kernel delivers the lowest number first.
        assert tty.wait(WITHIN) in {128 + number for number in (signals[:1] if pause else signals)}
        assert "Traceback" not in tty.text
        tty.assert_sane()
    assert_all_is_over(folder, family)


def test_three_keys_of_ctrl_c_reach_only_bullpen_and_end_it(folder: Path) -> None:
    """The terminal sends SIGINT to its whole foreground group: clients have a session of their own."""
    with terminal(folder, "ask", "desk", STREAM) as tty:
        is_streaming(tty)
        family = psutil.Process(tty.process.pid).children(recursive=True)
        assert {os.getsid(process.pid) for process in family} & {os.getsid(tty.process.pid)} == set()
        for _ in range(3):
            tty.press("\x03")
            threading.Event().wait(0.1)
        assert tty.wait(WITHIN) == 130
    assert_all_is_over(folder, family)
    assert_the_next_one_answers(folder)


@pytest.mark.parametrize(
    "after", [0.0, 0.3, *(pytest.param(after, marks=pytest.mark.exhaustive) for after in (0.1, 0.6, 1.2))]
)
def test_a_signal_at_any_moment_of_the_start_ends_it_without_a_traceback(folder: Path, after: float) -> None:
    """Imports, the journal, the endpoint, what an earlier run has left."""
    with subprocess.Popen(
        [sys.executable, "-m", "tui", "ask", "desk", STREAM, *options(folder)],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as process:
        until_sync(lambda: hears(process.pid), within=60)
        threading.Event().wait(after)
        send(process, (INT, INT), 0.02)
        _, errors = process.communicate(timeout=WITHIN)
    assert (process.returncode, b"Traceback" in errors) == (130, False)
    assert find_clients(folder) == []


def hears(pid: int) -> bool:
    """Whether it catches SIGTERM: from its first line on, long before it has imported anything else."""
    for line in (Path("/proc") / str(pid) / "status").read_text().splitlines():
        if line.startswith("SigCgt:"):
            return bool(int(line.split()[1], 16) >> (TERM - 1) & 1)
    return False


def test_a_reader_that_stands_still_does_not_hold_up_the_end(folder: Path) -> None:
    """A pager that is paused: the pipe is full."""
    with subprocess.Popen(
        [sys.executable, "-m", "tui", "ask", "desk", "[[stream: 3000 words, 0.0001]]", *options(folder)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        assert process.stdout is not None
        pipe = process.stdout.fileno()
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, 4096)
        until_sync(lambda: is_full(pipe), within=90)
        send(process, (TERM, TERM), 0.1)
        assert process.wait(WITHIN) == 128 + TERM
    assert_all_is_over(folder)


def is_full(pipe: int) -> bool:
    """Whether nothing of the next fragment would go into it."""
    return bool(struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, b"\0" * 4))[0] >= 4096 - 16)


def test_an_ignored_hangup_stays_ignored(folder: Path) -> None:
    """`nohup bullpen ask`"""
    with subprocess.Popen(
        ["nohup", sys.executable, "-m", "tui", "ask", "desk", "[[slow: 2]] [[say: done]]", *options(folder)],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        until_sync(psutil.Process(process.pid).children, within=90)
        send(process, (HUP, HUP), 0.1)
        output, _ = process.communicate(timeout=90)
    assert (process.returncode, output.strip()) == (0, b"done")


@pytest.mark.parametrize(
    "signals",
    [
        (TERM, INT, HUP, TERM, INT),
        *(pytest.param(one, marks=pytest.mark.exhaustive) for one in ((TERM,), (HUP, HUP, HUP))),
    ],
)
def test_the_dashboard_ends_in_order_after_any_burst_of_signals(
    folder: Path, signals: Sequence[signal.Signals]
) -> None:
    one_is_kept_ready = "concurrency: {maxSessions: 2}\npool: {spares: 1}"
    (folder / "templates" / "desk.md").write_text(TEMPLATE.replace("pool: {spares: 0}", one_is_kept_ready))
    with terminal(folder, "demo") as tty:
        tty.wait_for("desk", within=90)
        until_sync(lambda: find_clients(folder), within=90)
        send(tty.process, signals, 0.1)
        assert tty.wait(WITHIN) == 128 + signals[0]
        tty.assert_sane()
    assert_all_is_over(folder)
