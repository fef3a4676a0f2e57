"""Values of a template that are right alone and wrong together."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from pydantic.alias_generators import to_camel

from supervisor.api.states import Archetype
from supervisor.config import allowed, hooks, output_schema, shared_servers
from supervisor.config.byte_sizes import spell_memory
from supervisor.config.limits import PoolLimits
from supervisor.config.template import FrontMatter, runs_commands
from supervisor.config.tool_references import SERVER
from supervisor.config.validation import dotted
from supervisor.permissions.server_tools import spelled
from supervisor.text.values import in_words


def contradictions(template: FrontMatter) -> list[tuple[str, str]]:
    """Values that are right alone and wrong together: (key, the sentence that follows it)."""
    found = [(dotted(("hooks", *way)), sentence) for way, sentence in hooks.find_mistakes(template.claude_hooks)]
    if template.confine and template.permission_mode == "bypassPermissions":
        found.append(("confine", "cannot be true with permissionMode bypassPermissions: a confined client refuses it"))
    if template.confine and template.settings:
        found.append(("settings", "are not read by a confined client; write confine: false, or leave them out"))
    found += _sandbox_mistakes(template.sandbox)
    found += [
        (dotted(("mcpServers", *way)), sentence) for way, sentence in shared_servers.find_mistakes(template.mcp_servers)
    ]
    found += [("allow", sentence) for sentence in allowed.find_mistakes(template)]
    if template.output is not None:
        found += [
            (dotted(("output", *way)), sentence) for way, sentence in output_schema.find_mistakes(template.output)
        ]
    if template.sandbox and not runs_commands(template):
        found.append(("sandbox", "is for commands, and no tool of this template runs any"))
    if template.functions:
        found += [
            (
                dotted(("mcpServers", name)),
                f"has the name of bullpen's own server ({SERVER}), which the functions of tools need",
            )
            for name in template.mcp_servers
            if spelled(name) == SERVER
        ]
    sessions = template.concurrency.max_sessions
    clients = template.pool.max_clients or sessions
    if template.archetype is not Archetype.SERVICE and sessions > 1:
        found.append(
            ("concurrency.maxSessions", f"must be 1 for archetype {template.archetype.value}; only a service has more")
        )
    for key, value in (("pool.minClients", template.pool.min_clients), ("pool.spares", template.pool.spares or 0)):
        if value > clients:
            found.append((key, f"is {value}, more than the pool may hold ({clients}; see pool.maxClients)"))
    return found + _memory_contradictions(template.pool)


def _sandbox_mistakes(sandbox: bool | dict[str, Any]) -> list[tuple[str, str]]:
    """The parts of it that bullpen adds to have to be what they are to the CLI."""
    files = (sandbox.get("filesystem") or {}) if isinstance(sandbox, dict) else {}
    if not isinstance(files, dict):
        return [("sandbox.filesystem", f"must be a mapping of keys, not {in_words(files)}")]
    return [
        (f"sandbox.filesystem.{key}", f"must be a list, not {in_words(files[key])}")
        for key in ("denyRead", "allowRead")
        if not isinstance(files.get(key, []), list)
    ]


def _memory_contradictions(pool: PoolLimits) -> list[tuple[str, str]]:
    """Said of the key that was written, where only one of the two was."""
    found = []
    steps = [name for name in ("soft_memory", "hard_memory", "panic_memory") if getattr(pool, name) is not None]
    for lower, upper in pairwise(steps):
        less, more = getattr(pool, lower), getattr(pool, upper)
        if less <= more:
            continue
        if lower in pool.model_fields_set:
            sentence = f"is {spell_memory(less)}, more than pool.{to_camel(upper)} ({spell_memory(more)})"
            found.append((f"pool.{to_camel(lower)}", sentence))
        else:
            sentence = f"is {spell_memory(more)}, less than pool.{to_camel(lower)} ({spell_memory(less)})"
            found.append((f"pool.{to_camel(upper)}", sentence))
    return found
