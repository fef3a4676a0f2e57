"""Two conversations side by side in the real program: bursts of keys, streams, and the terminal's own selection."""

from __future__ import annotations

from pathlib import Path

from tests.acceptance.conftest import find_clients
from tests.acceptance.terminal import run_bullpen

ENTER, ESCAPE, CTRL_Q = "\r", "\x1b", "\x11"
F6, F7, F12 = "\x1b[17~", "\x1b[18~", "\x1b[24~"

TEMPLATE = """\
---
name: desk
description: a test agent
concurrency: {maxSessions: 2}
pool: {spares: 0}
---
You help.
"""


def test_two_panes_stream_side_by_side_and_each_gets_the_words_typed_for_it(tmp_path: Path) -> None:
    folder = tmp_path / "templates"
    folder.mkdir()
    (folder / "desk.md").write_text(TEMPLATE)
    arguments = ["--rehearsal", "--templates", str(folder), "--state", str(tmp_path / "state")]
    with run_bullpen(arguments, columns=200, lines=50) as terminal:
        terminal.wait_for("REHEARSAL", "desk", "running")
        terminal.press(f"n{ENTER}[[say: one alpha]]{ENTER}")
        terminal.wait_for("▶ to: desk / operator / chat-1", "one alpha", "1 turn")
        terminal.press(ESCAPE)
        terminal.wait_for("Sessions")
        terminal.press(f"n{ENTER}")
        terminal.wait_for("▶ to: desk / operator / chat-2")
        # All of it in one write: which pane a letter goes to depends on the keys before it.
        terminal.press(f"{F7}[[say: two beta]]{ENTER}{F6}[[say: one gamma]]{ENTER}{F6}half a{F6}{F6}")
        terminal.wait_for("half a", "2 turns", "1 turn ", "▶ to: desk / operator / chat-2")
        screen = terminal.text.splitlines()
        left = "\n".join(line[:100] for line in screen)
        right = "\n".join(line[100:] for line in screen)
        if "chat-2" in left.splitlines()[2]:
            left, right = right, left
        assert "one gamma" in left
        assert "beta" not in left
        assert "two beta" in right
        assert "half a" in right
        assert "alpha" not in right
        assert "gamma" not in right

        terminal.press(F12)
        terminal.wait_for("select and copy with the mouse")
        terminal.until(lambda: b"\x1b[?1000l" in terminal.written, "end of mouse reports")
        assert "╭" not in terminal.text
        terminal.press(ESCAPE)
        terminal.wait_for("▶ to: desk / operator / chat-2")
        assert terminal.written.rfind(b"\x1b[?1000h") > terminal.written.rfind(b"\x1b[?1000l")
        terminal.press(CTRL_Q)
        assert terminal.wait() == 0
        terminal.assert_sane()
    assert find_clients(tmp_path) == []
