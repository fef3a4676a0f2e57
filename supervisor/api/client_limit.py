"""How many clients an instance may have: one rule for the pool, for `scale`, and for the screen that says beforehand
what `scale` will do."""

from __future__ import annotations

from typing import NamedTuple


class ClientLimit(NamedTuple):
    extra: int = 0
    """Clients beyond its turns that its template allows: they stay when the number of turns changes."""
    least: int = 0
    """Clients it may have however few its turns: where sleeping ones cost nearly nothing, as many as the host may have;
    0 otherwise."""

    def at(self, turns: int) -> int:
        """Clients there may be once `scale` lets it run so many turns in parallel."""
        return max(turns + self.extra, self.least)


AS_MANY_AS_TURNS = ClientLimit()
