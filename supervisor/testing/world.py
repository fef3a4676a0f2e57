"""What a test holds and steers: all connections of one supervisor, and how its agents answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import anyio.lowlevel

from supervisor.config.limits import Limits
from supervisor.config.templates import Template
from supervisor.journal import ClientRecord
from supervisor.process.connection import Connector, Launch
from supervisor.process.reports import Compacted
from supervisor.testing.connection import FakeConnection
from supervisor.testing.world_state import WorldState

_OF_NO_CLIENT = {*Limits.model_fields, "description", "archetype", "auto_start", "path", "triggers"}

OnPrompt = Callable[[FakeConnection, str], None]


def answer_at_once(connection: FakeConnection, text: str) -> None:
    """The default agent: replies to each prompt immediately."""
    connection.reply(f"You said: {text}")


def hold(connection: FakeConnection, text: str) -> None:
    """An agent that says nothing until the test makes it (`connection.reply`)."""


def compact_at_once(connection: FakeConnection, text: str) -> None:
    """The default for a command: the conversation is shortened."""
    connection.tell(Compacted(connection.context_tokens, 100))
    connection.context_tokens = 100
    connection.finish(text="")


@dataclass
class FakeWorld(WorldState[FakeConnection]):
    """The processes of one test, and all that they share."""

    on_prompt: OnPrompt = answer_at_once
    on_command: OnPrompt = compact_at_once

    def connect(self, template: Template) -> Connector:
        """Hand this to `Supervisor(connect=...)`."""
        return FakeConnector(self, template)

    def holder_of(self, prompt: str) -> FakeConnection:
        """The connection that was given this prompt last."""
        return next(one for one in reversed(self.connections) if prompt in one.prompts)

    def lose_parent(self) -> None:
        """The supervisor was killed: idle processes leave at the end of their input, busy ones go on (measured), and
        what they say is not read."""
        for index, connection in enumerate(self.connections):
            if connection.is_alive and connection.is_in_turn:
                self.connections[index] = connection.orphaned()
            connection.kill()

    async def end_orphans(self, records: Sequence[ClientRecord]) -> tuple[int, int]:
        """What `orphans.end_orphans` does for real processes: ends those that an earlier run has recorded."""
        marks = {record.mark for record in records}
        found = [connection for connection in self.live if connection.launch.mark in marks]
        for connection in found:
            await anyio.lowlevel.checkpoint()
            connection.kill()
        return len(found), 0


class FakeConnector:
    def __init__(self, world: FakeWorld, template: Template, provider: str = "", model: str = "") -> None:
        self._world = world
        self._template = template
        self._provider, self._model = provider or template.provider or "default", model or template.model or ""
        self._digest = f"{template.model_dump_json(exclude=_OF_NO_CLIENT)} {self._provider} {self._model}"

    def variant(self, provider: str, model: str) -> FakeConnector:
        return FakeConnector(self._world, self._template, provider, model)

    @property
    def digest(self) -> str:
        """Hash of everything that a client could be told; limits and descriptions are not part of it."""
        return self._digest

    @property
    def expected_bytes(self) -> int:
        return self._world.expected_bytes

    def open(self, launch: Launch) -> FakeConnection:
        connection = FakeConnection(self._world, launch)
        connection.template = self._template
        connection.provider, connection.model = self._provider, self._model
        self._world.connections.append(connection)
        return connection
