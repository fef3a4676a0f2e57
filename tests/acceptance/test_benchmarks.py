"""The benchmark runs and reports everything it promises. What it measures is not judged here."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from supervisor.process.process_tree import MARK
from tests.swap import Swap

pytestmark = pytest.mark.exhaustive

ROOT = Path(__file__).resolve().parents[2]

SMALLEST = (
    "--users 1 --turns 1 --warm-turns 1 --request-turns 1 --blocks 1 --pairs 1 --cold 1 --soak 16 "
    "--sessions 20 --hibernated 100 --events 2000 --journalled 100"
)
ROWS = (
    "submit → first token, bullpen / floor",
    "submit → result",
    "endpoint of a millisecond: own processor time",
    "a client per request / bullpen",
    "the generic pool / bullpen",
    "on a spare / cold",
    "bullpen / bare connect with resume",
    "submit → written, p99",
    "all 20 sessions prompted at once",
    "events per second of one core",
    "memory of a hibernated session",
    "journal: load",
    "RSS of the supervisor",
    "file descriptors per 1,000 turns",
    "tasks per 1,000 turns",
    "one client, global lock",
)


def test_a_start_of_the_program_is_measured_beside_an_empty_app(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.paint", "--starts", "1"],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path), MARK: "benchmarks"},
        capture_output=True,
        text=True,
        check=True,
        timeout=110,
    )
    assert "bullpen demo" in done.stdout
    assert "an empty Textual app" in done.stdout


@pytest.mark.parametrize(
    ("name", "options", "rows"),
    [
        ("temperatures", "--counts 1,2 --rounds 1", ("| hot |", "| asleep, swap on disk |", "| hibernated: started")),
        ("live_sessions", "--sessions 3 --prompts 3", ("| first token, p50 / p95 |", "sessions with a process")),
    ],
)
def test_what_idle_clients_cost_is_measured(
    name: str, options: str, rows: tuple[str, ...], tmp_path: Path, swap: Swap
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{name}", "--print", *options.split()],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path), MARK: "benchmarks"},
        capture_output=True,
        text=True,
        timeout=170,
    )
    if not swap.takes_memory:
        assert "not paged out here" in done.stderr
        return
    for row in rows:
        assert row in done.stdout


def test_what_hooks_cost_is_measured(tmp_path: Path) -> None:
    page = tmp_path / "benchmarks.md"
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.hooks", "--quick", "--page", str(page)],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path), MARK: "benchmarks"},
        capture_output=True,
        text=True,
        check=True,
        timeout=110,
    )
    assert "a turn with 100 hooks on" in done.stdout
    assert "at-least-once" in done.stdout
    assert "<!-- hooks: begin -->" in page.read_text("utf-8")


def test_what_is_prepared_once_is_measured_and_used_again(tmp_path: Path) -> None:
    """S4.27"""
    page = tmp_path / "benchmarks.md"
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.contexts", "--quick", "--page", str(page)],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path), MARK: "benchmarks"},
        capture_output=True,
        text=True,
        check=True,
        timeout=110,
    )
    for row in ("first preparation", "later ones", "of the first", "hit rate", "which ran no turn"):
        assert row in done.stdout
    assert "<!-- contexts: begin -->" in page.read_text("utf-8")


@pytest.mark.timeout(400)
def test_a_run_of_the_smallest_size_reports_every_figure_and_leaves_nothing_running(tmp_path: Path) -> None:
    """What is left over is looked for by its mark when the test has ended."""
    page = tmp_path / "benchmarks.md"
    out = tmp_path / "results.json"
    subprocess.run(
        [sys.executable, "-m", "benchmarks.turns", *SMALLEST.split(), "--out", out, "--page", page],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path), MARK: "benchmarks"},
        check=True,
        timeout=380,
    )
    text = page.read_text("utf-8")
    assert [row for row in ROWS if row not in text] == []
    assert str(tmp_path) not in text
    again = tmp_path / "again.md"
    subprocess.run(
        [sys.executable, "-m", "benchmarks.turns", "--render", out, "--page", again], cwd=ROOT, check=True, timeout=60
    )
    assert again.read_text("utf-8").replace("again.svg", "benchmarks.svg") == text


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("module", "given", "told"),
    [
        ("door", ("--quick",), ("the door's own", "replies lost or crossed |  | 0 |", "a client for each request")),
        ("users", ("--users", "2", "--turns", "5"), ("a bare client for each user", "0 of 5")),
    ],
)
def test_a_small_run_of_the_door_writes_its_part_of_the_page_and_keeps_the_rest(
    tmp_path: Path, module: str, given: tuple[str, ...], told: tuple[str, ...]
) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Benchmarks\n\n<!-- other: begin -->\nkept\n<!-- other: end -->\n", "utf-8")
    with tempfile.TemporaryDirectory(prefix="b") as short:  # not every program takes a long socket path
        for _ in range(2):  # the second replaces the first
            subprocess.run(
                [sys.executable, "-m", f"benchmarks.{module}", *given, "--page", page],
                cwd=ROOT,
                env={**os.environ, "TMPDIR": short, MARK: "benchmarks"},
                check=True,
                timeout=170,
            )
    text = page.read_text("utf-8")
    assert "\nkept\n" in text
    assert text.count(f"<!-- {module}: begin -->") == 1
    assert [one for one in told if one not in text] == []
