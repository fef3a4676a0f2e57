"""Which files of a folder are templates: what Claude Code would read if the folder were its `agents`.

folder/*.md, folder/anything/*.md     read, links followed, each file once
…/.claude                             only its `agents`
…/PLUGIN/.claude-plugin/plugin.json   only its `agents`; the names begin with `PLUGIN:`
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from supervisor.cleaning import show_name
from supervisor.reading import read_file

MOST_FOLDERS = 20_000
"""Folders that are looked into. More of them are a home directory, or a disk, and no collection of agents."""
MOST_FILES = 10_000

_PLUGIN = Path(".claude-plugin", "plugin.json")
_NOT_READ = (".git",)


@dataclass(frozen=True)
class TemplateFile:
    path: Path
    shown: str
    """Its way from the folder, for messages."""
    prefix: str = ""
    """What Claude Code puts before the names of a plugin's agents: `PLUGIN:`, and the folders below its `agents`."""


@dataclass
class Found:
    files: list[TemplateFile] = field(default_factory=list)
    mistakes: dict[str, str] = field(default_factory=dict)
    """Folders that could not be read, and why."""


def find_template_files(directory: Path) -> Found:
    """In the order of their ways. Raises `OSError` when the folder itself cannot be read."""
    os.listdir(directory)
    found = Found()
    files: set[str] = set()
    for folder, prefix in _folders(directory, found):
        for name in sorted(os.listdir(folder)):
            path = folder / name
            if not name.endswith(".md") or path.is_dir():
                continue
            if (real := os.path.realpath(path)) in files:
                continue
            files.add(real)
            if len(files) > MOST_FILES:
                found.mistakes["."] = f"holds more than {MOST_FILES:,} files of Markdown; the others are not read"
                return found
            found.files.append(TemplateFile(path, _show(path, directory), prefix))
    found.files.sort(key=lambda file: file.path)
    return found


def _folders(top: Path, found: Found) -> Iterator[tuple[Path, str]]:
    """Every folder that is read, each once, with the prefix of its names."""
    seen: set[str] = set()
    waiting: list[tuple[Path, str]] = [(top, "")]
    while waiting:
        folder, prefix = waiting.pop()
        if (real := os.path.realpath(folder)) in seen:
            continue
        seen.add(real)
        if len(seen) > MOST_FOLDERS:
            found.mistakes["."] = f"holds more than {MOST_FOLDERS:,} folders; the others are not read"
            return
        if not prefix and (plugin := _plugin_name(folder)):
            waiting.append((folder / "agents", f"{plugin}:"))
            continue
        if folder.name == ".claude":
            waiting.append((folder / "agents", prefix))
            continue
        try:
            inside = sorted((entry for entry in os.scandir(folder) if entry.is_dir()), key=lambda entry: entry.name)
        except FileNotFoundError:  # a plugin without agents
            continue
        except OSError as error:
            found.mistakes[_show(folder, top)] = f"cannot be read: {error.strerror or error}"
            continue
        yield folder, prefix
        for entry in reversed(inside):
            if entry.name not in _NOT_READ:
                waiting.append((folder / entry.name, f"{prefix}{entry.name}:" if prefix else ""))


def _plugin_name(folder: Path) -> str:
    """Empty where there is no plugin."""
    path = folder / _PLUGIN
    if not path.is_file():
        return ""
    try:
        manifest = json.loads(read_file(path))
    except (OSError, ValueError, RecursionError):
        manifest = None
    name = manifest.get("name") if isinstance(manifest, dict) else None
    return name if isinstance(name, str) and name else folder.resolve().name


def _show(path: Path, top: Path) -> str:
    return show_name(path.relative_to(top).as_posix())
