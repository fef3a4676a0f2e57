"""Where a file tool works: the path of its call, judged by where it leads now.

The CLI takes `..` away by the text of a path, the file system by where links lead. A path that the two read in two ways
is judged by neither.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from supervisor.permissions.requests import ToolRequest
from supervisor.text.cleaning import find_unseen

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
IN_DIRECTORIES = ("Glob", "Grep", "LS")
"""Their path names a directory, or one file of it. The CLI hands it over as it was written; those of other tools it
makes absolute first (measured)."""
_OF_THE_READER = ("/proc/self", "/proc/thread-self", "/dev/fd", "/dev/stdin", "/dev/stdout", "/dev/stderr")
"""They lead each process to something else."""


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
    written = os.path.join(request.cwd or workspace, raw)
    named = os.path.normpath(written)
    if any(is_below(named, one) for one in _OF_THE_READER):
        return None
    try:
        target = os.path.realpath(named)
        if ".." in Path(raw).parts and os.path.realpath(written) != target:
            return None
        return target
    except (OSError, ValueError):
        return None


def with_path(request: ToolRequest) -> ToolRequest:
    """A search that names no folder works in the one it counts from."""
    if request.tool not in IN_DIRECTORIES or request.arguments.get("path"):
        return request
    return replace(request, arguments={**request.arguments, "path": "."})


def is_outside(request: ToolRequest, workspace: Path, places: Iterable[Path]) -> bool:
    """Whether a file tool works outside of the workspace and those places, or that cannot be told. Blocking."""
    if request.tool not in PATHS:
        return False
    target = find_target(with_path(request), workspace)
    return target is None or not any(is_below(target, find_place(one)) for one in (workspace, *places))


def find_place(folder: Path) -> str:
    """The folder without links on the way to it. Where a link stands in its own place, that is not followed: what the
    link leads to is another folder. Blocking."""
    return os.path.join(os.path.realpath(folder.parent), folder.name)


def is_below(path: str, folder: str) -> bool:
    return Path(path).is_relative_to(folder)


def is_hidden(path: str, folder: str) -> bool:
    """Whether a name on the way from the folder to the path begins with a dot: such files configure programs, and tell
    them what to start."""
    return any(part.startswith(".") for part in Path(os.path.relpath(path, folder)).parts if part not in (".", ".."))


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
