"""Names of files and folders as people write them, with a `~` that may stand for no home that is known."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path


def expand_home(path: str | Path) -> Path:
    """Raises `ValueError` with the remedy for a `~` or `~name` that stands for no known home directory."""
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise ValueError(
            f"begins with {Path(path).parts[0]}, and no such home directory is known here: name a directory in full"
        ) from error


def find_config_dir(environment: Mapping[str, str]) -> Path:
    """The configuration folder of a CLI that is started with `environment` on top of this process's own. Without a
    known home directory it is below a folder named `~`, which does not exist: the CLI itself then needs
    `CLAUDE_CONFIG_DIR`."""
    named = environment.get("CLAUDE_CONFIG_DIR") or os.environ.get("CLAUDE_CONFIG_DIR")
    return Path(named or os.path.join(os.path.expanduser("~"), ".claude"))
