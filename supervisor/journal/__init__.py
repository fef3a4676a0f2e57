"""What outlives the process: sessions, turns with their outcomes, conversations, questions and operators' actions.

async with Journal.open(folder, clock=Clock()) as journal:
    loaded = await journal.load()
    journal.turns.accept(record, on_settled)
"""

from supervisor.journal.notes import Note as Note
from supervisor.journal.past import Past as Past
from supervisor.journal.records import ClientRecord as ClientRecord
from supervisor.journal.records import OfferOutcome as OfferOutcome
from supervisor.journal.records import OfferRecord as OfferRecord
from supervisor.journal.records import RecoveredState as RecoveredState
from supervisor.journal.records import Removal as Removal
from supervisor.journal.records import SessionRecord as SessionRecord
from supervisor.journal.records import TurnRecord as TurnRecord
from supervisor.journal.records import Unreadable as Unreadable
from supervisor.journal.run_book import RunBook as RunBook
from supervisor.journal.store import Journal as Journal
from supervisor.journal.store import examine_journal as examine_journal
