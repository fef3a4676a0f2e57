"""Five ways to have Claude Code answer many users. All start the same CLI with the same options and environment."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar
from uuid import uuid4

import anyio
from anyio.abc import TaskGroup
from claude_agent_sdk import (
    ClaudeAgentOptions,
    ClaudeSDKClient,
    PermissionResultDeny,
    ResultMessage,
    StreamEvent,
    SystemMessage,
)

from supervisor import Done, Prompt, SessionKey, Settings, Supervisor, Template
from supervisor.claude.options import CompiledOptions, compile_options
from supervisor.rehearsal.environment import rehearsal_environment

AGENT = "desk"
HELLO = "[[say: Hello.]] The first prompt of a session, never measured."


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds from the moment the prompt was handed over."""

    first: float
    """To the first characters of the reply."""
    result: float
    """To the turn's result."""


@dataclass(frozen=True)
class Stage:
    """What all contenders are given alike."""

    url: str
    folder: Path
    """For configuration, workspaces and state: the contender's own, and empty."""
    users: int

    @property
    def environment(self) -> dict[str, str]:
        return rehearsal_environment(self.url, self.folder / "claude", os.environ)

    def make_template(self, **pool: object) -> Template:
        return Template.model_validate(
            {
                "name": AGENT,
                "description": "a benchmark's agent",
                "system_prompt": "You help.",
                "path": self.folder / "desk.md",
                "tools": ["Read", "Grep", "Write", "AskUserQuestion"],
                "concurrency": {"maxSessions": self.users},
                "pool": {"spares": 0, "idleTtl": "1d"} | pool,
                "queue": {"maxWaiting": 1_000, "maxWait": "none"},
            }
        )

    def make_settings(self) -> Settings:
        return Settings(state_dir=self.folder / "state", rehearsal=True)

    @cached_property
    def options(self) -> CompiledOptions:
        """Those bullpen compiles: once, as it does."""
        return compile_options(self.make_template(), self.make_settings(), self.environment)


class Contender:
    """A session for each user's name. `open` brings it to the state it is in between two turns; what has to be ended
    is left to `ends`."""

    name: ClassVar[str]

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.users = [f"user-{number}" for number in range(stage.users)]

    async def open(self, tasks: TaskGroup, ends: AsyncExitStack) -> None:
        raise NotImplementedError

    async def turn(self, user: str, text: str) -> Timing:
        """Raises when the turn did not end well."""
        raise NotImplementedError


# (a)


class Bullpen(Contender):
    """The supervisor as every caller uses it: submit, stream, outcome."""

    name = "bullpen"
    spares = 0

    async def open(self, tasks: TaskGroup, ends: AsyncExitStack) -> None:
        # One place more than users where there are spares: the spare is there while a session still has its client.
        template = self.stage.make_template(spares=self.spares, maxClients=self.stage.users + self.spares)
        supervisor = Supervisor([template], self.stage.make_settings(), environment=self.stage.environment)
        self.supervisor = await ends.enter_async_context(supervisor)
        if not self.spares:
            async with anyio.create_task_group() as group:
                for user in self.users:
                    group.start_soon(self.turn, user, HELLO)

    async def turn(self, user: str, text: str) -> Timing:
        began = time.perf_counter()
        first = 0.0
        ticket = await self.supervisor.submit(Prompt(AGENT, text, user=user))
        async for _ in ticket.stream():
            first = first or time.perf_counter() - began
        outcome = await ticket.outcome()
        result = time.perf_counter() - began
        if not isinstance(outcome, Done):
            raise RuntimeError(f"the turn ended as {outcome!r}")
        return Timing(first, result)

    async def hibernate(self) -> None:
        """Leaves every session without a client, as an eviction does."""
        for row in (await self.supervisor.snapshot()).sessions:
            if row.client_id:
                await self.supervisor.hibernate(row.key)
        await self._until(lambda: not any(row.client_id for row in self.supervisor.view.snapshot().sessions))

    async def forget(self) -> None:
        """Takes every session off the books; with spares, returns when one is connected."""
        for row in (await self.supervisor.snapshot()).sessions:
            await self.supervisor.close_session(SessionKey(*row.key))
        await self._until(lambda: not self.supervisor.view.snapshot().sessions)
        await self._until(lambda: self.supervisor.view.snapshot().instances[0].pool.spare >= self.spares)

    async def _until(self, condition: Any) -> None:
        while not condition():  # noqa: ASYNC110 - bounded by the caller
            await anyio.sleep(0.005)


class BullpenWithSpare(Bullpen):
    """The same with one connected, never-used client for sessions to come."""

    name = "bullpen-spare"
    spares = 1


# (e)


class Bare:
    """One SDK client with a permanent reader and nothing around it."""

    def __init__(self, stage: Stage, session: str, *, resume: bool = False) -> None:
        workspace = stage.folder / "workspaces" / session
        workspace.mkdir(parents=True, exist_ok=True)
        self.session = session
        self.client = ClaudeSDKClient(
            ClaudeAgentOptions(
                **stage.options.arguments,
                env=dict(stage.options.environment),
                cwd=workspace,
                stderr=lambda line: None,
                can_use_tool=_refuse_tool,
                resume=session if resume else None,
                session_id=None if resume else session,
            )
        )
        self._began = 0.0
        self._first = 0.0
        self._result = 0.0
        self._failure = ""
        self._rested = anyio.Event()

    async def connect(self, tasks: TaskGroup) -> None:
        await self.client.connect()
        tasks.start_soon(self._read)

    async def turn(self, text: str, began: float | None = None) -> Timing:
        """Returns when the client is idle again. What is timed began at `began`, by default now."""
        self._began = time.perf_counter() if began is None else began
        self._first = self._result = 0.0
        self._rested = anyio.Event()
        await self.client.query(_prompt(text))
        await self._rested.wait()
        if self._failure:
            raise RuntimeError(self._failure)
        return Timing(self._first, self._result)

    async def disconnect(self) -> None:
        await self.client.disconnect()

    async def _read(self) -> None:
        # The times are taken right here, before any waiting task is woken: no program can see a message earlier.
        async for message in self.client.receive_messages():
            if isinstance(message, StreamEvent):
                delta = message.event.get("delta") or {}
                if not self._first and delta.get("type") == "text_delta":
                    self._first = time.perf_counter() - self._began
            elif isinstance(message, ResultMessage):
                self._result = time.perf_counter() - self._began
                if message.is_error:
                    self._failure = f"the turn failed: {message.result}"
            elif self._result and isinstance(message, SystemMessage) and message.data.get("state") == "idle":
                self._rested.set()
        self._failure = self._failure or "the client closed its output"
        self._rested.set()


async def _prompt(text: str) -> AsyncIterator[dict[str, Any]]:
    yield {
        "type": "user",
        "message": {"role": "user", "content": text},
        "parent_tool_use_id": None,
        "uuid": str(uuid4()),
    }


async def _refuse_tool(*_: Any) -> PermissionResultDeny:
    return PermissionResultDeny(message="not in a benchmark")


class Floor(Contender):
    """A bare, warm client for each user: nothing can be faster."""

    name = "floor"

    async def open(self, tasks: TaskGroup, ends: AsyncExitStack) -> None:
        self._clients = {user: Bare(self.stage, str(uuid4())) for user in self.users}
        starts = anyio.CapacityLimiter(os.cpu_count() or 1)

        async def begin(client: Bare) -> None:
            async with starts:
                await client.connect(tasks)
            ends.push_async_callback(client.disconnect)
            await client.turn(HELLO)

        async with anyio.create_task_group() as group:
            for client in self._clients.values():
                group.start_soon(begin, client)

    async def turn(self, user: str, text: str) -> Timing:
        return await self._clients[user].turn(text)


# (d)


class GlobalLock(Contender):
    """One client for all users, one turn at a time: the simple design, which shows each user the others' words."""

    name = "lock"

    async def open(self, tasks: TaskGroup, ends: AsyncExitStack) -> None:
        self._client = Bare(self.stage, str(uuid4()))
        self._lock = anyio.Lock()
        await self._client.connect(tasks)
        ends.push_async_callback(self._client.disconnect)
        await self._client.turn(HELLO)

    async def turn(self, user: str, text: str) -> Timing:
        began = time.perf_counter()
        async with self._lock:
            return await self._client.turn(text, began)


# (b)


class PerRequest(Contender):
    """A fresh client for each prompt, with `resume` when the user has a session."""

    name = "per-request"

    async def open(self, tasks: TaskGroup, ends: AsyncExitStack) -> None:
        self._tasks = tasks
        self._sessions: dict[str, str] = {}
        starts = anyio.CapacityLimiter(os.cpu_count() or 1)

        async def begin(user: str) -> None:
            async with starts:
                await self._one_turn(user, HELLO)

        async with anyio.create_task_group() as group:
            for user in self.users:
                group.start_soon(begin, user)

    async def turn(self, user: str, text: str) -> Timing:
        return await self._one_turn(user, text)

    async def _one_turn(self, user: str, text: str) -> Timing:
        began = time.perf_counter()
        known = self._sessions.get(user)
        client = Bare(self.stage, known or str(uuid4()), resume=known is not None)
        try:
            await client.connect(self._tasks)
            timing = await client.turn(text, began)
        finally:
            await client.disconnect()
        self._sessions[user] = client.session
        return timing


# (c)


class GenericPool(PerRequest):
    """The pool of interchangeable clients: takes a connected one out, connects another with `resume`, and so on.

    It has as many generic clients as there are users, so no user waits for one. The client that was taken out is ended
    as well: otherwise each turn would leave a process behind.
    """

    name = "generic-pool"

    async def open(self, tasks: TaskGroup, ends: AsyncExitStack) -> None:
        await super().open(tasks, ends)
        self._put, self._take = anyio.create_memory_object_stream[Bare](self.stage.users)
        ends.push_async_callback(self._end_generic)
        for _ in self.users:
            await self._put.send(await self._connect_generic())

    async def _connect_generic(self) -> Bare:
        client = Bare(self.stage, str(uuid4()))
        await client.connect(self._tasks)
        return client

    async def turn(self, user: str, text: str) -> Timing:
        began = time.perf_counter()
        generic = await self._take.receive()
        resumed = Bare(self.stage, self._sessions[user], resume=True)
        try:
            await resumed.connect(self._tasks)
            return await resumed.turn(text, began)
        finally:
            await resumed.disconnect()
            await generic.disconnect()
            await self._put.send(await self._connect_generic())

    async def _end_generic(self) -> None:
        while self._take.statistics().current_buffer_used:
            await (await self._take.receive()).disconnect()


CONTENDERS: dict[str, type[Contender]] = {
    one.name: one for one in (Bullpen, BullpenWithSpare, PerRequest, GenericPool, GlobalLock, Floor)
}
