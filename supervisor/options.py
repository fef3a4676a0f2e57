"""What a client is started with: compiled once from a template and the host's settings, and told apart by a digest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from supervisor.bundled import UMASK, wrap_cli
from supervisor.connection import Connector
from supervisor.private import host_umask
from supervisor.settings import Settings
from supervisor.templates import Template

MakeConnector = Callable[[Template], Connector]

PEER_TOOLS = ("ListAgents", "SendMessage")
"""With a shared configuration directory these show one session all the others: never offered (sdk-facts §6)."""

MAX_LINE = 64 * 1024 * 1024
"""Characters of one line of the CLI's output; the SDK's default of 1 MiB kills a session on one large message."""


@dataclass(frozen=True)
class CompiledOptions:
    """The SDK's options but for what belongs to one session, and the environment on top of the inherited one."""

    arguments: Mapping[str, Any]
    environment: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def digest(self) -> str:
        """Equal for equal options, whatever order they were written in; covers every value."""
        canonical = json.dumps([self.arguments, self.environment], sort_keys=True, default=str)
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def compile_options(template: Template, settings: Settings, environment: Mapping[str, str]) -> CompiledOptions:
    """Pure: the same input gives the same digest. `environment` is added last (rehearsal, provider)."""
    arguments: dict[str, Any] = {
        "system_prompt": template.system_prompt or None,
        "permission_mode": template.permission_mode,
        "disallowed_tools": sorted({*template.disallowed_tools, *PEER_TOOLS}),
        "setting_sources": ["user", "project"] if template.skills else [],
        "strict_mcp_config": True,
        "include_partial_messages": True,
        "verbatim_prompts": True,
        "max_buffer_size": MAX_LINE,
    }
    if template.tools is not None:
        arguments["tools"] = list(template.tools)
    if template.model is not None:
        arguments["model"] = template.model
    if template.max_turns is not None:
        arguments["max_turns"] = template.max_turns
    if template.mcp_servers:
        arguments["mcp_servers"] = template.mcp_servers
    if template.skills:
        arguments["skills"] = list(template.skills)
    base = {
        "CLAUDE_CODE_MAX_RETRIES": str(settings.max_retries),
        "CLAUDE_CODE_EMIT_SESSION_STATE_EVENTS": "1",
        "CLAUDE_ENABLE_BYTE_WATCHDOG": "1",
        "CLAUDE_BYTE_STREAM_IDLE_TIMEOUT_MS": str(int(settings.stream_idle_timeout * 1000)),
        "CLAUDE_CODE_DISABLE_BACKGROUND_TASKS": "1",
    }
    if template.workspace != "private":
        base[UMASK] = f"{host_umask():03o}"
    return CompiledOptions(arguments, {**base, **environment})


def bundled_cli(settings: Settings, environment: Mapping[str, str]) -> MakeConnector:
    """Makes connectors to the CLI that comes with the SDK, with `environment` on top of the inherited one."""

    # Written once, before anything is started: a script that is open for writing cannot be run.
    cli = wrap_cli(settings.state_dir)

    def make(template: Template) -> Connector:
        from supervisor.sdk import SdkConnector

        return SdkConnector(compile_options(template, settings, environment), cli)

    return make
