"""The shipped fake: agents without processes, for tests of the engine and for loads that real processes cannot reach.

The real supervisor runs on it unchanged; only the connections are fake. A `FakeWorld` holds what real processes would
share (the conversations on disk) and remembers every rule that was broken, so that a test can assert there was none:

    world = FakeWorld(on_prompt=hold)
    async with Supervisor(templates, settings, connect=world.connect) as supervisor:
        ticket = supervisor.submit(Prompt("helpdesk", "Hello"))
        ...                                     # wait until world.holder_of("Hello") is found
        world.holder_of("Hello").reply("Hi")    # or: fail(429), die(), hang(), await ask(...)
        print(await ticket.outcome(), world.violations)

It behaves as the bundled CLI was measured to. A process that hangs answers nothing, an interrupt neither, and only
KILL ends it, as one that sleeps; one that died refuses an interrupt at once; a question goes with an interrupt and with
its client.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import anyio
import anyio.lowlevel

from supervisor.api.errors import ClientDied, ConnectFailed, ResumeTargetMissing, SessionIdTaken
from supervisor.api.outcomes import Usage
from supervisor.api.states import Server
from supervisor.config.limits import Limits
from supervisor.config.templates import Template
from supervisor.journal import ClientRecord
from supervisor.permissions.requests import ToolRequest, Verdict
from supervisor.process.connection import Connector, Launch
from supervisor.process.process_tree import Measure, ProcessTable
from supervisor.process.reports import (
    ClientEvent,
    Compacted,
    Prodded,
    Requested,
    Rested,
    Result,
    Retrying,
    TextBlock,
    TextDelta,
    ToolStarted,
    Voided,
    Woke,
)

if TYPE_CHECKING:
    from supervisor.claude.messages import Translator

_OF_NO_CLIENT = {*Limits.model_fields, "description", "archetype", "auto_start", "path", "triggers"}

OnPrompt = Callable[["FakeConnection", str], None]


def answer_at_once(connection: FakeConnection, text: str) -> None:
    """The default agent: replies to each prompt immediately."""
    connection.reply(f"You said: {text}")


def hold(connection: FakeConnection, text: str) -> None:
    """An agent that says nothing until the test makes it (`connection.reply`)."""


def compact_at_once(connection: FakeConnection, text: str) -> None:
    """The default for a command: the conversation is shortened."""
    connection.tell(Compacted(connection.context_tokens, 100))
    connection.context_tokens = 100
    connection._finish(text="")


class Written(NamedTuple):
    """One prompt that reached a process."""

    client_id: str
    session_uuid: str
    text: str


@dataclass
class FakeWorld:
    """The state that all fake connections of one test share."""

    on_prompt: OnPrompt = answer_at_once
    on_command: OnPrompt = compact_at_once
    transcripts: dict[str, list[str]] = field(default_factory=dict)
    """Conversation id → every prompt written to it: what a resumed client remembers. Take one out to lose it."""
    transcript_uuids: dict[str, list[str]] = field(default_factory=dict)
    """Conversation id → the ids those prompts were written with."""
    uuids_seen: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """Conversation id → all that its prompts were ever written with, those that were cut from it included."""
    judged: dict[str, int] = field(default_factory=dict)
    """Conversation id → how many of those prompts the model has replied to: a later one may be what the API rejects."""
    written: list[Written] = field(default_factory=list)
    """Every prompt ever written, in the order of writing."""
    connections: list[FakeConnection] = field(default_factory=list)
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
    saved_costs: dict[str, float] = field(default_factory=dict)
    """Conversation id → the running total of its cost that the last process to end in order has saved."""
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

    def connect(self, template: Template) -> Connector:
        """Hand this to `Supervisor(connect=...)`."""
        return FakeConnector(self, template)

    @property
    def live(self) -> list[FakeConnection]:
        return [connection for connection in self.connections if connection.is_alive]

    def lose_parent(self) -> None:
        """The supervisor was killed: idle processes leave at the end of their input, busy ones go on (measured), and
        what they say is not read."""
        for index, connection in enumerate(self.connections):
            if connection.is_alive and connection.is_in_turn:
                self.connections[index] = connection.orphaned()
            connection.kill()

    async def end_orphans(self, records: Sequence[ClientRecord]) -> tuple[int, int]:
        """What `orphans.end_orphans` does for real processes: ends those that an earlier run has recorded."""
        marks = {record.mark for record in records}
        found = [connection for connection in self.live if connection.launch.mark in marks]
        for connection in found:
            await anyio.lowlevel.checkpoint()
            connection.kill()
        return len(found), 0

    def holder_of(self, prompt: str) -> FakeConnection:
        """The connection that was given this prompt last."""
        return next(one for one in reversed(self.connections) if prompt in one.prompts)


class FakeConnector:
    def __init__(self, world: FakeWorld, template: Template, provider: str = "", model: str = "") -> None:
        self._world = world
        self._template = template
        self._provider, self._model = provider or template.provider or "default", model or template.model or ""
        self._digest = f"{template.model_dump_json(exclude=_OF_NO_CLIENT)} {self._provider} {self._model}"

    def variant(self, provider: str, model: str) -> FakeConnector:
        return FakeConnector(self._world, self._template, provider, model)

    @property
    def digest(self) -> str:
        """Hash of everything that a client could be told; limits and descriptions are not part of it."""
        return self._digest

    @property
    def expected_bytes(self) -> int:
        return self._world.expected_bytes

    def open(self, launch: Launch) -> FakeConnection:
        connection = FakeConnection(self._world, launch)
        connection.template = self._template
        connection.provider, connection.model = self._provider, self._model
        self._world.connections.append(connection)
        return connection


class FakeConnection:
    """One agent without a process. A test may make it talk, ask, die, or hang."""

    def __init__(self, world: FakeWorld, launch: Launch) -> None:
        self.world = world
        self.launch = launch
        self.provider = self.model = ""
        self.template: Template | None = None
        """What it was started with."""
        self.prompts: list[str] = []
        self.commands: list[str] = []
        self.is_alive = False
        self.is_hanging = False
        """Answers nothing any more, as a stopped process. Only KILL ends it."""
        self.memory_bytes = world.expected_bytes
        """What the census finds while it is alive and awake; asleep, a tenth of it, and the rest in swap."""
        self.peak_bytes = 0
        self.pressure: float | None = None
        """What its control group tells, had it one."""
        self.is_asleep = False
        """Its processes are stopped: it reads and says nothing, and only KILL ends it."""
        self.is_stuck_asleep = False
        """`wake` has no effect on it."""
        self.suspensions = 0
        """How often it was put to sleep."""
        self._is_stopping = False
        self._woken = anyio.Event()
        """It was woken, or has ended."""
        self._unread: list[Callable[[], None]] = []
        """Takes up what was written while it slept."""
        self.interrupts = 0
        self.context_tokens = 0
        """Of its conversation; the model takes 1,000."""
        self.price = 0.001
        """Dollars that its next turn costs."""
        self.is_orphan = False
        """Its supervisor was killed, and it goes on."""
        self.survives_terminate = False
        """Does not leave when asked to. Only KILL ends it."""
        self.leaves_behind = 0
        """Processes of its tree that outlive even KILL, as one does that waits for a dead disk."""
        self.may_be_overtaken = False
        """A prompt that is written while it runs a turn of its own is no violation: the test has made them cross."""
        self._has_begun = False
        """It runs a turn that it has begun by itself."""
        self._queued: tuple[str, str] | None = None
        """A prompt, text and id, that was written meanwhile."""
        self._uuid = ""
        self._is_interrupted = False
        """An interrupt came for the turn that runs."""
        self._was_started = False
        self._was_looked_at = False
        """Its process tree was listed: what it leaves behind when it goes is found again."""
        self._has_reader = False
        self._ended = anyio.Event()
        self._asking: set[anyio.CancelScope] = set()
        self._said: list[str] = []
        self._in, self._out = anyio.create_memory_object_stream[ClientEvent | ClientDied](math.inf)
        self._cost = 0.0
        self._translator: Translator | None = None
        self._cost_before: float | None = None

    def __repr__(self) -> str:
        return f"<FakeConnection {self.launch.client_id}, {len(self.prompts)} prompts>"

    @property
    def pid(self) -> int:
        return 0

    @property
    def started(self) -> float:
        return 0.0

    @property
    def spent_before(self) -> float | None:
        return self._cost_before if self.world.tells_costs_before else None

    @property
    def is_in_turn(self) -> bool:
        return bool(self._uuid) or self._has_begun

    @property
    def questions(self) -> int:
        """How many questions of it are open."""
        return len(self._asking)

    # What a test makes it do

    def say(self, text: str) -> None:
        """Streams a fragment."""
        self._said.append(text)
        self.tell(TextDelta(text))

    def give_up(self, text: str = "") -> None:
        """Streams that, and loses the connection to the API: the CLI tries again, and the reply begins anew."""
        if text:
            self.say(text)
        self._said = []
        self.tell(Voided())
        self.tell(Retrying(1, 3, 0.5, None, "unknown"))

    def tell(self, event: ClientEvent | ClientDied) -> None:
        """Writes to the pipe, whether it is still read or not."""
        if self.is_asleep:
            self._accuse("spoke while it was stopped")
        if isinstance(event, TextDelta | TextBlock | ToolStarted):
            self.world.judged[self.launch.session_uuid] = len(self.remembers)
        with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
            self._in.send_nowait(event)

    def write(self, line: object) -> None:
        """Writes one message as the CLI does, of any shape: it is parsed by the SDK and translated as that of a real
        process is, and one that cannot be read ends this client. The running turn's id is `prompt_uuid`."""
        from supervisor.claude.messages import Translator, translate_death

        try:
            if self._translator is None:
                self._translator = Translator(self.launch.workspace)
            for event in self._translator.read([line]):  # type: ignore[list-item]
                if isinstance(event, Result) and self._uuid in (event.prompt_uuids or (self._uuid,)):
                    self._uuid = ""
                self.tell(event)
        except Exception as error:
            self._end()
            self.tell(error if isinstance(error, ClientDied) else translate_death(error, ""))

    @property
    def prompt_uuid(self) -> str:
        """Uuid of the prompt whose turn runs; empty between turns."""
        return self._uuid

    def reply(self, text: str = "", *, rests: bool = True, structured: str = "") -> None:
        """Says the rest and ends the turn; `rests` is the idle sign after it, `structured` what stands in the form that
        the template's `output` asks for."""
        if text:
            self.say(text)
        whole, self._said = "".join(self._said), []
        self.tell(TextBlock(whole))
        if structured:
            self.tell(TextBlock(structured))
        self._finish(text=whole, rests=rests, structured=structured)

    def begin_own(self, why: str = "") -> None:
        """Begins a turn by itself, as after a timer or the end of a background task."""
        self._has_begun = True
        if why:
            self.tell(Prodded(why))
        self.tell(Woke())
        self.tell(Requested())

    def finish_own(self, text: str = "", *, was_aborted: bool = False) -> None:
        """Says the rest of that turn and ends it; a prompt that was written meanwhile is next."""
        if text:
            self.tell(TextDelta(text))
            self.tell(TextBlock(text))
        self._has_begun = False
        self._cost += self.price
        reason = "aborted_streaming" if was_aborted else "completed"
        usage = Usage(10, len(text) // 4 + 1, 0, self._cost)
        error = "interrupted" if was_aborted else ""
        self.tell(Result(None, text, was_aborted, was_aborted, reason, error, None, usage, is_own=False))
        if self._queued is None:
            self.tell(Rested())
        else:
            self._take_up_queued()

    def merge(self) -> None:
        """Takes the prompt that was written meanwhile into its own turn: one Result for both."""
        self._has_begun = False
        self._take_up_queued()

    def _take_up_queued(self) -> None:
        assert self._queued is not None, "a prompt was written"
        (text, self._uuid), self._queued = self._queued, None
        self.tell(Requested((self._uuid,)))
        self.world.on_prompt(self, text)

    def fail(self, status: int) -> None:
        """Ends the turn with an error of the API."""
        self._finish(text="", error=f"API Error: {status}", status=status)

    def reject(self, status: int = 400) -> None:
        """Ends the turn as the API does that rejects a prompt: it stays in the conversation."""
        self.fail(status)

    @property
    def remembers(self) -> list[str]:
        """Every prompt of its conversation, oldest first."""
        return self.world.transcripts.get(self.launch.session_uuid, [])

    def die(self, exit_code: int = -9) -> None:
        """The process ends, and all waiters are told."""
        self._end()
        self.tell(ClientDied(f"the process ended with exit code {exit_code}", exit_code=exit_code))

    def hang(self) -> None:
        self.is_hanging = True

    async def ask(self, request: ToolRequest) -> Verdict | None:
        """Asks as a running turn does; returns what the agent is told, or None when the question went with its turn."""
        if not self.is_in_turn:
            self._accuse("asked outside of a turn")
        with anyio.CancelScope() as scope:
            self._asking.add(scope)
            try:
                return await self.launch.ask(request)
            finally:
                self._asking.discard(scope)
        return None

    def orphaned(self) -> FakeConnection:
        """A copy of this process as it goes on without a supervisor."""
        orphan = FakeConnection(self.world, self.launch)
        orphan.prompts, orphan._uuid = list(self.prompts), self._uuid
        orphan.is_alive = orphan.is_orphan = True
        orphan._in.close()
        orphan._out.close()
        return orphan

    # What a `Connection` does

    async def connect(self) -> None:
        world = self.world
        if self._was_started:
            self._accuse("was started twice")
        self._was_started = True
        world.starting += 1
        world.most_starting = max(world.most_starting, world.starting)
        try:
            if world.gate is not None:
                await world.gate.wait()
            await anyio.lowlevel.checkpoint()
            self._look_at_the_disk()
            self._cost = self._cost_before = world.saved_costs.get(self.launch.session_uuid, 0.0)
            self.is_alive = True
        finally:
            world.starting -= 1
            world.failed_connects += not self.is_alive

    async def listen(self, hear: Callable[[ClientEvent], object]) -> None:
        async for event in self.events():
            hear(event)

    async def events(self) -> AsyncIterator[ClientEvent]:
        if self._has_reader:
            self._accuse("has two readers")
        self._has_reader = True
        with self._out:
            async for event in self._out:
                if isinstance(event, ClientDied):
                    raise event
                yield event

    async def send(self, text: str, uuid: str) -> None:
        self._take(text, uuid)

    def send_at_once(self, text: str, uuid: str) -> bool:
        self._take(text, uuid)
        return True

    def _take(self, text: str, uuid: str) -> None:
        if not self.is_alive:
            raise ClientDied("Cannot write to terminated process")
        if self._uuid or (self._has_begun and not self.may_be_overtaken):
            self._accuse(f"was given {text!r} in a running turn")
        seen = self.world.uuids_seen[self.launch.session_uuid]
        if uuid in seen:
            self._accuse(f"was given {text!r} with an id used before: the process drops it without a word")
        seen.add(uuid)
        self._is_interrupted = False
        self.prompts.append(text)
        self.world.transcripts.setdefault(self.launch.session_uuid, []).append(text)
        self.world.transcript_uuids.setdefault(self.launch.session_uuid, []).append(uuid)
        self.world.written.append(Written(self.launch.client_id, self.launch.session_uuid, text))
        if self._has_begun:
            self._queued = (text, uuid)
            return
        self._uuid = uuid
        if not self.is_hanging:
            self._read_soon(partial(self._begin, text, uuid))

    def _read_soon(self, take_up: Callable[[], None]) -> None:
        """Calls `take_up` at once; while the process sleeps, when it is woken."""
        if self.is_asleep:
            self._unread.append(take_up)
        else:
            take_up()

    def _begin(self, text: str, uuid: str) -> None:
        self.tell(Woke())
        self.tell(Requested((uuid,)))
        self.world.on_prompt(self, text)

    async def command(self, text: str, uuid: str) -> None:
        if not self.is_alive:
            raise ClientDied("Cannot write to terminated process")
        if self.is_in_turn:
            self._accuse(f"was given {text!r} in a running turn")
        self._uuid = uuid
        self.commands.append(text)
        self._read_soon(partial(self._begin_command, text))

    def _begin_command(self, text: str) -> None:
        self.tell(Woke())
        self.world.on_command(self, text)

    async def interrupt(self) -> None:
        self.interrupts += 1
        self._is_interrupted = True
        await self._listens()
        if not self.is_alive:
            raise ClientDied("Cannot write to terminated process")
        self._lose_questions()
        if self._has_begun:
            self.finish_own(was_aborted=True)
        elif self.is_in_turn:
            self._said = []
            self._finish(text="", error="interrupted", was_aborted=True)

    async def ping(self) -> tuple[Server, ...]:
        await self._listens()
        if not self.is_alive:
            raise ClientDied("Cannot write to terminated process")
        return self.world.servers

    async def suspend(self) -> bool:
        if self._uuid or self._has_begun:
            self._accuse("was stopped in a running turn")
        self._is_stopping = True
        try:
            await anyio.lowlevel.checkpoint()
            if not (self._is_stopping and self.is_alive and self.world.can_suspend):
                return False
        finally:
            self._is_stopping = False
        self.is_asleep, self._woken = True, anyio.Event()
        self.suspensions += 1
        return True

    def wake(self) -> None:
        self._is_stopping = False
        if not self.is_asleep or self.is_stuck_asleep:
            return
        self.is_asleep = False
        self._woken.set()
        unread, self._unread = self._unread, []
        for take_up in unread:
            if self.is_alive and not self.is_hanging:
                take_up()

    async def _listens(self) -> None:
        """Returns when it reads what is written to it, or has ended."""
        if self.is_hanging:
            await self._ended.wait()
        while self.is_asleep and self.is_alive:
            await self._woken.wait()

    def measure(self, table: ProcessTable) -> Measure:
        if not self.is_alive:
            return Measure()
        resident = self.memory_bytes // 10 if self.is_asleep else self.memory_bytes
        return Measure(resident, 1, 0.0, self.memory_bytes - resident, self.peak_bytes, self.pressure)

    def tree(self) -> FakeTree:
        return FakeTree(self)

    async def disconnect(self) -> None:
        if self.is_alive and self.is_in_turn and not self._is_interrupted:
            self._accuse("was disconnected in a running turn without an interrupt")
        if self.is_alive and not self._was_looked_at:
            self._accuse("was disconnected without a look at its process tree")
        self._lose_questions()
        if self.is_alive and (self.survives_terminate or self.is_hanging or self.is_asleep):
            await self._ended.wait()
        self._leave()
        self._in.close()
        self._out.close()

    def terminate(self) -> None:
        if not (self.survives_terminate or self.is_hanging or self.is_asleep):
            self._leave()

    def kill(self) -> None:
        self._end()

    @property
    def _may_begin_anew(self) -> bool:
        return bool(self.launch.drop_turns) and self.launch.is_unanswered

    def _cut(self) -> None:
        """Takes the unanswered prompt, and what came after it, out of the conversation that is resumed."""
        texts = self.world.transcripts.get(self.launch.session_uuid, [])
        uuids = self.world.transcript_uuids.get(self.launch.session_uuid, [])
        if self.launch.drops_unjudged:
            judged = self.world.judged.get(self.launch.session_uuid, 0)
            del texts[judged:], uuids[judged:]
        elif (dropped := next((one for one in self.launch.drop_turns if one in uuids), None)) is not None:
            place = uuids.index(dropped)
            del texts[place:], uuids[place:]

    def _look_at_the_disk(self) -> None:
        world, uuid = self.world, self.launch.session_uuid
        if world.connect_failures:
            raise world.connect_failures.pop(0)
        if self.launch.resume and self.launch.drop_turns:
            self._cut()
        if self.launch.resume and uuid not in world.transcripts and not self._may_begin_anew:
            raise ResumeTargetMissing(f"No conversation found with session ID: {uuid}")
        if not self.launch.resume and uuid in world.transcripts:
            raise SessionIdTaken(f"Session ID {uuid} is already in use")
        if any(other.launch.session_uuid == uuid for other in world.live):
            self._accuse(f"is a second writer of {uuid}")
        if any(other.is_orphan for other in world.live):
            self._accuse("was started before the processes of the last run had ended")

    def _lose_questions(self) -> None:
        for scope in tuple(self._asking):
            scope.cancel()

    def _leave(self) -> None:
        """Ends in order: what the conversation has cost is saved."""
        if self.is_alive:
            self.world.saved_costs[self.launch.session_uuid] = self._cost
        self._end()

    def _end(self) -> None:
        self.is_alive = self.is_asleep = False
        self._ended.set()
        self._woken.set()

    def _finish(
        self,
        *,
        text: str,
        error: str = "",
        status: int | None = None,
        was_aborted: bool = False,
        rests: bool = True,
        structured: str = "",
    ) -> None:
        self._cost += self.price
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
                context_tokens=self.context_tokens,
                context_window=1_000,
                structured=structured,
            )
        )
        if rests:
            self.tell(Rested())

    def _accuse(self, of: str) -> None:
        self.world.violations.append(f"{self.launch.client_id} {of}")


class FakeTree:
    """A tree of one process that may refuse to leave."""

    def __init__(self, connection: FakeConnection) -> None:
        self._connection = connection
        self._is_fresh = False

    @property
    def alive_count(self) -> int:
        return int(self._connection.is_alive) + self._connection.leaves_behind

    def look(self) -> None:
        self._is_fresh = self._connection._was_looked_at = True

    async def look_everywhere(self) -> None:
        await anyio.lowlevel.checkpoint()
        self.look()

    def terminate(self) -> None:
        self._use()
        self._connection.terminate()

    def kill(self) -> None:
        self._use()
        self._connection.kill()
        self._connection._in.close()  # what it has said before can still be read

    def _use(self) -> None:
        """A signal goes to what was listed, and what is listed is out of date by then."""
        if not self._is_fresh:
            self._connection._accuse("was sent a signal without a look at its process tree")
        self._is_fresh = False

    async def emptied(self, within: float) -> bool:
        await anyio.lowlevel.checkpoint()
        return not self.alive_count
