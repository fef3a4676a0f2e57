"""Brackets behind a tool: `Bash(git:*)` in `tools` gives Bash, for commands that begin with `git`.

Claude Code gives an agent the whole tool (measured, but for `Agent(a, b)`). Here every call is judged, in every
permission mode, and what does not fit the bracket is refused without a question. What cannot be judged does not fit.
"""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from msgspec import Struct

from supervisor.files.paths import expand_home
from supervisor.permissions.requests import ToolRequest
from supervisor.permissions.rules import COMMAND_TOOL
from supervisor.permissions.server_tools import ServerTools, read_server_tools
from supervisor.permissions.targets import PATHS, find_place, find_target, with_path

_ALIASES = {"Task": "Agent"}
"""Older names of tools."""
_NAMED_BY = {"Agent": "subagent_type", "Skill": "skill"}
"""Tools whose bracket lists names, and the argument that holds one."""
_UNNAMED = {"Agent": "general-purpose"}
"""What is meant where that argument is missing."""
_QUIET = re.compile(r"\s(?:[12]?>\s?/dev/null|2>&1)(?=\s|$|[;|&])")
"""Redirections that write no file."""
_HOST = re.compile(r"[a-z0-9.-]+", re.ASCII)


class Brackets(Struct, frozen=True):
    """What a list of tools allows each of its tools to do."""

    of_tools: Mapping[str, tuple[str, ...]]
    """Contents of the brackets, for tools that never stand without one."""
    servers: ServerTools
    """What is allowed of MCP servers."""

    def __bool__(self) -> bool:
        return bool(self.of_tools or self.servers)

    def find_objection(self, request: ToolRequest, workspace: Path) -> str:
        """Why the call must not run, in words for the agent; empty when nothing is against it. Blocking."""
        tool = canonical(request.tool)
        if objection := self.servers.find_objection(tool):
            return objection
        insides = self.of_tools.get(tool)
        if insides is None or _fits_any(insides, tool, request, workspace):
            return ""
        return f"{tool} is allowed only as {' or '.join(f'{tool}({inside})' for inside in insides)}"


def canonical(tool: str) -> str:
    """The tool's name without its bracket, and of today."""
    name = tool.partition("(")[0].strip()
    return _ALIASES.get(name, name)


def read_brackets(tools: Iterable[str] | None, servers: Iterable[str] = ()) -> Brackets:
    """`servers` are the names of the MCP servers that the agent has."""
    words = list(tools or ())
    whole = {canonical(word) for word in words if "(" not in word}
    insides: dict[str, list[str]] = {}
    for word in words:
        name = canonical(word)
        if "(" in word and name not in whole:
            inside = word.partition("(")[2].removesuffix(")").strip() if word.endswith(")") else ""
            insides.setdefault(name, []).append(inside)
    of_tools = {name: tuple(its) for name, its in insides.items() if "*" not in its}
    return Brackets(of_tools, read_server_tools(tools, servers))


def is_enforceable(tool: str) -> bool:
    """Whether any call can fit the tool's bracket. False for tools without one."""
    name, inside = canonical(tool), tool.partition("(")[2].removesuffix(")").strip()
    if not inside or not tool.endswith(")"):
        return False
    if name == "WebFetch":
        return inside.startswith("domain:") or inside == "*"
    return name in (COMMAND_TOOL, *_NAMED_BY, *PATHS) or inside == "*"


def _fits_any(insides: Iterable[str], tool: str, request: ToolRequest, workspace: Path) -> bool:
    if tool == COMMAND_TOOL:
        command = request.arguments.get("command")
        return isinstance(command, str) and _fits_command(insides, command)
    return any(_fits(inside, tool, request, workspace) for inside in insides if inside)


def _fits(inside: str, tool: str, request: ToolRequest, workspace: Path) -> bool:
    arguments = request.arguments
    if tool in _NAMED_BY:
        given = arguments.get(_NAMED_BY[tool]) or _UNNAMED.get(tool)
        names = [name.strip() for name in inside.split(",")]
        return isinstance(given, str) and (given in names or given.rpartition(":")[2] in names)
    if tool == "WebFetch":
        return _fits_host(inside.removeprefix("domain:").strip(), arguments.get("url"))
    return tool in PATHS and _fits_path(inside, request, workspace)


def _fits_command(insides: Iterable[str], command: str) -> bool:
    """Every simple command of it has to fit one of them; what cannot be told apart for certain does not."""
    parts = split_command(_QUIET.sub(" ", command))
    patterns = [pattern for inside in insides if inside for pattern in (inside, *map(str.strip, inside.split(",")))]
    return bool(parts) and all(any(_fits_words(pattern, part) for pattern in patterns) for part in parts or ())


def _fits_words(pattern: str, part: str) -> bool:
    if pattern.endswith(":*"):
        start = pattern[:-2].strip()
        return bool(start) and (part == start or part.startswith(f"{start} "))
    if "*" not in pattern:
        return part == pattern
    if pattern.endswith(" *") and part == pattern[:-2]:
        return True
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), part) is not None


def split_command(command: str) -> list[str] | None:
    """The simple commands of a line of shell; None when it does more than run some one after the other: substitutions,
    redirections, groups, quotes that do not end, or anything that two shells would read in two ways."""
    parts, start, quote, at = [], 0, "", 0
    while at < len(command):
        sign, pair = command[at], command[at : at + 2]
        if sign in "\r\0" or (quote != "'" and (sign == "`" or pair in ("$(", "$'", '$"', "\\\n"))):
            return None
        if sign == "\\" and quote != "'":
            at += 2
            continue
        if quote:
            quote = "" if sign == quote else quote
        elif sign in "'\"":
            quote = sign
        elif sign in "<>()":
            return None
        elif sign in ";&|\n":
            parts.append(command[start:at])
            start = at + 1
        at += 1
    if quote:
        return None
    return [part.strip() for part in (*parts, command[start:]) if part.strip()]


def _fits_host(pattern: str, url: object) -> bool:
    if not isinstance(url, str) or not url.isascii() or not url.isprintable() or "\\" in url or " " in url:
        return False
    try:
        split = urlsplit(url)
        host = (split.hostname or "").rstrip(".")
    except ValueError:
        return False
    if split.scheme not in ("http", "https") or not _HOST.fullmatch(host):
        return False
    return fnmatch.fnmatchcase(host, pattern.lower())


def _fits_path(pattern: str, request: ToolRequest, workspace: Path) -> bool:
    """Whether the request's path fits the pattern, as in Claude Code: `//x` is absolute, `~/x` in the home directory,
    all else in the workspace or shared folder."""
    target = find_target(with_path(request), workspace)
    if target is None:
        return False
    if pattern.startswith("//"):
        return _matches(pattern[2:], target.lstrip("/"))
    if pattern.startswith("~"):
        try:
            return _matches(str(expand_home(pattern)).lstrip("/"), target.lstrip("/"))
        except ValueError:
            return False
    inside = pattern.removeprefix("./").lstrip("/")
    for base in (workspace, *request.folders):
        real = find_place(base)
        if Path(target).is_relative_to(real) and _matches(inside, os.path.relpath(target, real)):
            return True
    return False


def _matches(pattern: str, path: str) -> bool:
    """Whether the path matches, as in `.gitignore`: a pattern without a slash at any depth, and everything below a
    match."""
    stem = pattern.rstrip("/")
    if stem.endswith("/**"):
        stem = stem[:-3]
    if stem in ("", "**", "*", "."):
        return True
    if "/" not in stem and stem == pattern.rstrip("/"):
        stem = f"**/{stem}"
    expression = re.compile(_translate(stem))
    way = Path(path)
    return any(expression.fullmatch(one.as_posix()) for one in (way, *way.parents))


def _translate(pattern: str) -> str:
    parts = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return "".join(parts.get(part, re.escape(part)) for part in re.split(r"(\*\*/|\*\*|\*|\?)", pattern))


def as_denial(reason: str) -> dict[str, Any]:
    """The answer of an SDK hook that refuses a call."""
    return _as_decision("deny", reason)


def as_question(reason: str) -> dict[str, Any]:
    """What a hook of the SDK answers to have a call put to a human, whatever the permission mode says."""
    return _as_decision("ask", reason)


def _as_decision(decision: str, reason: str) -> dict[str, Any]:
    found = {"hookEventName": "PreToolUse", "permissionDecision": decision, "permissionDecisionReason": reason}
    return {"hookSpecificOutput": found}
