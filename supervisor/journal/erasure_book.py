"""How the journal forgets: sessions, persons, and what is still to be removed from disk because of it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress

import aiosqlite

from supervisor.api.keys import SessionKey
from supervisor.journal import notes
from supervisor.journal.note_taking import NoteTaker
from supervisor.journal.notes import Note, Step, step
from supervisor.journal.records import Removal, removal_to_row


class ErasureBook:
    """A part of the journal."""

    def __init__(self, taker: NoteTaker, connection: aiosqlite.Connection) -> None:
        self._notes = taker
        self._connection = connection

    def forget_session(
        self, key: SessionKey, removals: Sequence[Removal] = (), on_written: Callable[[], object] | None = None
    ) -> None:
        """Removes a session with everything that was said in it. How its turns ended stays until it is pruned.
        `removals`, its files on disk, are noted in the same transaction, so that a crash cannot leave them there."""
        steps = [step(notes.NOTE_REMOVAL, *removal_to_row(removal)) for removal in removals]
        steps += [step(sql, *key) for sql in notes.FORGET_SESSION]
        self._notes.add(Note(tuple(steps), key=key, on_written=on_written))

    def note_removal(self, removal: Removal, on_written: Callable[[], object] | None = None) -> None:
        """The latest wins, by conversation and workspace."""
        self._notes.add(Note((step(notes.NOTE_REMOVAL, *removal_to_row(removal)),), on_written=on_written))

    def settle_removal(self, removal: Removal) -> None:
        """Notes that the files of this removal are gone."""
        self._notes.note(notes.SETTLE_REMOVAL, removal.uuid, removal.workspace)

    def forget_user(
        self, user: str, removals: Sequence[Removal] = (), on_written: Callable[[], object] | None = None
    ) -> None:
        """Everything that names that user, in one transaction, and as `forget_session` what is to be removed from
        disk."""
        steps = [step(notes.NOTE_REMOVAL, *removal_to_row(removal)) for removal in removals]
        steps += [Step(sql, {"user": user}) for sql in notes.FORGET_USER]
        self._notes.add(Note(tuple(steps), on_written=on_written))

    async def count_user(self, user: str) -> dict[str, int]:
        """Rows that name that user, by table."""
        found = {}
        for table, sql in notes.COUNT_USER.items():
            ((found[table],),) = await self._connection.execute_fetchall(sql, {"user": user})
        return found

    async def find_shared(self, user: str) -> tuple[str, ...]:
        """Agents with one shared session that the user has written to."""
        rows = await self._connection.execute_fetchall(notes.SHARED_WITH, {"user": user})
        return tuple(row[0] for row in rows)

    async def scrub(self) -> None:
        """Overwrites what was deleted in the log beside the journal too, as far as that can be done now."""
        with suppress(sqlite3.Error):
            await self._connection._execute(_scrub, self._connection._conn)  # type: ignore[no-untyped-call]


def _scrub(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
