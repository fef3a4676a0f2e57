"""The command line as a program: what it prints, where, and how it exits."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psutil
import pytest

from supervisor.process.process_tree import is_alive
from tests.acceptance import forked

ROOT = Path(__file__).resolve().parents[2]

TEMPLATE = """\
---
name: desk
description: a test agent
tools: Read, Write, Bash
pool: {spares: 0}
---
You help.
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "templates"
    made.mkdir()
    (made / "desk.md").write_text(TEMPLATE)
    return made


def run(folder: Path, *arguments: str, stdin: str = "", **environ: str) -> subprocess.CompletedProcess[str]:
    """A fork of the program, without any credentials of whoever runs the tests."""
    clean = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("ANTHROPIC_", "CLAUDE", "BULLPEN_", "AGENT_"))
    }
    return subprocess.run(
        [*forked.bullpen(), *arguments, "--state", str(folder.parent / "state")],
        cwd=ROOT,
        env={**clean, "HOME": str(folder.parent), "COLUMNS": "100", **environ},
        input=stdin,
        capture_output=True,
        text=True,
        timeout=90,
    )


def ask(folder: Path, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return run(folder, "ask", *arguments, "--rehearsal", "--templates", str(folder), stdin=stdin)


@contextmanager
def answering(folder: Path, text: str = "", *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """`bullpen ask` in the middle of its answer, which has begun with `text` or with words of its own."""
    said = text or "[[say: on my way to the answer]] [[stream: 3000 words, 0.02]]"
    command = ["ask", "desk", said, *arguments, "--rehearsal", "--templates", str(folder)]
    with subprocess.Popen(
        [sys.executable, "-m", "tui", *command, "--state", str(folder.parent / "state")],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.read(20), "it has begun to answer"
            yield process
        finally:
            process.kill()


def assert_one_clear_line(answer: subprocess.CompletedProcess[str], *words: str) -> None:
    assert answer.returncode == 2
    assert answer.stdout == ""
    (line,) = answer.stderr.splitlines()
    assert line.startswith("bullpen: ")
    for word in words:
        assert word in line


def test_ask_streams_the_answer_to_stdout_and_exits_0(folder: Path) -> None:
    answer = ask(folder, "desk", "[[say: forty-two]]")
    assert (answer.stdout, answer.stderr, answer.returncode) == ("forty-two\n", "", 0)


def test_ask_reads_a_prompt_from_standard_input(folder: Path) -> None:
    answer = ask(folder, "desk", "-", stdin="[[say: from a pipe]]")
    assert (answer.stdout, answer.returncode) == ("from a pipe\n", 0)


def test_ask_that_fails_exits_1_with_the_reason_on_stderr(folder: Path) -> None:
    answer = ask(folder, "desk", "[[error: 400]]")
    assert answer.returncode == 1
    assert answer.stdout == ""
    assert "desk failed (prompt-rejected)" in answer.stderr


def test_ask_without_a_terminal_denies_questions_and_says_so(folder: Path) -> None:
    call = '[[tool: Write {"file_path": "x.txt", "content": "x"}]] [[say: over]]'
    answer = ask(folder, "desk", call)
    assert answer.returncode == 0
    assert answer.stdout == "over\n"
    assert "denied Write (x.txt)" in answer.stderr
    assert "list it below `allow` in the template of desk; while a bullpen runs" in answer.stderr
    assert not list(folder.parent.rglob("x.txt"))
    with closing(sqlite3.connect(folder.parent / "state" / "rehearsal" / "journal.db")) as journal:
        [(who, via, detail)] = journal.execute('SELECT "by", via, detail FROM actions').fetchall()
    assert (who, via) == ("no terminal", "command")
    assert detail.startswith("Write: deny (Denied without asking: the command")


def test_an_unknown_agent_is_one_line_that_names_the_known_ones(folder: Path) -> None:
    assert_one_clear_line(ask(folder, "nobody", "hi"), "'nobody'", "desk")


def test_a_bad_user_id_is_one_line(folder: Path) -> None:
    """S3.3–5"""
    assert_one_clear_line(ask(folder, "desk", "hi", "--user", "../root"), "user")


def test_an_empty_prompt_is_one_line(folder: Path) -> None:
    assert_one_clear_line(ask(folder, "desk", "  "), "empty")


def test_check_names_file_line_key_and_the_nearest_valid_key(folder: Path) -> None:
    """S1.13"""
    (folder / "desk.md").write_text(TEMPLATE.replace("tools:", "concurency:\n  maxSessions: 2\ntools:"))
    answer = run(folder, "check", "--templates", str(folder))
    assert_one_clear_line(answer, "desk.md:4", "concurency", "concurrency")


def test_check_lists_what_is_good(folder: Path) -> None:
    answer = run(folder, "check", "--templates", str(folder))
    assert answer.returncode == 0
    assert "desk" in answer.stdout


def test_one_bad_file_stops_neither_check_nor_the_others(folder: Path) -> None:
    """`check` names it and lists the others; a good agent answers as ever, and a bad one is explained."""
    (folder / "bad.md").write_text(TEMPLATE.replace("desk", "Bad One").replace("tools:", "maxTurns: no\ntools:"))
    (folder / "named.md").write_text(TEMPLATE.replace("name: desk", "name: Report Writer"))

    checked = run(folder, "check", "--templates", str(folder))
    asked = ask(folder, "Report Writer", "[[say: forty-two]]")
    refused = ask(folder, "Bad One", "hi")

    assert (checked.returncode, checked.stderr) == (2, "bullpen: bad.md:4: maxTurns must be a whole number, not 'no'\n")
    assert "2 templates in " in checked.stdout
    assert "Report Writer" in checked.stdout
    assert "BULLPEN_REPORT_WRITER__" in checked.stdout
    assert (asked.stdout, asked.stderr, asked.returncode) == ("forty-two\n", "", 0)
    assert refused.returncode == 2
    assert "bad.md:4: maxTurns" in refused.stderr
    assert "no agent 'Bad One'" in refused.stderr
    assert not list((folder.parent / "state").rglob("*Report*")), "paths have the slug"


def test_a_missing_folder_is_one_line(folder: Path) -> None:
    assert_one_clear_line(run(folder, "check", "--templates", str(folder / "nowhere")), "nowhere")


def test_without_credentials_and_without_a_terminal_it_offers_rehearsal(folder: Path) -> None:
    answer = run(folder, "ask", "desk", "hi", "--templates", str(folder))
    assert_one_clear_line(answer, "no credentials found", "--rehearsal")


def test_the_dashboard_without_a_terminal_says_what_works_instead(folder: Path) -> None:
    answer = run(folder, "--rehearsal", "--templates", str(folder))
    assert_one_clear_line(answer, "needs a terminal", "bullpen ask")


def test_doctor_reports_versions_and_credentials(folder: Path) -> None:
    answer = run(folder, "doctor")
    assert answer.returncode == 1, "no credentials is a finding"
    for word in ("agent sdk", "claude cli", "credentials", "memory", "terminal"):
        assert word in answer.stdout
    assert run(folder, "doctor", ANTHROPIC_API_KEY="dummy").returncode == 0


@pytest.mark.parametrize("command", ["", "ask", "check", "doctor", "demo"])
def test_help_reads_well(folder: Path, command: str) -> None:
    answer = run(folder, *filter(None, [command]), "--help")
    assert answer.returncode == 0
    assert "Usage:" in answer.stdout
    assert "Traceback" not in answer.stderr
    assert max(map(len, answer.stdout.splitlines())) <= 100


@pytest.mark.parametrize(
    "number",
    [signal.SIGINT, *(pytest.param(one, marks=pytest.mark.exhaustive) for one in (signal.SIGHUP, signal.SIGTERM))],
)
def test_ask_that_is_told_to_go_leaves_no_process(folder: Path, number: signal.Signals) -> None:
    """R3: the exit code names the signal; the client is ended first."""
    with answering(folder) as process:
        family = psutil.Process(process.pid).children(recursive=True)
        assert family
        process.send_signal(number)
        process.communicate(timeout=30)
        assert process.returncode == 128 + number
    assert [one for one in family if is_alive(one)] == []


def test_a_reader_who_leaves_in_the_middle_of_an_answer_is_no_traceback(folder: Path) -> None:
    # A pipe holds 64 KiB: more than that is written to a reader who has left.
    ask_for = f"{sys.executable} -m tui ask desk '[[stream: {{}} words, 0]]' --rehearsal"
    where = f"--templates {folder} --state {folder.parent / 'state'}"
    piped = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {ask_for.format(10_000)} {where} | head -c 10"],
        cwd=ROOT, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (piped.stderr, piped.returncode) == ("", 141)


def test_every_command_takes_the_common_options_before_or_after_its_name(folder: Path) -> None:
    options = ["--templates", str(folder), "--rehearsal"]
    for command in ("check", "doctor"):
        assert run(folder, command, *options).returncode == 0
        assert run(folder, *options, command).returncode == 0


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="has no parent-death signal")
def test_a_supervisor_that_is_killed_takes_its_busy_client_along(folder: Path) -> None:
    """R2: a busy CLI would otherwise finish its turn, API requests included, with nobody there."""
    with answering(folder) as process:
        (client,) = psutil.Process(process.pid).children()
        assert "claude" in client.name()
        process.kill()
    # Without the signal it goes on trying to reach its endpoint, which takes it about four seconds.
    deadline = time.monotonic() + 1.5
    while is_alive(client):
        assert time.monotonic() < deadline, "it outlived its supervisor"


def test_our_own_mistake_is_one_line_too_and_its_traceback_is_in_the_log(folder: Path) -> None:
    lines = [
        "from supervisor.instance.instance import Instance",
        "def handle(self, stimulus): raise ZeroDivisionError('ours')",
        "Instance.handle = handle",
        "from tui.cli.main import main",
        "main()",
    ]
    options = ["--rehearsal", "--templates", str(folder), "--state", str(folder.parent / "state")]
    answer = subprocess.run(
        [sys.executable, "-c", "\n".join(lines), "ask", "desk", "hi", *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert answer.returncode == 70
    (line,) = answer.stderr.splitlines()
    assert "ZeroDivisionError('ours')" in line
    assert "Traceback" in (folder.parent / "state" / "logs" / "bullpen.log").read_text()
