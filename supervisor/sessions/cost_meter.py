"""What a conversation has cost, from running totals that do not always go on where they stopped.

The CLI tells a running total of the conversation's cost with every Result. It saves that total when it ends in order,
by SIGTERM too, and begins with the total saved last; a kill takes it back to that (measured, also where the resume cuts
a turn away). A process that is resumed says what it begins with. Where that is not known, two totals decide: the last
one told, and the last one known to be saved. They are right as long as it is known how each process ended. After an end
that is not known too little may be booked, and after two of them in a row too much, by what was spent in between.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class CostMeter:
    """Works out what a turn cost from the CLI's running totals, all in dollars. What a process spent and did not tell
    before it was killed is never known: the CLI forgets it too."""

    seen: float = 0.0
    """The running total that was told last."""
    saved: float = 0.0
    """The one that the CLI was last known to have saved."""

    def begin(self, total: float | None) -> None:
        """A process begins, with that running total; None when it is not known."""
        if total is not None:
            self.seen = self.saved = total

    def end(self, *, is_saved: bool | None) -> None:
        """The process has ended and has saved its total, or has not; None when that is not known."""
        if is_saved is True:
            self.saved = self.seen
        elif is_saved is False:
            self.seen = self.saved

    def read(self, total: float) -> float:
        """What was spent since the last reading, never negative: where both of the totals kept could be what the
        process began with, the larger one counts, so that nothing is booked twice. A total of 0 is none: a Result that
        the process never wrote has no other."""
        if not total:
            return 0.0
        base = next((known for known in (self.seen, self.saved) if known <= total), 0.0)
        self.seen = total
        return total - base

    def reset(self) -> None:
        """Another conversation begins."""
        self.seen = self.saved = 0.0
