"""Runs schedules when they are due, each due time at most once, whatever the clock and the process do.

What a schedule fires and that it has fired is one transaction of the journal, and nothing is done before that is
durable: after a crash a due time has either fired, and its actions are taken up again, or is found to be missed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import anyio

from supervisor.api.automation import Schedule, ScheduleMark
from supervisor.api.event_names import BY_NAME
from supervisor.api.events import Event, ScheduleDue
from supervisor.api.hook_rows import Missed, ScheduleRow
from supervisor.api.ids import new_id
from supervisor.automation.firing import Firing
from supervisor.automation.ports import AutomationContext
from supervisor.automation.runner import Runner
from supervisor.automation.timetable import find_due, next_time

LOOK = 15.0
"""Seconds between two looks at the clock, at most: it may be set, and a machine may sleep."""
FAR_BACK = 86400.0
"""Seconds from which on a clock that is set back was wrong before: what fell due by it has not really done so."""
ON_TIME = 60.0
"""Seconds that a run may be late; later it counts as missed."""
_EVENT = BY_NAME["schedule:due"]

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Clock:
    """One schedule, and how far it has come."""

    schedule: Schedule
    done_until: float
    """Unix seconds: what fell due until then has run, or was left out."""
    next_at: float | None
    last_at: float | None = None
    missed: int = 0
    """Since the last start."""


class Schedules:
    def __init__(
        self, schedules: Iterable[Schedule], around: AutomationContext, runner: Runner, tell: Callable[[Event], None]
    ) -> None:
        self.declared = {schedule.name: schedule for schedule in schedules}
        self._around = around
        self._runner = runner
        self._tell = tell
        self._clocks: dict[str, _Clock] = {}

    async def run(self, marks: Iterable[ScheduleMark]) -> None:
        """`marks` are what an earlier run has kept."""
        self._begin({mark.name: mark for mark in marks})
        while self._clocks:
            now = self._around.wall()
            for clock in self._clocks.values():
                try:
                    self._look(clock, now)
                except Exception:  # an internal error in one must not end the others
                    _log.exception("the schedule %s could not be run", clock.schedule.name)
            coming = [clock.next_at for clock in self._clocks.values() if clock.next_at is not None]
            # What is due and could not be run is tried again with the next look.
            await anyio.sleep(min([LOOK, *(time - now for time in coming if time > now)]))

    def rows(self) -> tuple[ScheduleRow, ...]:
        return tuple(map(self._row, self.declared.values()))

    def _begin(self, marks: dict[str, ScheduleMark]) -> None:
        now, book = self._around.wall(), self._around.find_book()
        for name, schedule in self.declared.items():
            mark = marks.pop(name, None)
            if mark is not None and mark.spec == spell(schedule):
                self._clocks[name] = _Clock(schedule, mark.due_at, next_time(schedule, mark.due_at), mark.due_at)
                continue
            self._clocks[name] = _Clock(schedule, now, next_time(schedule, now))
            if book is not None:
                book.mark(ScheduleMark(name, spell(schedule), now), (), lambda: None)
        for name in marks:
            if book is not None:
                book.unmark(name)

    def _look(self, clock: _Clock, now: float) -> None:
        schedule = clock.schedule
        if now < clock.done_until - (0.0 if schedule.every else FAR_BACK):
            # The clock was set back: the length of time begins anew, instead of waiting until it has caught up. So do
            # cron's times, where it has been in another year, say, until it was set.
            clock.done_until, clock.next_at = now, next_time(schedule, now)
        if clock.next_at is None or now < clock.next_at:
            return
        due = find_due(schedule, clock.done_until, now)
        if not due.runs:
            clock.next_at = due.next_at
            return
        is_on_time = now - due.last_at <= ON_TIME
        missed = due.runs - is_on_time
        event = ScheduleDue(
            at=now,
            schedule=schedule.name,
            due_at=due.last_at,
            missed=missed,
            is_skipped=not is_on_time and schedule.missed is Missed.SKIP,
        )
        if (book := self._around.find_book()) is None:
            return
        clock.done_until, clock.last_at, clock.next_at = due.last_at, due.last_at, due.next_at
        clock.missed += missed
        mark = ScheduleMark(schedule.name, spell(schedule), due.last_at)
        if event.is_skipped:
            book.mark(mark, (), lambda: self._tell(event))
            return
        firing_id = new_id()
        firing = Firing(firing_id, schedule, _EVENT.payload(event, None, id=firing_id), 0, now)
        book.mark(mark, (firing.kept(),), lambda: self._start(event, firing))

    def _start(self, event: ScheduleDue, firing: Firing) -> None:
        self._tell(event)
        self._runner.start(firing, is_kept=True)

    def _row(self, schedule: Schedule) -> ScheduleRow:
        clock, tally = self._clocks.get(schedule.name), self._runner.log.tally(schedule.name)
        return ScheduleRow(
            name=schedule.name,
            when=f"cron {schedule.cron}" if schedule.cron else f"every {_length(schedule.every)}",
            timezone=schedule.timezone if schedule.cron else "",
            missed=schedule.missed,
            actions=tuple(map(str, schedule.actions)),
            next_at=clock.next_at if clock is not None else None,
            last_at=clock.last_at if clock is not None else None,
            missed_runs=clock.missed if clock is not None else 0,
            fired=tally.fired,
            failed=tally.failed,
        )


def _length(seconds: float) -> str:
    units = (("d", 86400.0), ("h", 3600.0), ("m", 60.0))
    return next((f"{seconds / size:g}{unit}" for unit, size in units if seconds % size == 0), f"{seconds:g}s")


def spell(schedule: Schedule) -> str:
    """The schedule's declaration as text. A schedule whose text has changed begins anew."""
    return f"{schedule.cron} {schedule.timezone}" if schedule.cron else f"every {schedule.every!r}"
