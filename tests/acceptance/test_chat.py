"""`bullpen chat` as a program: on a terminal, over a `bullpen serve` that is restarted meanwhile, and in a pipe."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.terminal import ROOT, Terminal
from tests.acceptance.test_attach import BULLPEN, Served

pytestmark = pytest.mark.slow


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    bullpen = Served(tmp_path, tools="Write")
    yield bullpen
    bullpen.end()


def test_a_person_chats_on_a_terminal_is_asked_stops_a_turn_outlives_a_restart_and_comes_back(served: Served) -> None:
    served.start()
    terminal = Terminal([*BULLPEN, "chat", "desk", "--state", str(served.state)], environ=served.environ)
    try:
        terminal.wait_for("desk, a new conversation", "desk> ")
        terminal.press("[[say: forty-]]\x1b\r[[say: two]]\r")
        terminal.wait_for("  … [[say: two]]")
        terminal.until(lambda: terminal.text.count("desk> ") == 2, "the next prompt")
        assert "\nforty-" in terminal.text

        terminal.press('[[tool: Write {"file_path": "x.txt", "content": "x"}]] [[say: over]]\r')
        terminal.wait_for("· Write x.txt", "May Write run?", "[a] once, [A] always")
        terminal.press("d not on a Friday\r")
        terminal.wait_for("· denied by operator: not on a Friday", "\nover")
        terminal.until(lambda: terminal.text.count("desk> ") == 3, "the next prompt")
        assert not list(served.state.rglob("x.txt"))

        terminal.press("[[stream: 3000 words, 0.02]]\r")
        terminal.wait_for("word20")
        terminal.press("typed meanwhile")
        terminal.press("\x03")
        terminal.wait_for("bullpen: stopping this turn", "bullpen: stopped", "desk> typed meanwhile")
        assert "typed meanwhileword" not in terminal.text, "keys do not show in the middle of an answer"

        terminal.press("\x03")
        served.end()
        told = ("waiting for it to come back", "no bullpen answers")
        terminal.until(lambda: any(line in terminal.text for line in told), "word of the break")
        terminal.press("[[say: here again]]\r")
        served.start()
        terminal.wait_for("connected again", "\nhere again")
        terminal.until(lambda: terminal.text.rstrip().endswith("desk>"), "the next prompt")
        terminal.press("\x04")
        terminal.wait_for("to come back: bullpen chat desk --session default --state")
        assert terminal.wait() == 0
        terminal.assert_sane()
    finally:
        terminal.close()

    piped = subprocess.run(
        [*BULLPEN, "chat", "desk", "--state", str(served.state)],
        cwd=ROOT,
        env=served.environ,
        input="[[recall]]\n[[error: 400]]\n[[say: never]]\n",
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "[[say: here again]]" in piped.stdout, "it is the same conversation"
    assert "never" not in piped.stdout
    assert piped.returncode == 1
    assert "desk failed (prompt-rejected)" in piped.stderr
    served.end()
    gone = subprocess.run(
        [*BULLPEN, "chat", "desk", "--state", str(served.state), "--rehearsal", "--templates", served.command[-3]],
        cwd=ROOT,
        env=served.environ,
        input="[[recall]]\n",
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (gone.returncode, "[[say: here again]]" in gone.stdout) == (0, True), "in a bullpen of its own as well"
