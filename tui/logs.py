"""Keeps everything that would be printed away from the screen: a handler on stderr would write over it."""

from __future__ import annotations

import logging
import logging.handlers
from pathlib import Path

LOG_BYTES = 5_000_000
"""Size of one log file; three are kept."""


def log_to_file(state_dir: Path) -> Path:
    """Replaces the root logger's handlers by a file in the state directory. Returns its path."""
    folder = state_dir / "logs"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / "bullpen.log"
    handler = logging.handlers.RotatingFileHandler(
        path, maxBytes=LOG_BYTES, backupCount=2, encoding="utf-8", delay=True
    )
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    logging.captureWarnings(True)
    return path
