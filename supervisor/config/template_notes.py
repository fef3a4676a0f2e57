"""What `check` says about a template that is in order: keys without effect, tools that are not known."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

from supervisor.config.hooks import unknown_events
from supervisor.config.output_schema import find_unlisted
from supervisor.config.template import Template, bare, shared_folder
from supervisor.config.validation import Location, dotted, nearest
from supervisor.permissions.brackets import is_enforceable
from supervisor.permissions.server_tools import read_server_tools
from supervisor.text.values import in_words

WITHOUT_EFFECT = (
    "color",
    "memory",
    "background",
    "isolation",
    "initialPrompt",
    "autoCompactWindow",
    "omitClaudeMd",
    "observer",
    "observerMessage",
    "observeToolResults",
    "observeSubagents",
    "experimental",
)
"""Keys of Claude Code's sub-agents that are accepted, so that such files load unchanged, and change nothing here."""

_TOOLS = """
Agent AskUserQuestion Bash BashOutput CronCreate CronDelete CronList Edit EnterPlanMode EnterWorktree ExitPlanMode
ExitWorktree Glob Grep KillShell LS LSP ListAgents ListMcpResourcesTool Monitor MultiEdit NotebookEdit NotebookRead
PowerShell REPL Read ReadMcpResourceDirTool ReadMcpResourceTool ReportFindings ScheduleWakeup SendMessage Skill
SlashCommand Task TaskCreate TaskGet TaskList TaskOutput TaskStop TaskUpdate TodoWrite ToolSearch WebFetch WebSearch
Workflow Write
"""
TOOLS = tuple(_TOOLS.split())
"""Tools of Claude Code, those of earlier versions included (CLI 2.1.332)."""


def find_notes(template: Template, data: Mapping[str, Any]) -> Iterator[tuple[Location, str]]:
    """(key, sentence). `data` is what the file says, its keys as they are spelled there."""
    for key in data:
        if key in WITHOUT_EFFECT:
            yield (key,), f"{key} has no effect in bullpen"
    for event in unknown_events(template.claude_hooks):
        yield ("hooks", event), f"hooks.{event} is no event of Claude Code: it has no effect"
    if "tools" in data:
        yield from _about_tools(template, data["tools"])
    for tool in template.disallowed_tools:
        if "(" in tool:
            yield ("disallowedTools",), f"disallowedTools takes {bare(tool)} away altogether, as in Claude Code: {tool}"
    yield from _unknown("disallowedTools", template.disallowed_tools)
    for way, sentence in find_unlisted(template.output or {}):
        yield ("output", *way), f"{dotted(('output', *way))} {sentence}"
    folder = shared_folder(template)
    if folder is not None and not os.path.lexists(folder):
        yield ("workspace",), f"workspace {folder} does not exist; it is made when the first client starts"


def find_limit_notes(template: Template) -> Iterator[tuple[Location, str]]:
    """Notes on the template's limits, which the host may have changed: the location, and a sentence about it."""
    clients, turns = template.client_limit, template.concurrency.max_sessions
    if clients < turns:
        sentence = (
            f"pool.maxClients is {clients}, fewer than concurrency.maxSessions ({turns}): "
            f"no more than {clients} of its turns can run at once"
        )
        yield ("pool", "maxClients"), sentence


def _about_tools(template: Template, written: object) -> Iterator[tuple[Location, str]]:
    if template.cli_tools == () and not template.functions:
        if not isinstance(written, str | list | tuple) and written is not None:
            yield ("tools",), f"tools is {in_words(written)} and no list: the agent has no tool, as in Claude Code"
        else:
            yield ("tools",), "tools names none: the agent has no tool"
    yield from _unknown("tools", template.cli_tools or ())
    for tool in template.cli_tools or ():
        if "(" in tool and not is_enforceable(tool):
            yield ("tools",), f"tools: {in_words(tool)} cannot be judged, so that every call of {bare(tool)} is refused"
    for server in read_server_tools(template.cli_tools, template.mcp_servers).unnamed:
        sentence = (
            f"tools names no tool of the MCP server {server}: the agent has none of them; mcp__{server} gives all"
        )
        yield ("mcpServers",), sentence


def _unknown(key: str, words: tuple[str, ...]) -> Iterator[tuple[Location, str]]:
    for tool in dict.fromkeys(map(bare, words)):
        if tool in TOOLS or tool.startswith("mcp__") or tool == "*":
            continue
        near = nearest(tool, dict.fromkeys(TOOLS), cutoff=0.7)
        yield (key,), f"{key}: there is no tool {in_words(tool)}" + (f"; did you mean {near}?" if near else "")
