"""The tables, how they came to be, and what is refused instead of being touched."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path

from supervisor.errors import JournalUnusable

APPLICATION = 0x62756C6C
"""SQLite's `application_id` of a journal: "bull"."""
BUSY_TIMEOUT = 1.0
"""Seconds a statement waits for another program that holds the file's lock."""

_FIRST = f"""
CREATE TABLE sessions (
    instance TEXT NOT NULL, user TEXT NOT NULL, session TEXT NOT NULL,
    created_at REAL NOT NULL, last_activity_at REAL NOT NULL,
    uuid TEXT NOT NULL, workspace TEXT NOT NULL, has_history INTEGER NOT NULL, drop_turn TEXT NOT NULL,
    input_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL, cache_tokens INTEGER NOT NULL,
    cost_usd REAL NOT NULL, cost_seen REAL NOT NULL,
    turns INTEGER NOT NULL, note TEXT NOT NULL, has_failed INTEGER NOT NULL, allowed TEXT NOT NULL,
    leaves_none_behind INTEGER NOT NULL, is_offered INTEGER NOT NULL,
    PRIMARY KEY (instance, user, session)
);
CREATE TABLE turns (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE, uuid TEXT NOT NULL,
    instance TEXT NOT NULL, user TEXT NOT NULL, session TEXT NOT NULL,
    agent TEXT NOT NULL, text TEXT NOT NULL, prompt_user TEXT NOT NULL, prompt_session TEXT NOT NULL,
    source TEXT NOT NULL, priority INTEGER NOT NULL,
    queued_at REAL NOT NULL, replays TEXT NOT NULL, leaves_none_behind INTEGER NOT NULL,
    started_at REAL, ended_at REAL,
    outcome TEXT NOT NULL, -- one word; '' while there is none
    result TEXT NOT NULL -- the outcome as JSON
);
CREATE INDEX turns_by_key ON turns (instance, user, session);
CREATE INDEX open_turns ON turns (seq) WHERE outcome = '';
CREATE TABLE entries (
    number INTEGER PRIMARY KEY,
    instance TEXT NOT NULL, user TEXT NOT NULL, session TEXT NOT NULL,
    at REAL NOT NULL, kind TEXT NOT NULL, body TEXT NOT NULL
);
CREATE INDEX entries_by_key ON entries (instance, user, session, number);
CREATE TABLE questions (
    id TEXT PRIMARY KEY NOT NULL,
    instance TEXT NOT NULL, user TEXT NOT NULL, session TEXT NOT NULL, turn_id TEXT NOT NULL,
    asked_at REAL NOT NULL, body TEXT NOT NULL,
    settled_at REAL, outcome TEXT NOT NULL DEFAULT '', "by" TEXT NOT NULL DEFAULT '', answer TEXT NOT NULL DEFAULT ''
);
CREATE INDEX open_questions ON questions (asked_at) WHERE outcome = '';
CREATE INDEX questions_by_key ON questions (instance, user, session);
CREATE TABLE offers (
    turn_id TEXT PRIMARY KEY NOT NULL,
    instance TEXT NOT NULL, user TEXT NOT NULL, session TEXT NOT NULL,
    made_at REAL NOT NULL, expires_at REAL NOT NULL,
    settled TEXT NOT NULL DEFAULT '', settled_at REAL
);
CREATE TABLE actions (
    number INTEGER PRIMARY KEY,
    at REAL NOT NULL, verb TEXT NOT NULL, target TEXT NOT NULL, detail TEXT NOT NULL, "by" TEXT NOT NULL
);
CREATE TABLE clients (
    mark TEXT PRIMARY KEY NOT NULL,
    id TEXT NOT NULL, pid INTEGER NOT NULL, started REAL NOT NULL, session_uuid TEXT NOT NULL,
    instance TEXT NOT NULL, user TEXT NOT NULL, session TEXT NOT NULL
);
PRAGMA application_id = {APPLICATION};
"""

MIGRATIONS: tuple[str, ...] = (_FIRST,)
"""The nth script leads from schema n - 1 to schema n, in one transaction. Scripts that were released never change."""


def prepare(path: Path, migrations: Sequence[str] = MIGRATIONS) -> None:
    """Creates the file, readable by its owner only, or brings it up to the last schema. Blocking: run it in a thread.

    Raises `JournalUnusable` when it is no journal, is damaged, is newer than this program or cannot be written; the
    file is then as it was.
    """
    try:
        if not path.exists():
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        with closing(sqlite3.connect(path, isolation_level=None, timeout=BUSY_TIMEOUT)) as connection:
            version = _check(connection, path, len(migrations))
            _make_private(path)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            for number, script in enumerate(migrations, start=1):
                if number > version:
                    _migrate(connection, script, number)
    except (sqlite3.Error, OSError) as error:
        raise unusable(path, error) from error


def unusable(path: Path, error: Exception) -> JournalUnusable:
    """What to tell the operator when the file cannot be opened or read."""
    cause = getattr(error, "strerror", None) or (str(error) or repr(error)).splitlines()[0]
    return JournalUnusable(
        f"{path} cannot be used ({cause}): see to it, or use another state "
        "directory with --state DIR; nothing was changed"
    )


def _check(connection: sqlite3.Connection, path: Path, newest: int) -> int:
    """The schema version of the file. Reads only."""
    version = _read_number(connection, "PRAGMA user_version")
    application = _read_number(connection, "PRAGMA application_id")
    tables = _read_number(connection, "SELECT count(*) FROM sqlite_master")
    is_new = (version, application, tables) == (0, 0, 0)
    if not is_new and application != APPLICATION:
        raise JournalUnusable(
            f"{path} is the database of another program: move it away, or use another state directory with --state DIR"
        )
    if version > newest:
        raise JournalUnusable(
            f"{path} was written by a newer bullpen (schema {version}, this one knows {newest}): update bullpen, or "
            "use another state directory with --state DIR"
        )
    return version


def _migrate(connection: sqlite3.Connection, script: str, number: int) -> None:
    try:
        connection.executescript(f"BEGIN IMMEDIATE;\n{script}\n;PRAGMA user_version = {number};\nCOMMIT;")
    except sqlite3.Error:
        connection.rollback()
        raise


def _make_private(path: Path) -> None:
    """SQLite gives the files beside it the mode of the database; those of an earlier run are left from then."""
    for suffix in ("", "-wal", "-shm"):
        with suppress(FileNotFoundError):
            os.chmod(f"{path}{suffix}", 0o600)


def _read_number(connection: sqlite3.Connection, sql: str) -> int:
    return int(connection.execute(sql).fetchone()[0])
