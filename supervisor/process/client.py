"""The owner of one process, from connect to a verified end. Its task is the connection's only, permanent reader."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from functools import partial
from typing import Generic, NamedTuple

import anyio
from anyio.abc import TaskGroup

from supervisor.api.errors import ClientDied, ClientReportFailed, ConnectFailed
from supervisor.api.states import Server, ServerState
from supervisor.process import attribution
from supervisor.process.attribution import Attribution
from supervisor.process.connection import Connection
from supervisor.process.departure import Departure, ProcessDeadlines
from supervisor.process.end_reason import SAVES, UNASKED, EndReason
from supervisor.process.listener import Listener, PlaceT
from supervisor.process.patience import TERMINATE, Patience
from supervisor.process.process_tree import ProcessTable, TreeUsage
from supervisor.process.reports import ClientEvent
from supervisor.process.sleep import ClientSleep
from supervisor.process.standstill import happens_within

_log = logging.getLogger(__name__)


SERVERS = 0.25
"""Seconds between two looks at MCP servers that are still connecting."""


class _Letter(NamedTuple):
    """A prompt on its way to the process."""

    text: str
    uuid: str
    recorded: asyncio.Event
    is_command: bool


class Client(Generic[PlaceT]):
    """Commands (`send`, `interrupt`, `end`) are synchronous and only leave a note; `run` acts on them.

    `run` never raises for what its process does, nor for a bug in handling it: both are told
    through `error` and `reason`. It raises only for our own mistakes in the ending, when the process tree is ended.
    """

    def __init__(
        self,
        place: PlaceT,
        connection: Connection,
        listener: Listener[PlaceT],
        deadlines: ProcessDeadlines,
        starts: anyio.CapacityLimiter,
        patience: Patience | None = None,
    ) -> None:
        """`patience` shortens the ladder for all clients at once; without, nothing does."""
        self.place = place
        self.reason: EndReason | None = None
        self.error: Exception | None = None
        """What the process did, when it was not us who ended it."""
        self.is_gone = False
        """Its process tree was verified to be empty, and that was told."""
        self.is_undelivered = False
        """Nothing shows that the prompt that it was given last has reached the process: it may be given to another."""
        self.has_written = False
        """That prompt was written. Where it is undelivered all the same, it may have been read without a word."""
        self._connection = connection
        self._listener = listener
        self._deadlines = deadlines
        self._starts = starts
        self._patience = patience or Patience()
        self._outbox, self._prompts = anyio.create_memory_object_stream[_Letter](math.inf)
        self._interrupt_wanted = asyncio.Event()
        self._ending = asyncio.Event()
        self._recorded = asyncio.Event()
        """Set when the start of the prompt is recorded: from here on it may be written."""
        self._group: TaskGroup | None = None
        """Of all that is done while the process is connected."""
        self._turn = Attribution(place, listener, on_missed=self._interrupt_missed)
        self._servers: tuple[Server, ...] = ()
        self._departure = Departure(connection, deadlines, self._patience, self._tell_step)
        self._sleep = ClientSleep(
            place,
            connection,
            listener,
            ask=self._ask_for_a_sign,
            deadline=deadlines.wake,
            on_silence=self._give_up_waking,
        )
        self._has_read_all = asyncio.Event()
        """Nothing more will be heard of the process."""

    def __repr__(self) -> str:
        return f"<Client of {self.place!r}, pid {self.pid}>"

    @property
    def pid(self) -> int:
        return self._connection.pid

    @property
    def started(self) -> float:
        return self._connection.started

    @property
    def spent_before(self) -> float | None:
        """Dollars that its running total of costs begins with; None when that is not known."""
        return self._connection.spent_before

    @property
    def has_saved(self) -> bool | None:
        """Whether the process, which is gone, has saved that total: it does unless it is killed. None when it is not
        known what ended it."""
        if self._sleep.is_down or self.reason is EndReason.NEVER_WOKE:
            return False
        if self.error is None:
            return None if self._departure.has_killed else True
        code = self.error.exit_code if isinstance(self.error, ClientDied) else None
        return None if code is None else code in SAVES

    @property
    def is_at_rest(self) -> bool:
        """Whether the CLI has said that it is idle. A slot may be READY without: a background agent works on."""
        return self._turn.is_at_rest

    def measure(self, table: ProcessTable) -> TreeUsage:
        """Blocking: call it in a thread."""
        return self._connection.measure(table)

    # Commands

    def send(self, text: str, uuid: str, recorded: asyncio.Event, *, is_command: bool = False) -> None:
        """Writes one prompt, or a command of the CLI, once it is `recorded` that it begins. Its place must be
        READY: one turn at a time."""
        self._turn.expect(uuid)
        self._recorded = recorded
        self.is_undelivered, self.has_written = True, False
        letter = _Letter(text, uuid, recorded, is_command)
        if not (recorded.is_set() and self._write_at_once(letter)):
            self._outbox.send_nowait(letter)

    def _write_at_once(self, letter: _Letter) -> bool:
        """A prompt that nothing keeps is on its way before anything else is done for its turn. False when something
        does: then it waits for that."""
        if letter.is_command or not self._turn.is_quiet or self._ending.is_set():
            return False
        try:
            if not self._connection.send_at_once(letter.text, letter.uuid):
                return False
            self._note_written()
        except ClientDied as error:
            self._die(error)
        return True

    def _note_written(self) -> None:
        self.has_written = True
        self.is_undelivered = self._sleep.is_waking
        self._turn.written.set()

    def sleep(self) -> None:
        """Has its processes stopped and their memory handed back. Its place must be READY."""
        self._sleep.begin()

    def wake(self) -> None:
        """Takes that back at once. A prompt may be sent from here on; whether all is well shows its first sign."""
        self._sleep.wake()

    def note_sign(self) -> None:
        """The process has given a sign of life."""
        if self._sleep.is_down or self._sleep.is_waking:
            self._sleep.note_sign()
            if self.has_written:
                self.is_undelivered = False

    def interrupt(self) -> None:
        """Stops what runs, a turn that the CLI began by itself included; the Results that follow are told as any
        other."""
        self._disown()
        self._interrupt_wanted.set()

    def end(self, reason: EndReason) -> None:
        """Ends the process by the ladder. The first reason given stays."""
        if self.reason is None:
            self.reason = reason
        self._ending.set()

    def _disown(self) -> None:
        """A prompt that has not been written yet never will be; its writer need not wait for the record any longer."""
        self._turn.disown()
        self._recorded.set()

    # The task

    async def run(self) -> None:
        began = anyio.current_time()
        try:
            if await self._connect():
                self._listener.client_ready(self.place, anyio.current_time() - began)
                await self._live()
        except* Exception as mistakes:
            self._fall(mistakes)
        finally:
            # A native cancel brings no reason: the reason was set before, where there is one.
            self.end(EndReason.CANCELLED)
            await self.leave()

    async def leave(self) -> None:
        """Ends the process, verified, and tells it. A cancel of anyio's does not reach it; a native one may: then it is
        called again, and goes on where the process stands."""
        with anyio.CancelScope(shield=True):
            await self._leave()

    async def _connect(self) -> bool:
        """Connects. False when the client was ended before it was ready, or could not be started."""
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(self._cancel_when_ending, group.cancel_scope)
                async with self._starts:
                    self._listener.client_starting(self.place)
                    try:
                        with anyio.fail_after(self._deadlines.connect):
                            await self._connection.connect()
                    except TimeoutError:
                        raise ConnectFailed(
                            f"the client was not ready within {self._deadlines.connect:.0f} s; see connect_timeout"
                        ) from None
                group.cancel_scope.cancel()
        except* ConnectFailed as failures:
            if self.reason is None:
                self.error = failures.exceptions[0]
            self.end(EndReason.START_FAILED)
        return not self._ending.is_set()

    async def _cancel_when_ending(self, scope: anyio.CancelScope) -> None:
        await self._ending.wait()
        scope.cancel()

    async def _live(self) -> None:
        async with anyio.create_task_group() as group:
            self._group = group
            group.start_soon(self._read, group)
            group.start_soon(self._write)
            group.start_soon(self._turn.rest_at_last)
            group.start_soon(self._obey_interrupts)
            group.start_soon(self._watch_servers)
            group.start_soon(self._watch_health)
            group.start_soon(self._sleep.obey)
            await self._ending.wait()
            if self.reason is EndReason.NEVER_WOKE:
                await self._hear_last_words()
            if self._turn.is_busy and self.error is None and self.reason not in UNASKED:
                self._listener.client_ending(self.place, "interrupt")
                self._disown()
                with self._patience.wait(math.inf, until=TERMINATE):
                    await self._interrupt_and_settle()
            if self._turn.rested is not None and self.error is None and self.reason not in UNASKED:
                # A process that is left in the middle of what follows a Result takes its time.
                with self._patience.wait(attribution.REST, until=TERMINATE):
                    await self._turn.rested.wait()
            group.cancel_scope.cancel()

    async def _read(self, group: TaskGroup) -> None:
        try:
            await self._connection.listen(partial(self._hear, group))
            self._die(ClientDied("the process closed its output"))
        except ClientDied as error:
            self._die(error)
        finally:
            self._has_read_all.set()

    def _hear(self, group: TaskGroup, event: ClientEvent) -> None:
        self._turn.hear(event, group)
        # Not before it is heard: it may be the beginning of a turn of its own, which no prompt may overtake.
        self.note_sign()

    async def _write(self) -> None:
        async for letter in self._prompts:
            # What is not recorded as begun would be begun again after a restart.
            if not letter.recorded.is_set():
                await letter.recorded.wait()
            if not self._turn.is_quiet:
                await self._turn.wait_for_quiet(letter.uuid)
            if letter.uuid == self._turn.unwanted:
                self._turn.give_up(letter.uuid)
                continue
            try:
                if letter.is_command:
                    self._turn.pick_up()  # no request names it: what comes is about it
                    await self._connection.command(letter.text, letter.uuid)
                else:
                    await self._connection.send(letter.text, letter.uuid)
                self._note_written()
            except ClientDied as error:
                self._die(error)

    async def _watch_servers(self) -> None:
        """Looks until none is connecting any more, also while a turn runs: it may be held back because of one. Whether
        the process is well is for `_watch_health` to say."""
        while self.reason is None:
            with anyio.move_on_after(self._deadlines.control):
                try:
                    await self._ping()
                except ClientDied:
                    return
            if not any(server.state is ServerState.PENDING for server in self._servers):
                return
            await anyio.sleep(SERVERS)

    async def _ping(self) -> None:
        self._note_servers(await self._connection.ping())

    def _note_servers(self, servers: tuple[Server, ...]) -> None:
        if servers != self._servers:
            self._servers = servers
            self._listener.client_servers(self.place, servers)

    async def _watch_health(self) -> None:
        """Asks an idle process for a sign of life. A busy one is left alone: silence is no proof of anything."""
        while True:
            await anyio.sleep(self._deadlines.health)
            if self._turn.uuid or self._turn.own_over is not None or self._turn.rested is not None or self._is_asleep:
                continue
            has_answered = await happens_within(self._deadlines.control, self._look_after)
            is_idle = not self._turn.uuid and self._turn.own_over is None and not self._is_asleep
            if is_idle and not has_answered:
                self.error = ClientDied(f"it did not answer a ping within {self._deadlines.control:g} s")
                self.end(EndReason.UNRESPONSIVE)

    async def _look_after(self) -> None:
        try:
            await self._ping()
        except ClientDied as error:
            self._die(error)

    @property
    def _is_asleep(self) -> bool:
        """Whether the client's processes are stopped or waking, so that they cannot answer a ping."""
        return self._sleep.is_down or self._sleep.is_waking

    async def _ask_for_a_sign(self) -> None:
        with contextlib.suppress(ClientDied):  # the reader tells what became of it
            await self._ping()
            self.note_sign()

    def _give_up_waking(self) -> None:
        if self.reason is None:
            seconds = self._deadlines.wake
            self.error = ClientDied(f"it gave no sign of life within {seconds:g} s after it was woken")
        self.end(EndReason.NEVER_WOKE)

    async def _hear_last_words(self) -> None:
        """Kills the process, then waits for what it said before: the sign that it has read its prompt may still be on
        its way."""
        await self._departure.kill()
        with anyio.move_on_after(self._deadlines.kill):
            await self._has_read_all.wait()

    async def _obey_interrupts(self) -> None:
        while True:
            await self._interrupt_wanted.wait()
            self._interrupt_wanted = asyncio.Event()
            await self._sleep.has_signed()
            if self._turn.is_interruptible and not await self._interrupt_and_settle():
                self.end(EndReason.UNRESPONSIVE)

    async def _interrupt_and_settle(self) -> bool:
        """Interrupts what runs. True when the Result of each running turn has come, or the process has ended; then
        nothing is waited for any more."""
        ends = self._turn.ends
        with anyio.move_on_after(self._deadlines.control + self._deadlines.settle) as scope:
            async with anyio.create_task_group() as group:
                group.start_soon(self._deliver_interrupt, scope)
                for end in ends:
                    await end.wait()
                if ends:
                    group.cancel_scope.cancel()
        return all(end.is_set() for end in ends)

    async def _deliver_interrupt(self, scope: anyio.CancelScope) -> None:
        """Gives up on the whole attempt when the process does not answer."""
        with anyio.move_on_after(self._deadlines.control) as delivery:
            try:
                if self._turn.own_over is None and self._turn.uuid:
                    await self._turn.written.wait()
                await self._connection.interrupt()
            except ClientDied as error:
                self._die(error)
        if delivery.cancelled_caught:
            scope.cancel()

    def _interrupt_missed(self) -> None:
        if self._group is not None:
            self._group.start_soon(self._interrupt_again)

    async def _interrupt_again(self) -> None:
        with anyio.move_on_after(self._deadlines.control):
            try:
                await self._connection.interrupt()
            except ClientDied as error:
                self._die(error)

    def _fall(self, mistakes: ExceptionGroup) -> None:
        """An error while handling one client's message ends this client and no other."""
        _log.error("%s is ended by a mistake", self.place.id, exc_info=mistakes)
        first: Exception = mistakes
        while isinstance(first, ExceptionGroup):
            first = first.exceptions[0]
        if self.reason is None:
            self.error = ClientReportFailed(f"bullpen could not handle what its client did ({first!r}); see its log")
        self.end(EndReason.INTERNAL_ERROR)

    def _die(self, error: ClientDied) -> None:
        if self.reason is None:
            self.error = error
        self.end(EndReason.DIED)
        # Leaving comes first: nothing may begin on it. Then what waits for an idle sign is told.
        self._tell_step("died")
        self._turn.note_death()

    async def _leave(self) -> None:
        """The lower half of the ladder."""
        began = anyio.current_time()
        self._outbox.close()
        self._prompts.close()
        # One that sleeps is not woken in order to end: its memory would be read back only to be thrown away.
        left_over = await self._departure.run(waits=self.reason is not EndReason.PANIC, kills=self._sleep.is_down)
        self.is_gone = True
        self._listener.client_gone(self.place, anyio.current_time() - began, left_over)

    def _tell_step(self, step: str) -> None:
        self._listener.client_ending(self.place, step)
