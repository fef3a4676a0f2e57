"""Backing off after failures: a little longer each time, released only by a good turn (S1.18). Pure."""

from __future__ import annotations

BASE = 1.0
"""Seconds after the first failure (S1.18)."""
CAP = 60.0
"""Seconds at most (S1.18)."""
TRIES = 5
"""Failures in a row after which waiting turns fail instead of being tried again (S1.18)."""


class Backoff:
    """The pause after failures of one session, of one pool, or of a pool's spares. All times in steady seconds."""

    def __init__(self, base: float = BASE, cap: float = CAP, tries: int = TRIES) -> None:
        self.failures = 0
        """In a row: only a good turn resets it, a successful start does not."""
        self.until = 0.0
        self._base, self._cap, self._tries = base, cap, tries

    def __repr__(self) -> str:
        return f"<Backoff after {self.failures} failures>"

    @property
    def is_exhausted(self) -> bool:
        return self.failures >= self._tries

    def holds(self, now: float) -> bool:
        return now < self.until

    def fail(self, now: float) -> float:
        """Counts a failure. Returns the seconds until the next try."""
        self.failures += 1
        seconds = min(self._cap, self._base * 2.0 ** min(self.failures - 1, 30))
        self.until = now + seconds
        return seconds

    def release(self) -> None:
        """A good turn has shown that all is well."""
        self.failures = 0
        self.until = 0.0
