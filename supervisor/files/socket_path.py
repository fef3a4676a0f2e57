"""Where a running bullpen is found on this machine: the socket in its state directory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SOCKET = "bullpen.sock"
"""Its name in the state directory."""
LONGEST_PATH = 100
"""Bytes of a socket's path that every system takes."""


@contextmanager
def short_path(path: Path) -> Iterator[str]:
    """The path of a socket as the system takes it: a long one is reached by way of its open directory."""
    if len(os.fsencode(path)) <= LONGEST_PATH:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
