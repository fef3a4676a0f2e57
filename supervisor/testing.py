"""The shipped fake: agents without processes, for tests of the engine and for loads that real processes cannot reach.

The real supervisor runs on it unchanged; only the connections are fake. A `FakeWorld` holds what real processes would
share (the conversations on disk) and remembers every rule that was broken, so that a test can assert there was none.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import anyio
import anyio.lowlevel

from supervisor.client_events import ClientEvent, Rested, Result, TextBlock, TextDelta, Woke
from supervisor.connection import Connector, Launch, ToolRequest, Verdict
from supervisor.errors import ClientDied, ConnectFailed, ResumeTargetMissing, SessionIdTaken
from supervisor.model import Usage
from supervisor.processes import Measure, ProcessTable
from supervisor.templates import Template

OnPrompt = Callable[["FakeConnection", str], None]


def answer_at_once(connection: FakeConnection, text: str) -> None:
    """The default agent: replies to each prompt immediately."""
    connection.reply(f"You said: {text}")


def hold(connection: FakeConnection, text: str) -> None:
    """An agent that says nothing until the test makes it (`connection.reply`)."""


@dataclass
class FakeWorld:
    """What all fake connections of one test share."""

    on_prompt: OnPrompt = answer_at_once
    transcripts: dict[str, list[str]] = field(default_factory=dict)
    """Conversation id → every prompt written to it: what a resumed client remembers."""
    connections: list[FakeConnection] = field(default_factory=list)
    """Every connection ever opened, oldest first."""
    violations: list[str] = field(default_factory=list)
    """Rules that were broken: two writers, a prompt in a running turn, a reused client."""
    connect_failures: list[ConnectFailed] = field(default_factory=list)
    """Raised by the next connects, first one first."""
    gate: anyio.Event | None = None
    """When set, a connect waits for it."""
    expected_bytes: int = 1024**2
    """What one client is expected to use, before any was measured."""
    starting: int = 0
    most_starting: int = 0
    """The most connects that were under way at once."""

    def connect(self, template: Template) -> Connector:
        """Hand this to `Supervisor(connect=...)`."""
        return FakeConnector(self, template.name)

    @property
    def live(self) -> list[FakeConnection]:
        return [connection for connection in self.connections if connection.is_alive]

    def holder_of(self, prompt: str) -> FakeConnection:
        """The connection that was given this prompt last."""
        return next(one for one in reversed(self.connections) if prompt in one.prompts)


class FakeConnector:
    def __init__(self, world: FakeWorld, digest: str) -> None:
        self._world = world
        self._digest = digest

    @property
    def digest(self) -> str:
        return self._digest

    @property
    def expected_bytes(self) -> int:
        return self._world.expected_bytes

    def open(self, launch: Launch) -> FakeConnection:
        connection = FakeConnection(self._world, launch)
        self._world.connections.append(connection)
        return connection


class FakeConnection:
    """One agent without a process. A test may make it talk, ask, die, or hang."""

    def __init__(self, world: FakeWorld, launch: Launch) -> None:
        self.world = world
        self.launch = launch
        self.prompts: list[str] = []
        self.is_alive = False
        self.is_hanging = False
        """Answers nothing any more, as a stopped process."""
        self.memory_bytes = world.expected_bytes
        """What the census finds while it is alive."""
        self.interrupts = 0
        self.survives_terminate = False
        """Only KILL ends it."""
        self._uuid = ""
        self._said: list[str] = []
        self._in, self._out = anyio.create_memory_object_stream[ClientEvent | ClientDied](math.inf)
        self._cost = 0.0

    def __repr__(self) -> str:
        return f"<FakeConnection {self.launch.client_id}, {len(self.prompts)} prompts>"

    @property
    def pid(self) -> int:
        return 0

    @property
    def started(self) -> float:
        return 0.0

    @property
    def is_in_turn(self) -> bool:
        return bool(self._uuid)

    # What a test makes it do

    def say(self, text: str) -> None:
        """Streams a fragment."""
        self._said.append(text)
        self._in.send_nowait(TextDelta(text))

    def tell(self, event: ClientEvent) -> None:
        self._in.send_nowait(event)

    def reply(self, text: str = "") -> None:
        """Says the rest and ends the turn."""
        if text:
            self.say(text)
        whole, self._said = "".join(self._said), []
        self.tell(TextBlock(whole))
        self._finish(text=whole)

    def fail(self, status: int) -> None:
        """Ends the turn with an error of the API."""
        self._finish(text="", error=f"API Error: {status}", status=status)

    def die(self, exit_code: int = -9) -> None:
        self.is_alive = False
        self._in.send_nowait(ClientDied(f"the process ended with exit code {exit_code}", exit_code=exit_code))

    def hang(self) -> None:
        self.is_hanging = True

    async def ask(self, request: ToolRequest) -> Verdict:
        """Asks as a running turn does; returns what the agent is told."""
        return await self.launch.ask(request)

    # What a `Connection` does

    async def connect(self) -> None:
        world = self.world
        world.starting += 1
        world.most_starting = max(world.most_starting, world.starting)
        try:
            if world.gate is not None:
                await world.gate.wait()
            await anyio.lowlevel.checkpoint()
        finally:
            world.starting -= 1
        if world.connect_failures:
            raise world.connect_failures.pop(0)
        uuid = self.launch.session_uuid
        if self.launch.resume and uuid not in world.transcripts:
            raise ResumeTargetMissing(f"No conversation found with session ID: {uuid}")
        if not self.launch.resume and uuid in world.transcripts:
            raise SessionIdTaken(f"Session ID {uuid} is already in use")
        if any(other.launch.session_uuid == uuid for other in world.live):
            world.violations.append(f"two writers of {uuid}")
        self.is_alive = True

    async def events(self) -> AsyncIterator[ClientEvent]:
        with self._out:
            async for event in self._out:
                if isinstance(event, ClientDied):
                    raise event
                yield event

    async def send(self, text: str, uuid: str) -> None:
        if not self.is_alive:
            raise ClientDied("Cannot write to terminated process")
        if self.is_in_turn:
            self.world.violations.append(f"{text!r} was written into a running turn of {self!r}")
        self._uuid = uuid
        self.prompts.append(text)
        self.world.transcripts.setdefault(self.launch.session_uuid, []).append(text)
        self.tell(Woke())
        if not self.is_hanging:
            self.world.on_prompt(self, text)

    async def interrupt(self) -> None:
        self.interrupts += 1
        if self.is_hanging:
            await anyio.sleep_forever()
        if self.is_in_turn:
            self._said = []
            self._finish(text="", error="interrupted", was_aborted=True)

    async def ping(self) -> None:
        if self.is_hanging:
            await anyio.sleep_forever()
        if not self.is_alive:
            raise ClientDied("Cannot write to terminated process")

    def measure(self, table: ProcessTable) -> Measure:
        return Measure(self.memory_bytes, 1, 0.0) if self.is_alive else Measure()

    def tree(self) -> FakeTree:
        return FakeTree(self)

    async def disconnect(self) -> None:
        if self.survives_terminate:
            while self.is_alive:
                await anyio.lowlevel.checkpoint()
        self.is_alive = False
        self._in.close()
        self._out.close()

    def _finish(self, *, text: str, error: str = "", status: int | None = None, was_aborted: bool = False) -> None:
        self._cost += 0.001
        uuid, self._uuid = self._uuid, ""
        self.tell(
            Result(
                prompt_uuids=(uuid,),
                text=text,
                is_error=bool(error),
                was_aborted=was_aborted,
                terminal_reason="aborted_streaming" if was_aborted else "api_error" if error else "completed",
                error=error,
                api_status=status,
                usage=Usage(10, len(text) // 4 + 1, 0, self._cost),
            )
        )
        self.tell(Rested())


class FakeTree:
    """A tree of one process that may refuse to leave."""

    def __init__(self, connection: FakeConnection) -> None:
        self._connection = connection

    @property
    def alive_count(self) -> int:
        return int(self._connection.is_alive and self._connection.survives_terminate)

    def look(self) -> None:
        pass

    async def look_everywhere(self) -> None:
        await anyio.lowlevel.checkpoint()

    def terminate(self) -> None:
        pass

    def kill(self) -> None:
        self._connection.is_alive = False

    async def emptied(self, within: float) -> bool:
        await anyio.lowlevel.checkpoint()
        return not self.alive_count
