"""How a pool stops itself, and how carefully it begins again. Pure.

An account's limit or a refused credential is not a crash: trying on burns quota and callers' patience. The pool parks,
says until when, and then lets one turn go first; each good turn doubles how many may run, until all may again.
"""

from __future__ import annotations

from supervisor import bounds
from supervisor.api.outcomes import FailureKind
from supervisor.sessions.backoff import Backoff

PAUSES = {
    FailureKind.RATE_LIMIT: (15.0, 300.0),
    FailureKind.AUTHENTICATION: (30.0, 600.0),
    FailureKind.CRASH_LOOP: (10.0, 300.0),
}
"""Seconds parked when the provider does not say how long: the first time, and at most. It doubles until a good turn."""

LONGEST_PARK = 6 * 3600.0
"""Seconds parked at most, whatever the provider says: a whole five-hour limit fits in. Whether a longer one (a week's)
or one that was told wrongly still holds, a single turn finds out four times a day."""


class Park:
    """Whether one pool is parked, why and until when. All times in steady seconds."""

    def __init__(self) -> None:
        self.kind: FailureKind | None = None
        """Why it is parked; None while it is not."""
        self.until = 0.0
        self.trial: int | None = None
        """Turns that may run in parallel while it finds out whether all is well; None when it has. Those that were
        running before do not count: one of them may wait for a human."""
        self.tries: FailureKind | None = None
        """What it was parked for, while it finds out."""
        self.opened_at = 0.0
        """Since when it does."""
        self._backoffs = {kind: Backoff(base, cap) for kind, (base, cap) in PAUSES.items()}

    def close(self, kind: FailureKind, now: float, seconds: float | None = None) -> bool:
        """Parks for `seconds` (`LONGEST_PARK` at most), or for as long as it takes by experience. False when nothing
        changes by that.

        What is heard from turns that began before it was parked counts as the same occasion.
        """
        if seconds is not None:
            seconds = bounds.seconds(seconds, LONGEST_PARK)
        if self.kind is None:
            pause = self._backoffs[kind].fail(now)
            self.kind, self.until, self.trial = kind, now + (seconds if seconds is not None else pause), 1
            return True
        later = now + seconds if seconds is not None else 0.0
        if later <= self.until:
            return False
        self.until = later
        return True

    def is_due(self, now: float) -> bool:
        return self.kind is not None and now >= self.until

    def open(self, now: float) -> None:
        """Lets one turn go first."""
        self.tries, self.kind = self.kind, None
        self.trial, self.opened_at = 1, now

    def note_good_turn(self, max_sessions: int) -> None:
        for backoff in self._backoffs.values():
            backoff.release()
        if self.trial is not None:
            self.trial *= 2
            if self.trial >= max_sessions:
                self.trial = self.tries = None

    def left(self, now: float) -> float:
        """Seconds it stays parked; 0 when it is not."""
        return max(0.0, self.until - now) if self.kind is not None else 0.0
