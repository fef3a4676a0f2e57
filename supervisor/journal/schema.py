"""The tables, how they came to be, and what is refused instead of being touched."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from supervisor.api.errors import JournalUnusable
from supervisor.files.private import explain_os_error

APPLICATION = 0x62756C6C
"""SQLite's `application_id` of a journal: "bull"."""
BUSY_TIMEOUT = 1.0
"""Seconds a statement waits for another program that holds the file's lock."""

CHECKED_SIZE = 256 * 1024**2
"""Bytes of a file whose pages are all looked at before it is used (100 MB take about 0.1 s)."""
_SECURE_SINCE = 2
"""The schema from which on deleted text is overwritten."""


class JournalMark(NamedTuple):
    """Which journal a state directory was last used with, and how far that had come."""

    journal: str = ""
    """Its identity; empty when there was none yet."""
    commits: int = 0
    """Transactions that were durable at least."""


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

_SECOND = """
CREATE TABLE identity (id TEXT NOT NULL, commits INTEGER NOT NULL);
INSERT INTO identity VALUES (lower(hex(randomblob(16))), 0);
CREATE TABLE removals (
    uuid TEXT NOT NULL, workspace TEXT NOT NULL,
    instance TEXT NOT NULL, user TEXT NOT NULL, session TEXT NOT NULL,
    has_files INTEGER NOT NULL, -- what the CLI keeps of the conversation has not been removed yet
    workspace_due_at REAL, -- NULL: it is kept
    PRIMARY KEY (uuid, workspace)
);
"""

_COST_SAVED = """
ALTER TABLE sessions ADD COLUMN cost_saved REAL NOT NULL DEFAULT 0;
UPDATE sessions SET cost_saved = cost_seen;
"""

_REQUESTS = """
ALTER TABLE turns ADD COLUMN request TEXT NOT NULL DEFAULT ''; -- the caller's name for it, unique for its user
CREATE INDEX turns_by_request ON turns (prompt_user, request) WHERE request <> '';
ALTER TABLE actions ADD COLUMN via TEXT NOT NULL DEFAULT 'screen';
"""

_ROUTES = """
ALTER TABLE turns ADD COLUMN route TEXT NOT NULL DEFAULT ''; -- JSON: why its agent was chosen; empty when it was named
"""

_AUTOMATION = """
ALTER TABLE turns ADD COLUMN depth INTEGER NOT NULL DEFAULT 0; -- how many hooks away from a caller
ALTER TABLE turns ADD COLUMN written TEXT NOT NULL DEFAULT ''; -- digest of the text before a gate rewrote it
CREATE TABLE hook_runs ( -- those that have not ended
    id TEXT PRIMARY KEY NOT NULL,
    at REAL NOT NULL,
    instance TEXT NOT NULL, user TEXT NOT NULL, session TEXT NOT NULL, turn_id TEXT NOT NULL,
    body TEXT NOT NULL
);
CREATE TABLE schedules (
    name TEXT PRIMARY KEY NOT NULL,
    spec TEXT NOT NULL, -- what it was declared as: another begins anew
    due_at REAL NOT NULL -- what fell due until then has run, or was left out
);
"""

_SPENDING = """
ALTER TABLE turns ADD COLUMN held INTEGER NOT NULL DEFAULT 0; -- it waits for the operator: a budget is reached
ALTER TABLE turns ADD COLUMN provider TEXT NOT NULL DEFAULT ''; -- that was asked for
ALTER TABLE turns ADD COLUMN model TEXT NOT NULL DEFAULT ''; -- that was asked for
ALTER TABLE turns ADD COLUMN served TEXT NOT NULL DEFAULT ''; -- the provider that it ran with
ALTER TABLE turns ADD COLUMN cost REAL NOT NULL DEFAULT 0; -- dollars; also in its result, which may be long
ALTER TABLE turns ADD COLUMN tokens INTEGER NOT NULL DEFAULT 0;
CREATE TABLE spending ( -- what ended on a local day
    day TEXT NOT NULL, instance TEXT NOT NULL, owner TEXT NOT NULL, session TEXT NOT NULL,
    user TEXT NOT NULL, -- who sent the prompt; owner is the user of the session
    provider TEXT NOT NULL, cost REAL NOT NULL, tokens INTEGER NOT NULL, turns INTEGER NOT NULL,
    first_at REAL NOT NULL,
    PRIMARY KEY (day, instance, owner, session, user, provider)
) WITHOUT ROWID;
INSERT INTO spending SELECT date(ended_at, 'unixepoch', 'localtime') AS day, instance, user, session, prompt_user, '',
        total(json_extract(result, '$.usage.cost_usd')),
        CAST(total(json_extract(result, '$.usage.input_tokens') + json_extract(result, '$.usage.output_tokens')
            + json_extract(result, '$.usage.cache_tokens')) AS INTEGER), count(*), min(ended_at)
    FROM turns WHERE outcome IN ('done', 'failed', 'interrupted') AND json_valid(result) AND ended_at IS NOT NULL
    GROUP BY day, instance, user, session, prompt_user HAVING day IS NOT NULL;
CREATE TRIGGER count_spending AFTER UPDATE OF outcome ON turns
    WHEN OLD.outcome = '' AND NEW.outcome IN ('done', 'failed', 'interrupted')
BEGIN
    INSERT INTO spending VALUES (
        ifnull(date(NEW.ended_at, 'unixepoch', 'localtime'), ''), NEW.instance, NEW.user, NEW.session, NEW.prompt_user,
        NEW.served, NEW.cost, NEW.tokens, 1, NEW.ended_at
    ) ON CONFLICT DO UPDATE SET cost = cost + excluded.cost, tokens = tokens + excluded.tokens,
        turns = turns + excluded.turns, first_at = min(first_at, excluded.first_at);
END;
"""

_OFFERS_ALONE = """
ALTER TABLE sessions DROP COLUMN is_offered; -- the table of offers says so
"""

MIGRATIONS: tuple[str, ...] = (
    _FIRST,
    _SECOND,
    _COST_SAVED,
    _REQUESTS,
    _ROUTES,
    _AUTOMATION,
    _SPENDING,
    _OFFERS_ALONE,
)
"""The nth script leads from schema n - 1 to schema n, in one transaction. Scripts that were released never change."""


def prepare(
    path: Path, migrations: Sequence[str] = MIGRATIONS, *, mark: JournalMark = JournalMark(), is_new: bool = True
) -> JournalMark:
    """Creates the file, readable by its owner only, or brings it up to the last schema. Blocking: run it in a thread.

    `mark` is what the state directory says about the journal it was last used with. An empty or missing file is taken
    for a new journal only when there is no such mark and `is_new` says that nothing else was left there either.
    Returns what the journal says of itself.

    Raises `JournalUnusable` when it is no journal, is damaged, is newer than this program, is not the one it ought to
    be or cannot be written; the file is then as it was.
    """
    with _opened(path, migrations, mark=mark, is_new=is_new) as (connection, version):
        _make_private(path)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA secure_delete = ON")
        for number, script in enumerate(migrations, start=1):
            if number > version:
                _migrate(connection, script, number)
        if 0 < version < _SECURE_SINCE:
            connection.execute("VACUUM")  # what was deleted before stands in free pages
        return _identify(connection) or JournalMark()


def examine(path: Path, *, mark: JournalMark, is_new: bool) -> None:
    """Raises what `prepare` would, and creates nothing. Blocking."""
    if path.exists() or mark.journal or not is_new:
        with _opened(path, MIGRATIONS, mark=mark, is_new=is_new):
            pass


@contextmanager
def _opened(
    path: Path, migrations: Sequence[str], *, mark: JournalMark, is_new: bool
) -> Iterator[tuple[sqlite3.Connection, int]]:
    """A journal that may be used, and its version: 0 when it is new."""
    try:
        _refuse_vanished(path, mark, is_new)
        if not path.exists():
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600))
            path.chmod(0o600)  # the umask may have taken even the owner's permissions
        with closing(sqlite3.connect(path, isolation_level=None, timeout=BUSY_TIMEOUT)) as connection:
            version = _check(connection, path, len(migrations))
            _check_content(connection, path, migrations[:version])
            _compare(_identify(connection), path, mark)
            yield connection, version
    except (sqlite3.Error, OSError) as error:
        raise unusable(path, error) from error


def _refuse_vanished(path: Path, mark: JournalMark, is_new: bool) -> None:
    is_there = path.exists()
    if (is_there and path.stat().st_size) or not (mark.journal or not is_new):
        return
    what = "is empty" if is_there else "is missing"
    raise JournalUnusable(
        f"{path} {what}, but {path.parent} was used before: restore it, or move {path.parent} away to begin anew; "
        "nothing was changed"
    )


def _check_content(connection: sqlite3.Connection, path: Path, migrations: Sequence[str]) -> None:
    """Checks that the file holds together: its pages, and the tables that its version has."""
    if path.stat().st_size <= CHECKED_SIZE:
        ((found,), *_) = connection.execute("PRAGMA quick_check(1)").fetchall()
        if found != "ok":
            raise sqlite3.DatabaseError(f"malformed: {' '.join(str(found).split())}")
    with closing(sqlite3.connect(":memory:")) as model:
        for script in migrations:
            model.executescript(script)
        tables = "SELECT name FROM sqlite_master WHERE type = 'table'"
        missing = set(model.execute(tables)) - set(connection.execute(tables))
    if missing:
        raise sqlite3.DatabaseError(f"malformed: it has no table {min(missing)[0]}")


def _identify(connection: sqlite3.Connection) -> JournalMark | None:
    """None of a journal that an older version has written."""
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'identity'").fetchall():
        return None
    rows = connection.execute("SELECT id, commits FROM identity").fetchall()
    if len(rows) != 1:
        raise sqlite3.DatabaseError("malformed: its identity is missing")
    return JournalMark(*rows[0])


def _compare(found: JournalMark | None, path: Path, mark: JournalMark) -> None:
    """Refuses a journal that is not the one this state directory was last used with, or not all of it."""
    if not mark.journal:
        return
    rest = f"or remove {path.parent / 'supervisor.lock'} to go on with it as it is; nothing was changed"
    if found is None or found.journal != mark.journal:
        raise JournalUnusable(
            f"{path} is not the journal that {path.parent} was last used with: put that one back, {rest}"
        )
    if found.commits < mark.commits:
        raise JournalUnusable(
            f"{path} lacks the last {mark.commits - found.commits} writes of an earlier run (an older copy, or "
            f"{path.name}-wal is missing): restore them, {rest}"
        )


def unusable(path: Path, error: Exception) -> JournalUnusable:
    """The error for an operator whose journal cannot be opened or read."""
    return JournalUnusable(explain_os_error(path, error))


def _check(connection: sqlite3.Connection, path: Path, newest: int) -> int:
    """The schema version of the file. Reads only."""
    version = _read_number(connection, "PRAGMA user_version")
    application = _read_number(connection, "PRAGMA application_id")
    tables = _read_number(connection, "SELECT count(*) FROM sqlite_master")
    is_blank = (version, application, tables) == (0, 0, 0)
    if not is_blank and application != APPLICATION:
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
