"""The calendar that is shipped as tools: one store for each user."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

import pytest

from supervisor.api.tools import RunContext
from supervisor.config.tool_functions import read_functions
from supervisor.tools import schedule


def _context(folder: Path, user: str) -> RunContext:
    (folder / user).mkdir(exist_ok=True)
    return RunContext("desk", user, "default", "turn", folder / user)


MORNING = datetime(2026, 5, 4, 9, 30)


def test_entries_of_two_users_stand_in_two_stores(tmp_path: Path) -> None:
    """S3.17-19."""
    ana, bob = _context(tmp_path, "ana"), _context(tmp_path, "bob")
    first = schedule.create_schedule(ana, "Dentist", MORNING)
    second = schedule.create_schedule(bob, "Lunch", MORNING, "at noon")
    assert first.id != second.id
    assert [one.title for one in schedule.list_schedule(ana)] == ["Dentist"]
    assert schedule.list_schedule(bob) == [second]
    with pytest.raises(ValueError, match=f"there is no entry {first.id} in this calendar"):
        schedule.delete_schedule(bob, first.id)
    assert schedule.delete_schedule(ana, first.id) == f"Deleted {first.id}."
    assert schedule.list_schedule(ana) == []


def test_many_entries_at_once_are_all_kept_with_ids_of_their_own(tmp_path: Path) -> None:
    ana = _context(tmp_path, "ana")
    with ThreadPoolExecutor(8) as pool:
        ids = {one.id for one in pool.map(lambda n: schedule.create_schedule(ana, str(n), MORNING), range(40))}
    assert len(ids) == 40
    assert {one.id for one in schedule.list_schedule(ana, limit=500)} == ids


def test_entries_come_in_the_order_of_their_times_with_and_without_zones(tmp_path: Path) -> None:
    ana = _context(tmp_path, "ana")
    local = MORNING.astimezone()
    schedule.create_schedule(ana, "second", local.replace(hour=10))
    schedule.create_schedule(ana, "first", MORNING)
    schedule.create_schedule(ana, "third", MORNING.replace(hour=11))
    assert [one.title for one in schedule.list_schedule(ana)] == ["first", "second", "third"]
    assert [one.title for one in schedule.list_schedule(ana, since=local.replace(hour=10))] == ["second", "third"]


def test_a_calendar_has_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ana = _context(tmp_path, "ana")
    for year in (1, 9999):
        with pytest.raises(ValueError, match="no time that a calendar has room for"):
            schedule.create_schedule(ana, "x", datetime(year, 1, 1))
    monkeypatch.setattr(schedule, "MOST_ENTRIES", 1)
    schedule.create_schedule(ana, "x", MORNING)
    with pytest.raises(ValueError, match="the calendar is full"):
        schedule.create_schedule(ana, "y", MORNING)


def test_a_store_that_cannot_be_read_fails_the_call_alone(tmp_path: Path) -> None:
    ana = _context(tmp_path, "ana")
    (ana.folder / schedule.FILE).write_bytes(b"no database" * 200)
    with pytest.raises(sqlite3.DatabaseError):
        schedule.list_schedule(ana)


def test_the_three_functions_are_tools_and_only_one_of_them_reads(tmp_path: Path) -> None:
    names = ("create_schedule", "list_schedule", "delete_schedule")
    tools, mistakes = read_functions([f"supervisor.tools.schedule:{name}" for name in names], tmp_path / "a.md")
    assert not mistakes
    assert [(tool.name, tool.declared.read_only) for tool in tools] == [*zip(names, (False, True, False), strict=True)]
    assert tools[0].schema["required"] == ["title", "at"]
