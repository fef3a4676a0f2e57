"""Two public MCP servers, installed once beside what else tests and benchmarks need.

python -m benchmarks.public_servers
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

FROM_PYPI, FROM_NPM = "mcp-server-time==2026.10.19", "@modelcontextprotocol/server-everything@2026.8.31"
KEPT = Path(__file__).parents[1] / ".venv" / "public-mcp-servers"
LONGEST = 150
"""Seconds of one step."""


class NotInstalled(Exception):
    """Why, on one line."""


def install() -> tuple[Path, Path]:
    """The programs of both. Each gets an environment of its own: they need other versions than bullpen does. Raises
    `NotInstalled`."""
    python, node = KEPT / "python", KEPT / "node"
    time, everything = python / "bin" / "mcp-server-time", node / "node_modules" / ".bin" / "mcp-server-everything"
    if not time.exists():
        _run(sys.executable, "-m", "venv", str(python))
        _run(str(python / "bin" / "python"), "-m", "pip", "install", "--quiet", FROM_PYPI)
    if not everything.exists():
        _run("npm", "install", "--no-audit", "--no-fund", "--prefix", str(node), FROM_NPM)
    return time, everything


def _run(*command: str) -> None:
    if shutil.which(command[0]) is None:
        raise NotInstalled(f"there is no {command[0]}")
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST, check=False)
    except subprocess.TimeoutExpired:
        raise NotInstalled(f"{command[0]} took more than {LONGEST} s") from None
    if done.returncode:
        raise NotInstalled(((done.stderr or done.stdout).strip().splitlines() or ["no reason was given"])[-1])


if __name__ == "__main__":
    try:
        install()
    except NotInstalled as error:
        sys.exit(f"the public MCP servers cannot be installed: {error}")
