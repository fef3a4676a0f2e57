"""Why a client was ended, and what follows from that."""

from __future__ import annotations

from enum import StrEnum


class EndReason(StrEnum):
    """Why a client was ended: typed, so that what follows from it needs no reading of messages."""

    EVICTED = "gave up its place"
    HIBERNATED = "hibernated by the operator"
    CLOSED = "its session was closed"
    STRAY = "a spare that began a turn by itself"
    IDLE = "idle too long"
    DRAINED = "drained"
    KILLED = "killed by the operator"
    STOPPING = "the supervisor stops"
    START_FAILED = "could not be started"
    DIED = "its process ended"
    UNRESPONSIVE = "does not answer"
    NEVER_WOKE = "did not wake"
    SWAPPED = "asleep longest, where clients fill the swap that they may use"
    ONE_CALL = "its one call is over"
    SCALED = "scaled down"
    CANCELLED = "its task was cancelled"
    DETACHED = "freed while its question waits"
    RECYCLED = "recycled: over its memory ceiling"
    ROLLED = "rolled: the next one has the template as it is now"
    REJECTED = "recycled: the API rejected its prompt, which the next one resumes without"
    PANIC = "ended at once: over its panic ceiling"
    INTERNAL_ERROR = "an internal error of bullpen in what follows from its output"


UNASKED = (EndReason.UNRESPONSIVE, EndReason.NEVER_WOKE, EndReason.PANIC)
"""Ends that do not wait for an interrupt's Result: it would not come, or there is no time."""


SAVES = (0, 143)
"""Exit codes of a process that saves before it leaves: by itself, and by SIGTERM."""
