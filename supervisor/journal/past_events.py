"""What earlier runs did, as the events that told of it."""

from __future__ import annotations

from supervisor.api.events import ActionTaken, Event, TurnFinished
from supervisor.journal import Past


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
    for action in past.actions:
        instance, _, rest = action.target.partition("/")
        user, _, session = rest.partition("/")
        events.append(
            ActionTaken(
                at=action.at, verb=action.verb, detail=action.detail, instance=instance, user=user, session=session
            )
        )
    return tuple(sorted(events, key=lambda event: event.at))
