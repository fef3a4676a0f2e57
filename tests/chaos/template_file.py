"""The template of a run, as a file that is edited while everything goes wrong."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

VERSION = re.compile(r"You help, in version (\d+)\.")
"""Stands in the system prompt of every request."""


class TemplateFile:
    """State: the version that was saved last, and can run."""

    def __init__(self, folder: Path, front: Mapping[str, Any]) -> None:
        self.folder = folder
        self.version = 0
        self._front = dict(front)
        folder.mkdir()
        self.save()

    @property
    def path(self) -> Path:
        return self.folder / "desk.md"

    def save(self) -> None:
        """The next version, as editors save: another file takes the place of this one."""
        self.version += 1
        self._write(self._front, self.version)

    def spoil(self) -> None:
        """A version that cannot run."""
        self._write({**self._front, "maxTurns": "no"}, 0)

    def mend(self) -> None:
        """The last good version again."""
        self._write(self._front, self.version)

    def _write(self, front: Mapping[str, Any], version: int) -> None:
        lines = "".join(f"{key}: {json.dumps(value)}\n" for key, value in front.items())
        fresh = self.folder / "desk.md.new"
        fresh.write_text(f"---\n{lines}---\nYou help, in version {version}.\n", "utf-8")
        fresh.rename(self.path)


def read_version(text: str) -> int:
    """0 where none is said."""
    found = VERSION.search(text)
    return int(found[1]) if found else 0
