"""Keeps calls from a server that does not answer: each would wait for its time-out."""

from __future__ import annotations

from supervisor.api.shared_servers import BreakerState

OPENS_AFTER = 5
"""Calls in a row that the server did not answer."""
OPEN_FOR = 30.0
"""Seconds until one call is let through again."""


class Breaker:
    """Times are steady seconds. An error that the server itself answers with is an answer."""

    def __init__(self) -> None:
        self._failures = 0
        self._opened_at: float | None = None
        self._is_trying = False

    def state(self, now: float) -> BreakerState:
        if self._opened_at is None:
            return BreakerState.CLOSED
        return BreakerState.TRYING if self._is_trying else BreakerState.OPEN

    def left(self, now: float) -> float:
        """Seconds until a call is let through; 0 when one is now."""
        if self._opened_at is None:
            return 0.0
        return OPEN_FOR if self._is_trying else max(0.0, self._opened_at + OPEN_FOR - now)

    def admit(self, now: float) -> bool:
        """Whether a call may be made. One that is let through while it is open decides by its end."""
        if self._opened_at is None:
            return True
        if self._is_trying or self.left(now):
            return False
        self._is_trying = True
        return True

    def note_answer(self) -> None:
        self._failures, self._opened_at, self._is_trying = 0, None, False

    def note_failure(self, now: float) -> None:
        self._failures += 1
        if self._is_trying or self._failures >= OPENS_AFTER:
            self._opened_at, self._is_trying = now, False

    def note_no_end(self) -> None:
        """A call was given up by its caller: that says nothing of the server."""
        self._is_trying = False
