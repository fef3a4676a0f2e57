"""What earlier runs did, as far as the screen shows it: the last happenings, what each session is about, what was used
today. Read once at the start; every query is bounded, however long the journal is."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import aiosqlite

from supervisor import bounds
from supervisor.api.codec import ENTRY_WORDS, unpack_outcome
from supervisor.api.entries import Replied
from supervisor.api.keys import SessionKey
from supervisor.api.outcomes import Outcome, Usage
from supervisor.journal.schema import unusable

MOST_EVENTS = 500
"""Of each kind."""
MOST_SESSIONS = 2_000
"""Of which it is read what they are about: those that were active last."""
LOOKED_AT = 40
"""Entries of a conversation among which its last reply is looked for."""
MOST_TEXT = 4_000
"""Characters of an outcome that is read back: those that are longer are told without their words."""
MOST_TURNS = 20_000
"""Of today, whose usage is summed up."""


class PastTurn(NamedTuple):
    id: str
    key: SessionKey
    ended_at: float
    outcome: Outcome


class PastAction(NamedTuple):
    at: float
    verb: str
    target: str
    detail: str
    by: str = "operator"
    via: str = "screen"


class PastGist(NamedTuple):
    key: SessionKey
    about: str
    """The beginning of the last prompt that was begun."""
    user: str
    """Who sent it."""
    latest: str
    """The end of the last reply."""


class PastSpending(NamedTuple):
    """What one user spent in one session with one provider on one day."""

    key: SessionKey
    user: str
    provider: str
    cost: float
    tokens: int
    turns: int
    first_at: float


class Past(NamedTuple):
    turns: tuple[PastTurn, ...] = ()
    """Ended ones, oldest first."""
    actions: tuple[PastAction, ...] = ()
    """Of operators, oldest first."""
    gists: tuple[PastGist, ...] = ()
    used: Usage = Usage()
    """By turns that ended since the given second."""
    spent: tuple[PastSpending, ...] = ()
    """On the day that began with it."""


_TURNS = f"""
SELECT id, instance, user, session, ended_at, outcome,
    CASE WHEN length(result) <= {MOST_TEXT} THEN result
    ELSE json_replace(result, '$.text', '', '$.message', substr(json_extract(result, '$.message'), 1, 200)) END
FROM turns WHERE outcome <> '' AND ended_at IS NOT NULL AND json_valid(result) ORDER BY seq DESC LIMIT {MOST_EVENTS}
"""
ACTIONS = """SELECT number, at, verb, target, detail, "by", via FROM actions ORDER BY number DESC LIMIT ?"""
"""The newest first."""
_SAME = "instance = sessions.instance AND user = sessions.user AND session = sessions.session"
_GISTS = f"""
SELECT instance, user, session,
    (SELECT json_array(substr(text, 1, 1000), prompt_user) FROM turns WHERE {_SAME}
        AND started_at IS NOT NULL AND source NOT IN ('engine', 'agent') ORDER BY seq DESC LIMIT 1),
    (SELECT substr(json_extract(body, '$.text'), -1000) FROM (
        SELECT kind, body FROM entries WHERE {_SAME} ORDER BY number DESC LIMIT {LOOKED_AT}
    ) WHERE kind = '{ENTRY_WORDS[Replied]}' AND json_valid(body) LIMIT 1)
FROM sessions ORDER BY last_activity_at DESC LIMIT {MOST_SESSIONS}
"""
_USED = f"""
SELECT sum(json_extract(result, '$.usage.input_tokens')), sum(json_extract(result, '$.usage.output_tokens')),
    sum(json_extract(result, '$.usage.cache_tokens')), sum(json_extract(result, '$.usage.cost_usd'))
FROM (SELECT result, ended_at FROM turns WHERE outcome <> '' AND json_valid(result)
    ORDER BY seq DESC LIMIT {MOST_TURNS})
WHERE ended_at >= ?
"""


_SPENT = """SELECT instance, owner, session, user, provider, cost, tokens, turns, first_at FROM spending
WHERE day = date(?, 'unixepoch', 'localtime')"""


async def read_past(connection: aiosqlite.Connection, path: Path, since: float) -> Past:
    """`since` is the Unix second from which on usage is summed up. What cannot be read is left out.

    Raises `JournalUnusable` when the file is damaged.
    """
    try:
        turns = await connection.execute_fetchall(_TURNS)
        actions = await connection.execute_fetchall(ACTIONS, (MOST_EVENTS,))
        gists = await connection.execute_fetchall(_GISTS)
        ((*used,),) = await connection.execute_fetchall(_USED, (since,))
        spent = await connection.execute_fetchall(_SPENT, (since,))
    except sqlite3.Error as error:
        raise unusable(path, error) from error
    return Past(
        tuple(reversed([turn for row in turns if (turn := _read_turn(tuple(row))) is not None])),
        tuple(reversed([action for row in actions if (action := read_action(tuple(row)[1:])) is not None])),
        tuple(gist for row in gists if (gist := _read_gist(tuple(row))) is not None),
        Usage(*(value or 0 for value in used)),
        tuple(one for row in spent if (one := _read_spending(tuple(row))) is not None),
    )


def _read_turn(row: tuple[Any, ...]) -> PastTurn | None:
    turn_id, *key, ended_at, word, result = row
    if not _are_texts((turn_id, *key)):
        return None
    try:
        return PastTurn(turn_id, SessionKey(*key), bounds.moment(ended_at), unpack_outcome(word, result))
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _read_spending(row: tuple[Any, ...]) -> PastSpending | None:
    *names, cost, tokens, turns, first_at = row
    if not _are_texts(names):
        return None
    instance, owner, session, user, provider = names
    sums = bounds.dollars(cost), bounds.count(tokens), bounds.count(turns)
    return PastSpending(SessionKey(instance, owner, session), user, provider, *sums, bounds.moment(first_at))


def read_action(row: tuple[Any, ...]) -> PastAction | None:
    """The action in a row of the audit; None when the row was not written by this program."""
    at, *words = row
    return PastAction(bounds.moment(at), *words) if _are_texts(words) else None


def _read_gist(row: tuple[Any, ...]) -> PastGist | None:
    *key, asked, latest = row
    about, user = json.loads(asked) if asked else ("", "")
    if not _are_texts((*key, about, user)):
        return None
    return PastGist(SessionKey(*key), about, user, latest if isinstance(latest, str) else "")


def _are_texts(values: Iterable[object]) -> bool:
    return all(isinstance(value, str) for value in values)
