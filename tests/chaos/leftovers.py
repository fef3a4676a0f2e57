"""The processes of clients: found by their mark and their folder, whoever their parent is by now."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import psutil

from supervisor.process.process_tree import LOST, MARK, is_guard, iter_processes


def is_client(process: psutil.Process, folder: Path) -> bool:
    """It lives, carries a client's mark, and its configuration lies in the folder."""
    try:
        environ = process.environ()
        is_ours = MARK in environ and Path(environ.get("CLAUDE_CONFIG_DIR", "/")).is_relative_to(folder)
        return is_ours and process.status() != psutil.STATUS_ZOMBIE
    except LOST:
        return False


def find_clients(folder: Path) -> list[psutil.Process]:
    """Tools and their children included: they inherit what marks them, and what drops its mark works where its client
    did."""
    return [one for one in iter_processes() if is_client(one, folder) or _works_in(one, folder)]


def find_shared_servers(folder: Path) -> list[psutil.Process]:
    """MCP servers that a supervisor runs for all its clients, without their guards."""
    return [one for one in iter_processes() if _works_in(one, folder) and _is_shared(one)]


def _is_shared(process: psutil.Process) -> bool:
    try:
        return ":shared-" in process.environ().get(MARK, "") and not is_guard(process)
    except LOST:
        return False


def _works_in(process: psutil.Process, folder: Path) -> bool:
    try:
        return Path(process.cwd()).is_relative_to(folder) and process.status() != psutil.STATUS_ZOMBIE
    except LOST:
        return False


def describe_process(process: psutil.Process) -> str:
    """Which one it is, and what it does."""
    try:
        return f"{process.pid} {process.name()} {process.status()} {' '.join(process.cmdline())[:120]}"
    except LOST:
        return f"{process.pid} (it has ended meanwhile)"


def end_leaked(folder: Path) -> list[str]:
    """Ends what is left, and gives what it was."""
    leaked = []
    for process in find_clients(folder):
        leaked.append(describe_process(process))
        with suppress(*LOST):
            process.kill()
    return leaked
