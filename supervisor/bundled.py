"""The Claude Code CLI that comes with the SDK: where it is, and how it is made to die with its supervisor."""

from __future__ import annotations

import importlib.util
import os
import shlex
import shutil
import sys
import tempfile
from pathlib import Path

WRAPPER = "claude-that-dies-with-bullpen"


def find_bundled_cli() -> Path | None:
    """None when the SDK is not installed or carries no CLI for this platform. Does not import the SDK."""
    spec = importlib.util.find_spec("claude_agent_sdk")
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).parent / "_bundled" / "claude"
    return path if path.is_file() else None


def wrap_cli(folder: Path) -> Path | None:
    """A script that starts the CLI so that the kernel kills it when the supervisor is gone, however that ended (R2).

    An idle CLI leaves by itself when its input closes; a busy one would finish its turn first, API requests included.
    None where there is no parent-death signal (anything but Linux) or no `setpriv`: then the CLI is started plainly.
    """
    cli, setpriv = find_bundled_cli(), shutil.which("setpriv")
    if cli is None or setpriv is None or not sys.platform.startswith("linux"):
        return None
    path = folder / WRAPPER
    script = f'#!/bin/sh\nexec {shlex.quote(setpriv)} --pdeathsig KILL -- {shlex.quote(str(cli))} "$@"\n'
    if not path.is_file() or path.read_text(encoding="utf-8") != script:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.NamedTemporaryFile("w", dir=folder, delete=False, encoding="utf-8") as fresh:
            fresh.write(script)
        Path(fresh.name).chmod(0o700)
        Path(fresh.name).replace(path)
    # A directory that forbids execution (mounted noexec) is no reason not to start at all.
    return path if os.access(path, os.X_OK) else None
