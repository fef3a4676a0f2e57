"""The Claude Code CLI that comes with the SDK: where it is, and how it is made to die with its supervisor."""

from __future__ import annotations

import importlib.util
import os
import shlex
import shutil
import sys
import tempfile
from pathlib import Path

from supervisor.errors import JournalUnusable
from supervisor.private import explain_os_error, make_private_dir

WRAPPER = "claude-that-dies-with-bullpen"
UMASK = "BULLPEN_UMASK"
"""In a client's environment: the umask (octal) that it is to have instead of 077."""


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
    Raises `JournalUnusable` when it cannot be written.
    """
    cli, setpriv = find_bundled_cli(), shutil.which("setpriv")
    if cli is None or setpriv is None or not sys.platform.startswith("linux"):
        return None
    path = folder / WRAPPER
    # Everything that a client and its tools write is private as well, unless it shares a folder with others.
    start = f'exec {shlex.quote(setpriv)} --pdeathsig KILL -- {shlex.quote(str(cli))} "$@"'
    script = f'#!/bin/sh\numask "${{{UMASK}:-077}}"\n{start}\n'
    try:
        if not path.is_file() or path.is_symlink() or path.read_text(encoding="utf-8", errors="replace") != script:
            make_private_dir(folder)
            _write(path, script)
    except OSError as error:
        raise JournalUnusable(explain_os_error(path, error)) from error
    # A directory that forbids execution (mounted noexec) is no reason not to start at all.
    return path if os.access(path, os.X_OK) else None


def _write(path: Path, script: str) -> None:
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False, encoding="utf-8") as fresh:
        try:
            fresh.write(script)
            fresh.flush()
            Path(fresh.name).chmod(0o700)
            Path(fresh.name).replace(path)
        except OSError:
            Path(fresh.name).unlink()
            raise
