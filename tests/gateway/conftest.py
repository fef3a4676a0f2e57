"""The door over the fake world: a supervisor, its app, and HTTP clients with and without a token."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from supervisor.config.settings import Settings
from supervisor.config.templates import Template
from supervisor.engine.supervisor import Supervisor
from supervisor.files.socket_path import SOCKET, short_path
from supervisor.gateway.door import Door
from supervisor.gateway.tokens import Role, TokenFile
from supervisor.testing import FakeWorld
from tui.cli.running_engine import forgive_late_reads

ORIGIN = "https://chat.example.org"


@pytest.fixture
def world() -> FakeWorld:
    return FakeWorld()


MakeTemplate = Callable[..., Template]


@pytest.fixture
def make_template(tmp_path: Path) -> MakeTemplate:
    def make(name: str = "desk", **keys: object) -> Template:
        return Template.model_validate(
            {"name": name, "description": "a test agent", "system_prompt": "Help.", "path": tmp_path / f"{name}.md"}
            | keys
        )

    return make


@dataclass
class Bullpen:
    """A running supervisor with its door open."""

    supervisor: Supervisor
    door: Door
    folder: Path
    stack: AsyncExitStack
    left: anyio.Event

    async def operator(self) -> httpx.AsyncClient:
        """By the socket, without a token."""
        name = self.stack.enter_context(short_path(self.folder / SOCKET))
        transport = httpx.AsyncHTTPTransport(uds=name)
        client = httpx.AsyncClient(transport=transport, base_url="http://bullpen", timeout=30)
        return await self.stack.enter_async_context(client)

    async def caller(self, role: Role = Role.USER, **of: str) -> httpx.AsyncClient:
        """Over the network, with a token of its own."""
        _, text = self.door.tokens.add(role, **of)
        return await self.stranger(Authorization=f"Bearer {text}")

    async def stranger(self, **headers: str) -> httpx.AsyncClient:
        """Over the network, with these headers."""
        client = httpx.AsyncClient(
            base_url=self.door.url, headers=headers, timeout=30, verify=False
        )  # reads no certificates
        return await self.stack.enter_async_context(client)


Open = Callable[..., AbstractAsyncContextManager[Bullpen]]


@pytest.fixture
def bullpen(world: FakeWorld, make_template: MakeTemplate, tmp_path: Path) -> Open:
    """`async with bullpen(template, ...)`; without templates, a service of two."""

    @asynccontextmanager
    async def begin(
        *templates: Template, origins: tuple[str, ...] = (ORIGIN,), **host: object
    ) -> AsyncIterator[Bullpen]:
        chosen = templates or (make_template(concurrency={"maxSessions": 2}, pool={"spares": 0}),)
        folder = tmp_path / "state"
        settings = Settings.model_validate({"state_dir": folder, "cleanup_interval": 0.01} | host)
        left = anyio.Event()
        forgive_late_reads(asyncio.get_running_loop())
        async with AsyncExitStack() as stack:
            supervisor = await stack.enter_async_context(Supervisor(chosen, settings, connect=world.connect))
            door = Door(
                supervisor,
                folder,
                tokens=TokenFile(folder),
                version="0",
                leave=left.set,
                listen=("127.0.0.1", 0),
                origins=origins,
                answer_links=supervisor.answer_links,
            )
            group = await stack.enter_async_context(anyio.create_task_group())
            await group.start(door.run)
            stack.callback(group.cancel_scope.cancel)
            yield Bullpen(supervisor, door, folder, stack, left)

    return begin


@pytest.fixture
def tokens(tmp_path: Path) -> TokenFile:
    return TokenFile(tmp_path)


@dataclass
class Told:
    """One server-sent event."""

    name: str
    data: Any
    id: str = ""


async def read_events(response: httpx.Response) -> AsyncIterator[Told]:
    """Of a stream, as they arrive."""
    fields: dict[str, str] = {}
    async for line in response.aiter_lines():
        if not line:
            if "data" in fields:
                yield Told(fields.get("event", ""), json.loads(fields["data"]), fields.get("id", ""))
            fields = {}
        elif not line.startswith(":"):
            name, _, value = line.partition(": ")
            fields[name] = value
