"""When a session's client is asked for ahead of a prompt. Pure: it sends nothing itself."""

from __future__ import annotations

from supervisor import SessionRow, SessionState

AGAIN = 5.0
"""Seconds after which it is asked for once more while its user writes: there may have been no room."""


class Readiness:
    """Of the conversation in one pane."""

    def __init__(self) -> None:
        self._asked_at = float("-inf")

    def note(self, now: float) -> None:
        """Its client is asked for. `now` in seconds, of the clock of the screen."""
        self._asked_at = now

    def is_due(self, row: SessionRow | None, now: float) -> bool:
        """Whether a letter that is typed asks for it: it has fallen asleep, or has ended, since the chat was opened."""
        is_away = row is not None and row.state in (SessionState.DORMANT, SessionState.HIBERNATED)
        return is_away and now - self._asked_at >= AGAIN
