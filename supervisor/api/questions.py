"""What an agent asks, and what is answered."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from msgspec import Struct

from supervisor.api.keys import SessionKey


class QuestionKind(StrEnum):
    PERMISSION = "permission"
    """May this tool run?"""
    CHOICE = "choice"
    """AskUserQuestion: the agent wants one of several answers."""
    BUDGET = "budget"
    """May this turn run beyond what may be spent today? bullpen itself asks, and only an operator may answer."""


class QuestionOutcome(StrEnum):
    """How a question ended. The four are never confused."""

    APPROVED = "approved"
    DENIED = "denied"
    EXPIRED = "expired"
    """No answer came in time."""
    LOST = "lost"
    """The turn or its client ended before an answer came."""


class ChoiceItem(Struct, frozen=True, gc=False):
    """One question of an AskUserQuestion call."""

    question: str
    header: str
    options: tuple[tuple[str, str], ...]
    """(label, description) pairs."""
    multiple: bool = False


class Question(Struct, frozen=True, gc=False):
    """A question of an agent, held in the snapshot until it is answered, expires or is lost."""

    id: str
    kind: QuestionKind
    key: SessionKey
    turn_id: str
    client_id: str
    tool: str
    summary: str
    """The arguments on one line; `…` stands where it was cut."""
    detail: str
    """The arguments whole, one below the other. What cannot be seen stands there as an escape, such as `⟨U+202E⟩`."""
    asked_at: float
    """Unix seconds."""
    expires_at: float
    """Unix seconds."""
    always: str = ""
    """What "always in this session" would allow, in words and whole; empty when it is not on offer."""
    choices: tuple[ChoiceItem, ...] = ()
    diff: str = ""
    """What would change in the present file, as a unified diff; empty when there is none to be shown."""
    notes: tuple[str, ...] = ()
    """What else there is to know before it is answered, a sentence each."""
    warnings: tuple[str, ...] = ()
    """Why to read it with care, a sentence each."""
    tool_use_id: str = ""
    """The call it is about; empty when the CLI did not say."""


class Allow(Struct, frozen=True, gc=False):
    """Lets the call run."""

    always: bool = False
    """Also allow what `Question.always` names, for the rest of this session."""


class Deny(Struct, frozen=True, gc=False):
    """Refuses the call; the agent is told why."""

    reason: str = ""


class Choose(Struct, frozen=True, gc=False):
    """Answers an AskUserQuestion: question text → chosen label (or free text)."""

    answers: Mapping[str, str]


Answer = Allow | Deny | Choose
