"""What a client tells: the SDK's messages in our words. Texts in here are already clean."""

from __future__ import annotations

from dataclasses import dataclass, field

from supervisor.model import Usage


@dataclass(frozen=True, slots=True)
class TextDelta:
    """A fragment of the block being written."""

    text: str


@dataclass(frozen=True, slots=True)
class TextBlock:
    """A finished block, in full; it repeats the fragments that came before."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolStarted:
    tool_use_id: str
    tool: str
    summary: str
    detail: str


@dataclass(frozen=True, slots=True)
class ToolEnded:
    tool_use_id: str
    text: str
    is_error: bool


@dataclass(frozen=True, slots=True)
class Retrying:
    """The CLI repeats an API request by itself."""

    attempt: int
    max_retries: int
    delay: float
    """Seconds until the next attempt."""
    status: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class Compacted:
    """The CLI has shortened the conversation to make room."""

    tokens_before: int


@dataclass(frozen=True, slots=True)
class Woke:
    """The CLI says that it is running, or that it waits for somebody."""


@dataclass(frozen=True, slots=True)
class Rested:
    """The CLI says that it is idle."""


@dataclass(frozen=True, slots=True)
class Limited:
    """The provider has said how the account's limit stands."""

    is_rejected: bool
    resets_at: float | None
    """Unix seconds."""


NEVER_WRITTEN = "aborted_unwritten"
"""Terminal reason of a prompt that was stopped before it reached the process: there is nothing of it to resume."""


@dataclass(frozen=True, slots=True)
class Result:
    """The terminal message of a turn."""

    prompt_uuids: tuple[str, ...] | None
    """Of the prompts this turn took in; None when the CLI did not say."""
    text: str
    is_error: bool
    was_aborted: bool
    """It was interrupted."""
    terminal_reason: str
    error: str
    api_status: int | None
    """HTTP status when the API refused."""
    usage: Usage = field(default_factory=Usage)
    """Of this turn. `cost_usd` is the *cumulative* figure of the process; the session works out the difference."""
    is_own: bool = True
    """False for a turn the CLI began by itself (a background task that ended)."""


ClientEvent = TextDelta | TextBlock | ToolStarted | ToolEnded | Retrying | Limited | Compacted | Woke | Rested | Result
