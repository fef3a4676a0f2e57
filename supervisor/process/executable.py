"""The Claude Code CLI that comes with the SDK: where it is, and the script that starts it under a guard."""

from __future__ import annotations

import errno
import importlib.util
import logging
import os
import shlex
import sys
import tempfile
from pathlib import Path

from supervisor.api.errors import JournalUnusable
from supervisor.files.private import explain_os_error, make_private_dir
from supervisor.process import guard

WRAPPER = "claude-under-guard"
UMASK = "BULLPEN_UMASK"
"""In a client's environment: the umask (octal) that it is to have instead of 077."""

TOOL_WRAPPER = "tools-without-credentials"
WITHHELD = "BULLPEN_WITHHELD"
OWN, OWN_NAMES = "BULLPEN_OWN_", "BULLPEN_OWN"
"""In the environment of one MCP server: its own values of variables that are withheld, and their names."""
_TOOL_SCRIPT = f"""#!/bin/sh
unset {WITHHELD}_ ${WITHHELD}
for name in ${OWN_NAMES}; do
    eval "$name=\\${OWN}$name && export $name && unset {OWN}$name"
done
unset {WITHHELD} {OWN_NAMES}
case "$SHELL" in
*/bash | */zsh) exec "$SHELL" -c "$1" ;;
esac
exec /bin/sh -c "$1"
"""

_log = logging.getLogger(__name__)


def find_bundled_cli() -> Path | None:
    """Path of the CLI that the SDK carries; None without the SDK, or without a CLI for this platform. Does not import
    the SDK."""
    spec = importlib.util.find_spec("claude_agent_sdk")
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).parent / "_bundled" / "claude"
    return path if path.is_file() else None


def wrap_cli(folder: Path) -> Path | None:
    """A script that starts the CLI under a guard (`process.guard`): nothing of a client outlives it, or the
    supervisor, however that ended (R2). The guard also chooses which variables of the environment the CLI gets.

    An idle CLI leaves by itself when its input closes; a busy one would finish its turn first, API requests included.
    None where there is no sub-reaper and no parent-death signal (anything but Linux): then the CLI is started plainly.
    Raises `JournalUnusable` when it cannot be written.
    """
    cli = find_bundled_cli()
    if cli is None or not sys.platform.startswith("linux"):
        return None
    path = folder / WRAPPER
    # Everything that a client and its tools write is private as well, unless it shares a folder with others.
    # -I and -S: neither the environment nor the working directory, which is the agent's, decides what Python imports.
    start = shlex.join(["exec", sys.executable, "-I", "-S", guard.__file__, str(cli)])
    script = f'#!/bin/sh\numask "${{{UMASK}:-077}}"\n{start} "$@"\n'
    if _place(path, script):
        return path
    # A directory that forbids execution (mounted noexec) is no reason not to start at all.
    _log.warning("%s cannot be executed: clients are started without a guard", path)
    return None


def wrap_tools(folder: Path) -> Path | None:
    """A script that the CLI starts Bash commands, MCP servers and hooks through (`CLAUDE_CODE_SHELL_PREFIX`): it takes
    away the variables that `WITHHELD` names, and gives an MCP server those of its own back.

    None where scripts of that folder cannot be run. Raises `JournalUnusable` when it cannot be written.
    """
    path = folder / TOOL_WRAPPER
    if _place(path, _TOOL_SCRIPT):
        return path
    _log.warning("%s cannot be executed: tools get the credentials of their client", path)
    return None


def _place(path: Path, script: str) -> bool:
    """Writes it where it does not stand already. False when it cannot be run."""
    try:
        if not path.is_file() or path.is_symlink() or path.read_text(encoding="utf-8", errors="replace") != script:
            make_private_dir(path.parent)
            _write(path, script)
    except OSError as error:
        raise JournalUnusable(explain_os_error(path, error)) from error
    return os.access(path, os.X_OK)


def _write(path: Path, script: str) -> None:
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False, encoding="utf-8") as fresh:
        try:
            fresh.write(script)
            fresh.flush()
            Path(fresh.name).chmod(0o700)
            if path.is_dir() and not path.is_symlink():  # the error of `replace` would name the fresh file
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
            Path(fresh.name).replace(path)
        except OSError:
            Path(fresh.name).unlink()
            raise
