"""How many clients an instance keeps when no session needs them, and which one it gives up next. Pure.

Growing is quick and on demand; shrinking is slow, one client at a time, so that the pool does not swing.
"""

from __future__ import annotations

from supervisor.sessions.pool import Pool
from supervisor.sessions.slot import Slot

CALM = 30.0
"""Seconds without a session kept out for want of room, before an idle client is given up."""


def count_spares_wanted(pool: Pool, spares: int, min_clients: int) -> int:
    """Spares to keep: those asked for, and as many as fill the pool up to `min_clients`."""
    if not min_clients:
        return spares
    in_use = len(pool) - pool.closing - pool.spares
    return max(spares, min_clients - in_use)


def find_surplus(
    pool: Pool, *, now: float, idle_ttl: float, min_clients: int, spares: int, short_at: float
) -> Slot | None:
    """The client that has been idle longest beyond `idle_ttl` and is not kept for who comes next.

    `now` and `short_at` (when a session was last kept out) in steady seconds.
    """
    if pool.closing or now - short_at < CALM or len(pool) <= min_clients:
        return None
    keeps_spares = pool.spares <= count_spares_wanted(pool, spares, min_clients)
    overdue = [
        slot
        for slot in pool
        # A spare that would be opened again is not closed.
        if slot.is_evictable and now - slot.unused_since > idle_ttl and not (slot.is_spare and keeps_spares)
    ]
    return min(overdue, key=lambda slot: slot.unused_since, default=None)
