"""One thing to be written, and the SQL of everything that is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from supervisor.api.codec import storable
from supervisor.api.entries import Entry
from supervisor.api.errors import JournalFailed
from supervisor.api.keys import SessionKey
from supervisor.journal.records import CLIENT_COLUMNS, REMOVAL_COLUMNS, SESSION_COLUMNS, TURN_COLUMNS, Row, TurnRecord

Parameters = Row | dict[str, Any]
"""Values for a statement's marks, by place or by name."""


class Step(NamedTuple):
    sql: str
    row: Parameters


class Note(NamedTuple):
    """Written as a whole or not at all, and twice without harm: a commit whose answer was missed is made again."""

    steps: tuple[Step, ...]
    on_written: Callable[[], object] | None = None
    """Called when it is durable."""
    on_refused: Callable[[JournalFailed], object] | None = None
    """Called when it could not be written. A note without it is given up only when no disk could ever hold it."""
    what: Callable[[], str] = lambda: "a note"
    """What the note records, in words, for the error that says it could not be written. Nearly always it can."""
    stand_in: Callable[[str], Note] | None = None
    """Makes what is written in its place when it can never be written, because of a value in it: of the reason."""
    on_lost: Callable[[str], object] | None = None
    """Called with the reason when it can never be written and nothing stands in for it."""
    key: SessionKey | None = None
    """The session whose conversation the note changes: by `entry`, or by forgetting all of it when there is none."""
    number: int = 0
    """The place of `entry` among all entries."""
    entry: Entry | None = None
    turn_id: str = ""
    """Which turn `change` is about."""
    change: Callable[[TurnRecord | None], TurnRecord | None] | None = None
    """What reading that turn has to add as long as this note is not durable."""
    may_wait: bool = False
    """It need not be written at once: nothing is told or begun because of it."""


def step(sql: str, *row: Any) -> Step:
    # Of a turn some fifty texts are noted, nearly all of them plain.
    plain = [value if not isinstance(value, str) or value.isascii() else storable(value) for value in row]
    return Step(sql, tuple(plain))


def batches(notes: Iterable[Note]) -> Iterator[tuple[str, list[Parameters]]]:
    """The steps, those with the same SQL together as far as their order allows: each is one trip to the database's
    thread. What is noted for every turn (`_EVERYDAY`) minds no order between its kinds but the one given there."""
    everyday: dict[str, list[Parameters]] = {}
    rest: tuple[str, list[Parameters]] | None = None
    for step in (one for note in notes for one in note.steps):
        if step.sql in _EVERYDAY:
            if rest is not None:
                yield rest
                rest = None
            everyday.setdefault(step.sql, []).append(step.row)
        elif rest is not None and rest[0] == step.sql:
            rest[1].append(step.row)
        else:
            yield from sorted(everyday.items(), key=lambda item: _EVERYDAY[item[0]])
            everyday = {}
            if rest is not None:
                yield rest
            rest = (step.sql, [step.row])
    yield from sorted(everyday.items(), key=lambda item: _EVERYDAY[item[0]])
    if rest is not None:
        yield rest


def _marks(columns: str) -> str:
    return ", ".join("?" for _ in columns.split(","))


def _updates(columns: str) -> str:
    return ", ".join(f"{name.strip()} = excluded.{name.strip()}" for name in columns.split(","))


_KEY = "instance = ? AND user = ? AND session = ?"

ACCEPT_TURN = f"INSERT INTO turns ({TURN_COLUMNS}) VALUES ({_marks(TURN_COLUMNS)}) ON CONFLICT (id) DO NOTHING"
START_TURN = "UPDATE turns SET started_at = ? WHERE id = ?"
END_TURN = (
    "UPDATE turns SET ended_at = ?, outcome = ?, result = ?, served = ?, cost = ?, tokens = ? "
    "WHERE id = ? AND outcome = ''"
)
RELEASE_TURN = "UPDATE turns SET held = 0 WHERE id = ?"

KEEP_SESSION = (
    f"INSERT INTO sessions ({SESSION_COLUMNS}) VALUES ({_marks(SESSION_COLUMNS)}) "
    f"ON CONFLICT (instance, user, session) DO UPDATE SET {_updates(SESSION_COLUMNS)}"
)
FORGET_SESSION = (
    *(f"DELETE FROM {table} WHERE {_KEY}" for table in ("entries", "questions", "offers", "sessions")),
    # How its turns ended stays until it is pruned; what was said in them does not.
    "UPDATE turns SET text = '', result = json_replace(result, '$.text', '', '$.message', ''), "
    "route = CASE WHEN json_valid(route) THEN json_replace(route, '$.reason', '') ELSE '' END "
    f"WHERE {_KEY} AND outcome <> '' AND json_valid(result)",
    "UPDATE actions SET detail = '' WHERE target = ? || '/' || ? || '/' || ?",
)
NOTE_REMOVAL = (
    f"INSERT INTO removals ({REMOVAL_COLUMNS}) VALUES ({_marks(REMOVAL_COLUMNS)}) "
    f"ON CONFLICT (uuid, workspace) DO UPDATE SET {_updates(REMOVAL_COLUMNS)}"
)
SETTLE_REMOVAL = "DELETE FROM removals WHERE uuid = ? AND workspace = ?"

ADD_ENTRY = (
    "INSERT INTO entries (number, instance, user, session, at, kind, body) VALUES (?, ?, ?, ?, ?, ?, ?) "
    "ON CONFLICT (number) DO NOTHING"
)
ASK = (
    "INSERT INTO questions (id, instance, user, session, turn_id, asked_at, body) VALUES (?, ?, ?, ?, ?, ?, ?) "
    "ON CONFLICT (id) DO NOTHING"
)
SETTLE_QUESTION = (
    """UPDATE questions SET settled_at = ?, outcome = ?, "by" = ?, answer = ? WHERE id = ? AND outcome = ''"""
)
TAKE_BACK_APPROVAL = (
    """UPDATE questions SET settled_at = ?, outcome = 'lost', answer = ? WHERE id = ? AND outcome = 'approved'"""
)
OFFER = (
    "INSERT INTO offers (turn_id, instance, user, session, made_at, expires_at) VALUES (?, ?, ?, ?, ?, ?) "
    "ON CONFLICT (turn_id) DO NOTHING"
)
SETTLE_OFFER = "UPDATE offers SET settled_at = ?, settled = ? WHERE turn_id = ? AND settled = ''"
ACT = (
    """INSERT INTO actions (number, at, verb, target, detail, "by", via) VALUES (?, ?, ?, ?, ?, ?, ?) """
    "ON CONFLICT (number) DO NOTHING"
)
NOTE_CLIENT = (
    f"INSERT INTO clients ({CLIENT_COLUMNS}) VALUES ({_marks(CLIENT_COLUMNS)}) "
    f"ON CONFLICT (mark) DO UPDATE SET {_updates(CLIENT_COLUMNS)}"
)
FORGET_CLIENT = "DELETE FROM clients WHERE mark = ?"

_OF_USER = "user = :user OR prompt_user = :user"
_TURNS_OF_USER = f"""SELECT id FROM turns WHERE {_OF_USER} UNION SELECT json_extract(body, '$.turn_id') FROM entries
WHERE kind = 'asked' AND json_extract(body, '$.user') = :user"""
"""Also of turns that were pruned before what was said in them."""
OF_USER = {
    "offers": f"user = :user OR turn_id IN ({_TURNS_OF_USER})",
    "questions": f"user = :user OR turn_id IN ({_TURNS_OF_USER})",
    "entries": f"user = :user OR json_extract(body, '$.turn_id') IN ({_TURNS_OF_USER})",
    "hook_runs": f"user = :user OR turn_id IN ({_TURNS_OF_USER})",
    "turns": _OF_USER,
    "sessions": "user = :user",
    "actions": "instr(target, '/' || :user || '/') > 0",
    "clients": "user = :user",
    "spending": "user = :user OR owner = :user",
}
"""What each table holds of one user, in an order in which it can be deleted: what was said is found by its turns. In a
conversation that users share, those of the user's own turns."""
_SUMS = "day, instance, owner, session, user, provider, cost, tokens, turns, first_at"
_KEEP_SUMS = f"""INSERT INTO spending ({_SUMS})
SELECT day, instance, '', '', '', provider, sum(cost), sum(tokens), sum(turns), min(first_at) FROM spending
WHERE {OF_USER["spending"]} GROUP BY day, instance, provider
ON CONFLICT DO UPDATE SET cost = cost + excluded.cost, tokens = tokens + excluded.tokens,
turns = turns + excluded.turns, first_at = min(first_at, excluded.first_at)"""
"""What a person has spent is in no one person's sum from then on, and stays in all other sums."""
FORGET_USER = (_KEEP_SUMS, *(f"DELETE FROM {table} WHERE {which}" for table, which in OF_USER.items()))
COUNT_USER = {table: f"SELECT count(*) FROM {table} WHERE {which}" for table, which in OF_USER.items()}
SHARED_WITH = "SELECT DISTINCT instance FROM turns WHERE prompt_user = :user AND user <> :user ORDER BY instance"

_EVERYDAY = {sql: rank for rank, sql in enumerate((KEEP_SESSION, ACCEPT_TURN, START_TURN, END_TURN, ADD_ENTRY))}
"""What is noted for every turn, in an order that is right whatever the order it was noted in: rows of one kind keep
theirs, a turn is accepted before it starts and ends, and entries go by number."""

PRUNE = (
    "DELETE FROM actions WHERE at < ?",
    "DELETE FROM spending WHERE day < date(?, 'unixepoch', 'localtime')",
    "DELETE FROM questions WHERE outcome <> '' AND settled_at < ?",
    "DELETE FROM offers WHERE settled <> '' AND settled_at < ?",
    "DELETE FROM turns WHERE outcome <> '' AND ended_at < ? "
    "AND id NOT IN (SELECT turn_id FROM offers WHERE settled = '')",
    "DELETE FROM hook_runs WHERE at < ?",
    "DELETE FROM entries WHERE at < ? AND (instance, user, session) IN "
    "(SELECT instance, user, session FROM entries EXCEPT SELECT instance, user, session FROM sessions)",
)
"""Each takes the time before which it prunes."""
