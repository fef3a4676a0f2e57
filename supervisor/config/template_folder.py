"""Which files of a folder are templates: what Claude Code would read if the folder were its `agents`.

folder/*.md, folder/anything/*.md     read, links followed, each file once
…/.claude                             only its `agents`
…/PLUGIN/.claude-plugin/plugin.json   only its `agents`; the names begin with `PLUGIN:`
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from msgspec import Struct, field

from supervisor.files.reading import read_file
from supervisor.text.cleaning import show_name
from supervisor.text.values import in_words

MOST_FOLDERS = 20_000
"""Folders that are looked into. More of them are a home directory, or a disk, and no collection of agents."""
MOST_FILES = 10_000

_PLUGIN = Path(".claude-plugin", "plugin.json")
_NOT_READ = (".git",)


class TemplateFile(Struct, frozen=True):
    """The file of one template: its path, and its name in messages."""

    path: Path
    shown: str
    """Its way from the folder, for messages."""
    prefix: str = ""
    """What Claude Code puts before the names of a plugin's agents: `PLUGIN:`, and the folders below its `agents`."""


class Found(Struct):
    """The template files, and the mistakes, that were found in a folder."""

    files: list[TemplateFile] = field(default_factory=list)
    folders: set[str] = field(default_factory=set)
    """Folders that were looked into, links followed."""
    mistakes: list[tuple[str, str]] = field(default_factory=list)
    """What could not be read, and why; `.` is the folder itself."""


def find_template_files(directory: Path) -> Found:
    """Files and mistakes below a folder, each sorted by path. Raises `OSError` when the folder itself cannot be
    read."""
    os.listdir(directory)
    found = _Walk(directory).run()
    found.files.sort(key=lambda file: file.path)
    found.mistakes.sort(key=lambda mistake: mistake[0])
    return found


class _Walk:
    def __init__(self, top: Path) -> None:
        self._top = top
        self._found = Found()
        self._folders: set[str] = set()
        self._files: set[str] = set()
        self._waiting: list[tuple[Path, str]] = [(top, "")]
        """Folders, and the prefix of the names in them."""

    def run(self) -> Found:
        while self._waiting and not self._is_too_large():
            self._look_into(*self._waiting.pop())
        self._found.folders = self._folders
        return self._found

    def _is_too_large(self) -> bool:
        for seen, most, what in (
            (self._folders, MOST_FOLDERS, "folders"),
            (self._files, MOST_FILES, "files of Markdown"),
        ):
            if len(seen) > most:
                self._found.mistakes.append((".", f"holds more than {most:,} {what}; the others are not read"))
                return True
        return False

    def _look_into(self, folder: Path, prefix: str) -> None:
        """Notes its files and the folders below. Each folder once, whatever links lead to it."""
        if (real := os.path.realpath(folder)) in self._folders:
            return
        self._folders.add(real)
        if not prefix and os.path.isfile(folder / _PLUGIN):
            self._look_into_plugin(folder)
            return
        if folder.name == ".claude":
            self._waiting.append((folder / "agents", prefix))
            return
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except FileNotFoundError:  # a plugin without agents
            return
        except OSError as error:
            self._mistake(folder, f"cannot be read: {error.strerror or error}")
            return
        for entry in entries:
            path = folder / entry.name
            try:
                is_folder = entry.is_dir()
            except OSError as error:  # a link that leads to itself, or to where this user may not look
                if entry.name.endswith(".md"):
                    self._take(path, prefix)
                else:
                    self._mistake(path, f"cannot be read: {error.strerror or error}")
                continue
            if is_folder:
                if entry.name not in _NOT_READ:
                    self._waiting.append((path, f"{prefix}{entry.name}:" if prefix else ""))
            elif entry.name.endswith(".md"):
                self._take(path, prefix)

    def _mistake(self, path: Path, why: str) -> None:
        self._found.mistakes.append((_show(path, self._top), why))

    def _take(self, path: Path, prefix: str) -> None:
        if (real := os.path.realpath(path)) not in self._files:
            self._files.add(real)
            self._found.files.append(TemplateFile(path, _show(path, self._top), prefix))

    def _look_into_plugin(self, folder: Path) -> None:
        """Finds a plugin's agents: those that its manifest lists, else all below its `agents`."""
        manifest = _read_manifest(folder / _PLUGIN)
        name = manifest.get("name")
        real = Path(os.path.realpath(folder))
        prefix = f"{name if isinstance(name, str) and name else real.name}:"
        listed = manifest.get("agents")
        if listed is None:
            self._waiting.append((folder / "agents", prefix))
            return
        for way in listed if isinstance(listed, list) else [listed]:
            path = folder / str(way)
            is_there = os.path.exists(path)
            if not is_there or not Path(os.path.realpath(path)).is_relative_to(real):
                self._mistake(folder / _PLUGIN, f"agents: there is no {in_words(way)} in the plugin")
            elif os.path.isdir(path):
                self._waiting.append((path, prefix))
            else:
                self._take(path, prefix)


def _read_manifest(path: Path) -> dict[str, Any]:
    """The plugin's manifest; empty when it cannot be read."""
    try:
        manifest = json.loads(read_file(path))
    except (OSError, ValueError, RecursionError):
        return {}
    return manifest if isinstance(manifest, dict) else {}


def _show(path: Path, top: Path) -> str:
    return show_name(path.relative_to(top).as_posix())


def shipped_templates() -> Path:
    """The folder of templates that came with the program: inside the installed package, or beside its sources."""
    inside = Path(__file__).parent / "shipped"
    return inside if inside.is_dir() else Path(__file__).parent.parent.parent / "templates"
