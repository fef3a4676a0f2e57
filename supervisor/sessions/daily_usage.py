"""What all turns that ended since midnight have used, closed and forgotten sessions included."""

from __future__ import annotations

import time

from supervisor.api.outcomes import Usage


def midnight(at: float) -> float:
    """The Unix second at which the local day of `at` began."""
    day = time.localtime(at)
    return time.mktime((day.tm_year, day.tm_mon, day.tm_mday, 0, 0, 0, 0, 0, -1))


class Today:
    """A sum that begins anew with every local day."""

    def __init__(self) -> None:
        self._since = 0.0
        self._usage = Usage()

    def add(self, usage: Usage, at: float) -> None:
        """`at` is the Unix second at which a turn ended."""
        self._usage = self.usage(at) + usage

    def usage(self, now: float) -> Usage:
        if (since := midnight(now)) != self._since:
            self._since, self._usage = since, Usage()
        return self._usage
