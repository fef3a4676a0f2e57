"""The journal's database without its thread, on a disk that a test makes slow or full; other threads are done without.

A thread's answer comes whenever it comes. An example that is to end the same way each time it is tried has none: what
would be done in a thread is done at once, at the same place of the loop.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar
from unittest import mock

import aiosqlite
import anyio
import anyio.lowlevel

from supervisor.journal import writer

T = TypeVar("T")


class Disk:
    def __init__(self) -> None:
        self.is_full = False
        self.gate: anyio.Event | None = None
        """When set, everything that is written waits for it."""
        self._connections: list[_Connection] = []

    @property
    def is_well(self) -> bool:
        return not self.is_full and self.gate is None

    @contextmanager
    def instead_of_threads(self) -> Iterator[None]:
        with (
            mock.patch.object(aiosqlite, "connect", self._connect),
            mock.patch.object(writer, "call_in_thread", self._call_at_once),
            mock.patch.object(anyio.to_thread, "run_sync", _run_at_once),
        ):
            yield

    def heal(self) -> None:
        self.is_full = False
        gate, self.gate = self.gate, None
        if gate is not None:
            gate.set()

    def cut(self) -> None:
        """As at a kill: what was committed is there, nothing else ever will be."""
        for connection in self._connections:
            connection.stop()

    async def _call_at_once(
        self, connection: _Connection, work: Callable[[], object], *, then: Callable[[], object]
    ) -> None:
        """A transaction, when it may be made."""
        await anyio.lowlevel.checkpoint()
        if self.gate is not None:
            await self.gate.wait()
        if self.is_full:
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise error
        connection.check()
        work()
        then()

    def _connect(self, path: Path, **settings: Any) -> _Connection:
        made = _Connection(lambda: sqlite3.connect(path, **settings))
        self._connections.append(made)
        return made


class _Connection(aiosqlite.Connection):
    """Does at once what it would have its thread do."""

    def __init__(self, connector: Callable[[], sqlite3.Connection]) -> None:
        super().__init__(connector, iter_chunk_size=64)

    def __await__(self) -> Generator[Any, None, aiosqlite.Connection]:
        return self._open().__await__()

    async def _open(self) -> aiosqlite.Connection:
        self._connection = self._connector()
        return self

    async def _execute(self, fn: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        await anyio.lowlevel.checkpoint()
        self.check()
        return fn(*args, **kwargs)

    def check(self) -> None:
        """Raises when it was cut off."""
        if self._connection is None:
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = sqlite3.SQLITE_IOERR
            raise error

    async def close(self) -> None:
        await anyio.lowlevel.checkpoint()
        self.stop()

    def stop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()


async def _run_at_once(call: Callable[..., T], *args: Any, **_: Any) -> T:
    await anyio.lowlevel.checkpoint()
    return call(*args)
