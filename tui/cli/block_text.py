"""A conversation as text at a terminal, entry by entry and as it is written. Pure: prints nothing."""

from __future__ import annotations

from typing import NamedTuple

from supervisor import Entry, Reading, Replied

STARTS_AGAIN = "\n[the reply was broken off and starts again]\n"
"""Between a part of a reply that is void and the reply that replaces it."""


class Piece(NamedTuple):
    """Something to print."""

    text: str
    is_reply: bool = False
    """The agent's own words."""


class BlockText:
    """Holds how much of the block that is being written was shown."""

    def __init__(self) -> None:
        self._opened = ""
        self._shown = 0
        """Characters of the open block that were given out."""
        self._is_broken = False
        """A line of another kind was printed since, in the middle of a line of the block."""

    def note(self, entry: Entry) -> str:
        """What is shown of an entry that is no reply, without a line break at its end; empty for nothing."""
        raise NotImplementedError

    def heading(self, entry: Entry | None) -> str:
        """What stands before a reply; of the block that is being written there is no entry yet."""
        return ""

    def break_line(self) -> str:
        """What has to be printed before a line of another kind: a line break, where the block stands within a line."""
        if self._shown == 0 or self._is_broken or self._opened[: self._shown].endswith("\n"):
            return ""
        self._is_broken = True
        return "\n"

    def take(self, reading: Reading, *, is_streamed: bool) -> list[Piece]:
        """What is to be printed of a reading. Of a block that is not finished nothing is, unless `is_streamed`."""
        pieces = [piece for entry in reading.entries for piece in self._entry(entry)]
        if reading.open_is_new:
            pieces += self._break_off()
        self._opened += reading.opened
        if is_streamed and len(self._opened) > self._shown:
            heading = "" if self._shown else self.heading(None)
            pieces.append(Piece(f"{heading}{self._opened[self._shown :]}", is_reply=True))
            self._shown, self._is_broken = len(self._opened), False
        return pieces

    def _break_off(self) -> list[Piece]:
        was_shown = self._shown > 0
        self._opened, self._shown = "", 0
        return [Piece(STARTS_AGAIN, is_reply=True)] if was_shown else []

    def _entry(self, entry: Entry) -> list[Piece]:
        if isinstance(entry, Replied):
            shown = self._opened[: self._shown]
            pieces = [] if entry.text.startswith(shown) else self._break_off()
            rest = f"{'' if self._shown else self.heading(entry)}{entry.text[self._shown :]}"
            self._opened, self._shown = "", 0
            return [*pieces, Piece(rest if entry.text.endswith("\n") else f"{rest}\n", is_reply=True)]
        text = self.note(entry)
        return [Piece(f"{self.break_line()}{text}\n")] if text else []
