"""What hooks and schedules keep in the journal: actions that have not ended, and how far each schedule has come."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import aiosqlite

from supervisor import bounds
from supervisor.api.automation import OpenRun, ScheduleMark
from supervisor.api.keys import SessionKey
from supervisor.journal.note_taking import NoteTaker
from supervisor.journal.notes import Note, Step, step

_KEEP = (
    "INSERT INTO hook_runs (id, at, instance, user, session, turn_id, body) VALUES (?, ?, ?, ?, ?, ?, ?) "
    "ON CONFLICT (id) DO UPDATE SET body = excluded.body"
)
_SETTLE = "DELETE FROM hook_runs WHERE id = ?"
_MARK = (
    "INSERT INTO schedules (name, spec, due_at) VALUES (?, ?, ?) "
    "ON CONFLICT (name) DO UPDATE SET spec = excluded.spec, due_at = excluded.due_at"
)
_UNMARK = "DELETE FROM schedules WHERE name = ?"


class RunBook:
    """The part of the journal for runs of hooks and marks of schedules. Notes nothing once the journal is closed."""

    def __init__(self, taker: NoteTaker, connection: aiosqlite.Connection) -> None:
        self._notes = taker
        self._connection = connection

    def keep(self, run: OpenRun) -> None:
        """Notes an open run, in place of an earlier note with the same id."""
        self._note(_keep(run), what=f"run {run.id} of a hook")

    def settle(self, run_id: str, *, may_wait: bool = False) -> None:
        """Notes that all actions of the run have ended."""
        self._note(step(_SETTLE, run_id), what=f"the end of run {run_id} of a hook", may_wait=may_wait)

    def mark(self, mark: ScheduleMark, runs: Iterable[OpenRun], on_written: Callable[[], object]) -> None:
        """How far a schedule has come and what it fires for it, in one transaction: neither is there without the other,
        so that nothing fires twice. `on_written` is called when it is durable."""
        steps = [step(_MARK, *mark), *map(_keep, runs)]
        self._note(*steps, what=f"schedule {mark.name}", on_written=on_written)

    def unmark(self, name: str) -> None:
        """Removes the mark of a schedule that no longer exists."""
        self._note(step(_UNMARK, name), what=f"schedule {name}")

    async def load(self) -> tuple[list[OpenRun], list[ScheduleMark]]:
        """What an earlier run left, oldest first. A row that bullpen did not write is skipped."""
        rows = await self._connection.execute_fetchall(
            "SELECT id, at, instance, user, session, turn_id, body FROM hook_runs ORDER BY at, rowid"
        )
        runs = [
            OpenRun(row[0], bounds.moment(row[1]), SessionKey(row[2], row[3], row[4]), row[5], row[6])
            for row in rows
            if all(isinstance(text, str) for text in (row[0], *row[2:]))
        ]
        rows = await self._connection.execute_fetchall("SELECT name, spec, due_at FROM schedules")
        marks = [
            ScheduleMark(row[0], row[1], bounds.moment(row[2]))
            for row in rows
            if isinstance(row[0], str) and isinstance(row[1], str)
        ]
        return runs, marks

    def _note(
        self, *steps: Step, what: str, on_written: Callable[[], object] | None = None, may_wait: bool = False
    ) -> None:
        if not self._notes.is_closed:
            self._notes.add(Note(tuple(steps), what=lambda: what, on_written=on_written, may_wait=may_wait))


def _keep(run: OpenRun) -> Step:
    return step(_KEEP, run.id, run.at, *run.key, run.turn_id, run.body)
