"""Tells an operator who looks elsewhere that a new question waits: bell, desktop notice, and a badge in the title."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from supervisor import Question
from tui.wording.format import some, tool_name
from tui.wording.sanitize import clean_cell

EVERY = 2.0
"""Seconds between two notices: many questions at once are one notice."""
TEXT_CELLS = 120
"""Cells of a notice. What agents and callers wrote in it is cleaned: it ends up in a terminal's command."""

ST = "\x1b\\"
BELL = "\x07"
SAVE_TITLE = "\x1b[22;2t"
RESTORE_TITLE = f"\x1b]2;{ST}\x1b[23;2t"
"""Empties the title first, for a terminal that keeps no stack of titles."""

WITH_777 = ("rxvt", "foot")
"""How TERM begins where notices are OSC 777; everywhere else they are OSC 9."""


def title_of(waiting: int) -> str:
    """Sets the terminal's title: `(2) bullpen` while two things wait for the operator."""
    return f"\x1b]2;{f'({waiting}) ' if waiting else ''}bullpen{ST}"


def notice_of(questions: list[Question], terminal: str) -> str:
    """A desktop notice about questions; `terminal` is TERM."""
    first = questions[0]
    words = (
        f"{first.key} asks: {tool_name(first.tool)}"
        if len(questions) == 1
        else f"{some(len(questions), 'new question')}"
    )
    text = clean_cell(words, TEXT_CELLS).replace(";", ",")
    if terminal.startswith(WITH_777):
        return f"\x1b]777;notify;bullpen;{text}{ST}"
    return f"\x1b]9;bullpen: {text}{ST}"


class Notices:
    """`send` takes a command for the terminal; nothing is written in any other way."""

    def __init__(self, send: Callable[[str], object], *, terminal: str) -> None:
        self._send = send
        self._terminal = terminal
        self._seen: frozenset[str] | None = None
        """Questions that were open at the last look; None before the first."""
        self._untold: set[str] = set()
        self._told_at = float("-inf")
        self._badge: int | None = None

    def look(self, questions: Mapping[str, Question], waiting: int, now: float) -> None:
        """`waiting` counts all that stands in the inbox. Those that are open at the first look get a badge alone."""
        if waiting != self._badge:
            self._badge = waiting
            self._send(title_of(waiting))
        if self._seen is not None:
            self._untold |= questions.keys() - self._seen
        self._seen = frozenset(questions)
        self._untold &= questions.keys()
        if self._untold and not 0 <= now - self._told_at < EVERY:
            self._told_at = now
            told = [question for name, question in questions.items() if name in self._untold]
            self._untold.clear()
            self._send(BELL + notice_of(told, self._terminal))
