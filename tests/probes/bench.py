"""One probe's place: a folder, a configuration directory, and clients of the SDK that are heard by one reader each."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import claude_agent_sdk as sdk
import psutil
from claude_agent_sdk.types import StreamEvent

from supervisor.process.process_tree import LOST, MARK, iter_processes
from supervisor.rehearsal import Rehearsal
from supervisor.rehearsal.request import MessagesRequest


class Talker:
    """A connected client, and all that it has said."""

    def __init__(self, client: sdk.ClaudeSDKClient) -> None:
        self.client = client
        self.said: list[Any] = []
        self.ending: str = ""
        """Why its reader ended, when it did."""

    async def listen(self) -> None:
        try:
            async for message in self.client.receive_messages():
                self.said.append(message)
        except Exception as error:
            self.ending = f"{type(error).__name__}: {error}"

    @property
    def results(self) -> list[sdk.ResultMessage]:
        return [message for message in self.said if isinstance(message, sdk.ResultMessage)]

    @property
    def text(self) -> str:
        """What was streamed."""
        events = [message.event for message in self.said if isinstance(message, StreamEvent)]
        return "".join(event.get("delta", {}).get("text", "") for event in events)

    @property
    def states(self) -> list[str]:
        """The CLI's own word for what it does, and its Results, in order."""
        found = []
        for message in self.said:
            if isinstance(message, sdk.ResultMessage):
                found.append("result")
            elif isinstance(message, sdk.SystemMessage) and message.subtype == "session_state_changed":
                found.append(str(message.data.get("state")))
        return found

    async def pid(self) -> int:
        return int((await self.client.get_server_info() or {}).get("pid") or 0)

    async def send(self, text: str, name: str = "") -> str:
        """Writes a prompt. Returns its uuid: `name` as one, or a new one."""
        given = name or str(uuid.uuid4())

        async def prompt() -> AsyncIterator[dict[str, Any]]:
            message = {"role": "user", "content": text}
            yield {"type": "user", "message": message, "parent_tool_use_id": None, "uuid": given}

        await self.client.query(prompt())
        return given

    async def turn(self, text: str) -> sdk.ResultMessage:
        """Writes a prompt and waits for its Result."""
        given = await self.send(text)
        await self.until(lambda: any(given in _uuids(result) for result in self.results))
        return next(result for result in self.results if given in _uuids(result))

    async def until(self, condition: Callable[[], object]) -> None:
        while not condition():
            if self.ending and not condition():
                raise RuntimeError(f"the client has ended: {self.ending}")
            await anyio.sleep(0.005)


def _uuids(result: sdk.ResultMessage) -> list[str]:
    return [*(result.user_message_uuids or ()), *([result.user_message_uuid] if result.user_message_uuid else ())]


class Bench:
    def __init__(self, rehearsal: Rehearsal, folder: Path, cli: Path | None = None) -> None:
        self.rehearsal = rehearsal
        self.folder = folder
        self.config_dir = folder / "claude"
        self.workspace = folder / "workspace"
        self.workspace.mkdir(parents=True)
        self._cli = cli
        self._seen = len(rehearsal.record)
        self.last_words: list[str] = []
        """What the CLIs of this probe wrote to stderr."""

    @property
    def requests(self) -> list[MessagesRequest]:
        """Those of this probe, oldest first."""
        return self.rehearsal.record[self._seen :]

    def options(self, **more: Any) -> sdk.ClaudeAgentOptions:
        environment = self.rehearsal.environment(self.config_dir) | {
            MARK: f"probe:{self.folder.name}",
            "CLAUDE_CODE_EMIT_SESSION_STATE_EVENTS": "1",
            **more.pop("env", {}),
        }
        defaults: dict[str, Any] = {
            "cwd": self.workspace,
            "tools": [],
            "setting_sources": [],
            "include_partial_messages": True,
            "verbatim_prompts": True,
            "cli_path": self._cli,
        }
        return sdk.ClaudeAgentOptions(env=environment, stderr=self.last_words.append, **(defaults | more))

    @asynccontextmanager
    async def talker(self, **more: Any) -> AsyncIterator[Talker]:
        client = sdk.ClaudeSDKClient(self.options(**more))
        await client.connect()
        talker = Talker(client)
        async with anyio.create_task_group() as group:
            group.start_soon(talker.listen)
            try:
                yield talker
            finally:
                with anyio.CancelScope(shield=True), anyio.move_on_after(8):
                    with contextlib.suppress(Exception), anyio.fail_after(2):
                        await client.interrupt()
                    with contextlib.suppress(Exception):
                        await client.disconnect()
                group.cancel_scope.cancel()

    async def refusal(self, **more: Any) -> str:
        """What a client that cannot be started says, its last words included; empty when it can."""
        try:
            async with self.talker(**more):
                return ""
        except Exception as error:
            while isinstance(error, BaseExceptionGroup) and error.exceptions:
                error = error.exceptions[0]
            return f"{error} {' '.join(self.last_words)}"

    def processes(self) -> list[psutil.Process]:
        """Everything that a client of this probe has started and that still lives."""
        found = []
        for process in iter_processes():
            with contextlib.suppress(*LOST):
                is_ours = process.environ().get(MARK) == f"probe:{self.folder.name}"
                if is_ours and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def clear(self) -> None:
        for process in self.processes():
            with contextlib.suppress(*LOST):
                process.kill()
