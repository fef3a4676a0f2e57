"""What a client is started with: compiled once from a template and the host's settings, and told apart by a digest."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import os
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from supervisor.api.errors import ConfigurationError
from supervisor.config.allowed import allow_rules
from supervisor.config.client_variables import expand, is_of_a_provider, resolve
from supervisor.config.providers import Provider
from supervisor.config.settings import Settings
from supervisor.config.shared_servers import is_shared
from supervisor.config.skills import PLUGIN
from supervisor.config.template import Template, bare, is_confined, reads_anywhere, shared_folder
from supervisor.files.private import host_umask
from supervisor.permissions.server_tools import is_of_server, read_server_tools, spelled
from supervisor.process.executable import UMASK
from supervisor.tools.client_tools import ClientTools

_log = logging.getLogger(__name__)

PEER_TOOLS = ("ListAgents", "SendMessage")
"""With a shared configuration directory these show one session all the others: never offered (sdk-facts §6)."""

SELF_STARTING_TOOLS = ("CronCreate", "CronDelete", "CronList", "Monitor", "ScheduleWakeup", "Workflow")
"""Tools by which the CLI begins turns by itself: not offered unless the template names them in `tools`."""
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
"""Variables that are the same for every client."""

ABOUT_SHARED_FOLDER = (
    "The folder you work in is {path}. You share it with other conversations; your working directory is private to "
    "this one and starts empty. So name files of the folder by their absolute paths, give {path} to Glob and Grep as "
    "the path, and begin in Bash with `cd {quoted}`. Leave notes and drafts of your own in the working directory."
)
"""Added to the system prompt of a template whose `workspace` is a path."""


@dataclass(frozen=True)
class CompiledOptions:
    """Everything that a client is started with, except what belongs to one session."""

    arguments: Mapping[str, Any]
    """Of the SDK. They end up in the arguments of a process, which every local user can read: no secrets."""
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    """On top of the inherited one."""
    prompt: str = field(default="", repr=False)
    """The system prompt; empty for the CLI's own few words."""
    servers: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """MCP servers by name."""
    granted: tuple[str, ...] = ()
    """Names of variables that the template's `env` gives to tools."""
    template: Template | None = field(default=None, repr=False, compare=False)
    """For the walls of one session."""
    tools: ClientTools = field(default_factory=ClientTools, repr=False, compare=False)
    """Tools that this process itself offers."""
    plain: CompiledOptions | None = field(default=None, repr=False, compare=False)
    """These options before they were served to a provider; None when they were not."""
    hidden: bool = False
    """Nothing of what the host's environment says of providers and credentials reaches the client."""
    secrets: tuple[str, ...] = ()
    """Names of variables that the client has for its provider: none of its tools gets them."""

    @cached_property
    def digest(self) -> str:
        """Equal for equal options, whatever order they were written in; covers every value."""
        walls: list[Any] | None = None
        if (template := self.template) is not None:
            walls = [template.sandbox, is_confined(template)]
            if template.claude_hooks or reads_anywhere(template) or template.brackets:
                walls += [template.claude_hooks, template.tools]
        parts = [self.arguments, self.environment, self.prompt, self.servers, self.granted, walls, self.tools.digest]
        parts += ["hidden"] if self.hidden else []
        canonical = json.dumps(parts, sort_keys=True, default=str)
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def serve(options: CompiledOptions, provider: Provider, model: str, *, rehearses: bool) -> CompiledOptions:
    """The options for that provider and model. An empty `model` is the template's; it is translated to the provider's
    name, and where there is none the provider chooses. In rehearsal every client talks to the rehearsal."""
    options = options.plain or options
    template = options.template
    wanted = model or (template.model if template is not None else None) or ""
    arguments = {name: value for name, value in options.arguments.items() if name != "model"}
    if found := provider.model(wanted):
        arguments["model"] = found
    if provider.settings.fallback_model and "fallback_model" not in arguments:
        arguments["fallback_model"] = provider.settings.fallback_model
    if rehearses or not provider.settings.is_own:
        return dataclasses.replace(options, arguments=arguments, plain=options)
    kept = {name: value for name, value in options.environment.items() if not is_of_a_provider(name)}
    return dataclasses.replace(
        options,
        arguments=arguments,
        environment={**kept, **provider.environment},
        plain=options,
        hidden=True,
        secrets=tuple(sorted(provider.environment)),
    )


def compile_options(
    template: Template,
    settings: Settings,
    environment: Mapping[str, str],
    *,
    environ: Mapping[str, str] | None = None,
    skills: Path | None = None,
    tools: ClientTools | None = None,
) -> CompiledOptions:
    """The same input gives the same digest. `environment` is added last (rehearsal, provider), `environ` is what the
    template's references name (this process's own by default), `skills` the plugin with the skills that were found,
    `tools` what this process itself offers.

    Raises `ConfigurationError` when a reference of `env` cannot be followed.
    """
    known = os.environ if environ is None else environ
    own, wrong = resolve(template.env, template.path.parent, known)
    if wrong:
        raise ConfigurationError([f"{template.name}: env.{name} {sentence}" for name, sentence in wrong.items()])
    arguments: dict[str, Any] = {
        "permission_mode": template.permission_mode,
        "disallowed_tools": sorted({*_taken(template), *PEER_TOOLS, *_unwanted(template)}),
        "setting_sources": list(template.settings),
        "strict_mcp_config": True,
        "include_partial_messages": True,
        "verbatim_prompts": True,
        "max_buffer_size": MAX_LINE,
        "extra_args": {**EXTRA_ARGUMENTS, **({"restricted": None} if is_confined(template) else {})},
    }
    if template.cli_tools is not None:
        needed = ["Skill"] if template.skills else []
        # The CLI takes no bracket here: `permissions.brackets` judges every call by it.
        named = [bare(tool) for tool in template.cli_tools if "(" not in tool or tool.endswith(")")]
        arguments["tools"] = list(dict.fromkeys([*named, *needed]))
    if template.max_turns is not None:
        arguments["max_turns"] = template.max_turns
    if template.skills:
        found = set() if skills is None else {path.name for path in (skills / "skills").iterdir()}
        arguments["skills"] = [f"{PLUGIN}:{name}" if name in found else name for name in template.skills]
    if skills is not None:
        arguments["plugins"] = [{"type": "local", "path": str(skills)}]
    shared = shared_folder(template)
    if folders := [str(folder) for folder in (shared, skills) if folder is not None]:
        arguments["add_dirs"] = folders
    if template.allow:
        arguments["allowed_tools"] = allow_rules(template)
    arguments |= _thinking(template)
    base = {
        **FIXED_VARIABLES,
        "CLAUDE_CODE_MAX_RETRIES": str(settings.max_retries),
        "CLAUDE_BYTE_STREAM_IDLE_TIMEOUT_MS": str(int(settings.stream_idle_timeout * 1000)),
    }
    if not any(tool.startswith(_TIMERS) for tool in template.cli_tools or ()):
        # Also a timer that is in the workspace already does not fire then (measured).
        base["CLAUDE_CODE_DISABLE_CRON"] = "1"
    if shared is not None:
        base[UMASK] = f"{host_umask():03o}"
    return CompiledOptions(
        arguments,
        {**own, **base, **environment},
        prompt=_prompt(template, shared),
        servers={
            name: expand({key: value for key, value in server.items() if key != "shared"}, {**known, **own})
            for name, server in template.mcp_servers.items()
            if not is_shared(server)
        },
        granted=tuple(sorted(own)),
        template=template,
        tools=tools or ClientTools(),
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


def _taken(template: Template) -> Iterator[str]:
    """Tools taken away: those that the template names, without their brackets, as in Claude Code; and MCP servers of
    which `tools` names nothing."""
    for tool in map(bare, template.disallowed_tools):
        yield tool
        if is_of_server(tool) and "*" not in tool:
            yield spelled(tool)
    yield from read_server_tools(template.cli_tools, template.mcp_servers).taken


def _unwanted(template: Template) -> Iterator[str]:
    named = {tool.partition("(")[0] for tool in template.cli_tools or ()}
    return (tool for tool in SELF_STARTING_TOOLS if tool not in named)
