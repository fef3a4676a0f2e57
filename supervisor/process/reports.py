"""What a client tells: the SDK's messages in our words. Texts in here are already clean.

Every event brings its own values into range (`bounds`), so that none of any connection can hold what the engine, the
journal or a screen cannot take.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import force_setattr

from supervisor import bounds
from supervisor.api.outcomes import Usage

MOST_NAME = 1_000
"""Characters of a tool's name, an id, or a reason."""


class TextDelta(Struct, frozen=True, gc=False):
    """A fragment of the block being written."""

    text: str

    def __post_init__(self) -> None:
        if type(self.text) is not str:
            _bring_into_range(self, text=bounds.text(self.text))


class TextBlock(Struct, frozen=True, gc=False):
    """A finished block, in full; it repeats the fragments that came before."""

    text: str

    def __post_init__(self) -> None:
        _bring_into_range(self, text=bounds.text(self.text))


class Voided(Struct, frozen=True, gc=False):
    """The CLI has given up the attempt that the open block came from: its fragments are no part of the reply."""


class ToolStarted(Struct, frozen=True, gc=False):
    """A call of a tool is on its way."""

    tool_use_id: str
    tool: str
    summary: str
    detail: str

    def __post_init__(self) -> None:
        _bring_into_range(
            self,
            tool_use_id=bounds.text(self.tool_use_id, MOST_NAME),
            tool=bounds.text(self.tool, MOST_NAME),
            summary=bounds.text(self.summary),
            detail=bounds.text(self.detail),
        )


class CallMade(Struct, frozen=True, gc=False):
    """The agent calls a tool, or one of its sub-agents does."""

    tool: str
    call: str
    """A fingerprint of the tool and its whole input."""
    within: str = ""
    """Id of the call that the sub-agent works for; empty for the agent itself."""

    def __post_init__(self) -> None:
        _bring_into_range(
            self,
            tool=bounds.text(self.tool, MOST_NAME),
            call=bounds.text(self.call, MOST_NAME),
            within=bounds.text(self.within, MOST_NAME),
        )


class ToolEnded(Struct, frozen=True, gc=False):
    """A call of a tool has a result."""

    tool_use_id: str
    text: str
    is_error: bool
    was_stopped: bool = False
    """Its turn was interrupted. The CLI says the same of a call that ran in part and of one that never began."""

    def __post_init__(self) -> None:
        _bring_into_range(
            self,
            tool_use_id=bounds.text(self.tool_use_id, MOST_NAME),
            text=bounds.text(self.text),
            is_error=self.is_error is True,
        )


class Retrying(Struct, frozen=True, gc=False):
    """The CLI repeats an API request by itself."""

    attempt: int
    max_retries: int
    delay: float
    """Seconds until the next attempt."""
    status: int | None
    """HTTP status when the API refused; None when there was no answer, or the answer broke off."""
    reason: str

    def __post_init__(self) -> None:
        _bring_into_range(
            self,
            attempt=bounds.count(self.attempt),
            max_retries=bounds.count(self.max_retries),
            delay=bounds.seconds(self.delay),
            status=bounds.http_status(self.status),
            reason=bounds.text(self.reason, MOST_NAME),
        )


class Compacted(Struct, frozen=True, gc=False):
    """The CLI has shortened the conversation to make room."""

    tokens_before: int
    tokens_after: int = 0
    """0 when the CLI does not say."""

    def __post_init__(self) -> None:
        _bring_into_range(
            self, tokens_before=bounds.count(self.tokens_before), tokens_after=bounds.count(self.tokens_after)
        )


class Requested(Struct, frozen=True, gc=False):
    """The CLI asks the API for a reply."""

    prompt_uuids: tuple[str, ...] = ()
    """Of the prompts that the running turn has taken in: empty while it is one that the CLI has begun by itself."""

    def __post_init__(self) -> None:
        uuids = tuple(bounds.text(one, MOST_NAME) for one in bounds.sequence(self.prompt_uuids))
        _bring_into_range(self, prompt_uuids=uuids)


class Prodded(Struct, frozen=True, gc=False):
    """Something has happened that may make the CLI begin a turn by itself."""

    why: str
    """One line."""

    def __post_init__(self) -> None:
        _bring_into_range(self, why=bounds.text(self.why, MOST_NAME))


class Trimmed(Struct, frozen=True, gc=False):
    """A client said more than is kept; the rest is dropped (`claude.output_limit`)."""

    words: str


class Woke(Struct, frozen=True, gc=False):
    """The CLI reports that it is running, or that it waits for an answer."""


class Rested(Struct, frozen=True, gc=False):
    """The CLI says that it is idle."""


class Limited(Struct, frozen=True, gc=False):
    """The provider has said how the account's limit stands."""

    is_rejected: bool
    resets_at: float | None
    """Unix seconds."""

    def __post_init__(self) -> None:
        _bring_into_range(self, is_rejected=self.is_rejected is True, resets_at=bounds.unix_time(self.resets_at))


NEVER_WRITTEN = "aborted_unwritten"
"""Terminal reason of a prompt that was stopped before it reached the process: there is nothing of it to resume."""


class Result(Struct, frozen=True, gc=False):
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
    usage: Usage = Usage()
    """Of this turn. `cost_usd` is the *cumulative* figure of the process; the session works out the difference."""
    is_own: bool = True
    """False for a turn the CLI began by itself (a background task that ended)."""
    context_tokens: int = 0
    """Tokens of the conversation after the last reply; 0 when that is not known."""
    context_window: int = 0
    """Tokens that the model takes in at most; 0 when that is not known."""
    structured: str = ""
    """JSON that fits the template's `output`; empty where it has none."""

    def __post_init__(self) -> None:
        uuids = self.prompt_uuids
        if uuids is not None:
            uuids = tuple(bounds.text(one, MOST_NAME) for one in bounds.sequence(uuids))
        _bring_into_range(
            self,
            prompt_uuids=uuids,
            text=bounds.text(self.text),
            is_error=bool(self.is_error),
            was_aborted=bool(self.was_aborted),
            terminal_reason=bounds.text(self.terminal_reason, MOST_NAME),
            error=bounds.text(self.error),
            api_status=bounds.http_status(self.api_status),
            usage=self.usage if isinstance(self.usage, Usage) else Usage(),
            is_own=self.is_own is not False,
            context_tokens=bounds.count(self.context_tokens),
            context_window=bounds.count(self.context_window),
            structured=bounds.text(self.structured),
        )


ClientEvent = (
    TextDelta
    | TextBlock
    | Voided
    | ToolStarted
    | CallMade
    | ToolEnded
    | Retrying
    | Limited
    | Compacted
    | Requested
    | Prodded
    | Trimmed
    | Woke
    | Rested
    | Result
)


def _bring_into_range(event: Struct, **values: object) -> None:
    for name, value in values.items():
        force_setattr(event, name, value)
