"""A calendar for each user, as tools: what shipped templates offer, and an example of tools that keep something.

tools: Read, supervisor.tools.schedule:create_schedule, supervisor.tools.schedule:list_schedule
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated
from uuid import uuid4

from pydantic import BaseModel, Field

from supervisor.api.tools import RunContext, tool

FILE = "schedule.db"
"""In the folder of the user."""
MOST_ENTRIES = 10_000
"""Of one user."""
WAITS = 10.0
"""Seconds that a call waits for another one of the same user."""

_TABLE = """
CREATE TABLE IF NOT EXISTS entries (
    id TEXT PRIMARY KEY, title TEXT NOT NULL, at TEXT NOT NULL, note TEXT NOT NULL, made_by TEXT NOT NULL
)
"""

Title = Annotated[str, Field(min_length=1, max_length=500, description="What is due, in a few words.")]
At = Annotated[datetime, Field(description="When, in ISO 8601, as 2026-05-04T09:30.")]
Note = Annotated[str, Field(max_length=5_000, description="What else there is to know.")]
Id = Annotated[str, Field(description="The id that create_schedule gave.")]


class CalendarEntry(BaseModel):
    """One entry of a calendar."""

    id: str
    title: str
    at: datetime
    note: str = ""


@tool(timeout=30)
def create_schedule(context: RunContext, title: Title, at: At, note: Note = "") -> CalendarEntry:
    """Enters something in the calendar of the person you talk to. Returns the entry with its id."""
    if not 1970 <= at.year < 9999:
        raise ValueError(f"{at.isoformat()} is no time that a calendar has room for")
    entry = CalendarEntry(id=uuid4().hex[:12], title=title, at=at, note=note)
    with _store(context.folder) as store:
        (count,) = store.execute("SELECT count(*) FROM entries").fetchone()
        if count >= MOST_ENTRIES:
            raise ValueError(f"the calendar is full: it has {count:,} entries; delete some first")
        store.execute(
            "INSERT INTO entries VALUES (?, ?, ?, ?, ?)",
            (entry.id, title, at.isoformat(), note, f"{context.instance} {context.turn}"),
        )
    return entry


@tool(read_only=True, timeout=30)
def list_schedule(
    context: RunContext,
    since: Annotated[datetime | None, Field(description="Only what is due from then on.")] = None,
    limit: Annotated[int, Field(ge=1, le=500, description="How many entries at most.")] = 50,
) -> list[CalendarEntry]:
    """The calendar of the person you talk to, what is due first at the top."""
    with _store(context.folder) as store:
        rows = store.execute("SELECT id, title, at, note FROM entries").fetchall()
    entries = [
        CalendarEntry(id=id_, title=title, at=datetime.fromisoformat(at), note=note) for id_, title, at, note in rows
    ]
    # A time without a zone is one of this machine.
    due = [one for one in entries if since is None or one.at.astimezone() >= since.astimezone()]
    return sorted(due, key=lambda one: one.at.astimezone())[:limit]


@tool(timeout=30)
def delete_schedule(context: RunContext, id: Id) -> str:
    """Deletes one entry from the calendar of the person you talk to."""
    with _store(context.folder) as store:
        count = store.execute("DELETE FROM entries WHERE id = ?", (id,)).rowcount
    if not count:
        raise ValueError(f"there is no entry {id} in this calendar; list_schedule shows them")
    return f"Deleted {id}."


@contextmanager
def _store(folder: Path) -> Iterator[sqlite3.Connection]:
    """One transaction on the user's own file."""
    path = folder / FILE
    path.touch(mode=0o600)
    with closing(sqlite3.connect(path, timeout=WAITS, isolation_level=None)) as store:
        store.execute("BEGIN IMMEDIATE")
        store.execute(_TABLE)
        yield store
        store.execute("COMMIT")
