"""What kind of end a client came to: typed, so that what follows from it needs no reading of messages."""

from __future__ import annotations

import re
from pathlib import Path

from supervisor.api.errors import ClientDied, ResumeTargetMissing
from supervisor.api.outcomes import FailureKind
from supervisor.process.end_reason import EndReason

LATELY = 10.0
"""Seconds: a client that was killed so soon after the kernel ran out of memory is taken for one of its victims."""

_KILLED = (-9, 137)
"""Exit codes of a process ended by SIGKILL, seen directly and through a shell."""
_HEAP_WORDS = re.compile(r"out of memory|heap limit|cannot allocate memory", re.IGNORECASE)
_AUTH_WORDS = re.compile(r"invalid api key|authentication|please run /login|unauthorized|\b401\b", re.IGNORECASE)


def classify(
    reason: EndReason, error: Exception | None, *, was_running: bool, was_out_of_memory: bool
) -> FailureKind | None:
    """The kind of failure that an end means for the client; None for an end in order. `was_out_of_memory`: the kernel
    has lately ended processes for want of memory."""
    match reason:
        case EndReason.KILLED:
            return FailureKind.KILLED
        case EndReason.UNRESPONSIVE:
            return FailureKind.STALLED
        case EndReason.INTERNAL_ERROR:
            return FailureKind.ENGINE
        case EndReason.PANIC:
            return FailureKind.OUT_OF_MEMORY
        case EndReason.START_FAILED:
            if isinstance(error, ResumeTargetMissing):
                return FailureKind.RESUME_TARGET_MISSING
            return FailureKind.AUTHENTICATION if _AUTH_WORDS.search(str(error)) else FailureKind.START_FAILED
        case EndReason.DIED | EndReason.NEVER_WOKE:
            return _classify_death(error, was_running=was_running, was_out_of_memory=was_out_of_memory)
        case _:
            return None


def _classify_death(error: Exception | None, *, was_running: bool, was_out_of_memory: bool) -> FailureKind:
    code = error.exit_code if isinstance(error, ClientDied) else None
    if isinstance(error, ClientDied) and error.oversize:
        return FailureKind.OVERSIZE_MESSAGE
    if (was_out_of_memory and code in _KILLED) or _HEAP_WORDS.search(str(error)):
        return FailureKind.OUT_OF_MEMORY
    return FailureKind.CRASHED if was_running else FailureKind.CRASHED_IDLE


class OomWatch:
    """Notices that the kernel has ended processes for want of memory, by its own count of them."""

    def __init__(self, vmstat: Path = Path("/proc/vmstat")) -> None:
        self._vmstat = vmstat
        self._seen = self._count()
        self._struck_at = float("-inf")

    def look(self, now: float) -> None:
        """`now` in steady seconds. Cheap; call it often, so that an old strike is not taken for a new one."""
        count = self._count()
        if count > self._seen:
            self._struck_at = now
        self._seen = count

    def has_struck_lately(self, now: float) -> bool:
        """Whether the kernel has ended any process within `LATELY`. False where it keeps no count."""
        self.look(now)
        return now - self._struck_at <= LATELY

    def _count(self) -> int:
        try:
            lines = self._vmstat.read_text(encoding="ascii").splitlines()
        except (OSError, UnicodeDecodeError):
            return 0
        return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)
