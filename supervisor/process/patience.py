"""How much patience is left for processes that end: shortened step by step, for all of them at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import anyio

PATIENT, TERMINATE, KILL = 0, 1, 2
"""Levels: nothing is skipped · no interrupt and no disconnect is waited for · nor what TERM may do."""


class Patience:
    """How long clients that end are waited for. All clients of a supervisor share one."""

    def __init__(self) -> None:
        self._level = PATIENT
        self._waits: dict[anyio.CancelScope, int] = {}
        """Waits that are going on, and the level at which each is given up."""

    @property
    def level(self) -> int:
        return self._level

    def hurry(self) -> None:
        """Goes one level up; the waits that have no place there are given up."""
        self._level = min(self._level + 1, KILL)
        for scope, level in tuple(self._waits.items()):
            if level <= self._level:
                scope.cancel()

    @contextmanager
    def wait(self, seconds: float, *, until: int) -> Iterator[anyio.CancelScope]:
        """Runs the block, and cancels it after so many seconds or once the level reaches `until`, at once when it has
        already."""
        with anyio.move_on_after(0 if self._level >= until else seconds) as scope:
            self._waits[scope] = until
            try:
                yield scope
            finally:
                del self._waits[scope]
