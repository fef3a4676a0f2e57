"""The engine's objects as the journal's records, and back; and what becomes of each field of them at a restart.

A field stands in one of three tables: it is kept in a record, rebuilt from something else, or forgotten on purpose.
"""

from __future__ import annotations

from pathlib import Path

from supervisor.api.turns import Offer
from supervisor.clock import Clock
from supervisor.journal import Journal, SessionRecord, TurnRecord
from supervisor.permissions.rules import revive_rules
from supervisor.sessions.cost_meter import CostMeter
from supervisor.sessions.session import Session
from supervisor.sessions.turn import Turn

KEPT_OF_SESSION: dict[str, tuple[str, ...]] = {
    "key": ("key",),
    "created_at": ("created_at",),
    "last_activity_at": ("last_activity_at",),
    "uuid": ("uuid",),
    "workspace": ("workspace",),
    "has_history": ("has_history",),
    "drop_turns": ("drop_turn",),
    "usage": ("usage",),
    "meter": ("cost_seen", "cost_saved"),
    "turns": ("turns",),
    "note": ("note",),
    "has_failed": ("has_failed",),
    "allowed": ("allowed",),
    "leaves_none_behind": ("leaves_none_behind",),
}
"""Field of a session → fields of its `SessionRecord`."""
REBUILT_OF_SESSION = {
    "mailbox": "of the turns that wait in the journal (`revive_turn`)",
    "offer": "of the journal's open offers (`recovery.offers`)",
    "gist": "of the entries of the conversation (`journal.past`)",
    "last_activity_steady": "of `last_activity_at`: the steady clock of another process means nothing here",
    "is_judged": "not known of a conversation that is resumed, and one more try costs little",
    "_clock": "this run's",
    "_text": "read back from the journal when it is looked at",
}
"""Field → of what it is made anew."""
FORGOTTEN_OF_SESSION = {
    "slot": "its processes have been ended",
    "client_end": "tells of clients of one run; the log of events goes further back",
    "client_ended_at": "the same",
    "own": "what the CLI had begun by itself is interrupted",
    "questions": "they are lost with the processes that asked",
    "holds": "the operator is asked anew, turn by turn (`Turn.is_held`)",
    "allowed_once": "counts for a turn that was interrupted",
    "is_closing": "its caller may close it again",
    "is_stalled": "nothing runs",
    "backoff": "a new run may try at once",
    "drops_unjudged": "a prompt that is rejected again is sent without what stands before it again",
    "rejections": "counts prompts in a row, within one run",
    "context_tokens": "told with the next Result",
    "context_window": "told with the next Result",
    "is_compacted_in_vain": "one more compaction may be tried",
}
"""Field → why nothing of it outlives its run."""

KEPT_OF_TURN: dict[str, tuple[str, ...]] = {
    "id": ("id",),
    "first_uuid": ("uuid",),
    "key": ("key",),
    "prompt": ("prompt",),
    "queued_at": ("queued_at",),
    "replays": ("replays",),
    "is_held": ("is_held",),
    "started_at": ("started_at",),
}
"""Field of a turn → fields of its `TurnRecord`. Its outcome is recorded when it ends."""
REBUILT_OF_TURN = {
    "uuid": "the one it was accepted with, or a new one where the conversation has seen that",
    "ticket": "a new one: callers do not outlive their supervisor",
    "is_revived": "true",
    "queued_steady": "when it is queued again",
    "eligible_steady": "when it could begin again",
    "begins_when_recorded": "false: it waits, or it has begun and is interrupted",
    "_on_end": "by this run's supervisor",
    "held_for": "the operator is asked anew",
}
_OF_WHAT_RAN = "a turn that had begun is interrupted, and one that had not has none"
FORGOTTEN_OF_TURN = {
    "stop_reason": _OF_WHAT_RAN,
    "fails_as": _OF_WHAT_RAN,
    "started_steady": _OF_WHAT_RAN,
    "first_text_steady": _OF_WHAT_RAN,
    "is_second_try": _OF_WHAT_RAN,
    "blocks": _OF_WHAT_RAN,
    "has_used_tools": _OF_WHAT_RAN,
    "loops": "the turn was interrupted; what it begins again is another",
    "was_compacted": _OF_WHAT_RAN,
    "is_detached": _OF_WHAT_RAN,
    "told": _OF_WHAT_RAN,
    "served": _OF_WHAT_RAN,
    "when_recorded": "it is recorded",
    "is_in_conversation": "looked up in the conversation (`is_revived`)",
}

KEPT_OF_SLOT: dict[str, tuple[str, ...]] = {
    "id": ("id",),
    "mark": ("mark",),
    "client": ("pid", "started"),
    "uuid": ("session_uuid",),
    "session": ("key",),
}
"""Field of a slot → fields of its `ClientRecord`: enough to find its processes and end them. Nothing else of a slot
outlives its run."""


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
        allowed=session.allowed,
        leaves_none_behind=session.leaves_none_behind,
    )


def record_turn(turn: Turn, *, leaves_none_behind: bool) -> TurnRecord:
    return TurnRecord(
        id=turn.id,
        uuid=turn.first_uuid,
        key=turn.key,
        prompt=turn.prompt,
        queued_at=turn.queued_at,
        replays=turn.replays,
        leaves_none_behind=leaves_none_behind,
        is_held=turn.is_held,
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
    turn = Turn(
        record.id,
        record.uuid,
        record.key,
        record.prompt,
        session.conversation,
        at=record.queued_at,
        replays=record.replays,
        is_recorded=True,
        is_revived=True,
        is_held=record.is_held,
    )
    if record.uuid in session.drop_turns:
        turn.rename()  # it was rejected, and is sent again: the CLI passes over an id that it has seen
    return turn


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
