"""Turns that a restart interrupted: on offer until an operator replays or drops them, or they expire (R2)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple
from uuid import uuid4

from msgspec.structs import replace

from supervisor.api import events as past
from supervisor.api.errors import UnknownTarget
from supervisor.api.ids import new_id
from supervisor.api.keys import SessionKey
from supervisor.api.prompts import Prompt
from supervisor.api.turns import Offer
from supervisor.instance.instance import Instance
from supervisor.instance.shared import HostContext
from supervisor.instance.stimuli import OfferChanged, QueueTurn
from supervisor.journal import OfferOutcome, OfferRecord
from supervisor.sessions.records import make_offer
from supervisor.sessions.session import Session
from supervisor.sessions.turn import Turn
from supervisor.text.cleaning import one_line

OFFER_TEXT = 200
"""Characters of the prompt's first line that an offer shows."""


class _Open(NamedTuple):
    offer: Offer
    prompt: Prompt
    """In full: what a replay sends."""


class OpenOffers:
    """Holds the offers that wait for a decision, at most one of each session."""

    def __init__(self, instances: Mapping[str, Instance], host: HostContext, take_in: Callable[[Turn], None]) -> None:
        """`take_in` is told of every turn that a replay makes, once it is queued."""
        self._instances = instances
        self._host = host
        self._take_in = take_in
        self._open: dict[SessionKey, _Open] = {}

    def put(self, record: OfferRecord, session: Session) -> None:
        """Puts an interrupted turn up for a decision, or takes it at once where the template says so."""
        instance = self._instances[session.key.instance]
        turn = record.turn
        text = one_line(turn.prompt.text, OFFER_TEXT)
        if session.key in self._open:
            # A session keeps only its latest offer: the prompt of the earlier one was cut when the later one was sent.
            self.settle(session, OfferOutcome.DROPPED)
        offer = make_offer(turn, text, made_at=record.made_at, expires_at=record.expires_at)
        self._open[session.key] = _Open(offer, turn.prompt)
        instance.handle(OfferChanged(session, offer))
        match instance.template.on_restart:
            case "replay":
                self.replay(session)
            case "drop":
                self.settle(session, OfferOutcome.DROPPED)
            case _:
                pass

    def replay(self, session: Session) -> Turn:
        """Queues the prompt again, before everything that waits in its session. Raises `UnknownTarget`."""
        found = self._find(session)
        # The caller's request stays the turn that was interrupted: this one is the operator's.
        offer, prompt = found.offer, replace(found.prompt, request="")
        instance = self._instances[session.key.instance]
        turn = Turn(
            new_id(),
            str(uuid4()),
            session.key,
            prompt,
            session.conversation,
            at=self._host.clock.wall(),
            replays=offer.turn_id,
        )

        def recorded(is_accepted: bool) -> None:
            # Its record settles the offer in the same transaction; refused, the offer stands as before.
            if is_accepted:
                facts = {"outcome": OfferOutcome.REPLAYED, "replayed": offer.turn_id}
                instance.core.publish(past.OfferSettled, session, turn, **facts)
            else:
                self._open[session.key] = found
                instance.handle(OfferChanged(session, offer))

        turn.when_recorded = recorded
        instance.handle(QueueTurn(session, turn))
        self._take(session)
        self._take_in(turn)
        return turn

    def settle(self, session: Session, outcome: OfferOutcome) -> None:
        """Takes the offer away; its prompt is not sent again. Raises `UnknownTarget`."""
        offer, _ = self._take(session)
        instance = self._instances[session.key.instance]
        self._host.journal.turns.settle_offer(offer.turn_id, self._host.clock.wall(), outcome)
        instance.core.publish(past.OfferSettled, session, outcome=outcome, replayed=offer.turn_id)

    def leave(self, instance: str) -> None:
        """The instance is closed: its offers stand in the journal, for when it is opened again."""
        for key in [key for key in self._open if key.instance == instance]:
            del self._open[key]

    def expire(self, now: float) -> None:
        """Drops offers that have expired. `now` in Unix seconds."""
        for offer, _ in tuple(self._open.values()):
            session = self._instances[offer.key.instance].sessions.get(offer.key)
            if session is None or session.offer is not offer:
                del self._open[offer.key]  # its session was taken off the books
            elif now >= offer.expires_at:
                self.settle(session, OfferOutcome.EXPIRED)

    def _find(self, session: Session) -> _Open:
        found = self._open.get(session.key)
        if found is None or session.offer is not found.offer:
            raise UnknownTarget(f"{session.key} has no interrupted turn on offer")
        return found

    def _take(self, session: Session) -> _Open:
        found = self._find(session)
        del self._open[session.key]
        self._instances[session.key.instance].handle(OfferChanged(session, None))
        return found
