"""Everything that is read: at the start in pieces and in the database's thread, later at once and beside the writer."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import aiosqlite

from supervisor import bounds
from supervisor.api.codec import ASKED, unpack_entry, unpack_question
from supervisor.api.entries import MOST_TEXT_HELD, Asked, Entry, Noticed
from supervisor.api.errors import JournalFailed
from supervisor.api.keys import SessionKey
from supervisor.api.questions import Question
from supervisor.journal.notes import ACT, Note
from supervisor.journal.past import ACTIONS, PastAction, read_action
from supervisor.journal.records import (
    CLIENT_COLUMNS,
    REMOVAL_COLUMNS,
    SESSION_COLUMNS,
    TURN_COLUMNS,
    ClientRecord,
    OfferRecord,
    RecoveredState,
    Row,
    TurnRecord,
    Unreadable,
    bound_client,
    bound_session,
    bound_turn,
    row_to_client,
    row_to_removal,
    row_to_session,
    row_to_turn,
)
from supervisor.journal.schema import unusable
from supervisor.text.cleaning import one_line

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


_LAST = f"SELECT number, at, kind, body FROM entries WHERE {_KEY} ORDER BY number DESC LIMIT ?"

MOST_GLIMPSED = 262_144
"""Characters that a glimpse of a conversation reads back."""

_UNREADABLE = (ValueError, KeyError, TypeError, RecursionError)
"""What a row raises that was edited or damaged."""


async def load(connection: aiosqlite.Connection, path: Path) -> RecoveredState:
    """Raises `JournalUnusable` when the file is damaged. A row that bullpen did not write fails alone
    (`RecoveredState.unreadable`)."""
    unreadable: list[Unreadable] = []

    async def every(table: str, sql: str, make: Callable[[Row], _T], name: Callable[[Row], str]) -> tuple[_T, ...]:
        made: list[_T] = []
        async with connection.execute(sql) as cursor:
            while rows := await cursor.fetchmany(CHUNK):
                for row in map(tuple, rows):
                    try:
                        made.append(make(row))
                    except _UNREADABLE as error:
                        # Of our own words only: a validation error quotes what was said.
                        why = one_line(str(error), 200) if type(error) is ValueError else type(error).__name__
                        unreadable.append(Unreadable(table, name(row), why))
        return tuple(made)

    def first(row: Row) -> str:
        return str(row[0])

    try:
        turns = await every("turns", f"SELECT {_TURNS} FROM turns WHERE outcome = '' ORDER BY seq", _read_turn, first)
        return RecoveredState(
            sessions=await every(
                "sessions",
                f"SELECT {SESSION_COLUMNS} FROM sessions ORDER BY created_at",
                lambda row: bound_session(row_to_session(row)),
                lambda row: "/".join(map(str, row[:3])),
            ),
            waiting=tuple(turn for turn in turns if turn.started_at is None),
            running=tuple(turn for turn in turns if turn.started_at is not None),
            offers=await every(
                "offers",
                f"SELECT {_TURNS}, made_at, expires_at FROM offers JOIN turns ON turns.id = offers.turn_id "
                "WHERE settled = '' ORDER BY made_at, seq",
                lambda row: OfferRecord(_read_turn(row), bounds.moment(row[-2]), bounds.moment(row[-1])),
                first,
            ),
            clients=await every(
                "clients",
                f"SELECT {CLIENT_COLUMNS} FROM clients ORDER BY mark",
                _read_client,
                lambda row: str(row[1]),  # its mark: ids begin anew with every run
            ),
            questions=await every(
                "questions",
                "SELECT id, body FROM questions WHERE outcome = '' ORDER BY asked_at, id",
                _row_to_question,
                first,
            ),
            removals=await every("removals", f"SELECT {REMOVAL_COLUMNS} FROM removals", row_to_removal, first),
            unreadable=tuple(unreadable),
        )
    except (sqlite3.Error, *_UNREADABLE) as error:
        raise unusable(path, error) from error


def _read_turn(row: Row) -> TurnRecord:
    return bound_turn(row_to_turn(row))


def _read_client(row: Row) -> ClientRecord:
    return bound_client(row_to_client(row))


def _row_to_question(row: Row) -> Question:
    question = unpack_question(row[1])
    _check_time(question.asked_at)
    _check_time(question.expires_at)
    return question


def _check_time(at: float) -> None:
    if not 0 <= at <= bounds.LAST_MOMENT:
        raise ValueError(f"it has a time that no clock can show ({at:g})")


class JournalReader:
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
        rows = self._read_newest(_HISTORY, (*key, *key, max(last_turns, 1) - 1), room=MOST_TEXT_HELD)
        return _last(list(self._with_notes(key, rows, notes).values()), max(last_turns, 1))

    def last_entries(self, key: SessionKey, count: int, notes: Iterable[Note]) -> list[Entry]:
        """The last entries, oldest first, as far as they hold no more than `MOST_GLIMPSED`. Raises `JournalFailed`."""
        rows = self._read_newest(_LAST, (*key, count), room=MOST_GLIMPSED)
        return list(self._with_notes(key, rows, notes).values())[-count:]

    def _with_notes(self, key: SessionKey, rows: list[Row], notes: Iterable[Note]) -> dict[int, Entry]:
        entries = {number: _unpack(key, at, kind, body) for number, at, kind, body in reversed(rows)}
        for note in notes:
            if note.key != key:
                continue
            if note.entry is None:
                entries.clear()
            else:
                # A note may be in the file already while its writer does not know it yet: the number says so.
                entries[note.number] = note.entry
        return entries

    def find_turn(self, turn_id: str, notes: Iterable[Note]) -> TurnRecord | None:
        """Raises `JournalFailed`."""
        rows = self._read(f"SELECT {TURN_COLUMNS} FROM turns WHERE id = ?", (turn_id,))
        try:
            turn = bound_turn(row_to_turn(rows[0])) if rows else None
        except _UNREADABLE as error:
            raise JournalFailed(f"turn {turn_id} cannot be read from the journal {self._path}") from error
        for note in notes:
            if note.change is not None and note.turn_id == turn_id:
                turn = note.change(turn)
        return turn

    def find_request(self, user: str, request: str) -> str:
        """The id of the turn that this user's request of that name began, if it is in the file; else empty. Raises
        `JournalFailed`."""
        sql = "SELECT id FROM turns WHERE prompt_user = ? AND request = ? AND request <> '' ORDER BY seq LIMIT 1"
        rows = self._read(sql, (user, request))
        return str(rows[0][0]) if rows else ""

    def actions(self, count: int, notes: Iterable[Note]) -> list[PastAction]:
        """The last of operators' actions, oldest first. Raises `JournalFailed`."""
        rows = {row[0]: row for row in reversed(self._read(ACTIONS, (count,)))}
        noted = (one.row for note in notes for one in note.steps if one.sql == ACT)
        rows |= {row[0]: row for row in noted if isinstance(row, tuple)}
        found = (read_action(row[1:]) for row in list(rows.values())[-count:])
        return [action for action in found if action is not None]

    def last_number(self, table: str) -> int:
        """The highest so far. Raises `JournalUnusable` when the file is damaged."""
        try:
            # One that was edited to the end of what SQLite holds would leave no number for the next.
            sql = f"SELECT coalesce(max(number), 0) FROM {table} WHERE number < {bounds.MOST}"
            return int(self._connection.execute(sql).fetchone()[0])
        except sqlite3.Error as error:
            raise unusable(self._path, error) from error

    def _read_newest(self, sql: str, parameters: tuple[Any, ...], *, room: int) -> list[Row]:
        """As many as hold no more than `room` characters, and one at least."""
        rows: list[Row] = []
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
        entry = unpack_entry(kind, body)
        _check_time(entry.at)
        return entry
    except _UNREADABLE as error:
        # Its kind only: a validation error quotes what was said.
        _log.warning("an entry (%s) cannot be read: %s", kind, type(error).__name__)
        return Noticed(at=at, text=f"An entry ({kind}) cannot be read by this version of bullpen", is_warning=True)


def _last(entries: list[Entry], turns: int) -> list[Entry]:
    """The entries from the prompt that began the last `turns` turns on."""
    asked = [index for index, entry in enumerate(entries) if isinstance(entry, Asked)]
    return entries[asked[-turns] :] if len(asked) >= turns else entries
