"""When a schedule runs: pure, over Unix seconds.

Cron's fields are those of the schedule's time zone. When its clocks go forward, what is declared for the hour that does
not exist runs when it would have begun; when they go back, what is declared for the hour that comes twice runs in the
first of the two, and what is declared for every hour or less runs in both (as in Debian's cron).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import cache
from heapq import heappop, heappush
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from supervisor.api.automation import Schedule

SHORTEST = 1.0
"""Seconds of `every`, at least."""
MOST_COUNTED = 10_000
"""Missed runs that are counted one by one."""
BEFORE = timedelta(hours=3)
"""How far back the clock on the wall may have shown what is due later than now."""
LONGEST_GAP = timedelta(days=9 * 366)
"""Within which a cron expression comes true; 29 February does once in eight years at the turn of some centuries."""


class Due(NamedTuple):
    """The runs of a schedule that are due by now."""

    runs: int
    """How many; 0 for none."""
    last_at: float
    """Unix seconds of the last of them."""
    next_at: float | None
    """Of the first one that is still to come."""


def find_timetable_mistake(cron: str, every: float, timezone: str) -> str:
    """What is wrong with the timetable, in words that follow "it" (`has every, which must be …`); empty when nothing
    is."""
    try:
        _zone(timezone)
    except ValueError as error:
        return str(error)
    if every and every < SHORTEST:
        return f"has every, which must be at least {SHORTEST:g} s"
    if not cron:
        return ""
    from cronsim import CronSimError

    try:
        if len(cron.split()) != 5:
            raise CronSimError
        if next(_times(cron, timezone, 1_700_000_000.0), None) is None:
            return f"has a cron expression that never comes true: {cron!r}"
    except CronSimError:
        return (
            f"has {cron!r} for cron, which is none: five fields (minute, hour, day, month, weekday) such as "
            "'0 7 * * 1-5'"
        )
    return ""


def next_time(schedule: Schedule, after: float) -> float | None:
    """The first time later than that."""
    if schedule.every:
        return after + schedule.every
    return next(_times(schedule.cron, schedule.timezone, after), None)


def find_due(schedule: Schedule, done_until: float, now: float) -> Due:
    """The runs that fell due since `done_until`, the time up to which every run was made or left out."""
    if schedule.every:
        count = max(0, int((now - done_until) // schedule.every))
        last = done_until + count * schedule.every
        return Due(count, last, last + schedule.every)
    count, last = 0, done_until
    for time in _times(schedule.cron, schedule.timezone, done_until):
        if time > now:
            return Due(count, last, time)
        count, last = count + 1, time
        if count >= MOST_COUNTED:
            # The rest would be counted for long: the last one that is due is looked for from its end.
            last = _last_before(schedule, last, now)
            return Due(count, last, next_time(schedule, now))
    return Due(count, last, None)


def _last_before(schedule: Schedule, known: float, now: float) -> float:
    """The last time that is not later than `now`; `known` is one of them."""
    for back in (86400.0, 32 * 86400.0):
        if (start := max(known, now - back)) > known:
            found = list(_until(schedule, start, now))
            if found:
                return found[-1]
    return known


def _until(schedule: Schedule, start: float, now: float) -> Iterator[float]:
    for time in _times(schedule.cron, schedule.timezone, start):
        if time > now:
            return
        yield time


def _times(cron: str, timezone: str, after: float) -> Iterator[float]:
    """Later than `after`, in order, without two that are the same. cronsim finds what the clock on the wall shows;
    which moments those are is found here, because it takes every change of clocks for one of a whole hour."""
    from cronsim import CronSim  # imported by those who have schedules

    zone = _zone(timezone)
    minute, hour, *_ = cron.split()
    is_frequent = minute.startswith("*") or hour.startswith("*")
    start = datetime.fromtimestamp(after, zone).replace(tzinfo=None) - BEFORE
    ahead: list[float] = []
    last = after
    for shown in CronSim(cron, start):
        moments = _moments(shown, zone, is_frequent=is_frequent)
        # What the clock shows twice is due a second time later, after others that it shows only once or for the first.
        while ahead and moments and ahead[0] <= moments[0]:
            if (time := heappop(ahead)) > last:
                last = time
                yield time
        for moment in moments:
            heappush(ahead, moment)
        if shown - start > LONGEST_GAP:
            return


def _moments(shown: datetime, zone: ZoneInfo, *, is_frequent: bool) -> list[float]:
    """The times, in Unix seconds, at which the clocks of that zone show this: one, two, or none."""
    first, second = (shown.replace(tzinfo=zone, fold=fold).timestamp() for fold in (0, 1))
    if first == second:
        return [first]
    if first < second:
        return [first, second] if is_frequent else [first]
    return [] if is_frequent else [_change_between(second, first, zone)]


def _change_between(before: float, after: float, zone: ZoneInfo) -> float:
    """The moment at which the clocks go forward."""
    old = datetime.fromtimestamp(before, zone).utcoffset()
    early, late = int(before), int(after)
    while late - early > 1:
        middle = (early + late) // 2
        if datetime.fromtimestamp(middle, zone).utcoffset() == old:
            early = middle
        else:
            late = middle
    return float(late)


@cache
def _zone(name: str) -> ZoneInfo:
    """Raises `ValueError` in words that follow "it"."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"has {name!r} for timezone, which is none: such as 'Europe/Berlin' or 'UTC'") from None
