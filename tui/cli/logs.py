"""Keeps everything that would be printed away from the screen: a handler on stderr would write over it."""

from __future__ import annotations

import io
import logging
import logging.handlers
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Any

from supervisor import ConfigurationError, make_private_dir, one_sentence

LOG_BYTES = 5_000_000
"""Size of one log file; three are kept."""
VARIABLE = "BULLPEN_LOG"
"""`debug`, a path, or both as `debug:PATH`."""
LEVELS = ("debug", "info", "warning", "error")


class PrivateFileHandler(logging.handlers.RotatingFileHandler):
    """A log that only its owner can read, and that a full disk does not make anything else fail."""

    def _open(self) -> io.TextIOWrapper:
        def opener(name: str, flags: int) -> int:
            # Opening a FIFO without a reader would block the start for ever.
            descriptor = os.open(name, flags | os.O_NONBLOCK, 0o600)
            if stat.S_ISREG(os.fstat(descriptor).st_mode):  # not a terminal, and not /dev/null
                os.fchmod(descriptor, 0o600)
            return descriptor

        return open(self.baseFilename, "a", encoding=self.encoding, errors="replace", opener=opener)

    def close(self) -> None:
        with suppress(OSError):
            super().close()

    def handleError(self, record: logging.LogRecord) -> None:
        """What cannot be logged is not logged: a traceback on stderr would write over the screen."""


class PlainFormatter(logging.Formatter):
    """A record is one line, and its traceback stands indented below it: no text of others forges a record, acts on the
    terminal that shows the log, or leaves a password of an address in it."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        record.message = one_sentence(record.message)
        return super().formatMessage(record)

    def formatException(self, ei: Any) -> str:
        return "\n".join(f"  {one_sentence(line)}" for line in super().formatException(ei).split("\n"))


def log_to_file(state_dir: Path, name: str = "bullpen.log") -> Path:
    """Replaces the root logger's handlers by a file in the state directory, or by what `BULLPEN_LOG` says. Returns its
    path. Raises `ConfigurationError` when the file that was asked for cannot be written."""
    try:
        level, named = read_variable(os.environ.get(VARIABLE, ""))
    except (RuntimeError, OSError) as error:
        raise ConfigurationError(
            [f"{VARIABLE}: its file has no place ({error}): name it in full, or unset it"]
        ) from error
    path = named or state_dir / "logs" / name
    handler = PrivateFileHandler(
        path, maxBytes=LOG_BYTES, backupCount=2, encoding="utf-8", errors="replace", delay=True
    )
    handler.setFormatter(PlainFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    try:
        if named is None:
            make_private_dir(path.parent)
        handler.stream = handler._open()
    except OSError as error:
        if named is not None:
            raise ConfigurationError(
                [f"{VARIABLE}: {named} cannot be written ({error.strerror}): name another file, or unset it"]
            ) from error
        # A state directory that cannot be written is reported when the engine opens it.
    for older in (path, *(path.with_name(f"{path.name}.{number}") for number in (1, 2))):
        with suppress(OSError):
            if stat.S_ISREG(older.lstat().st_mode):
                older.chmod(0o600)
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level)
    logging.captureWarnings(True)
    return path


def read_variable(value: str) -> tuple[int, Path | None]:
    """The level and the file that it asks for: `debug`, `/var/log/bullpen.log`, or `debug:/var/log/bullpen.log`."""
    first, colon, rest = value.strip().partition(":")
    if first.lower() in LEVELS:
        level, name = getattr(logging, first.upper()), rest
    else:
        level, name = logging.INFO, first + colon + rest
    return level, Path(name).expanduser().absolute() if name else None
