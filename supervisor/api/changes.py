"""What a reader of the feed missed since it last looked."""

from __future__ import annotations

from dataclasses import dataclass

from supervisor.api.events import Event
from supervisor.api.snapshot import ClientRow, HostRow, InstanceRow, SessionRow, Snapshot
from supervisor.api.types import Question, SessionKey


@dataclass(frozen=True, slots=True)
class Changes:
    """What a reader missed since it last looked."""

    snapshot: Snapshot | None = None
    """Set when the reader was cut: everything it knew is to be replaced by this."""
    host: HostRow | None = None
    instances: tuple[InstanceRow, ...] = ()
    sessions: tuple[SessionRow, ...] = ()
    clients: tuple[ClientRow, ...] = ()
    questions: tuple[Question, ...] | None = None
    """All open questions, oldest first; None when none was asked or settled."""
    gone_instances: frozenset[str] = frozenset()
    gone_sessions: frozenset[SessionKey] = frozenset()
    gone_clients: frozenset[str] = frozenset()
    events: tuple[Event, ...] = ()
