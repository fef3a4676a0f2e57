"""A process whose start is cancelled leaves neither itself nor its pipes behind, whenever that comes (R3)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
import psutil
import pytest

from supervisor.api.automation import Action, ActionKind
from supervisor.automation.attempt import Attempt
from supervisor.automation.shell_action import start_program
from supervisor.config.shared_servers import SharedSpec
from supervisor.tools.server_process import open_process

pytestmark = pytest.mark.anyio

MOMENTS = 12
"""Turns of the loop after which the start is cancelled: asyncio needs about six for a process and its three pipes."""


async def of_a_hook(folder: Path) -> None:
    attempt = Attempt("1", 1, 1, 30.0, True, False, folder)
    action = Action(ActionKind.SHELL, command=("sleep", "60"))
    await start_program(action, attempt, {}, resolve=lambda names, folder: ({}, {}), guard=())


async def of_a_server(folder: Path) -> None:
    async with open_process(SharedSpec("stdio", "cat", (), folder=str(folder)), "mark"):
        await anyio.sleep_forever()


async def of_a_client(folder: Path) -> None:
    from claude_agent_sdk import ClaudeAgentOptions

    from supervisor.claude.transport import QuietTransport

    program = folder / "claude"
    program.write_text("#!/bin/sh\nexec cat\n")
    program.chmod(0o755)
    transport = QuietTransport(ClaudeAgentOptions(cli_path=program, cwd=folder), lambda words: None)
    try:
        await transport.connect()
        await anyio.sleep_forever()
    finally:
        with anyio.CancelScope(shield=True):
            await transport.close()


@pytest.mark.parametrize("start", [of_a_hook, of_a_server, of_a_client])
async def test_nothing_is_left(start: Callable[[Path], Awaitable[None]], tmp_path: Path) -> None:
    me = psutil.Process()
    for moment in range(MOMENTS):
        before = {*me.children()}
        async with anyio.create_task_group() as group:
            group.start_soon(start, tmp_path)
            for _ in range(moment):
                await asyncio.sleep(0)
            group.cancel_scope.cancel()
        assert {*me.children()} <= before, f"cancelled after {moment} turns of the loop"
