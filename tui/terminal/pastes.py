"""Pastes: what stands between the marks of a bracketed paste is text, whatever bytes it holds, and never a key.

Textual's parser looks for keys inside a paste: an escape sequence in it ends up as letters, and a byte that it holds
for the end turns the rest into keys. Multiplexers hand such bytes on. So the bytes are divided here, before the parser
sees them: to it a paste is its two marks with nothing between them.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import NamedTuple

from textual.message import Message

from supervisor import clean

START, END = b"\x1b[200~", b"\x1b[201~"

MOST_PASTED = 8_000_000
"""Bytes. Of a larger paste nothing is taken: half a text is worse than none."""
SILENCE = 3.0
"""Seconds without a byte after which a paste counts as over although its end mark has not come."""
LATE = 60.0
"""Seconds after that in which a burst is still the rest of it."""
BURST = 32
"""Bytes in one read that no hand types."""
HELD = 0.5
"""Seconds that the first bytes of a start mark are held back for its rest."""
_KEYLIKE = 2
"""First bytes of the mark that may be a key of their own (`esc`, `alt+[`): these are handed on at once."""


class Pasted(NamedTuple):
    data: bytes
    is_whole: bool = True
    """Whether its end mark came."""
    dropped: int = 0
    """Bytes that were too many: then there is no data."""


class PasteCut(Message):
    """Something of a paste is missing; the text says what."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text


class PasteReader:
    """Divides what a terminal sends into keys and pastes. `now` is in seconds of any steady clock."""

    def __init__(self) -> None:
        self._outside = b""
        """The end of what came: the beginning of a start mark, of which `_told` bytes were handed on."""
        self._told = 0
        self._content: bytearray | None = None
        """Of the paste that is under way."""
        self._dropped = 0
        self._came_at = 0.0
        self._late_until = 0.0
        """A paste without an end is given up; until then a burst is its rest."""

    def feed(self, data: bytes, now: float) -> Iterator[bytes | Pasted]:
        """Yields the bytes of keys, marks included, and whole pastes, in their order."""
        self._came_at = now
        if self._content is None and now < self._late_until and not self._outside:
            data = yield from self._take_late(data)
        while data:
            if self._content is None:
                data = yield from self._read_keys(data)
            else:
                data = yield from self._read_paste(data)

    def expire(self, now: float) -> Iterator[bytes | Pasted]:
        """Yields what was held back for too long. Call it a few times a second."""
        if self._content is not None and now - self._came_at > SILENCE:
            yield self._finish(bytes(self._content), is_whole=False)
            yield END
            self._late_until = now + LATE
        elif self._content is None and len(self._outside) > self._told and now - self._came_at > HELD:
            yield self._outside[self._told :]
            self._outside, self._told = b"", 0

    def _read_keys(self, data: bytes) -> Generator[bytes, None, bytes]:
        whole = self._outside + data
        before, mark, rest = whole.partition(START)
        if mark:
            yield (before + mark)[self._told :]
            self._outside, self._told = b"", 0
            self._content, self._late_until = bytearray(), 0.0
            return rest
        held = next((size for size in range(len(START) - 1, 0, -1) if whole.endswith(START[:size])), 0)
        told = max(self._told, len(whole) - held) if held > _KEYLIKE else len(whole)
        if keys := whole[self._told : told]:
            yield keys
        self._outside = whole[len(whole) - held :]
        self._told = max(0, told - (len(whole) - held))
        return b""

    def _read_paste(self, data: bytes) -> Generator[bytes | Pasted, None, bytes]:
        content = self._content
        assert content is not None, "a paste is under way"
        since = max(0, len(content) - len(END) + 1)
        content += data
        at = content.find(END, since)
        if at >= 0:
            rest = bytes(content[at + len(END) :])
            yield self._finish(bytes(content[:at]), is_whole=True)
            yield END
            return rest
        if len(content) > MOST_PASTED or self._dropped:
            kept = len(END) - 1
            self._dropped += len(content) - kept
            del content[:-kept]
        return b""

    def _finish(self, data: bytes, *, is_whole: bool) -> Pasted:
        dropped = self._dropped + len(data) if self._dropped else 0
        self._content, self._dropped, self._late_until = None, 0, 0.0
        return Pasted(b"" if dropped else data, is_whole, dropped)

    def _take_late(self, data: bytes) -> Generator[bytes | Pasted, None, bytes]:
        """The rest of a paste that was given up is text too: up to its end mark, or while it comes in bursts."""
        before, mark, rest = data.partition(END)
        if START in before:
            return data
        if mark:
            self._late_until = 0.0
            if before:
                yield Pasted(before)
            return rest
        if len(data) >= BURST:
            yield START
            self._content = bytearray()
        return data


def readable(data: bytes) -> str:
    """The text of a paste: line ends of every kind are newlines, and what acts on a terminal is gone."""
    return clean(data.decode("utf-8", "replace"))


def on_one_line(text: str) -> str:
    """The text for a field of one line: all white space becomes single blanks."""
    return " ".join(text.split())
