"""What the journal says, read with plain SQL and nothing of the engine's own code."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.ledger import Place
from tests.chaos.transcripts import WORD


@dataclass(frozen=True, slots=True)
class Entry:
    """A turn in the journal."""

    turn: str
    place: Place
    word: str
    outcome: str
    """Empty when it has none."""
    replays: str = ""
    """The interrupted turn whose prompt it sends again."""


@dataclass(frozen=True, slots=True)
class Books:
    entries: tuple[Entry, ...]
    """In the order in which they were accepted."""
    uuids: dict[Place, str]
    """Claude Code's id of each session's conversation."""

    def of(self, place: Place) -> list[Entry]:
        return [entry for entry in self.entries if entry.place == place]


def read_books(journal: Path) -> Books:
    with closing(sqlite3.connect(f"file:{journal}?mode=ro", uri=True)) as database:
        turns = database.execute("SELECT id, user, session, text, outcome, replays FROM turns ORDER BY seq")
        entries = tuple(
            Entry(turn, Place(user, session), WORD.findall(text)[0], outcome, replays)
            for turn, user, session, text, outcome, replays in turns
        )
        sessions = database.execute("SELECT user, session, uuid FROM sessions")
        return Books(entries, {Place(user, session): uuid for user, session, uuid in sessions})
