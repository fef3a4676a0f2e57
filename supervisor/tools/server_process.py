"""The process of one shared MCP server: started under a guard, spoken to over its pipes, ended with its children."""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import anyio
import psutil
from anyio.abc import ByteReceiveStream, Process
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp import types
from mcp.shared.message import SessionMessage

from supervisor.config.client_variables import is_for_tools
from supervisor.config.host_notes import find_program
from supervisor.config.shared_servers import SharedSpec
from supervisor.process import guard
from supervisor.process.process_tree import LOST, MARK, Tree
from supervisor.text.cleaning import clean, one_line

MOST_LINE = 16 * 1024 * 1024
"""Bytes of one message. One that is longer is an error for the call that it answers; where that cannot be found out, it
ends the connection."""
_ENDS = 200
"""Bytes at each end of such a message in which it is looked for what it answers."""
_ID_FIRST = re.compile(rb'\s*\{\s*"jsonrpc"\s*:\s*"2\.0"\s*,\s*"id"\s*:\s*(\d{1,18})\s*[,}]')
_ID_LAST = re.compile(rb',\s*"id"\s*:\s*(\d{1,18})\s*(,\s*"jsonrpc"\s*:\s*"2\.0"\s*)?\}\s*\Z')
LEAVES, TERMINATE, KILL = 2.0, 1.0, 5.0
"""Seconds from the end of its input to TERM, from there to KILL, and from there to a verified end."""
MOST_WORDS = 2_000
"""Characters of what it wrote to stderr last that are kept."""

_log = logging.getLogger(__name__)


class ServerFailed(Exception):
    """Raised when a server could not be started, or does not speak MCP. One line."""


@dataclass
class Pipes:
    """A running server, as `mcp.ClientSession` takes it."""

    read: MemoryObjectReceiveStream[SessionMessage | Exception]
    write: MemoryObjectSendStream[SessionMessage]
    pid: int = 0
    """Of its guard, where it has one: everything that it has started is below. 0 for a server at an address."""
    ended: anyio.Event = field(default_factory=anyio.Event)
    """Nothing more will come from it."""
    words: list[str] = field(default_factory=list)
    """What it wrote to stderr last."""

    @property
    def last_words(self) -> str:
        return one_line(clean("".join(self.words)[-MOST_WORDS:].strip().rpartition("\n")[2]), 300)


@asynccontextmanager
async def open_process(spec: SharedSpec, mark: str) -> AsyncIterator[Pipes]:
    """Verifies at the end that none of its processes is left. Raises `ServerFailed` when it cannot be started."""
    variables = {**{name: value for name, value in os.environ.items() if is_for_tools(name)}, **spec.variables}
    program = _find_program(spec, variables.get("PATH"))
    command = [program, *spec.arguments]
    environment = {**variables, MARK: mark}
    if sys.platform.startswith("linux"):
        command = [sys.executable, "-I", "-S", guard.__file__, *command]
        environment[guard.SUPERVISOR] = str(os.getpid())
    try:
        # Cancelled half-way, asyncio gives process and pipes up before they are closed, and nothing else knows them.
        with anyio.CancelScope(shield=True):
            process = await anyio.open_process(command, env=environment, cwd=spec.folder, start_new_session=True)
    except OSError as error:
        raise ServerFailed(f"{spec.what} cannot be started in {spec.folder}: {error.strerror}") from error
    root = None
    with suppress(*LOST):
        root = psutil.Process(process.pid)
    tree = Tree(root, mark)
    try:
        async with _speaking(process) as pipes:
            yield pipes
    finally:
        with anyio.CancelScope(shield=True):
            await _end(process, tree)


def _find_program(spec: SharedSpec, path: str | None) -> str:
    """Path of the server's program. A relative path with a slash counts from the folder that the server runs in. Raises
    `ServerFailed`."""
    has_place = os.sep in os.path.expanduser(spec.command)
    found = find_program(spec.command, Path(spec.folder), path)
    if found is None:
        where = f"in {spec.folder}" if has_place else "on the PATH"
        raise ServerFailed(f"there is no program {one_line(clean(spec.command), 100)} {where}")
    return found


@asynccontextmanager
async def _speaking(process: Process) -> AsyncIterator[Pipes]:
    arrived, read = anyio.create_memory_object_stream[SessionMessage | Exception](64)
    write, to_send = anyio.create_memory_object_stream[SessionMessage](0)
    pipes = Pipes(read, write, process.pid)
    async with anyio.create_task_group() as group:
        group.start_soon(_read, process, arrived, pipes)
        group.start_soon(_write, process, to_send, pipes)
        group.start_soon(_hear, process, pipes.words)
        try:
            yield pipes
        finally:
            group.cancel_scope.cancel()
            for stream in (arrived, read, write, to_send):
                stream.close()


async def _read(process: Process, arrived: MemoryObjectSendStream[Any], pipes: Pipes) -> None:
    assert process.stdout is not None, "it is a pipe"
    try:
        async for line in _lines(process.stdout):
            if isinstance(line, _TooLong):
                await arrived.send(_excuse(line))
            elif line.strip():
                await arrived.send(_parse(line))
    except (anyio.ClosedResourceError, anyio.BrokenResourceError, ServerFailed) as error:
        _log.warning("a shared MCP server is not read any more: %r", error)
    finally:
        arrived.close()
        pipes.ended.set()


class _TooLong(NamedTuple):
    """What is kept of a line."""

    head: bytes
    tail: bytes


async def _lines(stream: ByteReceiveStream) -> AsyncIterator[bytes | _TooLong]:
    parts: list[bytes] = []
    length = 0
    with suppress(anyio.EndOfStream):
        while True:
            chunk = await stream.receive(65_536)
            *whole, rest = chunk.split(b"\n")
            for line in whole:
                told = b"".join([*parts, line])
                yield told if length + len(line) <= MOST_LINE else _TooLong(told[:_ENDS], told[-_ENDS:])
                parts, length = [], 0
            parts.append(rest)
            length += len(rest)
            if length > MOST_LINE:
                kept = b"".join(parts)
                parts = [kept[:_ENDS], kept[-_ENDS:]]  # the rest of it is read, and thrown away


def _excuse(line: _TooLong) -> SessionMessage:
    """An error for the call that it was the answer of: all others go on. Raises `ServerFailed` when it is not known
    which one that was."""
    found = _ID_FIRST.match(line.head) or _ID_LAST.search(line.tail)
    if found is None:
        raise ServerFailed("one of its messages is too long")
    data = types.ErrorData(code=types.INTERNAL_ERROR, message=f"its answer has more than {MOST_LINE:,} bytes")
    return SessionMessage(types.JSONRPCMessage(types.JSONRPCError(jsonrpc="2.0", id=int(found[1]), error=data)))


def _parse(line: bytes) -> SessionMessage | Exception:
    try:
        return SessionMessage(types.JSONRPCMessage.model_validate_json(line))
    except ValueError:
        return ServerFailed("it wrote a line that is no message of MCP")


async def _write(process: Process, to_send: MemoryObjectReceiveStream[SessionMessage], pipes: Pipes) -> None:
    assert process.stdin is not None, "it is a pipe"
    try:
        async for message in to_send:
            line = message.message.model_dump_json(by_alias=True, exclude_none=True)
            await process.stdin.send(line.encode("utf-8", "replace") + b"\n")
    except (anyio.ClosedResourceError, anyio.BrokenResourceError):
        pipes.ended.set()


async def _hear(process: Process, words: list[str]) -> None:
    assert process.stderr is not None, "it is a pipe"
    with suppress(anyio.EndOfStream, anyio.ClosedResourceError, anyio.BrokenResourceError):
        while True:
            chunk = await process.stderr.receive(65_536)
            words[:] = ["".join([*words, chunk.decode("utf-8", "replace")])[-MOST_WORDS:]]


async def _end(process: Process, tree: Tree) -> None:
    tree.look()
    if process.stdin is not None:
        with suppress(OSError, anyio.ClosedResourceError, anyio.BrokenResourceError):
            await process.stdin.aclose()
    if not await tree.emptied(LEAVES):
        tree.look()
        tree.terminate()
        if not await tree.emptied(TERMINATE):
            tree.look()
            tree.kill()
            await tree.emptied(KILL)
    with anyio.move_on_after(KILL):
        await process.aclose()
    if tree.alive_count:
        _log.error("%d processes of a shared MCP server do not end", tree.alive_count)
