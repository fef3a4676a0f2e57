"""What a probe is, and what came of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tests.probes.bench import Bench

Look = Callable[[Bench], Awaitable[str]]


@dataclass(frozen=True)
class Probe:
    name: str
    fact: str
    """The question, in one line."""
    expected: str
    """What was found with the version that `docs/why.md` names."""
    look: Look
    is_quick: bool = False
    """Whether it runs with every test, too."""
    limit: float | None = None
    """Seconds it may take, where it starts many clients; None for what all others may."""


@dataclass(frozen=True)
class Finding:
    probe: Probe
    found: str
    seconds: float

    @property
    def is_same(self) -> bool:
        return self.found == self.probe.expected


PROBES: list[Probe] = []
"""All of them, in the order in which they are written."""


def probe(fact: str, expected: str, *, quick: bool = False, limit: float | None = None) -> Callable[[Look], Look]:
    """Makes a probe of a function, under its name."""

    def register(look: Look) -> Look:
        PROBES.append(Probe(look.__name__.replace("_", "-"), fact, expected, look, quick, limit))
        return look

    return register
