"""Schedules over the real supervisor, with clocks that tests turn."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import anyio.lowlevel
import pytest

from supervisor.api.events import Event, ScheduleDue
from supervisor.api.hook_rows import RunState
from supervisor.clock import Clock
from supervisor.testing import FakeWorld
from tests.engine.conftest import MakeTemplate, Start
from tests.waiting import until

pytestmark = pytest.mark.anyio

MORNING = 1_795_773_600.0
"""27 November 2026, a Friday, 10:00 UTC."""
HOUR = 3600.0
WRITE = "import sys, pathlib; pathlib.Path(sys.argv[1]).open('ab').write(sys.stdin.buffer.read())"


class Wall:
    def __init__(self, now: float = MORNING) -> None:
        self.now = now
        self.clock = Clock(wall=lambda: self.now)


@pytest.fixture(autouse=True)
def looking_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("supervisor.automation.schedules.LOOK", 0.005)


def hourly(told: Path, **keys: Any) -> dict[str, Any]:
    action = {"type": "shell", "command": [sys.executable, "-I", "-S", "-c", WRITE, str(told)]}
    return {"name": "hourly", "cron": "0 * * * *", "actions": [action]} | keys


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


async def test_a_schedule_runs_once_when_it_is_due_and_says_when_next(
    start: Start, world: FakeWorld, make_template: MakeTemplate, tmp_path: Path
) -> None:
    told, wall, heard = tmp_path / "told", Wall(), list[Event]()
    schedules = [
        hourly(told),
        {"every": "90m", "actions": [{"type": "agent", "target": "desk", "text": "It is {due}: {schedule}"}]},
    ]
    hooks = [{"on": "schedule:due", "condition": {"schedule": "hourly"}, "actions": hourly(told)["actions"]}]
    async with start(clock=wall.clock, schedules=schedules, hooks=hooks) as supervisor:
        await until(lambda: all(row.next_at for row in supervisor.automation.schedules.rows()))
        one, two = await supervisor.schedules()
        assert (one.when, one.next_at, one.timezone) == ("cron 0 * * * *", MORNING + HOUR, "UTC")
        assert (two.name, two.next_at) == ("every 90m", MORNING + 1.5 * HOUR)
        with await supervisor.watch() as feed:
            wall.now += HOUR
            await until(lambda: len(lines_of(told)) == 2)
            wall.now += HOUR / 2
            await until(lambda: world.written)
            heard += feed.take().events
        assert [event.schedule for event in heard if isinstance(event, ScheduleDue)] == ["hourly", "every 90m"]
        one, two = await supervisor.schedules()
        assert (one.fired, one.last_at, one.next_at) == (1, MORNING + HOUR, MORNING + 2 * HOUR)
    assert [one["due"] for one in lines_of(told)] == [MORNING + HOUR] * 2
    assert [one.text for one in world.written] == [f"It is {MORNING + 1.5 * HOUR:g}: every 90m"]


@pytest.mark.parametrize(("missed", "runs"), [("once", 1), ("skip", 0)])
async def test_what_was_missed_is_told_and_made_up_for_once_or_left_out(
    start: Start, tmp_path: Path, missed: str, runs: int
) -> None:
    told, wall = tmp_path / "told", Wall()
    schedules = [hourly(told, missed=missed)]
    async with start(clock=wall.clock, schedules=schedules) as supervisor:
        await until(lambda: supervisor.automation.schedules.rows()[0].next_at)
    wall.now += 3.5 * HOUR
    async with start(clock=wall.clock, schedules=schedules) as supervisor:
        await until(lambda: supervisor.automation.schedules.rows()[0].missed_runs)
        with await supervisor.watch(100) as feed:
            await until(lambda: not len(supervisor.automation.runner))
            found = list[Event]()
            await until(lambda: found.extend(feed.take().events) or any(isinstance(e, ScheduleDue) for e in found))
        [event] = [event for event in found if isinstance(event, ScheduleDue)]
        assert (event.missed, event.is_skipped) == (3, missed == "skip")
        [row] = await supervisor.schedules()
        assert (row.missed_runs, row.next_at) == (3, MORNING + 4 * HOUR)
        await until(lambda: len(lines_of(told)) == runs)
    wall.now += 60
    async with start(clock=wall.clock, schedules=schedules) as supervisor:
        await until(lambda: supervisor.automation.schedules.rows()[0].next_at)
        assert supervisor.automation.schedules.rows()[0].missed_runs == 0
    assert [one["missed"] for one in lines_of(told)] == [3] * runs


async def test_a_machine_that_slept_counts_as_having_missed(start: Start, tmp_path: Path) -> None:
    told, wall = tmp_path / "told", Wall()
    async with start(clock=wall.clock, schedules=[hourly(told)]) as supervisor:
        await until(lambda: supervisor.automation.schedules.rows()[0].next_at)
        wall.now += 2 * HOUR + 30  # the last one is half a minute late: that is on time
        await until(lambda: lines_of(told))
        [row] = await supervisor.schedules()
        assert (row.fired, row.missed_runs) == (1, 1)


async def test_a_clock_that_is_set_back_fires_nothing_again_and_a_length_of_time_begins_anew(
    start: Start, tmp_path: Path
) -> None:
    told, wall = tmp_path / "told", Wall()
    often = hourly(told, name="often", cron=None, every="2h")
    schedules = [hourly(told), {key: value for key, value in often.items() if value is not None}]
    async with start(clock=wall.clock, schedules=schedules) as supervisor:
        await until(lambda: all(row.next_at for row in supervisor.automation.schedules.rows()))
        wall.now += 2 * HOUR
        await until(lambda: len(lines_of(told)) == 2)
        wall.now -= 1.5 * HOUR
        await until(lambda: supervisor.automation.schedules.rows()[1].next_at == wall.now + 2 * HOUR)
        wall.now += HOUR  # 11:30: 11:00 has run
        await until(lambda: not len(supervisor.automation.runner))
        assert supervisor.automation.schedules.rows()[0].next_at == MORNING + 3 * HOUR
    assert len(lines_of(told)) == 2


async def test_a_clock_that_was_far_ahead_holds_nothing_up_once_it_is_set(start: Start, tmp_path: Path) -> None:
    """A machine may start in another year, until its clock is set: nothing waits until then (issue 12)."""
    told, wall = tmp_path / "told", Wall(MORNING + 20 * 365 * 24 * HOUR)
    async with start(clock=wall.clock, schedules=[hourly(told)]) as supervisor:
        await until(lambda: supervisor.automation.schedules.rows()[0].next_at)
    wall.now = MORNING
    async with start(clock=wall.clock, schedules=[hourly(told)]) as supervisor:
        await until(lambda: supervisor.automation.schedules.rows()[0].next_at == MORNING + HOUR)
        wall.now += HOUR
        await until(lambda: lines_of(told))
    assert [one["due"] for one in lines_of(told)] == [MORNING + HOUR]


async def test_what_is_due_and_cannot_be_recorded_does_not_keep_the_loop_busy(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is tried again with the next look."""
    told, wall = tmp_path / "told", Wall()
    async with start(clock=wall.clock, schedules=[hourly(told)]) as supervisor:
        schedules = supervisor.automation.schedules
        await until(lambda: schedules.rows()[0].next_at)
        monkeypatch.setattr("supervisor.automation.schedules.LOOK", 0.05)
        looks: list[float] = []
        monkeypatch.setattr(schedules, "_look", lambda clock, now: looks.append(now))
        wall.now += HOUR
        await until(lambda: wall.now in looks)
        passed = 0
        while len(looks) < 5:
            await anyio.lowlevel.checkpoint()
            passed += 1
        assert passed > 20, "other tasks run many times between two looks"


async def test_a_due_time_that_had_fired_fires_no_more_after_a_crash_and_its_actions_are_taken_up(
    start: Start, tmp_path: Path
) -> None:
    told, go, wall = tmp_path / "told", tmp_path / "go", Wall()
    script = f"cat >> {told}; while [ ! -e {go} ]; do sleep 0.01; done"
    schedules = [hourly(told, actions=[{"type": "shell", "command": ["sh", "-c", script]}])]
    async with start(clock=wall.clock, schedules=schedules) as supervisor:
        await until(lambda: supervisor.automation.schedules.rows()[0].next_at)
        wall.now += HOUR
        await until(lambda: lines_of(told))
    go.touch()
    async with start(clock=wall.clock, schedules=schedules) as supervisor:
        runs = supervisor.automation.log
        await until(lambda: [run for run in runs.last(9) if run.state is RunState.DONE])
        assert supervisor.automation.schedules.rows()[0].missed_runs == 0
        assert len(runs.last(9)) == 1
    first, again = lines_of(told)
    assert first == again


async def test_one_that_is_declared_otherwise_begins_anew(start: Start, tmp_path: Path) -> None:
    told, wall = tmp_path / "told", Wall()
    async with start(clock=wall.clock, schedules=[hourly(told)]) as supervisor:
        await until(lambda: supervisor.automation.schedules.rows()[0].next_at)
    wall.now += 5.5 * HOUR
    async with start(clock=wall.clock, schedules=[hourly(told, cron="30 * * * *")]) as supervisor:
        await until(lambda: supervisor.automation.schedules.rows()[0].next_at)
        assert supervisor.automation.schedules.rows()[0].next_at == wall.now + HOUR
        assert supervisor.automation.schedules.rows()[0].missed_runs == 0
