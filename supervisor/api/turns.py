"""A turn as it stands, and one that a restart has interrupted."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from supervisor.api.keys import SessionKey
from supervisor.api.outcomes import Outcome
from supervisor.api.prompts import Prompt, Source
from supervisor.api.states import WhyWaiting


class TurnState(StrEnum):
    WAITING = "waiting"
    RUNNING = "running"
    ENDED = "ended"


class TurnView(Struct, frozen=True, gc=False):
    """One turn as it stands: how far it is, and how it ended."""

    id: str
    key: SessionKey
    state: TurnState
    prompt: Prompt
    queued_at: float
    """Unix seconds, like all times here."""
    started_at: float | None = None
    ended_at: float | None = None
    outcome: Outcome | None = None
    """Its one recorded outcome, once it has ended."""
    why: WhyWaiting | None = None
    """While it waits: why."""
    position: int = 0
    """While it waits: 1 is next, within its session."""
    place: int | None = None
    """While it waits for the pool alone: 1 is next in the whole instance."""
    served: str = ""
    """The provider that it runs or ran with; empty while it waits."""


class Offer(Struct, frozen=True, gc=False):
    """A turn that was running when bullpen died: its outcome is `interrupted`, and an operator decides what is next.

    Replayed, its prompt is sent again as a new turn; dropped, it is not. Without a decision it expires as dropped.
    """

    turn_id: str
    key: SessionKey
    text: str
    """The prompt's first line."""
    source: Source
    started_at: float
    """Unix seconds."""
    made_at: float
    """Unix seconds."""
    expires_at: float
    """Unix seconds."""
