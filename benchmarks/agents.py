"""Real Claude Code processes on the rehearsal endpoint, each driven by its connection alone: no supervisor between."""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
from anyio.abc import TaskGroup

from supervisor import Rehearsal, Settings, Template
from supervisor.api.errors import ClientDied
from supervisor.api.questions import Allow
from supervisor.claude.installation import Installation
from supervisor.claude.options import compile_options
from supervisor.claude.sdk_connection import SdkConnector
from supervisor.permissions.requests import ToolRequest, Verdict
from supervisor.process.cgroups import Cgroups
from supervisor.process.connection import Connection, Connector, Launch
from supervisor.process.executable import wrap_cli, wrap_tools
from supervisor.process.process_tree import ProcessTable, TreeUsage
from supervisor.process.reports import ClientEvent, Rested, Result, TextDelta


@dataclass(frozen=True)
class Answered:
    """Seconds after the prompt was written."""

    sign: float
    first_token: float
    whole: float
    text: str


class Agent:
    def __init__(self, connection: Connection, session_uuid: str) -> None:
        self.on_sign: Callable[[], None] = _nothing
        """Called at the first event of a turn."""
        self.connection = connection
        self.session_uuid = session_uuid
        self._heard: list[tuple[float, ClientEvent | ClientDied]] = []
        self._changed = anyio.Event()

    async def listen(self) -> None:
        try:
            await self.connection.listen(self._note)
        except ClientDied as error:
            self._note(error)

    def _note(self, event: ClientEvent | ClientDied) -> None:
        self._heard.append((time.perf_counter(), event))
        on_sign, self.on_sign = self.on_sign, _nothing
        on_sign()
        changed, self._changed = self._changed, anyio.Event()
        changed.set()

    async def turn(self, text: str) -> Answered:
        """Raises `ClientDied`."""
        seen, began = len(self._heard), time.perf_counter()
        await self.connection.send(text, str(uuid.uuid4()))
        while True:
            heard = self._heard[seen:]
            for _, event in heard:
                if isinstance(event, ClientDied):
                    raise event
            if any(isinstance(event, Rested) for _, event in heard):
                break
            await self._changed.wait()
        at = {type(event): when - began for when, event in reversed(heard)}
        answer = next(event.text for _, event in heard if isinstance(event, Result))
        return Answered(heard[0][0] - began, at[TextDelta], at[Result], answer)

    def measure(self) -> TreeUsage:
        return self.connection.measure(ProcessTable())


def _nothing() -> None:
    """Until a turn wants to know."""


class Agents:
    """Starts them; all are ended with the block in which this was made."""

    def __init__(self, connector: Connector, rehearsal: Rehearsal, folder: Path, group: TaskGroup) -> None:
        self.rehearsal = rehearsal
        self._connector = connector
        self._folder = folder
        self._group = group
        self.running: list[Agent] = []

    async def start(self, session_uuid: str = "") -> Agent:
        """With a session id, the conversation is resumed."""
        session = session_uuid or str(uuid.uuid4())
        name = f"desk-{len(self.running) + 1}"
        launch = Launch(
            client_id=name,
            mark=f"{self._folder.name}:{name}",
            session_uuid=session,
            resume=bool(session_uuid),
            workspace=self._folder / "state" / "workspaces" / session,
            drop_turns=(),
            drops_unjudged=False,
            is_unanswered=False,
            ask=_allow,
        )
        agent = Agent(self._connector.open(launch), session)
        self.running.append(agent)
        await agent.connection.connect()
        self._group.start_soon(agent.listen)
        return agent

    async def end(self, agent: Agent) -> None:
        """Wakes it first: one that is killed saves nothing."""
        tree = agent.connection.tree()
        tree.look()
        agent.connection.wake()
        await agent.connection.disconnect()
        tree.kill()
        await tree.emptied(5)
        self.running.remove(agent)


async def _allow(request: ToolRequest) -> Verdict:
    return Verdict(Allow())


@asynccontextmanager
async def open_agents(
    folder: Path, keys: dict[str, Any] | None = None, cgroups: Cgroups | None = None
) -> AsyncIterator[Agents]:
    """`keys` of their template. State and configuration lie in the folder."""
    state = folder / "state"
    settings = Settings(state_dir=state, rehearsal=True)
    about = {"name": "desk", "description": "measured", "system_prompt": "You help.", "path": folder / "desk.md"}
    template = Template.model_validate({**about, "tools": ["Read", "Write", "Bash"], **(keys or {})})
    async with Rehearsal(pace=0.0) as rehearsal:
        options = compile_options(template, settings, rehearsal.environment(folder / "claude"))
        connector = SdkConnector(options, Installation(state, wrap_cli(state), wrap_tools(state), cgroups))
        async with anyio.create_task_group() as group:
            agents = Agents(connector, rehearsal, folder, group)
            try:
                yield agents
            finally:
                with anyio.CancelScope(shield=True):
                    for agent in tuple(agents.running):
                        await agents.end(agent)
                group.cancel_scope.cancel()
