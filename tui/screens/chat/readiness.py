"""When a session's client is asked for ahead of a prompt. Pure: it sends nothing itself."""

from __future__ import annotations

from supervisor import SessionRow, SessionState

AGAIN = 5.0
"""Seconds after which it is asked for once more while its user writes: there may have been no room."""


class Readiness:
    """When the client of a pane's conversation was last asked to get ready."""

    def __init__(self) -> None:
        self._asked_at = float("-inf")

    def note(self, now: float) -> None:
        """Notes that the client is asked to get ready now. `now` in seconds of the screen's clock."""
        self._asked_at = now

    def is_due(self, row: SessionRow | None, now: float) -> bool:
        """Whether a letter that is typed asks for it: it has fallen asleep, or has ended, since the chat was opened."""
        is_not_ready = row is not None and row.state in (SessionState.DORMANT, SessionState.HIBERNATED)
        return is_not_ready and now - self._asked_at >= AGAIN
