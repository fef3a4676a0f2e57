"""An agent without a process of its own: what a test makes it say, and what the engine does with it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import anyio
import anyio.lowlevel

from supervisor.api.errors import ClientDied
from supervisor.api.outcomes import Usage
from supervisor.api.states import Server
from supervisor.config.templates import Template
from supervisor.permissions.requests import ToolRequest, Verdict
from supervisor.process.connection import Launch
from supervisor.process.reports import (
    ClientEvent,
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
from supervisor.testing.process import FakeProcess
from supervisor.testing.world_state import WorldState, Written

if TYPE_CHECKING:
    from supervisor.claude.messages import Translator


class FakeConnection(FakeProcess):
    """One agent without a process. A test may make it talk, ask, die, or hang."""

    world: WorldState[FakeConnection]

    def __init__(self, world: WorldState[FakeConnection], launch: Launch) -> None:
        super().__init__(world, launch)
        self.provider = self.model = ""
        self.template: Template | None = None
        """What it was started with."""
        self.prompts: list[str] = []
        self.commands: list[str] = []
        self.interrupts = 0
        self.context_tokens = 0
        """Of its conversation; the model takes 1,000."""
        self.price = 0.001
        """Dollars that its next turn costs."""
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
        self._asking: set[anyio.CancelScope] = set()
        self._said: list[str] = []
        self._cost = 0.0
        self._translator: Translator | None = None
        self._cost_before: float | None = None

    def __repr__(self) -> str:
        return f"<FakeConnection {self.launch.client_id}, {len(self.prompts)} prompts>"

    @property
    def spent_before(self) -> float | None:
        return self._cost_before if self.world.tells_costs_before else None

    @property
    def is_in_turn(self) -> bool:
        return bool(self._uuid) or self._has_begun

    @property
    def prompt_uuid(self) -> str:
        """Uuid of the prompt whose turn runs; empty between turns."""
        return self._uuid

    @property
    def questions(self) -> int:
        """How many questions of it are open."""
        return len(self._asking)

    @property
    def remembers(self) -> list[str]:
        """Every prompt of its conversation, oldest first."""
        return self.world.transcripts.get(self.launch.session_uuid, [])

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
        if isinstance(event, TextDelta | TextBlock | ToolStarted):
            self.world.conversations.note_reply(self.launch.session_uuid)
        super().tell(event)

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

    def reply(self, text: str = "", *, rests: bool = True, structured: str = "") -> None:
        """Says the rest and ends the turn; `rests` is the idle sign after it, `structured` what stands in the form that
        the template's `output` asks for."""
        if text:
            self.say(text)
        whole, self._said = "".join(self._said), []
        self.tell(TextBlock(whole))
        if structured:
            self.tell(TextBlock(structured))
        self.finish(text=whole, rests=rests, structured=structured)

    def fail(self, status: int) -> None:
        """Ends the turn with an error of the API."""
        self.finish(text="", error=f"API Error: {status}", status=status)

    def reject(self, status: int = 400) -> None:
        """Ends the turn as the API does that rejects a prompt: it stays in the conversation."""
        self.fail(status)

    def finish(
        self,
        *,
        text: str,
        error: str = "",
        status: int | None = None,
        was_aborted: bool = False,
        rests: bool = True,
        structured: str = "",
    ) -> None:
        """Ends the turn with this Result, and says nothing else; `rests` is the idle sign after it."""
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

    async def ask(self, request: ToolRequest) -> Verdict | None:
        """Asks as a running turn does; returns what the agent is told, or None when the question went with its turn."""
        if not self.is_in_turn:
            self.accuse("asked outside of a turn")
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
            self.accuse("was started twice")
        self._was_started = True
        world.starting += 1
        world.most_starting = max(world.most_starting, world.starting)
        try:
            if world.gate is not None:
                await world.gate.wait()
            await anyio.lowlevel.checkpoint()
            self._begin_process()
        finally:
            world.starting -= 1
            world.failed_connects += not self.is_alive

    def _begin_process(self) -> None:
        world, uuid = self.world, self.launch.session_uuid
        if world.connect_failures:
            raise world.connect_failures.pop(0)
        world.conversations.find(self.launch)
        if any(other.launch.session_uuid == uuid for other in world.live):
            self.accuse(f"is a second writer of {uuid}")
        if any(other.is_orphan for other in world.live):
            self.accuse("was started before the processes of the last run had ended")
        self._cost = self._cost_before = world.conversations.costs.get(uuid, 0.0)
        self.is_alive = True

    async def send(self, text: str, uuid: str) -> None:
        self._take(text, uuid)

    def send_at_once(self, text: str, uuid: str) -> bool:
        self._take(text, uuid)
        return True

    def _take(self, text: str, uuid: str) -> None:
        if not self.is_alive:
            raise ClientDied("Cannot write to terminated process")
        if self._uuid or (self._has_begun and not self.may_be_overtaken):
            self.accuse(f"was given {text!r} in a running turn")
        if self.world.conversations.has_seen(self.launch.session_uuid, uuid):
            self.accuse(f"was given {text!r} with an id used before: the process drops it without a word")
        self._is_interrupted = False
        self.prompts.append(text)
        self.world.conversations.write(self.launch.session_uuid, text, uuid)
        self.world.written.append(Written(self.launch.client_id, self.launch.session_uuid, text))
        if self._has_begun:
            self._queued = (text, uuid)
            return
        self._uuid = uuid
        if not self.is_hanging:
            self._read_soon(partial(self._begin, text, uuid))

    def _begin(self, text: str, uuid: str) -> None:
        self.tell(Woke())
        self.tell(Requested((uuid,)))
        self.world.on_prompt(self, text)

    async def command(self, text: str, uuid: str) -> None:
        if not self.is_alive:
            raise ClientDied("Cannot write to terminated process")
        if self.is_in_turn:
            self.accuse(f"was given {text!r} in a running turn")
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
            self.finish(text="", error="interrupted", was_aborted=True)

    async def ping(self) -> tuple[Server, ...]:
        await self._listens()
        if not self.is_alive:
            raise ClientDied("Cannot write to terminated process")
        return self.world.servers

    async def suspend(self) -> bool:
        if self.is_in_turn:
            self.accuse("was stopped in a running turn")
        return await super().suspend()

    async def disconnect(self) -> None:
        if self.is_alive and self.is_in_turn and not self._is_interrupted:
            self.accuse("was disconnected in a running turn without an interrupt")
        self._lose_questions()
        await super().disconnect()

    def _lose_questions(self) -> None:
        for scope in tuple(self._asking):
            scope.cancel()

    def _leave(self) -> None:
        """Ends in order: what the conversation has cost is saved."""
        if self.is_alive:
            self.world.conversations.costs[self.launch.session_uuid] = self._cost
        super()._leave()
