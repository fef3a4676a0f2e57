"""The Agent Client Protocol's own library as the editor: `bullpen acp` beside a running bullpen with real processes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import anyio
import pytest
from acp import RequestError, schema, text_block
from acp.stdio import spawn_agent_process

from tests.acceptance.test_command_line import ROOT
from tests.acceptance.test_door import serving

pytestmark = pytest.mark.anyio


class Editor:
    """What an editor does: shows updates, answers questions."""

    def __init__(self, answer: str) -> None:
        self.answer = answer
        self.said: list[str] = []
        self.calls: list[tuple[str, str]] = []
        self.asked: list[str] = []
        self.text_arrived = anyio.Event()

    def on_connect(self, conn: Any) -> None:
        """Nothing to be kept."""

    async def session_update(self, session_id: str, update: Any, **_: Any) -> None:
        match update:
            case schema.AgentMessageChunk(content=schema.TextContentBlock(text=text)):
                self.said.append(text)
                self.text_arrived.set()
            case schema.UserMessageChunk(content=schema.TextContentBlock(text=text)):
                self.said.append(f"> {text}")
            case schema.ToolCallStart(title=title, status=status) | schema.ToolCallProgress(title=title, status=status):
                self.calls.append((title or "", status or ""))

    async def request_permission(
        self, session_id: str, tool_call: Any, options: Any, **_: Any
    ) -> schema.RequestPermissionResponse:
        self.asked.append(tool_call.title)
        assert self.answer in [option.option_id for option in options]
        return schema.RequestPermissionResponse(
            outcome=schema.AllowedOutcome(outcome="selected", option_id=self.answer)
        )


def acp_command(folder: Path, user: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "tui", "acp", "desk", "--user", user, "--state", str(folder / "state"))


async def test_an_editor_opens_streams_answers_cancels_and_loads_a_session_again(tmp_path: Path) -> None:
    with serving(tmp_path, tools="Bash, AskUserQuestion"):
        editor = Editor("allow")
        command = acp_command(tmp_path, "ana")
        async with spawn_agent_process(editor, *command, cwd=ROOT) as (connection, _):
            with anyio.fail_after(90):
                opened = await connection.initialize(protocol_version=1)
                assert opened.agent_capabilities is not None
                assert opened.agent_capabilities.load_session
                session = (await connection.new_session(cwd=str(tmp_path), mcp_servers=[])).session_id
                done = await connection.prompt(session_id=session, prompt=[text_block("[[say: hello there]]")])
                assert done.stop_reason == "end_turn"
                assert "hello there" in "".join(editor.said)

                prompt = [text_block('[[tool: Bash {"command": "touch seen.txt"}]] [[say: it ran]]')]
                done = await connection.prompt(session_id=session, prompt=prompt)
                assert done.stop_reason == "end_turn"
                assert editor.asked == ["Bash touch seen.txt"]
                assert [status for _, status in editor.calls] == ["in_progress", "completed"]

                editor.text_arrived = anyio.Event()
                async with anyio.create_task_group() as group:
                    stopped: list[str] = []

                    async def run_long() -> None:
                        long = [text_block("[[stream: 500 words, 0.02]]")]
                        stopped.append((await connection.prompt(session_id=session, prompt=long)).stop_reason)

                    group.start_soon(run_long)
                    await editor.text_arrived.wait()
                    await connection.cancel(session_id=session)
                assert stopped == ["cancelled"]
        again = Editor("deny")
        async with spawn_agent_process(again, *command, cwd=ROOT) as (connection, _):
            with anyio.fail_after(60):
                await connection.initialize(protocol_version=1)
                await connection.load_session(cwd=str(tmp_path), session_id=session, mcp_servers=[])
                said = "".join(again.said)
                assert "> [[say: hello there]]" in said
                assert "hello there" in said
                with pytest.raises(RequestError):
                    await connection.load_session(cwd=str(tmp_path), session_id="another", mcp_servers=[])
                with pytest.raises(RequestError):
                    await connection.prompt(session_id=session, prompt=[])
