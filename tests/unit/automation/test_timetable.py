"""When schedules run: across changes of clocks, in any zone, after any pause."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.api.automation import Schedule
from supervisor.automation.timetable import find_due, find_timetable_mistake, next_time

BERLIN, LORD_HOWE, KOLKATA = "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kolkata"


def cron(fields: str, zone: str) -> Schedule:
    return Schedule(name="x", actions=(), cron=fields, timezone=zone)


def at(zone: str, *parts: int, fold: int = 0) -> float:
    return datetime(*parts, tzinfo=ZoneInfo(zone), fold=fold).timestamp()  # type: ignore[misc,arg-type]


def times(fields: str, zone: str, since: float, count: int) -> list[str]:
    found = []
    for _ in range(count):
        since = next_time(cron(fields, zone), since)  # type: ignore[assignment]
        found.append(datetime.fromtimestamp(since, ZoneInfo(zone)).strftime("%d %H:%M %z"))
    return found


@pytest.mark.parametrize(
    ("fields", "zone", "day", "expected"),
    [
        # Clocks go forward at 02:00: what is declared for a time that does not exist runs at the change.
        ("30 2 * * *", BERLIN, (2026, 3, 29), ["29 03:00 +0200", "30 02:30 +0200"]),
        ("15,45 2 * * *", BERLIN, (2026, 3, 29), ["29 03:00 +0200", "30 02:15 +0200"]),
        ("0 * * * *", BERLIN, (2026, 3, 29), ["29 01:00 +0100", "29 03:00 +0200", "29 04:00 +0200"]),
        # They go back at 03:00: a certain time runs once, every hour runs twice.
        ("30 2 * * *", BERLIN, (2026, 10, 25), ["25 02:30 +0200", "26 02:30 +0100"]),
        ("0 * * * *", BERLIN, (2026, 10, 25), ["25 01:00 +0200", "25 02:00 +0200", "25 02:00 +0100", "25 03:00 +0100"]),
        ("*/30 2 * * *", BERLIN, (2026, 10, 25), [f"25 02:{m} {z}" for z in ("+0200", "+0100") for m in ("00", "30")]),
        # By half an hour: 02:00 to 01:30 in April, 02:00 to 02:30 in October.
        ("*/15 2 * * *", LORD_HOWE, (2026, 4, 5), [f"05 02:{m} +1030" for m in ("00", "15", "30", "45")]),
        ("*/15 1 * * *", LORD_HOWE, (2026, 4, 5), ["05 01:00 +1100", "05 01:15 +1100", "05 01:30 +1100",
                                                   "05 01:45 +1100", "05 01:30 +1030", "05 01:45 +1030"]),
        ("15 2 * * *", LORD_HOWE, (2026, 10, 4), ["04 02:30 +1100", "05 02:15 +1100"]),
        ("45 1 * * *", LORD_HOWE, (2026, 4, 5), ["05 01:45 +1100", "06 01:45 +1030"]),
        # A zone of a half hour that never changes.
        ("0 7 * * 1-5", KOLKATA, (2026, 11, 27), ["27 07:00 +0530", "30 07:00 +0530"]),
        ("0 0 29 2 *", "UTC", (2026, 1, 1), ["29 00:00 +0000"]),
    ],
)  # fmt: skip
def test_clocks_that_change(fields: str, zone: str, day: tuple[int, int, int], expected: list[str]) -> None:
    assert times(fields, zone, at(zone, *day) + 1, len(expected)) == expected


def test_what_has_run_in_the_first_of_two_hours_does_not_run_in_the_second_after_a_restart() -> None:
    first = at(BERLIN, 2026, 10, 25, 2, 30)
    second = at(BERLIN, 2026, 10, 25, 2, 30, fold=1)
    assert second - first == 3600
    assert find_due(cron("30 2 * * *", BERLIN), first, second + 60).runs == 0


FIELDS = st.sampled_from(
    [
        "* * * * *",
        "*/7 * * * *",
        "30 2 * * *",
        "15,45 1-3 * * *",
        "0 */3 * * *",
        "0 7 * * 1-5",
        "5 2 * * 0",
        "0 0 1 * *",
    ]
)
ZONES = st.sampled_from(["UTC", BERLIN, LORD_HOWE, KOLKATA, "America/St_Johns", "Africa/Casablanca", "Pacific/Apia"])
MOMENTS = st.integers(int(at("UTC", 2024, 1, 1)), int(at("UTC", 2028, 1, 1)))


@given(FIELDS, ZONES, MOMENTS)
def test_each_time_comes_once_and_in_order_however_it_is_asked_for(fields: str, zone: str, since: int) -> None:
    schedule = cron(fields, zone)
    one_by_one = [float(since)]
    for _ in range(12):
        one_by_one.append(next_time(schedule, one_by_one[-1]))  # type: ignore[arg-type]
    assert all(before < after for before, after in pairwise(one_by_one))
    until = one_by_one[-1]
    if until - since < 86400 * 400:
        due = find_due(schedule, since, until)
        assert (due.runs, due.last_at) == (12, until)
        assert due.next_at == next_time(schedule, until)
        middle = (since + until) / 2
        early, late = find_due(schedule, since, middle), find_due(schedule, since, middle)
        assert early == late
        assert early.runs + find_due(schedule, early.last_at, until).runs == 12


@given(FIELDS, ZONES, MOMENTS)
def test_every_time_is_one_that_the_clock_on_the_wall_shows_or_that_of_a_change(
    fields: str, zone: str, since: int
) -> None:
    found = next_time(cron(fields, zone), float(since))
    assert found is not None
    shown = datetime.fromtimestamp(found, ZoneInfo(zone))
    before = datetime.fromtimestamp(found - 1, ZoneInfo(zone))
    is_change = shown.utcoffset() != before.utcoffset()
    from cronsim import CronSim

    naive = shown.replace(tzinfo=None)
    assert is_change or next(CronSim(fields, naive - timedelta(seconds=1))) == naive


def test_a_length_of_time_counts_from_what_was_done_last() -> None:
    schedule = Schedule(name="x", actions=(), every=3600.0)
    assert find_due(schedule, 1_000.0, 4_599.0).runs == 0
    assert find_due(schedule, 1_000.0, 8_300.0) == (2, 8_200.0, 11_800.0)


def test_what_was_missed_for_years_is_counted_up_to_a_bound() -> None:
    now = at(BERLIN, 2026, 11, 27)
    due = find_due(cron("* * * * *", BERLIN), now - 3 * 366 * 86400, now + 30)
    assert (due.runs, due.last_at, due.next_at) == (10_000, now, now + 60)


@pytest.mark.parametrize(
    ("fields", "every", "zone", "words"),
    [
        ("0 7 * *", 0.0, "UTC", "which is none: five fields"),
        ("0 7 * * * *", 0.0, "UTC", "which is none: five fields"),
        ("61 * * * *", 0.0, "UTC", "which is none: five fields"),
        ("0 0 31 2 *", 0.0, "UTC", "which is none: five fields"),
        ("0 7 * * *", 0.0, "Europe/Berlinn", "for timezone, which is none"),
        ("0 7 * * *", 0.0, "../../etc/passwd", "for timezone, which is none"),
        ("", 0.5, "UTC", "must be at least 1 s"),
    ],
)
def test_what_never_runs_is_a_mistake(fields: str, every: float, zone: str, words: str) -> None:
    assert words in find_timetable_mistake(fields, every, zone)
