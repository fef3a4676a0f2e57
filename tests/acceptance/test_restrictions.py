"""What an agent's file keeps from it is kept from it, by real Claude Code processes, in every permission mode."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from supervisor.api.outcomes import Done
from supervisor.api.prompts import Prompt
from supervisor.config.template import Template
from supervisor.config.templates import load_template
from tests.acceptance.conftest import Bullpen, Open

pytestmark = pytest.mark.anyio

FREE = {"permissionMode": "bypassPermissions"}
"""Nothing is put to a human: what is refused is refused by the file alone."""


AS_ROOT = {"IS_SANDBOX": "1"}
"""Without it the CLI refuses that mode to root."""


async def call(bullpen: Bullpen, tool: str, **arguments: object) -> str:
    outcome = await (
        await bullpen.supervisor.submit(Prompt("desk", f"[[tool: {tool} {json.dumps(arguments)}]]"))
    ).outcome()
    assert isinstance(outcome, Done), outcome
    return outcome.text


async def test_a_bracket_gives_its_tool_for_what_it_names_and_for_nothing_else(
    open_bullpen: Open, tmp_path: Path
) -> None:
    inside, outside = tmp_path / "open" / "a.txt", tmp_path / "b.txt"
    inside.parent.mkdir()
    inside.write_text("marmalade")
    outside.write_text("quicksand")
    tools = f"Agent(helper, tester), Read(/{tmp_path}/open/**), Bash(git:*), WebFetch(domain:example.com), Write"
    async with open_bullpen(1, variables=AS_ROOT, keys={**FREE, "tools": tools}) as bullpen:
        assert "git version" in await call(bullpen, "Bash", command="git --version")
        for command in (
            "echo ran",
            "git --version; touch escaped",
            "git --version $(touch escaped)",
            "GIT_DIR=. git log",
        ):
            assert "allowed only as Bash(git:*)" in await call(bullpen, "Bash", command=command), command
        assert "marmalade" in await call(bullpen, "Read", file_path=str(inside))
        assert "allowed only as Read(" in await call(bullpen, "Read", file_path=str(outside))
        assert "allowed only as WebFetch" in await call(bullpen, "WebFetch", url="http://127.0.0.1:9/", prompt="x")
        task = {"description": "x", "prompt": "[[say: hi]]", "subagent_type": "general-purpose"}
        assert "allowed only as Agent(helper, tester)" in await call(bullpen, "Agent", **task)
        sent = set(bullpen.rehearsal.record[-1].tools)
        assert sent >= {"Agent", "Read", "Bash", "WebFetch", "Write"}
        assert "escaped" not in await call(bullpen, "Bash", command="git ls-files --others")


async def test_a_hook_of_a_file_guards_its_tool_and_one_that_cannot_start_refuses_it(
    open_bullpen: Open, tmp_path: Path
) -> None:
    """It runs in the project that the template lies in, where its scripts are."""
    project = tmp_path / "project"
    agents = project / ".claude" / "agents"
    agents.mkdir(parents=True)
    guard = project / "guard.sh"
    guard.write_text('#!/bin/sh\ncase "$(cat)" in *forbidden*) echo "the guard says no" >&2; exit 2 ;; esac\n')
    guard.chmod(0o755)
    entries = {
        "./guard.sh": "Bash",
        '"$CLAUDE_PROJECT_DIR"/guard.sh': "Write",
        "./missing.sh": "Read",
    }
    hooks = [{"matcher": tool, "hooks": [{"type": "command", "command": command}]} for command, tool in entries.items()]
    keys = {**FREE, "tools": "Bash, Write, Read", "hooks": {"PreToolUse": hooks}, "path": agents / "desk.md"}
    async with open_bullpen(1, variables=AS_ROOT, keys=keys) as bullpen:
        assert "fine" in await call(bullpen, "Bash", command="echo fine")
        assert "the guard says no" in await call(bullpen, "Bash", command="echo forbidden")
        assert "the guard says no" in await call(bullpen, "Write", file_path="x.txt", content="forbidden")
        assert "could not be started" in await call(bullpen, "Read", file_path="x.txt")


ALL_AT_ONCE = {**AS_ROOT, "ENABLE_TOOL_SEARCH": "false"}
"""Every tool is in each request, also where there are many."""
SERVER = {"command": sys.executable, "args": [str(Path(__file__).with_name("tools_server.py"))]}


async def test_of_mcp_servers_only_what_tools_names_runs(open_bullpen: Open) -> None:
    """Of a server that is named in part the model sees every tool, and calls of the others are refused."""
    keys = {
        **FREE,
        "tools": ["Read", "mcp__named__find"],
        "mcpServers": {"named": SERVER, "my wiki": SERVER},
    }
    async with open_bullpen(1, variables=ALL_AT_ONCE, keys=keys) as bullpen:
        assert "find ran" in await call(bullpen, "mcp__named__find")
        assert "not among the agent's tools" in await call(bullpen, "mcp__named__erase")
        assert "ran" not in await call(bullpen, "mcp__my_wiki__find")
        assert set(bullpen.rehearsal.record[-1].tools) == {"Read", "mcp__named__find", "mcp__named__erase"}


async def test_a_server_that_is_taken_away_by_the_name_in_the_file_is_gone(open_bullpen: Open) -> None:
    keys = {
        **FREE,
        "tools": "*",
        "mcpServers": {"my wiki": SERVER, "other": SERVER},
        "disallowedTools": ["mcp__my wiki"],
    }
    async with open_bullpen(1, variables=ALL_AT_ONCE, keys=keys) as bullpen:
        await (await bullpen.supervisor.submit(Prompt("desk", "[[say: hi]]"))).outcome()
        sent = bullpen.rehearsal.record[-1].tools
        assert {tool for tool in sent if tool.startswith("mcp__")} == {"mcp__other__find", "mcp__other__erase"}


async def test_tools_left_empty_are_none_whatever_else_the_file_brings(open_bullpen: Open, tmp_path: Path) -> None:
    path = tmp_path / "empty.md"
    path.write_text("---\nname: desk\ndescription: d\ntools:\npermissionMode: bypassPermissions\n---\nTalk.\n")
    template: Template = load_template(path)
    keys = {
        "tools": template.tools,
        "permissionMode": template.permission_mode,
        "mcpServers": {"a": SERVER},
    }
    async with open_bullpen(1, variables=AS_ROOT, keys=keys) as bullpen:
        await (await bullpen.supervisor.submit(Prompt("desk", "[[say: hi]]"))).outcome()
        assert bullpen.rehearsal.record[-1].tools == ()
