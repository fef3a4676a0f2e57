"""A small file that only its owner can read, replaced as a whole: a reader finds the old one or the new one."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from uuid import uuid4


def read_private(path: Path, most: int) -> str | None:
    """The text of the file; None when there is no file. Does not wait for a pipe or a device. Raises `OSError`, and
    `ValueError` when the file holds more than `most` bytes or is no text."""
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0)
    try:
        descriptor = os.open(path, flags)
    except FileNotFoundError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "it is no plain file")
        raw = file.read(most + 1)
    if len(raw) > most:
        raise ValueError("too large")
    return raw.decode()


def write_private(path: Path, text: str) -> None:
    """Raises `OSError`; the old file is whole then."""
    trial = path.with_name(f".{path.name}.{uuid4().hex}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
    descriptor = os.open(trial, flags, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(trial, path)
    except BaseException:
        trial.unlink(missing_ok=True)
        raise
