"""`bullpen attach` and the commands as programs, over a `bullpen serve` that is restarted meanwhile."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance import forked
from tests.acceptance.terminal import ROOT, Terminal
from tests.waiting import until_sync

BULLPEN = [sys.executable, "-m", "tui"]
pytestmark = pytest.mark.slow

TEMPLATE = """\
---
name: desk
description: a test agentTOOLS
pool: {spares: 0}
---
You help.
"""


class Served:
    """A `bullpen serve` over one state directory, and the commands that find it there."""

    def __init__(self, folder: Path, *, tools: str = "") -> None:
        self.state = folder / "state"
        templates = folder / "templates"
        templates.mkdir()
        (templates / "desk.md").write_text(TEMPLATE.replace("TOOLS", f"\ntools: {tools}" if tools else ""))
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("ANTHROPIC_", "CLAUDE", "BULLPEN_", "AGENT_"))
        }
        self.environ = {**kept, "HOME": str(folder), "COLUMNS": "120"}
        self.command = [*BULLPEN, "serve", "--rehearsal", "--templates", str(templates), "--state", str(self.state)]
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.process = subprocess.Popen(
            self.command, cwd=ROOT, env=self.environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        until_sync((self.state / "rehearsal" / "bullpen.sock").exists, within=30)

    def end(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(30)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*forked.bullpen(), *arguments, "--state", str(self.state)],
            cwd=ROOT,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    bullpen = Served(tmp_path)
    yield bullpen
    bullpen.end()


def test_a_dashboard_attaches_chats_outlives_a_restart_and_leaves_all_as_it_is(served: Served) -> None:
    nobody = served.run("status")
    assert (nobody.returncode, nobody.stdout) == (69, "")
    assert "no bullpen runs over" in nobody.stderr

    served.start()
    asked = served.run("ask", "desk", "[[say: forty-two]]", "--user", "ana")
    assert (asked.stdout, asked.stderr, asked.returncode) == ("forty-two\n", "", 0)
    assert "forty-two" in served.run("logs", "ana").stdout
    refused = served.run("close", "ana")
    assert (refused.returncode, refused.stdout) == (2, ""), "nobody can be asked"

    terminal = Terminal([*BULLPEN, "attach", "--state", str(served.state)], environ=served.environ)
    try:
        terminal.wait_for("REHEARSAL", "ana", "desk")
        terminal.press("2\r")
        terminal.wait_for("to: desk / ana / default", "forty-two")
        terminal.press("[[say: from afar]]\r")
        terminal.until(lambda: terminal.text.count("from afar") >= 2, "the reply")

        served.end()
        terminal.wait_for("NOT CONNECTED")
        terminal.press("[[say: lost]]\r")
        terminal.until(lambda: "no bullpen answers" in terminal.text, "why it cannot be sent")
        terminal.until(lambda: "[[say: lost]]" in terminal.text, "the prompt, handed back")
        terminal.press("\x15\x0b")
        served.start()
        terminal.until(lambda: "NOT CONNECTED" not in terminal.text, "the end of the break")
        terminal.press("\x01\x0b[[say: here again]]\r")
        terminal.until(lambda: terminal.text.count("here again") >= 2, "the reply")

        terminal.press("not sent yet")
        terminal.wait_for("not sent yet")
        terminal.press("\x11")
        terminal.wait_for("Leave this dashboard?", "it only detaches", "Nothing ends")
        terminal.press("y")
        assert terminal.wait() == 0
        terminal.assert_sane()
    finally:
        terminal.close()
    again = Terminal([*BULLPEN, "attach", "--state", str(served.state)], environ=served.environ)
    try:
        again.wait_for("ana", "desk")
        again.press("2\r")
        again.wait_for("to: desk / ana / default", "not sent yet")
    finally:
        again.close()

    told = served.run("sessions", "--json")
    assert told.returncode == 0
    (row,) = json.loads(told.stdout)
    assert row["key"] == ["desk", "ana", "default"], "it goes on"
    drained = served.run("drain", "desk", "--yes")
    assert (drained.returncode, drained.stdout) == (0, "desk is drained\n")
    assert "0 clients left" in drained.stderr
    assert served.run("ask", "desk", "hello").returncode == 2, "it is drained"
    last = json.loads(served.run("audit", "--json").stdout)[-1][1]
    assert (last["verb"], last["via"]) == ("drain", "command")


def test_attach_says_at_once_what_it_waits_for(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path), "BULLPEN_URL": ""}
    terminal = Terminal([*BULLPEN, "attach", "--state", str(tmp_path)], environ=environ)
    try:
        terminal.wait_for("connecting to the bullpen over", "no bullpen runs over")
        assert terminal.wait() == 69
    finally:
        terminal.close()
