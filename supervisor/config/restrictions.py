"""The walls around the clients of a template: what their tools cannot reach, whatever they are asked to do.

Pure but for `find_mistakes`, which looks at the host.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from supervisor.config.client_variables import resolve
from supervisor.config.hooks import EVENTS, compile_hooks, project_of
from supervisor.config.skills import find_skills, skill_folders
from supervisor.config.template import Template, is_confined, runs_commands, shared_folder
from supervisor.config.tool_functions import describe_functions, read_functions
from supervisor.config.validation import Location
from supervisor.files.paths import find_config_dir

OF_THE_CLI = (
    "tasks/**",
    "teams/**",
    "agent-memory/**",
    "plans/**",
    "todos/**",
    "file-history/**",
    "sessions/**",
    "session-env/**",
    "shell-snapshots/**",
    "paste-cache/**",
    "image-cache/**",
    "uploads/**",
    "jobs/**",
    "debug/**",
    "backups/**",
    "history.jsonl",
    ".credentials.json",
    ".claude.json*",
)
"""Below the configuration directory, shared by all sessions. The file tools read the first three without a question
(measured), and no agent has any business in the others."""
PLANS = ".claude/plans"
"""Below the workspace, where a confined agent can write its plan; the CLI's own place is shared by all sessions."""
OF_BULLPEN = ("journal.db*", "logs/**", "starting/**", "users/**", "lock*")
"""Below the state directory."""
SANDBOX_PROGRAMS = ("bwrap", "socat")
"""What the CLI's sandbox needs on Linux."""


def client_settings(
    template: Template, *, config_dir: Path, state_dir: Path, workspace: Path, readable: tuple[Path, ...]
) -> dict[str, Any]:
    """Settings that are stronger than any file of settings. `readable` is what the template's clients share."""
    rules = [(config_dir, name) for name in OF_THE_CLI] + [(state_dir, name) for name in OF_BULLPEN]
    denied = [f"{_absolute(folder)}/{name}" for folder, name in rules]
    settings: dict[str, Any] = {
        "plansDirectory": PLANS,
        "permissions": {"deny": [f"{tool}({path})" for tool in ("Read", "Edit") for path in denied]},
    }
    if template.claude_hooks:
        settings["hooks"] = compile_hooks(template.claude_hooks, project_of(template.path))
    if template.sandbox:
        settings["sandbox"] = _sandbox(template.sandbox, config_dir, state_dir, (workspace, *readable))
    return settings


def _absolute(folder: Path) -> str:
    """The folder in the spelling of a rule: two slashes for the root, and no character that means something in a
    pattern."""
    return "/" + "".join(f"\\{sign}" if sign in "\\[]*?!()" else sign for sign in str(folder.resolve()))


def _sandbox(
    wanted: bool | Mapping[str, Any], config_dir: Path, state_dir: Path, readable: tuple[Path, ...]
) -> dict[str, Any]:
    """The sandbox that the author wrote, with the sessions kept apart and no way around it."""
    given = dict(wanted) if isinstance(wanted, Mapping) else {}
    files = dict(given.get("filesystem") or {})
    for key, paths in (("denyRead", (config_dir, state_dir)), ("allowRead", readable)):
        files[key] = [*files.get(key, ()), *map(str, paths)]
    forced = {"enabled": True, "failIfUnavailable": True, "allowUnsandboxedCommands": False}
    return {**given, "filesystem": files, **forced}


def describe_walls(template: Template) -> tuple[str, ...]:
    """The walls of a template in words, for `check` and the screen. Of `env`, only where a value is from is shown."""
    shared = shared_folder(template)
    where = "its workspace" if shared is None else f"its workspace and {shared}"
    lines = []
    if is_confined(template):
        lost = " (without Bash and WebFetch, which tools does not name)" if template.cli_tools is None else ""
        lines.append(f"confined: file tools reach {where} alone{lost}")
    else:
        lines.append(f"not confined: file tools reach beyond {where} where a human or a mode allows it")
    if runs_commands(template):
        lines.append(f"commands: {'in the sandbox' if template.sandbox else 'with all rights of your user'}")
    brackets = template.brackets
    for tool, insides in brackets.of_tools.items():
        lines.append(f"{tool}: only {', '.join(inside or 'nothing' for inside in insides)}; other calls are refused")
    for server, named in brackets.servers.named.items():
        if named is not None:
            lines.append(f"MCP server {server}: only {', '.join(named) or 'nothing'}; other calls are refused")
    if template.functions:
        lines += describe_functions(read_functions(template.functions, template.path)[0])
    if template.allow:
        lines.append(f"without a question: {', '.join(template.allow)}")
    if events := [event for event in template.claude_hooks if event in EVENTS]:
        lines.append(f"hooks: {', '.join(events)}, run in {project_of(template.path)}")
    lines.append(f"settings read: {', '.join(template.settings) or 'none'}")
    for name, value in template.env.items():
        is_reference = value.startswith(("env:", "file:"))
        lines.append(f"env {name}: {'from ' + value if is_reference else 'set in the template'}")
    return tuple(lines)


def missing_skills(template: Template, environment: Mapping[str, str]) -> list[str]:
    """A line for each skill that was not found. `environment` is laid over this process's own."""
    folders = skills_looked_in(template, environment)
    _, missing = find_skills(template.skills, folders)
    return [
        f"skill {name} was not found in {folders[0]} and the .claude/skills above {template.path.parent}; unless "
        "Claude Code brings one of that name, the agent has none"
        for name in missing
    ]


def skills_looked_in(template: Template, environment: Mapping[str, str]) -> list[Path]:
    return skill_folders(template.path.parent.absolute(), [find_config_dir(environment), find_config_dir({})])


def find_mistakes(template: Template, environ: Mapping[str, str]) -> list[tuple[Location, str]]:
    """What of the template this host cannot do: (the way to the key, the sentence that follows it)."""
    _, wrong = resolve(template.env, template.path.parent, environ)
    found: list[tuple[Location, str]] = [(("env", name), sentence) for name, sentence in wrong.items()]
    folder = shared_folder(template)
    if folder is not None and os.path.lexists(folder) and not os.path.isdir(folder):
        found.append((("workspace",), f"names {folder}, which is no folder"))
    if template.functions:
        _, unusable = read_functions(template.functions, template.path)
        found += [(_entry(template, entry), f"{entry} {sentence}") for entry, sentence in unusable]
    if template.sandbox and (lacking := _lacking_for_sandbox()):
        found.append((("sandbox",), f"needs {lacking}; nothing is started without it"))
    return found


def _entry(template: Template, tool: str) -> Location:
    return ("tools", (template.tools or ()).index(tool))


def _lacking_for_sandbox() -> str:
    if sys.platform == "darwin":
        return ""
    missing = [program for program in SANDBOX_PROGRAMS if shutil.which(program) is None]
    return f"{' and '.join(missing)} on this host (packages bubblewrap and socat)" if missing else ""
