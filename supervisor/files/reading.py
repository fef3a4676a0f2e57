"""Reads files that people write. A FIFO, a device or a giant under such a name is a mistake, told at once."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

SMALL = 1024**2
"""Bytes of a file of settings, at most."""


def read_file(path: Path, limit: int = SMALL) -> bytes:
    """Raises `OSError` with a sentence in `strerror`, also for what is no regular file or larger than `limit` bytes."""
    try:
        _check(path, path.stat().st_mode)
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            _check(path, os.fstat(file.fileno()).st_mode)
            data = file.read(limit + 1)
    except ValueError as error:  # what pathlib raises for a NUL character
        raise OSError(errno.EINVAL, "the name holds a NUL character") from error
    if len(data) > limit:
        raise OSError(errno.EFBIG, f"it is larger than {limit:,} bytes")
    return data


def find_below(folder: Path, suffix: str) -> Iterator[Path]:
    """Files whose names end so, in all folders below; links to folders are not followed. What is removed or replaced
    while it is being read is left out: `Path.rglob` ends with an error there."""
    for place, _, names in os.walk(folder):
        yield from (Path(place, name) for name in names if name.endswith(suffix))


def _check(path: Path, mode: int) -> None:
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "it is no regular file")
