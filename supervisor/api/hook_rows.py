"""Hooks and schedules as readers see them, and what has become of them.

Everything here crosses to readers, and holds no secret: only where one is found (`env:NAME`, `file:PATH`).
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class Delivery(StrEnum):
    """What happens after a crash of bullpen to an action that had not ended."""

    AT_LEAST_ONCE = "at-least-once"
    """It is recorded when it is due and done again after a restart, under the same id."""
    BEST_EFFORT = "best-effort"
    """It is lost."""


class Fallback(StrEnum):
    """The verdict that counts when a gate gives none."""

    ALLOW = "allow"
    REFUSE = "refuse"


class Missed(StrEnum):
    """What happens to runs that fell due while bullpen was not running."""

    ONCE = "once"
    """All of them together are made up for by one."""
    SKIP = "skip"
    """They are left out."""


class RunState(StrEnum):
    """How far an action is, or how it ended."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"
    """It was not begun, on purpose: `detail` says why."""
    DROPPED = "dropped"
    """It was not begun, because too many wait."""


class HookRow(Struct, frozen=True, kw_only=True, gc=False):
    """A hook as it is declared, and how often it has fired in this run of bullpen."""

    name: str
    on: tuple[str, ...]
    condition: str
    """The condition in words; empty when it has none."""
    priority: int
    actions: tuple[str, ...]
    """Kind and target of each."""
    timeout: str
    """`20s`, `none`, or `by kind`."""
    attempts: int
    delivery: Delivery
    gate: bool = False
    fallback: Fallback | None = None
    instance: str = ""
    fired: int = 0
    failed: int = 0
    dropped: int = 0
    """Times that it was due and too many others waited."""
    running: int = 0
    last_at: float | None = None
    """Unix seconds, of its last beginning."""


class HookRun(Struct, frozen=True, kw_only=True, gc=False):
    """One action of a hook or a schedule, or one verdict of a gate."""

    id: str
    """Names it for the receiver as well (`Idempotency-Key`, field `id`): the same after a restart."""
    hook: str
    event: str
    action: str
    """Kind and target."""
    state: RunState
    at: float
    """Unix seconds, of its beginning."""
    seconds: float = 0.0
    """How long it took."""
    detail: str = ""
    """One line."""
    attempt: int = 1
    depth: int = 0
    """How many hooks away from a caller that was which fired it."""
    instance: str = ""
    user: str = ""
    session: str = ""
    turn: str = ""
    is_sample: bool = False


class ScheduleRow(Struct, frozen=True, kw_only=True, gc=False):
    """A schedule, and when it runs next."""

    name: str
    when: str
    """`cron 0 7 * * 1-5` or `every 1h`."""
    timezone: str
    missed: Missed
    actions: tuple[str, ...]
    next_at: float | None
    """Unix seconds; None when it never runs again."""
    last_at: float | None = None
    """Unix seconds, when it was last due."""
    missed_runs: int = 0
    """How many fell due while bullpen did not run or the machine slept, as found since the last start."""
    fired: int = 0
    failed: int = 0
