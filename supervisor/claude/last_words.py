"""The last of what a process wrote to stderr: kept to explain why it ended, and never more than a screenful."""

from __future__ import annotations

MOST_WORDS = 8_192
"""Characters that are kept of one process."""


class LastWords:
    """Takes text in pieces of any size, cut anywhere."""

    def __init__(self) -> None:
        self._tail = ""

    def __str__(self) -> str:
        """The last words on one line."""
        return " ".join(self._tail.split())

    def hear(self, text: str) -> None:
        self._tail = (self._tail + text[-MOST_WORDS:])[-MOST_WORDS:]

    def clear(self) -> None:
        self._tail = ""
