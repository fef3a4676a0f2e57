"""What the journal says, read with plain SQL and nothing of the engine's own code."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.ledger import WORD, Place

CONTEXT_LOST = "The conversation so far could not be resumed"
"""How a session says it."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A turn in the journal."""

    turn: str
    place: Place
    word: str
    outcome: str
    """Empty when it has none."""
    ended_at: float = 0.0
    """Unix seconds; 0 when it has no outcome."""
    asked: str = ""
    """The prompt."""
    answered: str = ""
    """All that the outcome says."""


@dataclass(frozen=True, slots=True)
class Books:
    entries: tuple[Entry, ...]
    """Of callers' turns, in the order in which they began; those that never did come last."""
    uuids: dict[Place, str]
    """Claude Code's id of each session's conversation."""
    replayed: frozenset[str] = frozenset()
    """Words of interrupted turns that were sent again."""
    losses: tuple[tuple[Place, float], ...] = ()
    """When (Unix seconds) a session said honestly that its conversation could not be resumed."""

    def of(self, place: Place) -> list[Entry]:
        return [entry for entry in self.entries if entry.place == place]

    def is_forgiven(self, entry: Entry) -> bool:
        """Its session lost its context afterwards, and said so."""
        return any(place == entry.place and entry.ended_at <= at for place, at in self.losses)


def read_books(journal: Path) -> Books:
    with closing(sqlite3.connect(f"file:{journal}?mode=ro", uri=True)) as database:
        turns = database.execute(
            "SELECT id, user, session, text, outcome, ended_at, replays, result FROM turns "
            "WHERE source <> 'agent' ORDER BY started_at IS NULL, started_at, seq"
        )
        entries: list[Entry] = []
        replayed: set[str] = set()
        for turn, user, session, text, outcome, ended_at, replays, result in turns:
            (word,) = WORD.findall(text)[:1]
            entries.append(Entry(turn, Place(user, session), word, outcome, ended_at or 0.0, text, result))
            if replays:
                replayed.add(word)
        sessions = database.execute("SELECT user, session, uuid FROM sessions")
        uuids = {Place(user, session): uuid for user, session, uuid in sessions}
        notices = database.execute("SELECT user, session, at, body FROM entries WHERE kind = 'noticed'")
        losses = tuple((Place(user, session), at) for user, session, at, body in notices if CONTEXT_LOST in body)
        return Books(tuple(entries), uuids, frozenset(replayed), losses)
