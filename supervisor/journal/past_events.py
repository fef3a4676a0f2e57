"""What earlier runs did, as the events that told of it."""

from __future__ import annotations

from supervisor.api.events import ActionTaken, Event, TurnFinished
from supervisor.journal.past import Past, PastAction

ANSWERED = "answer"
"""An action that the feed tells in another way, and only the audit as one."""


def tell_past(past: Past) -> tuple[Event, ...]:
    """Oldest first."""
    events: list[Event] = [
        TurnFinished(
            at=turn.ended_at,
            instance=turn.key.instance,
            user=turn.key.user,
            session=turn.key.session,
            turn=turn.id,
            outcome=turn.outcome,
        )
        for turn in past.turns
    ]
    events += [tell_action(action) for action in past.actions if action.verb != ANSWERED]
    return tuple(sorted(events, key=lambda event: event.at))


def tell_action(action: PastAction) -> ActionTaken:
    instance, _, rest = action.target.partition("/")
    user, _, session = rest.partition("/")
    return ActionTaken(
        at=action.at,
        verb=action.verb,
        detail=action.detail,
        by=action.by,
        via=action.via,
        instance=instance,
        user=user,
        session=session,
    )
