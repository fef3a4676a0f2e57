"""What outlives the process: sessions, turns with their outcomes, conversations, questions and operators' actions.

async with Journal.open(folder, clock=Clock()) as journal:
    loaded = await journal.load()
    journal.accept_turn(record, on_settled)
"""

from supervisor.journal.notes import Note
from supervisor.journal.past import Past
from supervisor.journal.records import (
    ClientRecord,
    Loaded,
    OfferOutcome,
    OfferRecord,
    Removal,
    SessionRecord,
    TurnRecord,
    Unreadable,
)
from supervisor.journal.run_book import RunBook
from supervisor.journal.store import Journal, examine_journal

__all__ = [
    "ClientRecord",
    "Journal",
    "Loaded",
    "Note",
    "OfferOutcome",
    "OfferRecord",
    "Past",
    "Removal",
    "RunBook",
    "SessionRecord",
    "TurnRecord",
    "Unreadable",
    "examine_journal",
]
