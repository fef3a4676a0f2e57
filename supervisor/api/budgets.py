"""What may be spent in a day, and what has been."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class Scope(StrEnum):
    """The kind of thing whose spending a ceiling counts."""

    ALL = "all"
    """All agents together."""
    USER = "user"
    SESSION = "session"
    INSTANCE = "instance"
    PROVIDER = "provider"


class Measure(StrEnum):
    COST = "cost"
    """Dollars."""
    TOKENS = "tokens"
    """As the API counts them: read, written and cached ones."""
    TURNS = "turns"
    """Turns that have run, however they ended."""


class AtCeiling(StrEnum):
    """What becomes of the next prompt once a ceiling is reached."""

    REFUSE = "refuse"
    ASK = "ask"
    """It waits, and the operator is asked."""


class Budget(Struct, frozen=True, gc=False):
    """One ceiling and the user, session, instance or provider that it counts for."""

    scope: Scope
    name: str
    """Name of the user, session, instance or provider; empty for all agents together."""
    measure: Measure
    spent: float
    """Since midnight, local time."""
    limit: float
    """The ceiling for a day."""
    at: AtCeiling
    under_way: int = 0
    """Turns that wait or run: each counts as one more, of the usual size."""
    expected: float = 0.0
    """What those are expected to add."""
    reached_at: float | None = None
    """Unix seconds: when the ceiling is reached at the rate of today; None when it is not before midnight,
    has been reached, or nothing was spent lately."""
    resets_at: float = 0.0
    """Unix seconds: the next midnight."""
    is_estimate: bool = False
    """The dollars are worked out from list prices, and the provider's bill may say something else."""

    @property
    def is_reached(self) -> bool:
        """The next prompt is refused, or put to the operator."""
        return self.spent + self.expected >= self.limit

    @property
    def share(self) -> float:
        """What was spent as a share of the ceiling; 1 is all of it."""
        return self.spent / self.limit if self.limit else 1.0
