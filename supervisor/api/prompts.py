"""What a caller hands in."""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import NamedTuple

from msgspec import Struct


class Priority(IntEnum):
    """Order inside an employee's queue; first in, first out inside one priority."""

    CRITICAL = 0
    HIGH = 1
    NORMAL = 2
    LOW = 3


class Source(StrEnum):
    """Who sent a prompt. Every message on screen is labelled with it."""

    CALLER = "caller"
    OPERATOR = "operator"
    HOOK = "hook"
    AGENT = "agent"
    """No caller: the agent began the turn by itself (a wake-up, a timer, a background task that ended)."""
    ENGINE = "engine"
    """bullpen itself: a command of the CLI that shortens the conversation (`Engine.compact`, `compactAt`)."""


class Candidate(Struct, frozen=True, gc=False):
    """An agent that a text may be for."""

    agent: str
    score: float
    """What was found of it in the text; more is better, and it means nothing beside the scores of another text."""
    reason: str
    """One sentence: what of it was found, and where it says so."""


class Route(Struct, frozen=True, gc=False):
    """The agent that was chosen for a prompt that named none, and why."""

    agent: str
    score: float
    """As `Candidate.score`; 0 when the words of the text did not decide."""
    reason: str
    """One sentence."""
    others: tuple[Candidate, ...] = ()
    """Agents that the text may have been for as well, the best first. Not kept with a prompt."""


class Choice(NamedTuple):
    """The provider and the model that a turn runs with."""

    provider: str
    """Its name in `bullpen.toml`; `default` is the host's own."""
    model: str = ""
    """Empty for the template's."""


AUTO = "auto"
"""Stands in place of an agent's name, and lets bullpen choose. An agent with this very name comes first."""


class Prompt(Struct, frozen=True, gc=False):
    """One prompt of a caller. An empty `session` means the user's default session with that agent."""

    agent: str
    """Empty, or `auto`, for the one that the text is for (`Engine.route`)."""
    text: str
    user: str = "local"
    session: str = ""
    source: Source = Source.CALLER
    priority: Priority = Priority.NORMAL
    request: str = ""
    """The caller's name for this request (an idempotency key), of its user's own; empty when it has none. Handed in
    again with the same words it is the turn that it was the first time."""
    provider: str = ""
    """The provider to use, by its name; empty for the session's own."""
    model: str = ""
    """The model to use; empty for the session's own."""
    route: Route | None = None
    """Why the agent was chosen. bullpen says it; what a caller says of it is passed over."""
    depth: int = 0
    """How many hooks away from a caller it is; 0 when no hook led to it (`automation.MOST_DEPTH`)."""
    written: str = ""
    """SHA-256 of the text as its caller wrote it, when a gate has put another in its place; empty when none has."""
