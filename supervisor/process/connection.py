"""Transport interface for one agent process, on this host or another. Only `process.client` calls it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NamedTuple, Protocol

from supervisor.api.states import Server
from supervisor.api.tools import RunContext
from supervisor.permissions.requests import ToolRequest, Verdict
from supervisor.process.process_tree import ProcessTable, TreeUsage
from supervisor.process.reports import ClientEvent


class Launch(NamedTuple):
    """What one process is started with."""

    client_id: str
    mark: str
    """In the environment of every process of its tree; no other client of any supervisor has the same."""
    session_uuid: str
    resume: bool
    workspace: Path
    drop_turns: tuple[str, ...]
    """Uuids of unanswered prompts, newest first: what is resumed ends before the first of them that is found."""
    drops_unjudged: bool
    """What stands before that prompt is dropped as well, back to the last words of the model."""
    is_unanswered: bool
    """No turn of the session has ended well yet: a conversation that is not on disk is no loss."""
    ask: Callable[[ToolRequest], Awaitable[Verdict]]
    whose: Callable[[], RunContext | None] = lambda: None
    """Whose turn runs on it now; None when none does."""


class ProcessTree(Protocol):
    """The processes of one connection, wherever they run, as seen so far (`process_tree.Tree` is the local one)."""

    @property
    def alive_count(self) -> int: ...
    def look(self) -> None:
        """Adds what can be seen now."""

    async def look_everywhere(self) -> None:
        """Adds what has slipped out of the tree."""

    def terminate(self) -> None: ...
    def kill(self) -> None: ...
    async def emptied(self, within: float) -> bool:
        """Waits at most `within` seconds. True when nothing seen is alive."""


class Connection(Protocol):
    """One process. Used by exactly one `Client`, whose task is its only reader."""

    @property
    def pid(self) -> int:
        """0 before it runs."""

    @property
    def started(self) -> float:
        """The start time of the process as the system gives it, with the pid its name for good; 0 before it runs."""

    @property
    def spent_before(self) -> float | None:
        """Dollars that the running total in its Results begins with. Known once it is connected, or not: None."""

    async def connect(self) -> None:
        """Raises `ConnectFailed`, `ResumeTargetMissing` or `SessionIdTaken`. Leaves no process behind then."""

    async def listen(self, hear: Callable[[ClientEvent], object]) -> None:
        """Has `hear` called with everything that it tells, in order and as soon as it is read, until the process ends
        or this is cancelled. Raises `ClientDied` when it did not end well, and what `hear` raises."""

    async def send(self, text: str, uuid: str) -> None:
        """Writes one prompt. Raises `ClientDied`."""

    def send_at_once(self, text: str, uuid: str) -> bool:
        """As `send`, without waiting. Returns False, having written nothing, when that is not possible. Raises
        `ClientDied`."""

    async def command(self, text: str, uuid: str) -> None:
        """Writes a command of the CLI (`/compact`): a prompt that reads like one is only text. Raises `ClientDied`."""

    async def interrupt(self) -> None:
        """Stops the running turn; its Result still comes."""

    async def ping(self) -> tuple[Server, ...]:
        """Returns when the process has answered: how its MCP servers are. Raises `ClientDied`."""

    async def suspend(self) -> bool:
        """Stops its processes, but not the guard, and hands their memory back as far as this host allows. True when it
        is asleep: it answers nothing, and TERM does not end it. False when `wake` came meanwhile or a process could not
        be stopped; it runs on then, as it does when this is cancelled. Takes about a quarter of a second; where many
        are suspended at once, they wait for each other. Not to be called again before it has returned."""

    def wake(self) -> None:
        """Continues what `suspend` has stopped, or ends the one that is under way. Does nothing while it is awake.
        Takes microseconds; the process needs about a fifth of a second to be itself again. It says that it
        woke before it sends a request for a prompt (tests/probes, first-sign): one that was killed without a word has
        sent none."""

    def measure(self, table: ProcessTable) -> TreeUsage:
        """What its processes use now; no processes when there is nothing to measure. `table` knows those of this
        machine. Called in a thread."""

    def tree(self) -> ProcessTree:
        """The process tree of this connection; also after a `connect` that failed."""

    async def disconnect(self) -> None:
        """Closes the pipes and waits for the process. May take long: give it a deadline."""


class Connector(Protocol):
    """Makes connections that all have the same compiled options."""

    @property
    def digest(self) -> str:
        """Hash of the options that this connector starts clients with. Connectors with equal digests may share
        spares."""

    @property
    def expected_bytes(self) -> int:
        """Memory that one of them is expected to use, before any was measured."""

    def variant(self, provider: str, model: str) -> Connector:
        """A connector with another provider (by name) and model; an empty model is the template's."""

    def open(self, launch: Launch) -> Connection: ...
