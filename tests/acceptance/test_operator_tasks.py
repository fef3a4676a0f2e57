"""The commonest tasks of an operator, done in a real terminal. The keys that each takes stand in docs/operator.md.

The table there is written by `UPDATE_TASKS=1 pytest tests/acceptance/test_operator_tasks.py`, after every task has been
done.
"""

from __future__ import annotations

import json
import os
import re
import threading
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.acceptance.terminal import ROOT, Terminal, run_bullpen
from tests.acceptance.test_command_line import ask

DOCUMENT = ROOT / "docs/operator.md"
BEGIN, END = "<!-- counted -->\n", "<!-- end -->"
KEYS = {
    "enter": "\r", "tab": "\t", "esc": "\x1b", "space": " ", "up": "\x1b[A", "down": "\x1b[B",
    "F4": "\x1bOS", "F5": "\x1b[15~", "F6": "\x1b[17~", "F7": "\x1b[18~", "F9": "\x1b[20~",
    "ctrl+f": "\x06", "ctrl+y": "\x19", "ctrl+q": "\x11", "ctrl+j": "\n",
}  # fmt: skip

TEMPLATE = """\
---
name: desk
description: a test agent
tools: Read, Write, Bash
concurrency: {maxSessions: 4}
pool: {spares: 0, maxClients: 4}
---
You help.
"""


def bash(name: str) -> str:
    command = json.dumps({"command": f"touch {name}"})
    return f"[[tool: Bash {command}]] [[say: {name} is done]]"


@dataclass(frozen=True)
class Task:
    name: str
    keys: tuple[str, ...]
    """One key each; what begins with a blank is typed as it stands, and counts as its letters."""
    shows: str
    """A regular expression: the screen when it is done."""
    before: tuple[str, ...] = ()
    """What brings the stage about; not counted."""
    ready: str = ""
    """The screen after that."""

    @property
    def count(self) -> str:
        keys = [word for word in self.keys if not word.startswith(" ")]
        return f"{len(keys)}" + (" + what is typed" if len(keys) < len(self.keys) else "")

    @property
    def caption(self) -> str:
        return " ".join(f"*{word[1:]}*" if word.startswith(" ") else f"`{word}`" for word in self.keys)


def press(program: Terminal, keys: tuple[str, ...]) -> None:
    for word in keys:
        program.press(word[1:] if word.startswith(" ") else KEYS.get(word, word))
        if word == "esc":  # with what follows it at once it would be another key
            threading.Event().wait(0.3)


def do(program: Terminal, task: Task) -> None:
    press(program, task.before)
    wait_for(program, task.ready, f"stage of “{task.name}”")
    press(program, task.keys)
    wait_for(program, task.shows, f"“{task.name}”")


def wait_for(program: Terminal, pattern: str, what: str) -> None:
    program.until(lambda: re.search(pattern, program.text), f"{pattern!r}: {what}", 60)


LONG = "[[stream: 3000 words, 0.05]]"
SESSIONS = "Sessions · all"
EVERYTHING = "(?s)Instances.*Sessions"
ON_CARD = "a allow once A always"
"""The footer, while the card has the focus."""

TASKS = (
    Task("open a session by name", ("/", " boris", "enter", "enter"), r"▶ to: desk / boris"),
    Task("say something in it", (" [[say: loud and clear]]", "enter"), r"\n.\s+loud and clear[^\]]"),
    Task("find a word in the conversation", ("ctrl+f", " clear", "enter"), r"2 of 2"),
    Task("take up an earlier prompt again", ("up",), r"to: desk / boris[^\n]*\n.\s+\[\[say: loud", ("esc",)),
    Task("back to the dashboard", ("esc",), SESSIONS),
    Task("see all rows again after a filter", ("esc",), r"Sessions · all instances · 3"),
    Task("begin a conversation as any user", ("n", "tab", " dora", "enter"), r"▶ to: desk / dora"),
    Task(
        "go to the list of what waits for you", ("4",), r"(?s)Inbox · 1.*▌",
        (f" {bash('one')}", "enter", "esc"), r"Inbox · 1",
    ),
    Task("open the oldest question", ("i",), ON_CARD, ("2",), SESSIONS),
    Task("allow it once", ("a",), r"\n.\s+one is done"),
    Task(
        "deny the oldest question, with a reason", ("i", "d", " not today", "enter"), r"✕ denied · not today",
        (f" {bash('two')}", "enter", "esc"), r"Inbox · 1",
    ),
    Task(
        "go from a chat to the next session that needs you", ("F5",), r"▶ to: desk / dora",
        (f" {bash('three')}", "enter", "esc", "/", " ana", "enter", "enter"), r"▶ to: desk / ana",
    ),
    Task("go from the message to its question", ("F4",), ON_CARD),
    Task("put two conversations side by side", ("F7",), r"to: desk / dora[^\n]*to: desk / boris"),
    Task("speak to the other one", ("F6",), r"▶ to: desk / boris"),
    Task("stop the turn of this chat", ("F9", "y"), r"── interrupted", (f" {LONG}", "enter"), r"word9 "),
    Task("drain the instance under the cursor", ("D", "y"), r"desk +▽ draining", ("esc", "1"), SESSIONS),
    Task("take the drain back", ("D",), r"desk +● running"),
    Task("pause it", ("p", "y"), r"desk +\S paused"),
    Task("resume it", ("p",), r"desk +● running"),
    Task("change how many turns run in parallel", ("s", " 5", "enter"), r"/5 "),
    Task(
        "sort the sessions by memory", ("2", "M"), r"▼memory[^\n]*\n.▌.\S+ \w+ +desk +dora",
        ("2", "esc", "esc"), r"Sessions · all instances · 4",
    ),
    Task(
        "send one prompt to three marked sessions", ("space", "space", "space", "B", " [[say: all of you]]", "enter"),
        r"(?s)(› all of you.*){3}", ("g", "down"), SESSIONS,
    ),
    Task("every fact about the row", ("d",), r"transcript", ("2", "esc", "esc"), SESSIONS),
    Task("every fact about the host", ("H",), r"kept in", ("esc",), SESSIONS),
    Task("the log on the whole screen", ("l",), r"(?s)\A(?!.*Sessions).*Events", ("esc",), SESSIONS),
    Task("one pane on the whole screen", ("z",), r"(?s)\A(?!.*Instances).*Sessions", ("esc", "2"), EVERYTHING),
    Task("end a client", ("3", "K", "y"), r"gone after [^\n]*killed", ("esc",), EVERYTHING),
    Task("see all keys", ("?",), r"Four stops"),
    Task("leave", ("ctrl+q", "y"), "", ("esc",), SESSIONS),
)  # fmt: skip


def table() -> str:
    rows = [f"| {task.name} | {task.caption} | {task.count} |" for task in TASKS]
    return "\n".join(["| task | keys | how many |", "|---|---|---|", *rows, ""])


@pytest.mark.exhaustive
@pytest.mark.timeout(600)
def test_the_commonest_tasks_take_the_keys_that_the_guide_counts(tmp_path: Path) -> None:
    folder = tmp_path / "templates"
    folder.mkdir()
    (folder / "desk.md").write_text(TEMPLATE)
    for user in ("ana", "boris", "chiara"):
        assert ask(folder, "desk", "[[say: hello]]", "--user", user).returncode == 0
    arguments = ["--rehearsal", "--templates", str(folder), "--state", str(tmp_path / "state")]
    with run_bullpen(arguments, columns=160, lines=45) as program:
        program.wait_for("REHEARSAL", "chiara")
        for task in TASKS:
            do(program, task)
        assert program.wait() == 0
    text = DOCUMENT.read_text("utf-8")
    head, _, rest = text.partition(BEGIN)
    if os.environ.get("UPDATE_TASKS"):
        DOCUMENT.write_text(f"{head}{BEGIN}{table()}{END}{rest.partition(END)[2]}", "utf-8")
    else:
        assert rest.partition(END)[0] == table()
