"""The whole program in a real terminal: used, stalled, hung up, signalled, broken. It leaves things as they were."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from supervisor.process.process_tree import is_alive
from tests.acceptance.conftest import find_clients
from tests.acceptance.terminal import Terminal, run_bullpen

CTRL_Q = "\x11"
CTRL_B = "\x02"
TAB = "\t"
ENTER = "\r"

TEMPLATE = """\
---
name: desk
description: a test agent
tools: Read, Write, Bash
permissionMode: acceptEdits
concurrency: {maxSessions: 2}
pool: {spares: 0}
---
You help.
"""


@pytest.fixture
def arguments(tmp_path: Path) -> list[str]:
    folder = tmp_path / "templates"
    folder.mkdir()
    (folder / "desk.md").write_text(TEMPLATE)
    return ["--rehearsal", "--templates", str(folder), "--state", str(tmp_path / "state")]


@pytest.fixture
def program(arguments: list[str]) -> Iterator[Terminal]:
    with run_bullpen(arguments) as terminal:
        terminal.wait_for("REHEARSAL", "desk", "running")
        yield terminal


def ask(terminal: Terminal, prompt: str, *answers: str) -> None:
    """Opens a chat and sends a prompt; waits for the answers."""
    terminal.press("n")
    terminal.wait_for("New chat")
    terminal.press(ENTER)
    terminal.wait_for("Message")
    terminal.press(prompt)
    terminal.press(ENTER)
    if answers:
        terminal.wait_for(*answers)


def children_of(terminal: Terminal) -> list[psutil.Process]:
    return psutil.Process(terminal.process.pid).children(recursive=True)


def assert_all_gone(processes: list[psutil.Process], tmp_path: Path) -> None:
    assert [one for one in processes if is_alive(one)] == []
    assert find_clients(tmp_path) == []


def test_a_first_visit_from_start_to_quit(program: Terminal, tmp_path: Path) -> None:
    """D1, D2, D3: a session opened, a message answered, the instance drained, quit; the terminal is sane."""
    ask(program, "[[say: I am **right** here]]", "I am right here", "── done")
    program.press(CTRL_B)
    program.wait_for("Sessions · all instances", "idle", "operator")
    assert children_of(program)
    program.press("D")
    program.wait_for("Drain desk", "Cancel")
    program.press(TAB + ENTER)
    program.wait_for("drained")
    program.press(CTRL_Q)
    assert program.wait() == 0
    program.assert_sane()
    assert find_clients(tmp_path) == []


def test_quitting_with_work_in_progress_asks_and_cancel_is_the_default(program: Terminal, tmp_path: Path) -> None:
    ask(program, "[[stream: 2000 words, 0.05]]", "working")
    program.press(CTRL_Q)
    program.wait_for("Quit bullpen?", "1 running turn", "Drain and quit")
    program.press(ENTER)
    program.until(lambda: "Quit bullpen?" not in program.text, "end of the dialog")
    assert program.process.poll() is None
    family = children_of(program)
    program.press(CTRL_Q)
    program.wait_for("Quit now")
    program.press(TAB + TAB + ENTER)
    assert program.wait() == 0
    program.assert_sane()
    assert_all_gone(family, tmp_path)


@pytest.mark.parametrize(
    "number",
    [signal.SIGTERM, *(pytest.param(one, marks=pytest.mark.exhaustive) for one in (signal.SIGHUP, signal.SIGINT))],
)
def test_a_signal_ends_it_in_order(program: Terminal, number: signal.Signals, tmp_path: Path) -> None:
    """The exit code names the signal; no process is left; the terminal is restored."""
    ask(program, "[[stream: 2000 words, 0.05]]", "working")
    program.until(lambda: children_of(program), "client")
    family = children_of(program)
    program.signal(number)
    assert program.wait() == 128 + number
    program.assert_sane()
    assert_all_gone(family, tmp_path)


def test_closing_the_terminal_ends_it_and_leaves_no_process(program: Terminal, tmp_path: Path) -> None:
    ask(program, "[[stream: 2000 words, 0.05]]", "working")
    program.until(lambda: children_of(program), "client")
    family = children_of(program)
    program.hang_up()
    assert program.wait() == 128 + signal.SIGHUP
    assert_all_gone(family, tmp_path)


def test_a_stalled_terminal_stops_no_turn(program: Terminal, tmp_path: Path) -> None:
    """R4: nobody reads the screen for four seconds; the turn streams on, runs its tool, and the picture comes back."""
    call = '[[tool: Write {"file_path": "proof.txt", "content": "still going"}]]'
    ask(program, f"[[stream: 40 words, 0.05]] {call} [[say: it is over]]", "working")
    program.stall()
    threading.Event().wait(4)
    program.until(lambda: list(tmp_path.rglob("proof.txt")), "proof that the turn went on meanwhile")
    program.go_on()
    program.wait_for("── done")
    program.press(CTRL_Q)
    assert program.wait() == 0
    program.assert_sane()


BROKEN_ENGINE = """
from supervisor.engine.memory_sampler import Census
first = Census.take
async def fail(self, slots, **given):
    raise ZeroDivisionError("the census cannot count")
async def take(self, slots, **given):
    Census.take = fail
    return await first(self, slots, **given)
Census.take = take
"""


def test_an_engine_failure_restores_the_terminal_and_says_what_happened(arguments: list[str], tmp_path: Path) -> None:
    """Design §2: our own failure is kept, published, and raised after the UI has restored the terminal."""
    with run_bullpen(arguments, patch=BROKEN_ENGINE) as terminal:
        terminal.wait_for("REHEARSAL")
        assert terminal.wait() == 70
        terminal.assert_sane()
        assert "the census cannot count" in terminal.text
        assert "Traceback" not in terminal.text
    log = (tmp_path / "state" / "logs" / "bullpen.log").read_text()
    assert "Traceback" in log
    assert "the census cannot count" in log
    assert find_clients(tmp_path) == []


def test_what_keeps_the_engine_from_being_opened_is_a_line_below_the_command(
    arguments: list[str], tmp_path: Path
) -> None:
    """R2: the screen is there before the engine; what is wrong is told when the terminal is the shell's again."""
    with run_bullpen(arguments) as first:
        first.until(lambda: "REHEARSAL" in first.text and "opening …" not in first.text, "open engine")
        with run_bullpen(arguments) as second:
            assert second.wait() == 2
            second.assert_sane()
            said = second.written.decode()
            assert f"is in use by bullpen pid {first.process.pid}" in said
            assert "join it with bullpen attach" in said
            assert said.rfind("is in use by") > said.rfind("\x1b[?1049l"), "below the command, not on the dashboard"
        first.press(CTRL_Q)
        assert first.wait() == 0
    journal = next((tmp_path / "state").rglob("journal.db"))
    journal.write_bytes(b"no database" * 1000)
    with run_bullpen(arguments) as third:
        assert third.wait() == 2
        third.assert_sane()
        said = third.written.decode()
        assert "journal.db" in said[said.rfind("\x1b[?1049l") :]
        assert "Traceback" not in said
    assert find_clients(tmp_path) == []


@pytest.mark.parametrize(("columns", "lines"), [(80, 24), (200, 50)])
def test_it_opens_at_any_size(arguments: list[str], columns: int, lines: int) -> None:
    with run_bullpen(arguments, columns=columns, lines=lines) as terminal:
        terminal.wait_for("REHEARSAL", "desk")
        terminal.press(CTRL_Q)
        assert terminal.wait() == 0
        terminal.assert_sane()
