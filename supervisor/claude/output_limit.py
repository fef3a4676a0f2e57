"""How much one turn may tell. Beyond, the turn goes on, and what it says is not kept: that is told once.

A reply of the API ends at some hundred thousand characters, and a long turn makes some thousand calls. Whatever says
more has run away, and would otherwise fill this process, the journal and every reader.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from supervisor.process import reports as told

MOST_REPLY = 4 * 1024 * 1024
"""Characters of one turn's reply; of what is streamed of it as many again."""
MOST_TOLD = 20_000
"""Calls, results, repeated requests and compactions of one turn."""
MOST_RETRIES = 100
"""Repeated requests of one turn. The CLI makes at most 15 in a row."""


class Ration:
    """Limits what one client may report in one turn. It counts from Result to Result."""

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._streamed = self._written = self._told = self._retries = 0
        self._reported: set[str] = set()

    def share_out(self, event: told.ClientEvent) -> Iterator[told.ClientEvent]:
        """The event, what of it is within bounds, or a sign of life in its place."""
        match event:
            case told.Result():
                self._begin()
                yield event
            case told.TextDelta(text):
                room = MOST_REPLY - self._streamed
                self._streamed += len(text)
                yield event if len(text) <= room else told.TextDelta(text[: max(0, room)]) if room > 0 else told.Woke()
            case told.TextBlock(text):
                room = MOST_REPLY - self._written
                self._written += len(text)
                if room > 0:
                    yield event if len(text) <= room else replace(event, text=text[:room])
                if len(text) > room:
                    yield from self._report(f"The reply is longer than {MOST_REPLY:,} characters: the rest is not kept")
            case told.Voided():
                self._streamed = 0
                yield event
            case told.Retrying() if self._retries >= MOST_RETRIES:
                yield from self._report(f"The request was repeated more than {MOST_RETRIES} times: no more are shown")
            case told.ToolStarted() | told.ToolEnded() | told.Retrying() | told.Compacted():
                self._told += 1
                self._retries += isinstance(event, told.Retrying)
                if self._told <= MOST_TOLD:
                    yield event
                else:
                    yield from self._report(f"More than {MOST_TOLD:,} calls in one turn: no more are shown")
            case _:
                yield event

    def _report(self, words: str) -> Iterator[told.ClientEvent]:
        """Yields one `Trimmed` a turn for the same words; after that only a sign of life."""
        if words in self._reported:
            yield told.Woke()
            return
        self._reported.add(words)
        yield told.Trimmed(words)
