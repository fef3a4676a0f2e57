"""A process that is none: it lives, sleeps, hangs and ends, has memory and a tree, and writes to its pipe."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

import anyio
import anyio.lowlevel

from supervisor.api.errors import ClientDied
from supervisor.process.connection import Launch
from supervisor.process.process_tree import ProcessTable, TreeUsage
from supervisor.process.reports import ClientEvent
from supervisor.testing.world_state import WorldState


class FakeProcess:
    """What is under an agent, whatever that one says: it behaves as processes of the CLI were measured to."""

    def __init__(self, world: WorldState[Any], launch: Launch) -> None:
        self.world = world
        self.launch = launch
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
        self.is_orphan = False
        """Its supervisor was killed, and it goes on."""
        self.survives_terminate = False
        """Does not leave when asked to. Only KILL ends it."""
        self.leaves_behind = 0
        """Processes of its tree that outlive even KILL, as one does that waits for a dead disk."""
        self.was_looked_at = False
        """Its process tree was listed: what it leaves behind when it goes is found again."""
        self._is_stopping = False
        self._woken = anyio.Event()
        """It was woken, or has ended."""
        self._unread: list[Callable[[], None]] = []
        """Takes up what was written while it slept."""
        self._has_reader = False
        self._ended = anyio.Event()
        self._in, self._out = anyio.create_memory_object_stream[ClientEvent | ClientDied](math.inf)

    @property
    def pid(self) -> int:
        return 0

    @property
    def started(self) -> float:
        return 0.0

    # What a test makes it do

    def tell(self, event: ClientEvent | ClientDied) -> None:
        """Writes to the pipe, whether it is still read or not."""
        if self.is_asleep:
            self.accuse("spoke while it was stopped")
        with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
            self._in.send_nowait(event)

    def die(self, exit_code: int = -9) -> None:
        """The process ends, and all waiters are told."""
        self._end()
        self.tell(ClientDied(f"the process ended with exit code {exit_code}", exit_code=exit_code))

    def hang(self) -> None:
        self.is_hanging = True

    def accuse(self, of: str) -> None:
        """Notes that a rule was broken."""
        self.world.violations.append(f"{self.launch.client_id} {of}")

    # What a `Connection` does with a process

    async def listen(self, hear: Callable[[ClientEvent], object]) -> None:
        async for event in self.events():
            hear(event)

    async def events(self) -> AsyncIterator[ClientEvent]:
        if self._has_reader:
            self.accuse("has two readers")
        self._has_reader = True
        with self._out:
            async for event in self._out:
                if isinstance(event, ClientDied):
                    raise event
                yield event

    async def suspend(self) -> bool:
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

    def measure(self, table: ProcessTable) -> TreeUsage:
        if not self.is_alive:
            return TreeUsage()
        resident = self.memory_bytes // 10 if self.is_asleep else self.memory_bytes
        return TreeUsage(resident, 1, 0.0, self.memory_bytes - resident, self.peak_bytes, self.pressure)

    def tree(self) -> FakeTree:
        return FakeTree(self)

    async def disconnect(self) -> None:
        if self.is_alive and not self.was_looked_at:
            self.accuse("was disconnected without a look at its process tree")
        if self.is_alive and not self._heeds_terminate:
            await self._ended.wait()
        self._leave()
        self._in.close()
        self._out.close()

    def terminate(self) -> None:
        if self._heeds_terminate:
            self._leave()

    def kill(self) -> None:
        self._end()

    def close_output(self) -> None:
        """Nothing more is written; what was written before can still be read."""
        self._in.close()

    # What its agent needs

    async def _listens(self) -> None:
        """Returns when it reads what is written to it, or has ended."""
        if self.is_hanging:
            await self._ended.wait()
        while self.is_asleep and self.is_alive:
            await self._woken.wait()

    def _read_soon(self, take_up: Callable[[], None]) -> None:
        """Calls `take_up` at once; while the process sleeps, when it is woken."""
        if self.is_asleep:
            self._unread.append(take_up)
        else:
            take_up()

    @property
    def _heeds_terminate(self) -> bool:
        return not (self.survives_terminate or self.is_hanging or self.is_asleep)

    def _leave(self) -> None:
        """Ends in order."""
        self._end()

    def _end(self) -> None:
        self.is_alive = self.is_asleep = False
        self._ended.set()
        self._woken.set()


class FakeTree:
    """A tree of one process that may refuse to leave."""

    def __init__(self, process: FakeProcess) -> None:
        self._process = process
        self._is_fresh = False

    @property
    def alive_count(self) -> int:
        return int(self._process.is_alive) + self._process.leaves_behind

    def look(self) -> None:
        self._is_fresh = self._process.was_looked_at = True

    async def look_everywhere(self) -> None:
        await anyio.lowlevel.checkpoint()
        self.look()

    def terminate(self) -> None:
        self._use()
        self._process.terminate()

    def kill(self) -> None:
        self._use()
        self._process.kill()
        self._process.close_output()

    def _use(self) -> None:
        """A signal goes to what was listed, and what is listed is out of date by then."""
        if not self._is_fresh:
            self._process.accuse("was sent a signal without a look at its process tree")
        self._is_fresh = False

    async def emptied(self, within: float) -> bool:
        await anyio.lowlevel.checkpoint()
        return not self.alive_count
