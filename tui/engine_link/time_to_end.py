"""How long what runs is let end before bullpen itself does."""

from __future__ import annotations

EARLIER = 1.0
"""Seconds before the end of a drain at which it is not waited for any more: a drain whose time is over cancels what
waits and ends turns for good, while the end of bullpen keeps both for the next start."""


def time_to_end(drain_deadline: float) -> float:
    """Seconds; 0 where there is no time to drain anything."""
    return max(0.0, drain_deadline - EARLIER)
