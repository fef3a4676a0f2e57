"""How a turn ends, and what it has used."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct
from msgspec.structs import force_setattr

from supervisor import bounds


class FailureKind(StrEnum):
    """What kind of thing ended a turn or a client badly. One word for both, and for what a pool parks for."""

    API_ERROR = "api-error"
    AUTHENTICATION = "auth"
    """The credentials were refused (401, 403). Parks the pool."""
    RATE_LIMIT = "rate-limit"
    """The provider's limit is reached (429). Parks the pool."""
    CRASHED = "crashed-in-turn"
    """The process ended while a turn ran on it."""
    CRASHED_IDLE = "crashed-idle"
    """The process ended while nothing ran on it."""
    START_FAILED = "crashed-early"
    """The process ended, or gave no answer, before it was ready. It is not tried again for the same turn."""
    RESUME_TARGET_MISSING = "resume-target-missing"
    """The conversation to be resumed is not on disk; the session goes on as a new one."""
    OUT_OF_MEMORY = "out-of-memory"
    """Ended by the kernel for want of memory, by its own heap limit, or by us above the panic ceiling."""
    REJECTED = "prompt-rejected"
    """The API rejected the prompt itself (400, 422). It is cut from the conversation, which goes on without it; sent
    again as it is, it would be rejected again."""
    TOO_LONG = "prompt-too-long"
    """The prompt, or the conversation with it, is too long for the model (413 too). It is cut from the conversation."""
    OVERSIZE_MESSAGE = "oversize-message"
    MAX_TURNS = "max-turns"
    """It needed more rounds of tool calls than `maxTurns`."""
    DOOM_LOOP = "doom-loop"
    """The agent repeated the same calls with the same input (`doomLoop`), and its turn was stopped."""
    OUTPUT_INVALID = "output-invalid"
    """The model gave no answer that fits the template's `output`."""
    STALLED = "stalled"
    """It did not answer a control request in time."""
    KILLED = "killed-by-operator"
    CRASH_LOOP = "crash-loop"
    """Clients ended badly several times in a row without a good turn in between. Parks the pool."""
    ENGINE = "engine"
    """Our own mistake: in what follows from a client's words, which ends that client, or in recording a turn."""


class Usage(Struct, frozen=True, gc=False):
    """What one turn cost. Tokens as the API counts them; dollars computed from the cumulative totals.

    Always storable: counts and dollars stay within `bounds`, sums of them too.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cache_tokens: int = 0
    cost_usd: float = 0.0

    def __post_init__(self) -> None:
        for name in ("input_tokens", "output_tokens", "cache_tokens"):
            given = getattr(self, name)
            if (kept := bounds.count(given)) is not given:
                force_setattr(self, name, kept)
        force_setattr(self, "cost_usd", bounds.dollars(self.cost_usd))

    @property
    def tokens(self) -> int:
        """All tokens together: input, output and cache."""
        return self.input_tokens + self.output_tokens + self.cache_tokens

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cache_tokens + other.cache_tokens,
            self.cost_usd + other.cost_usd,
        )


class Done(Struct, frozen=True, gc=False):
    """The turn reached a good Result."""

    text: str
    usage: Usage = Usage()
    seconds: float = 0.0
    """Started to Result, wall clock."""


class Failed(Struct, frozen=True, gc=False):
    """The work failed. A value, never raised."""

    kind: FailureKind
    message: str
    usage: Usage = Usage()
    text: str = ""
    """What had arrived before it failed."""


class Cancelled(Struct, frozen=True, gc=False):
    """Withdrawn before it started."""

    reason: str


class Interrupted(Struct, frozen=True, gc=False):
    """Stopped while it ran; `text` is what had arrived."""

    reason: str
    text: str = ""
    usage: Usage = Usage()


class Expired(Struct, frozen=True, gc=False):
    """Waited longer than `maxWait` for a place; `message` carries the pool's counts at that moment."""

    message: str
    retry_after: float
    """Seconds, computed from the queue."""


Outcome = Done | Failed | Cancelled | Interrupted | Expired


OUTCOME_WORDS: dict[type[Outcome], str] = {
    Done: "done",
    Failed: "failed",
    Cancelled: "cancelled",
    Interrupted: "interrupted",
    Expired: "expired",
}


def outcome_word(outcome: Outcome) -> str:
    """`done`, `failed`, `cancelled`, `interrupted` or `expired`."""
    return OUTCOME_WORDS[type(outcome)]
