"""What a client is started with: compiled once from a template and the host's settings, and told apart by a digest."""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from supervisor.bundled import UMASK, wrap_cli
from supervisor.connection import Connector
from supervisor.private import host_umask
from supervisor.settings import Settings
from supervisor.template import Template, shared_folder

MakeConnector = Callable[[Template], Connector]

PEER_TOOLS = ("ListAgents", "SendMessage")
"""With a shared configuration directory these show one session all the others: never offered (sdk-facts §6)."""

SELF_STARTING_TOOLS = ("CronCreate", "CronDelete", "CronList", "Monitor", "ScheduleWakeup", "Workflow")
"""They make the CLI begin turns that nobody has asked for: not offered unless the template names them in `tools`."""
_TIMERS = ("Cron", "ScheduleWakeup")

MAX_LINE = 64 * 1024 * 1024
"""Characters of one line of the CLI's output; the SDK's default of 1 MiB kills a session on one large message."""

EXTRA_ARGUMENTS: Mapping[str, str | None] = {
    # Else an edited system prompt never reaches a conversation that was begun with another one (sdk-facts §11).
    "system-prompt-snapshot": "off",
}
"""Of the CLI, where the SDK has no option of its own."""

FIXED_VARIABLES: Mapping[str, str] = {
    "CLAUDE_CODE_EMIT_SESSION_STATE_EVENTS": "1",
    "CLAUDE_ENABLE_BYTE_WATCHDOG": "1",
    "CLAUDE_CODE_DISABLE_BACKGROUND_TASKS": "1",
    # Kept by git repository, and so by all sessions where the state directory lies in one.
    "CLAUDE_CODE_DISABLE_AUTO_MEMORY": "1",
}
"""The same for every client."""

ABOUT_SHARED_FOLDER = (
    "The folder you work in is {path}. You share it with other conversations; your working directory is private to "
    "this one and starts empty. So name files of the folder by their absolute paths, give {path} to Glob and Grep as "
    "the path, and begin in Bash with `cd {quoted}`. Leave notes and drafts of your own in the working directory."
)
"""Added to the system prompt of a template whose `workspace` is a path."""


@dataclass(frozen=True)
class CompiledOptions:
    """All that a client is started with but for what belongs to one session."""

    arguments: Mapping[str, Any]
    """Of the SDK. They end up in the arguments of a process, which every local user can read: no secrets."""
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    """On top of the inherited one."""
    prompt: str = field(default="", repr=False)
    """The system prompt; empty for the CLI's own few words."""
    servers: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """MCP servers by name."""

    @cached_property
    def digest(self) -> str:
        """Equal for equal options, whatever order they were written in; covers every value."""
        parts = [self.arguments, self.environment, self.prompt, self.servers]
        canonical = json.dumps(parts, sort_keys=True, default=str)
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def compile_options(template: Template, settings: Settings, environment: Mapping[str, str]) -> CompiledOptions:
    """Pure: the same input gives the same digest. `environment` is added last (rehearsal, provider)."""
    arguments: dict[str, Any] = {
        "permission_mode": template.permission_mode,
        "disallowed_tools": sorted({*template.disallowed_tools, *PEER_TOOLS, *_unwanted(template)}),
        "setting_sources": ["user", "project"] if template.skills else [],
        "strict_mcp_config": True,
        "include_partial_messages": True,
        "verbatim_prompts": True,
        "max_buffer_size": MAX_LINE,
        "extra_args": dict(EXTRA_ARGUMENTS),
    }
    if template.tools is not None:
        arguments["tools"] = list(template.tools)
    if template.max_turns is not None:
        arguments["max_turns"] = template.max_turns
    if template.skills:
        arguments["skills"] = list(template.skills)
    if (shared := shared_folder(template)) is not None:
        arguments["add_dirs"] = [str(shared)]
    arguments |= _thinking(template)
    base = {
        **FIXED_VARIABLES,
        "CLAUDE_CODE_MAX_RETRIES": str(settings.max_retries),
        "CLAUDE_BYTE_STREAM_IDLE_TIMEOUT_MS": str(int(settings.stream_idle_timeout * 1000)),
    }
    if not any(tool.startswith(_TIMERS) for tool in template.tools or ()):
        # Also a timer that is in the workspace already does not fire then (measured).
        base["CLAUDE_CODE_DISABLE_CRON"] = "1"
    if shared is not None:
        base[UMASK] = f"{host_umask():03o}"
    return CompiledOptions(
        arguments, {**base, **environment}, prompt=_prompt(template, shared), servers=template.mcp_servers
    )


def _thinking(template: Template) -> dict[str, Any]:
    found: dict[str, Any] = {
        "model": template.model,
        "effort": template.effort,
        "fallback_model": template.fallback_model,
        "output_format": None if template.output is None else {"type": "json_schema", "schema": template.output},
    }
    return {name: value for name, value in found.items() if value is not None}


def _prompt(template: Template, shared: Path | None) -> str:
    """The CLI names its own working directory and additional ones to the model, but not what they are for."""
    if shared is None:
        return template.system_prompt
    return "\n\n".join(
        filter(None, [template.system_prompt, ABOUT_SHARED_FOLDER.format(path=shared, quoted=shlex.quote(str(shared)))])
    )


def _unwanted(template: Template) -> Iterator[str]:
    named = {tool.partition("(")[0] for tool in template.tools or ()}
    return (tool for tool in SELF_STARTING_TOOLS if tool not in named)


def bundled_cli(settings: Settings, environment: Mapping[str, str]) -> MakeConnector:
    """Makes connectors to the CLI that comes with the SDK, with `environment` on top of the inherited one."""

    # Written once, before anything is started: a script that is open for writing cannot be run.
    cli = wrap_cli(settings.state_dir)

    def make(template: Template) -> Connector:
        from supervisor.sdk import SdkConnector

        return SdkConnector(compile_options(template, settings, environment), settings.state_dir, cli)

    return make
