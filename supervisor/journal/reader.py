"""Everything that is read: at the start in pieces and in the database's thread, later at once and beside the writer."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import aiosqlite

from supervisor.conversation import MOST_TEXT_HELD, Asked, Entry, Noticed
from supervisor.errors import JournalFailed
from supervisor.journal.notes import Note
from supervisor.journal.packing import ASKED, unpack_entry, unpack_question
from supervisor.journal.records import (
    CLIENT_COLUMNS,
    REMOVAL_COLUMNS,
    SESSION_COLUMNS,
    TURN_COLUMNS,
    Loaded,
    OfferRecord,
    Row,
    TurnRecord,
    row_to_client,
    row_to_removal,
    row_to_session,
    row_to_turn,
)
from supervisor.journal.schema import unusable
from supervisor.model import SessionKey

CHUNK = 500
"""Rows that are made into records in one go: about 2 ms of the event loop."""
READ_TIMEOUT = 0.1
"""Seconds a read waits for a lock. Readers of a write-ahead log are not locked out, except while it is recovered."""

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

_TURNS = ", ".join(f"turns.{name.strip()}" for name in TURN_COLUMNS.split(","))
_KEY = "instance = ? AND user = ? AND session = ?"
_HISTORY = f"""
SELECT number, at, kind, body FROM entries WHERE {_KEY} AND number >= coalesce(
    (SELECT number FROM entries WHERE {_KEY} AND kind = '{ASKED}' ORDER BY number DESC LIMIT 1 OFFSET ?), 0
) ORDER BY number DESC
"""
"""Newest first. The prompts are counted backwards along the index, so a long conversation costs no more than what is
returned."""


async def load(connection: aiosqlite.Connection, path: Path) -> Loaded:
    """Raises `JournalUnusable` when the file is damaged or holds what this version does not know."""

    async def every(sql: str, make: Callable[[Row], _T]) -> tuple[_T, ...]:
        made: list[_T] = []
        async with connection.execute(sql) as cursor:
            while rows := await cursor.fetchmany(CHUNK):
                made.extend(make(row) for row in rows)  # type: ignore[arg-type]
        return tuple(made)

    try:
        turns = await every(f"SELECT {_TURNS} FROM turns WHERE outcome = '' ORDER BY seq", row_to_turn)
        return Loaded(
            sessions=await every(f"SELECT {SESSION_COLUMNS} FROM sessions ORDER BY created_at", row_to_session),
            waiting=tuple(turn for turn in turns if turn.started_at is None),
            running=tuple(turn for turn in turns if turn.started_at is not None),
            offers=await every(
                f"SELECT {_TURNS}, made_at, expires_at FROM offers JOIN turns ON turns.id = offers.turn_id "
                "WHERE settled = '' ORDER BY made_at, seq",
                lambda row: OfferRecord(row_to_turn(row), row[-2], row[-1]),
            ),
            clients=await every(f"SELECT {CLIENT_COLUMNS} FROM clients ORDER BY mark", row_to_client),
            questions=await every(
                "SELECT body FROM questions WHERE outcome = '' ORDER BY asked_at, id",
                lambda row: unpack_question(row[0]),
            ),
            removals=await every(f"SELECT {REMOVAL_COLUMNS} FROM removals", row_to_removal),
        )
    except (sqlite3.Error, ValueError, KeyError, TypeError) as error:
        raise unusable(path, error) from error


class Reader:
    """A second connection that only reads. What it returns includes the notes that are not durable yet."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection = sqlite3.connect(
            f"file:{quote(str(path))}?mode=ro", uri=True, isolation_level=None, timeout=READ_TIMEOUT
        )

    def close(self) -> None:
        self._connection.close()

    def history(self, key: SessionKey, last_turns: int, notes: Iterable[Note]) -> list[Entry]:
        """The entries of the last turns, oldest first. Raises `JournalFailed`."""
        rows = self._read_newest(_HISTORY, (*key, *key, max(last_turns, 1) - 1))
        entries = {number: _unpack(key, at, kind, body) for number, at, kind, body in reversed(rows)}
        for note in notes:
            if note.key != key:
                continue
            if note.entry is None:
                entries.clear()
            else:
                # A note may be in the file already while its writer does not know it yet: the number says so.
                entries[note.number] = note.entry
        return _last(list(entries.values()), max(last_turns, 1))

    def find_turn(self, turn_id: str, notes: Iterable[Note]) -> TurnRecord | None:
        """Raises `JournalFailed`."""
        rows = self._read(f"SELECT {TURN_COLUMNS} FROM turns WHERE id = ?", (turn_id,))
        turn = row_to_turn(rows[0]) if rows else None
        for note in notes:
            if note.change is not None and note.turn_id == turn_id:
                turn = note.change(turn)
        return turn

    def last_number(self, table: str) -> int:
        """The highest so far. Raises `JournalUnusable` when the file is damaged."""
        try:
            return int(self._connection.execute(f"SELECT coalesce(max(number), 0) FROM {table}").fetchone()[0])
        except sqlite3.Error as error:
            raise unusable(self._path, error) from error

    def _read_newest(self, sql: str, parameters: tuple[Any, ...]) -> list[Row]:
        """As many as hold no more text than a conversation does."""
        rows: list[Row] = []
        room = MOST_TEXT_HELD
        try:
            for row in self._connection.execute(sql, parameters):
                room -= len(row[3])
                if rows and room < 0:
                    break
                rows.append(row)
        except sqlite3.Error as error:
            raise self._cannot_read(error) from error
        return rows

    def _cannot_read(self, error: Exception) -> JournalFailed:
        return JournalFailed(f"the journal {self._path} cannot be read ({error}): see to its disk")

    def _read(self, sql: str, parameters: tuple[Any, ...]) -> list[Row]:
        try:
            return self._connection.execute(sql, parameters).fetchall()
        except sqlite3.Error as error:
            raise self._cannot_read(error) from error


def _unpack(key: SessionKey, at: float, kind: str, body: str) -> Entry:
    """One entry that cannot be read must not take the whole conversation away."""
    try:
        return unpack_entry(kind, body)
    except (ValueError, TypeError, KeyError) as error:
        # Its kind only: a validation error quotes what was said.
        _log.warning("an entry (%s) cannot be read: %s", kind, type(error).__name__)
        return Noticed(at=at, text=f"An entry ({kind}) cannot be read by this version of bullpen", is_warning=True)


def _last(entries: list[Entry], turns: int) -> list[Entry]:
    """From the prompt that began the last `turns` turns on."""
    asked = [index for index, entry in enumerate(entries) if isinstance(entry, Asked)]
    return entries[asked[-turns] :] if len(asked) >= turns else entries
