"""MCP servers that all clients share, as they are shown."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class SharedState(StrEnum):
    """How a shared MCP server stands."""

    STARTING = "starting"
    CONNECTED = "connected"
    BACKING_OFF = "backing-off"
    """It ended, or cannot be reached; it is started again in a moment."""
    STOPPED = "stopped"


class BreakerState(StrEnum):
    """State of the circuit breaker that keeps calls from a server which does not answer."""

    CLOSED = "closed"
    """Calls go through."""
    OPEN = "open"
    """Calls are errors at once, until it is tried again."""
    TRYING = "trying"
    """One call goes through; its end decides."""


class SharedServerRow(Struct, frozen=True, gc=False):
    """One shared MCP server: one process, or one connection, for all clients of the agents that name it."""

    name: str
    """The name that templates use; several names with commas."""
    kind: str
    """`stdio` or `http`."""
    what: str
    """Its program, or its host: never arguments, variables or headers, which may hold secrets."""
    state: SharedState
    agents: tuple[str, ...] = ()
    clients: int = 0
    """Clients of those agents that are running."""
    tools: int = 0
    note: str = ""
    """What went wrong last, on one line."""
    breaker: BreakerState = BreakerState.CLOSED
    calls: int = 0
    """Since bullpen was started."""
    errors: int = 0
    """Calls among them that the server could not be asked, or did not answer."""
    running: int = 0
    waiting: int = 0
    """Calls that wait because `maxCalls` run."""
    restarts: int = 0
    processes: int = 0
    memory_bytes: int = 0
    """Bytes of the server's whole process tree; 0 while that is not known, and for one at an address."""
    saved_bytes: int = 0
    """What a server for each client would use on top: its memory once more for every client but one."""
    connect_seconds: float = 0.0
    """How long its last start took, until its tools were known."""
