"""What a client reads once, at its start: system prompt, settings and MCP servers.

They stand in files for their owner only: every local user can read the arguments of a process, and one argument holds
128 KiB at most.

The files are there from the start of a connect to its end. The CLI has read them by then, so no tool of any agent finds
them while it runs; the rules of the settings go on holding, also when the CLI reads its other settings anew (measured).
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from msgspec import Struct

from supervisor.files.private import make_private_dir

FOLDER = "starting"
"""In the state directory."""


class StartFiles(Struct, frozen=True):
    """Files that a client reads when it starts."""

    prompt: Path
    settings: Path
    servers: Path | None
    """None where there are no MCP servers."""


@contextmanager
def start_files(
    folder: Path, prompt: str, servers: Mapping[str, Any], settings: Mapping[str, Any]
) -> Iterator[StartFiles]:
    """Writes them into a directory of their own below `folder`, and removes it at the end. Raises `OSError`."""
    own = Path(mkdtemp(dir=make_private_dir(folder, below=folder.parent)))
    try:
        files = StartFiles(own / "prompt.md", own / "settings.json", own / "mcp.json" if servers else None)
        _write(files.prompt, prompt)
        _write(files.settings, json.dumps(settings))
        if files.servers is not None:
            _write(files.servers, json.dumps({"mcpServers": servers}))
        yield files
    finally:
        shutil.rmtree(own, ignore_errors=True)


def clear_start_files(folder: Path) -> None:
    """Removes what a supervisor that was killed has left, and what was put in the folder's place: a link would take
    prompts elsewhere, and `rmtree` waits for ever at a FIFO. Only its successor may call this: see the state lock."""
    if folder.is_dir() and not folder.is_symlink():
        shutil.rmtree(folder, ignore_errors=True)
    else:
        with suppress(OSError):
            folder.unlink()


def _write(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text, encoding="utf-8", errors="replace", newline="")
