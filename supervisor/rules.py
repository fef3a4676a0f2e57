"""What "always in this session" covers: one command to the letter, or one file tool below one directory.

A file tool is allowed in the session's own workspace, or below a directory outside of it that was named when it was
approved. Every later call is judged by where its path leads at that moment, links resolved. Tools that know neither a
command nor a path are asked about each time.
"""

from __future__ import annotations

import json
import os
import unicodedata
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from supervisor.cleaning import find_unseen
from supervisor.connection import ToolRequest
from supervisor.visible import show

COMMAND_TOOL = "Bash"
PATHS = {
    "Read": "file_path",
    "Write": "file_path",
    "Edit": "file_path",
    "MultiEdit": "file_path",
    "NotebookEdit": "notebook_path",
    "NotebookRead": "notebook_path",
    "Glob": "path",
    "Grep": "path",
    "LS": "path",
}
"""File tools, and the argument that says where each of them works."""
_IN_DIRECTORIES = ("Glob", "Grep", "LS")
"""Their path names a directory, or one file of it."""
WORKSPACE = "."
"""Stands for the session's own workspace, wherever that is."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One remembered approval: of a command with its switches, or of a tool below a directory."""

    tool: str
    folder: str = ""
    """`WORKSPACE` or an absolute path without links; empty for a command."""
    letter: str = ""
    """The command's arguments as JSON; empty for a file tool."""

    @property
    def words(self) -> str:
        """For people, whole: hidden characters are shown as escapes."""
        if self.folder == WORKSPACE:
            return f"{self.tool} in this session's workspace and below"
        if self.folder:
            return f"{self.tool} in {show(self.folder).rstrip('/')}/ and below"
        switches = json.loads(self.letter)
        command = show(switches.pop("command"))
        return f"{self.tool}: {command}" + (f" {show(json.dumps(switches, sort_keys=True))}" if switches else "")

    @property
    def stored(self) -> str:
        """As the session keeps it and the journal writes it."""
        return json.dumps([self.tool, self.folder, self.letter], ensure_ascii=False)


def revive_rules(stored: Iterable[str]) -> set[str]:
    """Those that still mean what was approved. A bare tool name once covered every path of the host: it is dropped, and
    the tool is asked about again."""
    kept = set()
    for text in stored:
        if text.startswith("["):
            kept.add(text)
        elif text.startswith("Bash: ") and not text.endswith("}"):  # with switches it was ambiguous
            kept.add(Rule(COMMAND_TOOL, letter=_letter({"command": text.removeprefix("Bash: ")})).stored)
    return kept


def rule_for(request: ToolRequest, workspace: Path | None = None) -> Rule | None:
    """What "always" would cover if this request were approved so; None when it is not on offer.

    Blocking: follows links on disk.
    """
    if request.tool == COMMAND_TOOL:
        command = request.arguments.get("command")
        return Rule(request.tool, letter=_letter(request.arguments)) if isinstance(command, str) and command else None
    if workspace is None or (target := find_target(request, workspace)) is None:
        return None
    own = os.path.realpath(workspace)
    if _is_below(target, own):
        return Rule(request.tool, WORKSPACE)
    folder = target if request.tool in _IN_DIRECTORIES and os.path.isdir(target) else os.path.dirname(target)
    # A directory that holds the workspace holds those of other sessions, or the whole host.
    return None if _is_below(own, folder) else Rule(request.tool, folder)


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


def find_target(request: ToolRequest, workspace: Path) -> str | None:
    """The absolute path, without links, that a file tool would work on; None when it has none or an odd one, which the
    CLI might read in another way. Blocking."""
    if (name := PATHS.get(request.tool)) is None:
        return None
    raw = request.arguments.get(name)
    if not isinstance(raw, str) or _is_odd(raw):
        return None
    if request.tool == "Glob" and _leaves_its_folder(request.arguments.get("pattern")):
        return None
    try:
        return os.path.realpath(workspace / raw)
    except (OSError, ValueError):
        return None


def _is_odd(path: str) -> bool:
    return (
        not path
        or path != path.strip()
        or path.startswith("~")
        or "\n" in path
        or bool(find_unseen(path))
        or unicodedata.normalize("NFC", path) != path
    )


def _leaves_its_folder(pattern: Any) -> bool:
    return not isinstance(pattern, str) or pattern.startswith(("/", "~")) or ".." in pattern or "{" in pattern


def _is_below(path: str, folder: str) -> bool:
    return Path(path).is_relative_to(folder)


def _letter(arguments: Mapping[str, Any]) -> str:
    """The description is the agent's own words about the command and changes nothing of what runs."""
    told = {name: value for name, value in arguments.items() if name != "description"}
    return json.dumps(told, sort_keys=True, default=str)
