"""What the journal has kept, read by somebody who knows nothing of the engine."""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from supervisor.api.keys import SessionKey


@dataclass(frozen=True, slots=True)
class KeptTurn:
    id: str
    key: SessionKey
    is_started: bool
    outcome: str
    """One word; empty while there is none."""
    leaves_none_behind: bool

    @property
    def is_waiting(self) -> bool:
        return not self.is_started and not self.outcome

    @property
    def is_interrupted(self) -> bool:
        """It ran when its supervisor died."""
        return self.is_started and not self.outcome


@dataclass(frozen=True, slots=True)
class Kept:
    turns: dict[str, KeptTurn]
    """By id, in the order of acceptance."""
    ended: Counter[SessionKey]
    """Session → turns that count as ended when it is taken over."""
    offers: dict[str, SessionKey]
    """Interrupted turns that nobody has decided about, oldest first."""


def read_journal(folder: Path) -> Kept:
    with closing(sqlite3.connect(folder / "journal.db")) as connection:
        turns = {
            row[0]: KeptTurn(row[0], SessionKey(*row[1:4]), row[4] is not None, row[5], bool(row[6]))
            for row in connection.execute(
                "SELECT id, instance, user, session, started_at, outcome, leaves_none_behind FROM turns ORDER BY seq"
            )
        }
        ended = Counter(
            {
                SessionKey(*row[:3]): row[3]
                for row in connection.execute("SELECT instance, user, session, turns FROM sessions")
            }
        )
        offers = {
            row[0]: SessionKey(*row[1:])
            for row in connection.execute(
                "SELECT turn_id, instance, user, session FROM offers WHERE settled = '' ORDER BY made_at, rowid"
            )
        }
    for turn in turns.values():
        if turn.is_interrupted and turn.key in ended:
            ended[turn.key] += 1
    return Kept(turns, ended, offers)
