"""What an earlier run left behind is taken over: sessions as they were, what waited waits on, what ran is offered (R2).

Synchronous: the journal has been read, and no process of the earlier run lives any more.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import NamedTuple

from supervisor.api.entries import QuestionClosed, TurnEnded
from supervisor.api.events import TurnFinished
from supervisor.api.keys import SessionKey
from supervisor.api.outcomes import Failed, FailureKind, Interrupted
from supervisor.api.prompts import Source
from supervisor.api.questions import Question, QuestionKind, QuestionOutcome
from supervisor.instance.instance import Instance
from supervisor.instance.shared import HostContext
from supervisor.instance.stimuli import QueueTurn
from supervisor.journal import OfferOutcome, OfferRecord, RecoveredState, TurnRecord, Unreadable
from supervisor.recovery.offers import OpenOffers
from supervisor.sessions.records import record_session, revive_session, revive_turn
from supervisor.sessions.session import Session
from supervisor.sessions.spending import accounts_of
from supervisor.sessions.turn import Turn

WITHOUT_CALLER = (Source.AGENT, Source.ENGINE)
"""Sources of turns without a caller."""

INTERRUPTED = "bullpen stopped during this turn"


_log = logging.getLogger(__name__)


class TakenOver(NamedTuple):
    sessions: int
    waiting: int
    interrupted: int
    not_offered: int
    """Those of the interrupted turns that are put to no operator."""


class Restart:
    """One start's taking over."""

    def __init__(
        self, instances: Mapping[str, Instance], host: HostContext, offers: OpenOffers, take_in: Callable[[Turn], None]
    ) -> None:
        self._instances = instances
        self._host = host
        self._offers = offers
        self._take_in = take_in
        self._now = host.clock.wall()

    def take_over(self, loaded: RecoveredState) -> TakenOver:
        """What belongs to an instance that this start does not have is left in the journal as it is."""
        journal = self._host.journal
        for row in loaded.unreadable:
            self._fail_unreadable(row)
        for record in loaded.sessions:
            if (instance := self._instances.get(record.key.instance)) is not None:
                instance.core.add_session(revive_session(record, self._host.clock, journal))
        for question in loaded.questions:
            self._lose(question)
        interrupted = [*filter(None, map(self._interrupt, loaded.running))]
        # A replay goes before what waits, so it is queued first.
        for offer in (*loaded.offers, *interrupted):
            if (session := self._session(offer.turn.key)) is not None:
                self._offers.put(offer, session)
        offered = sum(offer.turn.key.instance in self._instances for offer in interrupted)
        waiting = 0
        if self._host.keeps_queue:
            for turn in loaded.waiting:
                waiting += self._queue(turn)
        return TakenOver(len(loaded.sessions), waiting, len(loaded.running), len(loaded.running) - offered)

    def _fail_unreadable(self, row: Unreadable) -> None:
        """A row that was edited or damaged fails what it is about, and is told once."""
        journal, why = self._host.journal, f"its record in {row.table} cannot be read ({row.why})"
        match row.table:
            case "turns":
                journal.turns.end(row.id, self._now, Failed(FailureKind.ENGINE, why))
            case "questions":
                journal.questions.settle(row.id, self._now, QuestionOutcome.LOST, "", "")
            case "offers":
                journal.turns.settle_offer(row.id, self._now, OfferOutcome.DROPPED)
            case "clients":
                journal.forget_client(row.id)
        _log.error("%s %s: %s", row.table, row.id, why)

    def _lose(self, question: Question) -> None:
        """The caller is gone with the old process: the turn is cancelled, and the conversation says so."""
        self._host.journal.questions.settle(question.id, self._now, QuestionOutcome.LOST, "", "")
        if question.kind is QuestionKind.BUDGET:
            return  # put anew with its turn
        instance = self._instances.get(question.key.instance)
        session = instance.sessions.get(question.key) if instance is not None else None
        if session is not None:
            lost = QuestionOutcome.LOST
            session.conversation.append(
                QuestionClosed(at=self._now, turn_id=question.turn_id, question_id=question.id, outcome=lost, answer="")
            )
            session.fade()

    def _interrupt(self, record: TurnRecord) -> OfferRecord | None:
        """The one outcome of a turn that ran when the earlier run ended, and the offer to send it again."""
        journal = self._host.journal
        outcome = Interrupted(INTERRUPTED)
        served = self._provider_of(record)
        journal.turns.end(record.id, self._now, outcome, served=served)
        self._host.spending.add(accounts_of(record.key, record.prompt.user, served), outcome, self._now)
        self._host.hear(TurnFinished(at=self._now, outcome=outcome, turn=record.id, **record.key._asdict()))
        session = self._session(record.key)
        if session is not None:
            # Its prompt may stand unanswered in the conversation on disk: the next resume cuts it (sdk-facts §6).
            if record.prompt.source not in WITHOUT_CALLER:
                session.drop_turns = (record.uuid, *session.drop_turns)
            session.has_history = True
            session.turns += 1
            session.note = INTERRUPTED
            session.conversation.append(TurnEnded(at=self._now, turn_id=record.id, outcome=outcome))
            session.fade()
            journal.sessions.keep(record_session(session))
        if record.leaves_none_behind or record.prompt.source in WITHOUT_CALLER:
            return None  # a call whose caller is gone, or a turn that the agent began by itself
        ttl = self._instances[record.key.instance].template.question_ttl if session is not None else 0.0
        expires_at = self._now + ttl
        journal.turns.offer(record.id, record.key, self._now, expires_at)
        return OfferRecord(record, self._now, expires_at)

    def _provider_of(self, record: TurnRecord) -> str:
        """The provider that the turn ran with, as far as that is on record: the one that it asked for, else its agent's
        own."""
        instance = self._instances.get(record.key.instance)
        return record.prompt.provider or (instance.core.provider if instance is not None else "")

    def _queue(self, record: TurnRecord) -> bool:
        session = self._session(record.key)
        if session is None:
            return False
        turn = revive_turn(record, session)
        self._take_in(turn)
        self._instances[record.key.instance].handle(QueueTurn(session, turn))
        return True

    def _session(self, key: SessionKey) -> Session | None:
        instance = self._instances.get(key.instance)
        if instance is None:
            return None
        return instance.sessions.get(key) or instance.core.open_session(instance.core.make_session(key))
