"""The states of agents, sessions and clients, and why something waits."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


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
        """Whether the server's tools are missing for good: it failed, or needs a login."""
        return self.state in (ServerState.FAILED, ServerState.NEEDS_AUTH)

    def __str__(self) -> str:
        return f"{self.name} {self.state}{f' ({self.error})' if self.error else ''}"


class WhyWaiting(StrEnum):
    """Why a turn has not started. The same word on every screen and in every answer."""

    SESSION_BUSY = "session-busy"
    """An earlier turn of the same session has not reached its Result."""
    SELF_BEGUN = "self-begun"
    """The session's agent runs a turn that it began by itself; a prompt written now would be merged into it."""
    NO_SLOT = "no-slot"
    """As many turns run, or as many clients exist, as are allowed: `InstanceRow.limit` says which limit that is."""
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
    """The one computed status of a session (`Session.status`)."""

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


class MemoryLevel(StrEnum):
    """How a client's process tree stands to the ceilings of its pool."""

    NORMAL = "normal"
    SOFT = "soft"
    """It gets no new turn: its session's next one starts a fresh process."""
    HARD = "hard"
    """It is ended after its turn."""
    PANIC = "panic"
    """It is being ended at once."""
