"""The words of the engine as types: keys, states, prompts, outcomes, questions.

Everything here is a value. Nothing here imports another module of the package but `bounds`, so every room may use it.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum, StrEnum
from typing import NamedTuple

from msgspec import Struct
from msgspec.structs import force_setattr

from supervisor import bounds


class SessionKey(NamedTuple):
    """Names one conversation. It is also the lock key: one turn at a time per key."""

    instance: str
    user: str
    session: str

    def __str__(self) -> str:
        return f"{self.instance}/{self.user}/{self.session}"


class Archetype(StrEnum):
    """How prompts to an instance are executed. The archetype alone decides."""

    TOOL = "tool"
    """Called directly: the caller waits up to `maxWait` for its one turn, or is refused."""
    EMPLOYEE = "employee"
    """One colleague with one long-lived session: a strictly serial task queue with priorities."""
    SERVICE = "service"
    """Many callers at once, a session for each of them."""


class ServerState(StrEnum):
    """How an MCP server stands to one client."""

    CONNECTED = "connected"
    PENDING = "pending"
    """Not connected yet. The CLI holds the first turn back for up to 30 s because of it (measured)."""
    FAILED = "failed"
    NEEDS_AUTH = "needs-auth"
    DISABLED = "disabled"


class Server(Struct, frozen=True, gc=False):
    """An MCP server of one client."""

    name: str
    state: ServerState
    error: str = ""
    """One line; empty when the CLI gives none."""

    @property
    def is_broken(self) -> bool:
        """Its tools are missing, and will be."""
        return self.state in (ServerState.FAILED, ServerState.NEEDS_AUTH)

    def __str__(self) -> str:
        return f"{self.name} {self.state}{f' ({self.error})' if self.error else ''}"


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


class WhyWaiting(StrEnum):
    """Why a turn has not started. The same word on every screen and in every answer."""

    SESSION_BUSY = "session-busy"
    """An earlier turn of the same session has not reached its Result."""
    SELF_BEGUN = "self-begun"
    """The session's agent runs a turn that it began by itself; a prompt written now would be merged into it."""
    NO_SLOT = "no-slot"
    """As many turns run, or as many clients are there, as may: `InstanceRow.limit` says which limit that is."""
    MEMORY = "memory"
    """The memory budget has no room for another client."""
    PAUSED = "paused"
    """The operator has paused the instance."""
    DRAINING = "draining"
    """The instance is being emptied; the turn was accepted before that began."""
    RATE_LIMIT = "rate-limit"
    """The pool has parked itself until the provider's limit resets."""
    PARKED = "parked"
    """The pool has parked itself: the credentials were refused, or its clients crash in a row."""
    BACKING_OFF = "backing-off"
    """The session's client has crashed; the next start waits a moment."""
    DISK = "disk"
    """The journal cannot be written: what cannot be recorded is not begun."""
    STARTING = "starting"
    """A client is being started for this turn."""
    WAKING = "waking"
    """Its client sleeps, and as many as may wake at once do."""
    QUESTION = "question"
    """The session's running turn waits for a human answer."""
    BUDGET = "budget"
    """A ceiling of the day is reached, and the operator is asked whether it may run."""


class SlotState(StrEnum):
    """The life of one place in a pool. It only ever moves forward, except READY ⇄ BUSY ⇄ ASKING, and READY → DORMANT →
    WAKING → READY or BUSY."""

    RESERVED = "reserved"
    """Counted against the pool; its process has not been started yet."""
    STARTING = "starting"
    """The process is being started and initialised."""
    READY = "ready"
    """Connected and idle: a spare when it has no session, a warm client when it has one."""
    DORMANT = "dormant"
    """Connected and idle for longer: its processes are stopped, and their memory is handed back to the host."""
    WAKING = "waking"
    """Its processes go on, with a turn or ahead of one, and it has given no sign of life yet."""
    BUSY = "busy"
    """A turn is running."""
    ASKING = "asking"
    """A turn is running and waits for a human answer."""
    CLOSING = "closing"
    """On the way out. Its process tree may still be alive."""
    GONE = "gone"
    """The process tree was verified to be empty."""


class WhyAwake(StrEnum):
    """Why an idle client is not put to sleep."""

    TIMER = "timer"
    """Its agent has set a timer, which would not go off while it is stopped."""
    IN_BACKGROUND = "in-background"
    """It has not said that it is idle: an agent in the background works on."""
    AT_WORK = "at-work"
    """Something of it uses the processor."""
    SERVERS = "servers"
    """An MCP server of it is still connecting."""
    NOT_STOPPED = "not-stopped"
    """Something of it could not be stopped, such as a process of another user (`sudo`). Tried again after its next
    turn."""


class SessionState(StrEnum):
    """The one computed status of a session (`session.status`)."""

    ASKING = "asking"
    INTERRUPTED = "interrupted"
    """A turn was running when bullpen died; an operator decides whether it is sent again (`SessionRow.offer`)."""
    FAILED = "failed"
    STALLED = "stalled"
    """A turn is running and has given no sign of life for `stall_after`. Nothing is ended because of that."""
    WAITING = "waiting"
    WORKING = "working"
    IDLE = "idle"
    """Its client is connected and has nothing to do."""
    DORMANT = "dormant"
    """Its client has nothing to do and sleeps: stopped, its memory handed back. Its next prompt wakes it."""
    HIBERNATED = "hibernated"
    """No client; the conversation is on disk and will be resumed."""
    NEW = "new"
    """Never prompted."""


class InstanceState(StrEnum):
    RUNNING = "running"
    PAUSED = "paused"
    """Accepts prompts, starts none."""
    DRAINING = "draining"
    """Refuses prompts; what was accepted still runs. `resume` takes it back."""
    DRAINED = "drained"
    """Empty and closed to prompts. `resume` opens it again."""
    KILLING = "killing"
    """Its clients are being ended now."""
    STOPPED = "stopped"
    """Killed. `resume` opens it again."""
    PARKED = "parked"
    """The pool stopped itself; the note says why and until when."""


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


class MemoryLevel(StrEnum):
    """How a client's process tree stands to the ceilings of its pool."""

    NORMAL = "normal"
    SOFT = "soft"
    """It gets no new turn: its session's next one starts a fresh process."""
    HARD = "hard"
    """It is ended after its turn."""
    PANIC = "panic"
    """It is being ended at once."""


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
        """Of every kind."""
        return self.input_tokens + self.output_tokens + self.cache_tokens

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cache_tokens + other.cache_tokens,
            self.cost_usd + other.cost_usd,
        )


class Candidate(Struct, frozen=True, gc=False):
    """An agent that a text may be for."""

    agent: str
    score: float
    """What was found of it in the text; more is better, and it means nothing beside the scores of another text."""
    reason: str
    """One sentence: what of it was found, and where it says so."""


class Route(Struct, frozen=True, gc=False):
    """Which agent a prompt is for that named none, and why."""

    agent: str
    score: float
    """As `Candidate.score`; 0 when the words of the text did not decide."""
    reason: str
    """One sentence."""
    others: tuple[Candidate, ...] = ()
    """Agents that the text may have been for as well, the best first. Not kept with a prompt."""


class Choice(NamedTuple):
    """What a turn runs with."""

    provider: str
    """By its name in `bullpen.toml`; `default` is the host's own."""
    model: str = ""
    """Empty for the template's."""


AUTO = "auto"
"""In place of an agent's name: bullpen chooses. An agent that is called so is meant itself."""


class Prompt(Struct, frozen=True, gc=False):
    """What a caller hands in. `session` empty means the user's default session with that agent."""

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
