"""What the journal says of every turn, read with nothing of the engine's own code."""

from __future__ import annotations

from dataclasses import dataclass

from tests.chaos.director import Run
from tests.chaos.ledger import Place


@dataclass(frozen=True, slots=True)
class Entry:
    """A turn in the journal."""

    turn: str
    place: Place
    word: str
    outcome: str
    """Empty when it has none."""


def read_books(run: Run) -> list[Entry]:
    """In the order in which the turns were accepted, which is the order of each session."""
    return [
        Entry(
            account.turn,
            account.handed.place,
            account.handed.word,
            account.outcomes[-1][2] if account.outcomes else "",
        )
        for account in run.ledger.accounts.values()
    ]


def read_uuids(run: Run) -> dict[Place, str]:
    """Claude Code's id of each session's conversation."""
    return run.ledger.uuids
