"""How soon it is followed that a server has other tools: at once, unless it changes them all the time."""

from __future__ import annotations

CALM = 60.0
"""Seconds without a change, after which the next one is followed at once again."""
FIRST, MOST = 1.0, 60.0
"""Seconds before a further change is followed; twice as long for each."""


class Pace:
    """Times are steady seconds. Every client may have to be started anew for a change."""

    def __init__(self) -> None:
        self._pause = 0.0
        self._followed_at: float | None = None

    def pause(self, now: float) -> float:
        """Seconds to wait before a change that is told now is followed."""
        is_calm = self._followed_at is None or now - self._followed_at > CALM
        self._pause = 0.0 if is_calm else min(MOST, max(FIRST, 2 * self._pause))
        return self._pause

    def note(self, now: float) -> None:
        """Notes that the value is looked at now. `now` in steady seconds."""
        self._followed_at = now
