"""The end of one agent process: disconnect, TERM, KILL, and a look whether anything of its tree is left."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import anyio
import anyio.lowlevel

from supervisor.process.connection import Connection, ProcessTree
from supervisor.process.patience import KILL, TERMINATE, Patience


class ProcessDeadlines(NamedTuple):
    """Seconds. Nothing waits for a process without one of these."""

    connect: float = 60.0
    control: float = 5.0
    """A control request (interrupt, ping) is answered in 1-20 ms; a stopped process never answers."""
    health: float = 30.0
    """Between two pings of an idle client."""
    settle: float = 10.0
    """From an interrupt to the Result that it causes."""
    disconnect: float = 2.0
    """An interrupted client leaves in 6-30 ms."""
    terminate: float = 1.0
    kill: float = 5.0
    wake: float = 10.0
    """From waking a client to its first sign of life."""


class Departure:
    """Ends the process of one connection, step by step. Run again after a native cancel, it goes on where the process
    stands."""

    def __init__(
        self, connection: Connection, deadlines: ProcessDeadlines, patience: Patience, tell_step: Callable[[str], None]
    ) -> None:
        """`tell_step` is told each step before it is taken: disconnect, verify, terminate, kill."""
        self.has_killed = False
        """Something of the tree, perhaps the process itself, left only when it was killed."""
        self._connection = connection
        self._deadlines = deadlines
        self._patience = patience
        self._tell_step = tell_step

    async def kill(self) -> None:
        """The last step first, where nothing else can reach the process. `run` has to follow."""
        tree = self._connection.tree()
        tree.look()
        await self._kill(tree)

    async def run(self, *, waits: bool, kills: bool = False) -> int:
        """Returns how many processes are left, which is 0 unless the system does not let them go. With `waits` the
        process may leave by itself first; with `kills` it is killed at once."""
        tree = self._connection.tree()
        tree.look()
        self._tell_step("disconnect")
        left = anyio.Event()
        async with anyio.create_task_group() as group:
            # The SDK shields its disconnect, so it gets a task of its own: a process that does not leave is ended
            # underneath it, which lets the disconnect return.
            group.start_soon(self._disconnect, left)
            if kills:
                await anyio.lowlevel.checkpoint()  # first it stops listening: a death that is wanted is no failure
                await self._end_at_once(tree)
            with self._patience.wait(self._deadlines.disconnect if waits else 0, until=TERMINATE):
                await left.wait()
            tree.look()
            await self._end_tree(tree)
        self._tell_step("verify")
        await tree.look_everywhere()
        await self._end_tree(tree)
        if not left.is_set():
            # Its task was cancelled from outside: what it holds is still to be closed. No process is left to wait for.
            with anyio.move_on_after(self._deadlines.disconnect):
                await self._connection.disconnect()
        return tree.alive_count

    async def _disconnect(self, left: anyio.Event) -> None:
        await self._connection.disconnect()
        left.set()

    async def _end_tree(self, tree: ProcessTree) -> None:
        if tree.alive_count:
            self._tell_step("terminate")
            tree.terminate()
            with self._patience.wait(self._deadlines.terminate, until=KILL):
                await tree.emptied(math.inf)
            await self._end_at_once(tree)

    async def _end_at_once(self, tree: ProcessTree) -> None:
        if tree.alive_count:
            tree.look()
            await self._kill(tree)

    async def _kill(self, tree: ProcessTree) -> None:
        self._tell_step("kill")
        self.has_killed = True
        tree.kill()
        await tree.emptied(self._deadlines.kill)
