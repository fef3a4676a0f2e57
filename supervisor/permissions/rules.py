"""What "always in this session" covers: one command to the letter, or one file tool below one directory.

A file tool is allowed in the session's own workspace, or below a directory outside of it that was named when it was
approved. Every later call is judged by where its path leads at that moment, links resolved. Tools that know neither a
command nor a path are asked about each time, and so are calls that write what other programs are configured by.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct

from supervisor.permissions.file_diff import WRITERS
from supervisor.permissions.requests import ToolRequest
from supervisor.permissions.targets import IN_DIRECTORIES, find_place, find_target, is_below, is_hidden
from supervisor.permissions.targets import PATHS as PATHS
from supervisor.text.visible import show

COMMAND_TOOL = "Bash"
WORKSPACE = "."
"""Stands for the session's own workspace, wherever that is."""


class Rule(Struct, frozen=True):
    """One remembered approval: of a command with its switches, or of a tool below a directory."""

    tool: str
    folder: str = ""
    """`WORKSPACE` or an absolute path without links; empty for a command."""
    letter: str = ""
    """The command's arguments as JSON; empty for a file tool."""

    @property
    def words(self) -> str:
        """The rule in words for people, nothing cut; hidden characters are shown as escapes."""
        if self.folder == WORKSPACE:
            return f"{self.tool} in this session's workspace and below"
        if self.folder:
            return f"{self.tool} in {show(self.folder).rstrip('/')}/ and below"
        switches = json.loads(self.letter)
        command = show(switches.pop("command"))
        return f"{self.tool}: {command}" + (f" {show(json.dumps(switches, sort_keys=True))}" if switches else "")

    @property
    def stored(self) -> str:
        """The rule as JSON text: the form that the session keeps and the journal writes."""
        return json.dumps([self.tool, self.folder, self.letter], ensure_ascii=False)


def revive_rules(stored: Iterable[str]) -> frozenset[str]:
    """The stored rules that still mean what was approved. Older rules that were a bare tool name covered every path of
    the host: they are dropped, and the tool is asked about again."""
    kept = set()
    for text in stored:
        if text.startswith("["):
            kept.add(text)
        elif text.startswith("Bash: ") and not text.endswith("}"):  # with switches it was ambiguous
            kept.add(Rule(COMMAND_TOOL, letter=_letter({"command": text.removeprefix("Bash: ")})).stored)
    return frozenset(kept)


def rule_for(request: ToolRequest, workspace: Path | None = None) -> Rule | None:
    """What "always" would cover if this request were approved so; None when it is not on offer.

    Blocking: follows links on disk.
    """
    if request.tool == COMMAND_TOOL:
        command = request.arguments.get("command")
        return Rule(request.tool, letter=_letter(request.arguments)) if isinstance(command, str) and command else None
    if workspace is None or (target := find_target(request, workspace)) is None or is_vague(request):
        return None
    own = find_place(workspace)
    if is_below(target, own):
        return None if _is_kept_apart(request, target, own) else Rule(request.tool, WORKSPACE)
    folder = target if request.tool in IN_DIRECTORIES and os.path.isdir(target) else os.path.dirname(target)
    # A directory that holds the workspace holds those of other sessions, or the whole host.
    if is_below(own, folder) or _is_kept_apart(request, target, "/"):
        return None
    return Rule(request.tool, folder)


def is_covered(request: ToolRequest, workspace: Path | None, allowed: Collection[str]) -> bool:
    """Whether a remembered approval covers the request, judged by where its path leads now. Blocking."""
    if not allowed or (rule := rule_for(request, workspace)) is None:
        return False
    if rule.stored in allowed:
        return True
    if rule.letter or rule.folder == WORKSPACE or workspace is None:
        return False
    target = find_target(request, workspace)
    folders = {Rule(rule.tool, str(folder)).stored for folder in Path(target or "/").parents}
    return not folders.isdisjoint(allowed)


def is_vague(request: ToolRequest) -> bool:
    """A relative path counts from where the agent's shell is, and nothing says where that is."""
    is_relative = not os.path.isabs(request.arguments[PATHS[request.tool]])
    return is_relative and request.tool in IN_DIRECTORIES and request.cwd is None


def _is_kept_apart(request: ToolRequest, target: str, folder: str) -> bool:
    """Whether "always" leaves the path out: what the CLI calls sensitive, hidden names outside the workspace, and
    hidden names anywhere for a tool that writes. `folder` is the workspace, or the root."""
    is_of_interest = folder == "/" or request.tool in WRITERS
    return "sensitive" in request.reason or (is_of_interest and is_hidden(target, folder))


def _letter(arguments: Mapping[str, Any]) -> str:
    """The description is the agent's own words about the command and changes nothing of what runs."""
    told = {name: value for name, value in arguments.items() if name != "description"}
    return json.dumps(told, sort_keys=True, default=str)
