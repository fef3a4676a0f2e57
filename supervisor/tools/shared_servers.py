"""All shared MCP servers of one supervisor: each runs as long as a client may call it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import anyio
from anyio.abc import TaskGroup

from supervisor.api.shared_servers import SharedServerRow, SharedState
from supervisor.config.shared_servers import SharedSpec
from supervisor.in_thread import run_in_thread
from supervisor.late_imports import import_late
from supervisor.process.process_tree import LOST, ProcessTable, TreeUsage
from supervisor.tools.cache import Cache, Sources
from supervisor.tools.source import Whose

if TYPE_CHECKING:
    from mcp import types

    from supervisor.tools.shared_server import SharedServer

LIST_TTL = 300.0
"""Seconds after which a list of tools is read anew, whatever its server says of it (S4.7-11)."""
KEPT = 256
"""Lists of tools."""
LOOK = 5.0
"""Seconds between two looks at what they use, and whether they are still of use."""


@dataclass(eq=False)
class _Entry:
    """A server, and what keeps it there."""

    spec: SharedSpec
    sources: WeakSet[SharedSource] = field(default_factory=WeakSet)
    """What clients and templates hold of it."""
    server: SharedServer | None = None
    """Once it runs."""
    is_there: asyncio.Event = field(default_factory=asyncio.Event)
    """Set with it."""
    scope: anyio.CancelScope | None = None
    measure: TreeUsage = field(default_factory=TreeUsage)


class SharedSource:
    """A `ToolSource`: one shared server as one template names it."""

    def __init__(self, name: str, agent: str, entry: _Entry, settings: Mapping[str, Any]) -> None:
        self._name = name
        self.settings = settings
        self.agent = agent
        self._entry = entry
        self.digest = entry.spec.digest
        server = entry.server
        self._version = f"{self.digest}:{server.generation if server is not None else 0}"

    @property
    def name(self) -> str:
        return self._name

    @property
    def version(self) -> str:
        """Version of the server's tools when this source was made. Other tools have another version, and another
        source."""
        return self._version

    @property
    def trouble(self) -> str:
        server = self._entry.server
        return server.trouble if server is not None else ""

    async def told(self) -> list[types.Tool]:
        return await (await self._running()).tell_tools()

    async def call_tool(self, name: str, arguments: Mapping[str, Any], whose: Whose) -> types.CallToolResult:
        if (context := whose()) is None:
            from supervisor.tools.results import as_error

            return as_error(f"{name} was not called: no turn of this session runs")
        meta = {
            "bullpen/instance": context.instance,
            "bullpen/user": context.user,
            "bullpen/session": context.session,
            "bullpen/turn": context.turn,
        }
        return await (await self._running()).call(name, arguments, meta)

    async def _running(self) -> SharedServer:
        await self._entry.is_there.wait()
        assert self._entry.server is not None, "it is there"
        return self._entry.server


class SharedServers:
    """Started and stopped in the task of `run`. `offer` may be called from any thread, and before that."""

    def __init__(self, mark: str, on_tools: Callable[[frozenset[str]], object], sources: Sources | None = None) -> None:
        """`on_tools` is told the agents whose clients have to be told of other tools. `sources` are those of all caches
        of the supervisor."""
        self._lists: Cache[list[types.Tool]] = Cache("mcp-tools", capacity=KEPT, ttl=LIST_TTL, sources=sources)
        self._mark = mark
        self._on_tools = on_tools
        self._entries: dict[str, _Entry] = {}
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        """While it runs."""
        self._has_fresh = asyncio.Event()

    def offer(
        self, name: str, agent: str, spec: SharedSpec, settings: Mapping[str, Any] = MappingProxyType({})
    ) -> SharedSource:
        """The server of that definition, for the clients of one agent: the same for all who define it so. `settings`
        are what only the CLI is told of it."""
        with self._lock:
            entry = self._entries.setdefault(spec.digest, _Entry(spec))
            source = SharedSource(name, agent, entry, settings)
            entry.sources.add(source)
            loop = self._loop
        if loop is not None:
            with suppress(RuntimeError):  # it has ended meanwhile
                loop.call_soon_threadsafe(self._has_fresh.set)
        return source

    async def run(self) -> None:
        """Runs the servers until it is cancelled; then no process of any of them is left."""
        with self._lock:
            self._loop = asyncio.get_running_loop()
        try:
            async with anyio.create_task_group() as group:
                while True:
                    self._has_fresh.clear()
                    await self._start_and_stop(group)
                    await run_in_thread(self._measure, abandon_on_cancel=True)
                    with anyio.move_on_after(LOOK if self._entries else None):
                        await self._has_fresh.wait()
        finally:
            with self._lock:
                self._loop = None

    async def _start_and_stop(self, group: TaskGroup) -> None:
        with self._lock:
            fresh = [entry for entry in self._entries.values() if entry.server is None]
            unused = [entry for entry in self._entries.values() if not entry.sources]
            for entry in unused:
                del self._entries[entry.spec.digest]
        for entry in unused:
            if entry.scope is not None:
                entry.scope.cancel()
        if not fresh:
            return
        module = await import_late("supervisor.tools.shared_server")
        for entry in fresh:
            mark = f"{self._mark}:shared-{entry.spec.digest}"
            entry.server = module.SharedServer(entry.spec, mark, self._tell, self._lists, time.monotonic)
            entry.scope = anyio.CancelScope()
            entry.is_there.set()
            group.start_soon(_run, entry.server, entry.scope)

    def _tell(self, server: SharedServer) -> None:
        with self._lock:  # a template may be compiled in a thread just now
            entry = next((one for one in self._entries.values() if one.server is server), None)
            agents = frozenset(source.agent for source in entry.sources) if entry is not None else frozenset()
        if agents:
            self._on_tools(agents)

    def _measure(self) -> None:
        """Blocking. What cannot be measured now is shown as it was."""
        with self._lock:
            entries = [entry for entry in self._entries.values() if entry.server is not None and entry.server.pid]
        if entries:
            with suppress(*LOST):
                table = ProcessTable()
                for entry in entries:
                    assert entry.server is not None, "it runs"
                    entry.measure = table.measure(entry.server.pid)

    def rows(self, clients: Mapping[str, int]) -> tuple[SharedServerRow, ...]:
        """`clients` are the running clients of each agent."""
        with self._lock:
            entries = [(entry, list(entry.sources)) for entry in self._entries.values()]
        return tuple(sorted((_row(entry, sources, clients) for entry, sources in entries), key=lambda row: row.name))


async def _run(server: SharedServer, scope: anyio.CancelScope) -> None:
    with scope:
        await server.run()


def _row(entry: _Entry, sources: list[SharedSource], clients: Mapping[str, int]) -> SharedServerRow:
    agents = tuple(sorted({source.agent for source in sources}))
    count = sum(clients.get(agent, 0) for agent in agents)
    names = ", ".join(sorted({source.name for source in sources}))
    server = entry.server
    if server is None:
        return SharedServerRow(names, entry.spec.kind, entry.spec.what, SharedState.STARTING, agents, count)
    measure = entry.measure if server.pid else TreeUsage()
    return SharedServerRow(
        name=names,
        kind=entry.spec.kind,
        what=entry.spec.what,
        state=server.state,
        agents=agents,
        clients=count,
        tools=len(server.tools or ()),
        note=server.note,
        breaker=server.breaker,
        calls=server.calls,
        errors=server.errors,
        running=server.running,
        waiting=server.waiting,
        restarts=server.restarts,
        processes=measure.processes,
        memory_bytes=measure.memory_bytes,
        saved_bytes=measure.memory_bytes * max(0, count - 1),
        connect_seconds=server.connect_seconds,
    )
