"""What a template needs of this host and does not find: told beforehand, and no mistake of the file.

Looks at the host: programs on the PATH, variables, who bullpen runs as.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from supervisor.config.client_variables import expand, resolve, unset_references
from supervisor.config.shared_servers import is_shared
from supervisor.config.template import Template
from supervisor.config.validation import Location
from supervisor.files.paths import expand_home
from supervisor.text.cleaning import clean, one_line

ROOT = 0
"""The user id of root."""
DELIBERATE = ("IS_SANDBOX", "CLAUDE_CODE_BUBBLEWRAP")
"""Variables with which the CLI skips permissions as root as well: the first where it is 1."""


def find_program(command: str, folder: Path | None, path: str | None) -> str | None:
    """The program that a command names, None for none. What has a slash in it counts from `folder`, all else is looked
    for on `path` (None: this process's own)."""
    named = os.path.expanduser(command)
    if os.sep in named and folder is not None:
        named = os.path.join(folder, named)
    return shutil.which(named, path=path)


def find_host_notes(template: Template, environ: Mapping[str, str]) -> Iterator[tuple[Location, str]]:
    """(the way to the key, the whole sentence). `environ` is bullpen's own environment."""
    own, _ = resolve(template.env, template.path.parent, environ)
    known = {**environ, **own}
    if template.permission_mode == "bypassPermissions" and is_root() and not _is_deliberate(known):
        yield (
            ("permissionMode",),
            "permissionMode bypassPermissions: Claude Code refuses to start so as root; run bullpen as another user, "
            "or set IS_SANDBOX=1 where the host itself is the wall",
        )
    for name, server in template.mcp_servers.items():
        if isinstance(server, Mapping):
            yield from _about_server(name, server, template.path.parent.absolute(), known)


def is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == ROOT


def _is_deliberate(known: Mapping[str, str]) -> bool:
    sandbox, other = DELIBERATE
    return known.get(sandbox) == "1" or bool(known.get(other))


def _about_server(
    name: str, server: Mapping[str, Any], folder: Path, known: Mapping[str, str]
) -> Iterator[tuple[Location, str]]:
    way = ("mcpServers", name)
    for variable in unset_references(server, known):
        yield way, f"mcpServers.{name}: the variable {variable} is not set; set it before bullpen is started"
    command = expand(server.get("command"), known)
    if not isinstance(command, str) or not command.strip() or "${" in command:
        return
    variables = server.get("env")
    path = variables.get("PATH") if isinstance(variables, Mapping) else None
    # A server of a client's own starts in the session's directory: only what is named from the root can be looked at.
    is_from_here = is_shared(server) or os.path.isabs(expand_home(command)) or os.sep not in command
    place = folder / str(server.get("cwd", "")) if is_shared(server) else folder
    path = str(expand(path, known)) if isinstance(path, str) else known.get("PATH")
    if is_from_here and find_program(command, place, path) is None:
        where = f"in {place}" if os.sep in command else "on the PATH"
        yield (
            way,
            f"mcpServers.{name}: there is no program {one_line(clean(command), 100)} {where}; the agent goes without "
            "the tools of that server",
        )
