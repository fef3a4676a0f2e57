"""Providers that take no turns for a while: a limit is reached, or credentials were refused. Of the whole host.

An instance's own provider parks its pool (`circuit_state`). This is about the others: one that a prompt has asked for.
"""

from __future__ import annotations

from supervisor.api.outcomes import FailureKind
from supervisor.scheduling.circuit_state import Park


class ProviderParks:
    """The parks of providers that prompts ask for, by name. All times in steady seconds."""

    def __init__(self) -> None:
        self._parks: dict[str, Park] = {}
        self.exhausted: set[str] = set()
        """Providers whose limit their fallback model has reached as well, until they are tried again."""

    @property
    def any(self) -> bool:
        """Whether a provider was parked and no good turn has been seen since."""
        return bool(self._parks)

    def close(self, name: str, kind: FailureKind, now: float, seconds: float | None = None) -> bool:
        """False when nothing changes by that."""
        park = self._parks.setdefault(name, Park())
        self._open_when_due(name, park, now)
        return park.close(kind, now, seconds)

    def kind(self, name: str, now: float) -> FailureKind | None:
        """Why it is parked now; None when it is not, or is due to be tried again."""
        park = self._parks.get(name)
        return None if park is None or park.is_due(now) else park.kind

    def is_exhausted(self, name: str, now: float) -> bool:
        """Whether its fallback model has reached its limit too, and it is not due to be tried again."""
        park = self._parks.get(name)
        return name in self.exhausted and not (park is not None and park.is_due(now))

    def left(self, name: str, now: float) -> float:
        """Seconds until it is tried again; 0 when it is not parked."""
        park = self._parks.get(name)
        return park.left(now) if park is not None else 0.0

    def note_good_turn(self, name: str) -> None:
        if (park := self._parks.get(name)) is not None and park.kind is None:
            del self._parks[name]

    def open_due(self, now: float) -> None:
        """Has those tried again whose time is over."""
        for name, park in self._parks.items():
            self._open_when_due(name, park, now)

    def open_all(self, now: float) -> None:
        """The operator has them tried at once."""
        self.exhausted.clear()
        for park in self._parks.values():
            if park.kind is not None:
                park.open(now)

    def _open_when_due(self, name: str, park: Park, now: float) -> None:
        if park.is_due(now):
            park.open(now)
            self.exhausted.discard(name)
