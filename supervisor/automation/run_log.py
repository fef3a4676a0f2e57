"""The last runs, for people who ask what hooks have done, and how often each has."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from msgspec.structs import replace

from supervisor.api.checks import MOST_RUNS
from supervisor.api.hook_rows import HookRun, RunState


@dataclass(slots=True)
class Tally:
    """Counts of one hook or schedule since bullpen started."""

    fired: int = 0
    failed: int = 0
    dropped: int = 0
    running: int = 0
    last_at: float | None = None


class RunLog:
    def __init__(self) -> None:
        self._tallies: dict[str, Tally] = {}
        self._runs: deque[HookRun] = deque(maxlen=MOST_RUNS)
        """The newest last. Those that are running are replaced when they have ended."""

    def tally(self, name: str) -> Tally:
        return self._tallies.setdefault(name, Tally())

    def begin(self, run: HookRun) -> None:
        tally = self.tally(run.hook)
        tally.running += 1
        tally.last_at = run.at
        self._runs.append(run)

    def end(self, run: HookRun) -> None:
        """`run` as it ended."""
        tally = self.tally(run.hook)
        tally.running -= 1
        tally.failed += run.state is RunState.FAILED
        self._replace(run)

    def note(self, run: HookRun) -> None:
        """Adds a run that was not begun, or took no time."""
        tally = self.tally(run.hook)
        tally.dropped += run.state is RunState.DROPPED
        tally.failed += run.state is RunState.FAILED
        self._runs.append(run)

    def last(self, count: int) -> tuple[HookRun, ...]:
        """The newest first."""
        return tuple(self._runs)[::-1][:count]

    def forget(self, user: str) -> None:
        """Removes detail, user and session from the runs of that user."""
        kept = [replace(run, detail="", user="", session="") if run.user == user else run for run in self._runs]
        self._runs = deque(kept, MOST_RUNS)

    def _replace(self, run: HookRun) -> None:
        for number in range(len(self._runs) - 1, -1, -1):
            if self._runs[number].id == run.id:
                self._runs[number] = run
                return
        self._runs.append(run)
