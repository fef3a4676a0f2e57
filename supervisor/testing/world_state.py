"""What all fake processes of one test share: their conversations, what their host is like, and the rules they broke."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, Protocol, TypeVar

import anyio

from supervisor.api.errors import ConnectFailed
from supervisor.api.states import Server
from supervisor.testing.conversations import Conversations


class Written(NamedTuple):
    """One prompt that reached a process."""

    client_id: str
    session_uuid: str
    text: str


class Living(Protocol):
    """A process, of which the shared state needs to know no more."""

    is_alive: bool


AgentT = TypeVar("AgentT", bound=Living)


@dataclass
class WorldState(Generic[AgentT]):
    """The part of a `FakeWorld` that its processes read and write. A test sets how they behave."""

    on_prompt: Callable[[AgentT, str], None]
    on_command: Callable[[AgentT, str], None]
    conversations: Conversations = field(default_factory=Conversations)
    """On disk: take one out of `transcripts` to lose it."""
    written: list[Written] = field(default_factory=list)
    """Every prompt ever written, in the order of writing."""
    connections: list[AgentT] = field(default_factory=list)
    """Every connection ever opened, oldest first."""
    violations: list[str] = field(default_factory=list)
    """Rules that were broken: two writers of one conversation, a prompt in a running turn or with an id used before, a
    second reader, a process started twice or beside one of an earlier run, a process that was left in the middle of a
    turn without an interrupt, or whose tree was not looked at before a step that may hide a part of it."""
    connect_failures: list[ConnectFailed] = field(default_factory=list)
    """Raised by the next connects, first one first."""
    failed_connects: int = 0
    """Connects that did not become a process, those given up included."""
    gate: anyio.Event | None = None
    """When set, a connect waits for it."""
    tells_costs_before: bool = True
    """A process can say what its running total begins with."""
    servers: tuple[Server, ...] = ()
    """The MCP servers of every process, as they are now."""
    expected_bytes: int = 1024**2
    """What one client is expected to use, before any was measured."""
    can_suspend: bool = True
    """Its processes can be stopped."""
    starting: int = 0
    most_starting: int = 0
    """The most connects that were under way at once."""

    @property
    def transcripts(self) -> dict[str, list[str]]:
        """Conversation id → every prompt written to it: what a resumed client remembers."""
        return self.conversations.prompts

    @property
    def live(self) -> list[AgentT]:
        return [connection for connection in self.connections if connection.is_alive]
