"""The engine's objects as the journal's records, and back."""

from __future__ import annotations

from pathlib import Path

from supervisor.api.types import Offer
from supervisor.clock import Clock
from supervisor.journal import Journal, SessionRecord, TurnRecord
from supervisor.permissions.rules import revive_rules
from supervisor.sessions.cost_meter import CostMeter
from supervisor.sessions.session import Session
from supervisor.sessions.turn import Turn


def record_session(session: Session) -> SessionRecord:
    return SessionRecord(
        key=session.key,
        created_at=session.created_at,
        last_activity_at=session.last_activity_at,
        uuid=session.uuid,
        workspace=str(session.workspace or ""),
        has_history=session.has_history,
        drop_turn=" ".join(session.drop_turns),
        usage=session.usage,
        cost_seen=session.meter.seen,
        cost_saved=session.meter.saved,
        turns=session.turns,
        note=session.note,
        has_failed=session.has_failed,
        allowed=frozenset(session.allowed),
        leaves_none_behind=session.leaves_none_behind,
        is_offered=session.offer is not None,
    )


def record_turn(turn: Turn, *, leaves_none_behind: bool) -> TurnRecord:
    return TurnRecord(
        id=turn.id,
        uuid=turn.uuid,
        key=turn.key,
        prompt=turn.prompt,
        queued_at=turn.queued_at,
        replays=turn.replays,
        leaves_none_behind=leaves_none_behind,
    )


def revive_session(record: SessionRecord, clock: Clock, journal: Journal) -> Session:
    """A session as it was left: hibernated, its conversation on disk."""
    session = Session(record.key, clock, journal)
    session.uuid = record.uuid
    session.workspace = Path(record.workspace) if record.workspace else None
    session.has_history = record.has_history
    session.drop_turns = tuple(record.drop_turn.split())
    session.is_judged = not record.has_history  # not known, and one more try costs little
    session.usage = record.usage
    session.meter = CostMeter(record.cost_seen, record.cost_saved)
    session.turns = record.turns
    session.note = record.note
    session.has_failed = record.has_failed
    session.allowed = revive_rules(record.allowed)
    session.leaves_none_behind = record.leaves_none_behind
    session.created_at = record.created_at
    session.last_activity_at = record.last_activity_at
    # The steady clock of another process means nothing here: the age is carried over.
    session.last_activity_steady = clock.steady() - max(0.0, clock.wall() - record.last_activity_at)
    return session


def revive_turn(record: TurnRecord, session: Session) -> Turn:
    """A turn that waits on: accepted before, and not begun."""
    return Turn(
        record.id,
        record.uuid,
        record.key,
        record.prompt,
        session.conversation,
        at=record.queued_at,
        replays=record.replays,
        is_recorded=True,
        is_revived=True,
    )


def make_offer(record: TurnRecord, text: str, *, made_at: float, expires_at: float) -> Offer:
    """`text` is the prompt's first line, clean."""
    return Offer(
        turn_id=record.id,
        key=record.key,
        text=text,
        source=record.prompt.source,
        started_at=record.started_at or record.queued_at,
        made_at=made_at,
        expires_at=expires_at,
    )
