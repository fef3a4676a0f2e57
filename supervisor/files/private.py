"""Files and directories that only their owner can reach, whatever umask and modes there were before."""

from __future__ import annotations

import errno
import logging
import os
import pwd
import shutil
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import NamedTuple

from supervisor.api.errors import JournalUnusable

DIRECTORY, FILE = 0o700, 0o600
_OTHERS = 0o7077
"""Every permission of a group, of all others, and set-id and sticky bits: taken away. The owner's stay as they are."""

_REMEDIES = {
    errno.ENOSPC: "free space on its disk",
    errno.EDQUOT: "free space in your quota",
    errno.EROFS: "make its file system writable",
    errno.EACCES: "make it accessible to you",
    errno.EPERM: "make it accessible to you",
    sqlite3.SQLITE_FULL: "free space on its disk",
    sqlite3.SQLITE_READONLY: "make it and its folder writable",
    sqlite3.SQLITE_CANTOPEN: "make it and its folder writable",
}
"""What to do when a file of the state directory cannot be used at the start."""

_log = logging.getLogger(__name__)


def make_private_dir(path: Path, *, below: Path | None = None) -> Path:
    """Creates the directory and the parents it lacks, all for their owner only. One that is there keeps its mode.
    `below` is not created: a state directory that was moved away could not be moved back.

    Raises `OSError`.
    """
    if below is not None and not below.is_dir():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(below))
    missing = [path]
    while not missing[-1].parent.exists() and missing[-1].parent != missing[-1]:
        missing.append(missing[-1].parent)
    for one in reversed(missing):
        with suppress(FileExistsError):
            one.mkdir(mode=DIRECTORY)
            one.chmod(DIRECTORY)  # the umask may have taken even the owner's permissions
    if not path.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))
    return path


def claim(folder: Path) -> Path:
    """Makes a state directory and what stands right in it private; creates it where there is none.

    What lies deeper cannot be reached from outside any more, and is left to `tighten`. Raises `JournalUnusable` with
    one line when it cannot be created, or belongs to another user.
    """
    try:
        make_private_dir(folder)
        _refuse_foreign(folder)
        if stat.S_IMODE(folder.stat().st_mode) != DIRECTORY:
            folder.chmod(DIRECTORY)
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_symlink():
                    continue
                found = entry.stat(follow_symlinks=False)
                if found.st_uid == os.geteuid():
                    _strip(entry.path, found)
                elif os.geteuid() != 0:
                    raise JournalUnusable(
                        f"{entry.path} belongs to {name_user(found.st_uid)}: give it to {name_user(os.geteuid())} with "
                        "chown, or use another state directory with --state DIR"
                    )
    except OSError as error:
        raise JournalUnusable(explain_os_error(folder, error)) from error
    return folder


def _refuse_foreign(folder: Path) -> None:
    """A directory, or a link to it, that another user made: that user could put another one in its place."""
    trusted = {0, os.geteuid()}
    owner, link_owner = folder.stat().st_uid, folder.lstat().st_uid
    if owner != os.geteuid() or link_owner not in trusted:
        whose = name_user(owner if owner != os.geteuid() else link_owner)
        raise JournalUnusable(
            f"the state directory {folder} belongs to {whose}, not to {name_user(os.geteuid())}: give it away with "
            "chown, or use another with --state DIR"
        )


def name_user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def is_replaceable(folder: Path) -> bool:
    """Whether other users could put another directory in its place: its parent is writable for all, and not sticky."""
    mode = folder.resolve().parent.stat().st_mode
    return bool(mode & stat.S_IWOTH) and not mode & stat.S_ISVTX


@cache
def host_umask() -> int:
    """The umask that this process was started with."""
    found = os.umask(0o077)
    os.umask(found)
    return found


class Tightened(NamedTuple):
    changed: int = 0
    foreign: tuple[str, ...] = ()
    """What belongs to another user and was left as it is."""
    failed: tuple[str, ...] = ()


def tighten(folder: Path) -> Tightened:
    """Takes every permission of other users away, everywhere below the folder. Follows no symbolic link; leaves what
    belongs to another user. Blocking, and slow where there is much."""
    changed = 0
    foreign: list[str] = []
    failed: list[str] = []
    for path, found in _walk(folder):
        if found.st_uid != os.geteuid():
            foreign.append(path)
            continue
        try:
            changed += _strip(path, found)
        except OSError:
            failed.append(path)
    for what, paths in (("belong to another user", foreign), ("could not be made private", failed)):
        if paths:
            _log.warning("%d entries of %s %s, such as %s", len(paths), folder, what, paths[0])
    return Tightened(changed, tuple(foreign), tuple(failed))


def _walk(folder: Path) -> Iterator[tuple[str, os.stat_result]]:
    left = [str(folder)]
    while left:
        try:
            with os.scandir(left.pop()) as entries:
                found = list(entries)
        except OSError:
            continue
        for entry in found:
            with suppress(OSError):
                if entry.is_symlink():
                    continue
                yield entry.path, entry.stat(follow_symlinks=False)
                if entry.is_dir(follow_symlinks=False):
                    left.append(entry.path)


def _strip(path: str, found: os.stat_result) -> bool:
    """True when there was something to take away."""
    mode = stat.S_IMODE(found.st_mode)
    if not mode & _OTHERS:
        return False
    os.chmod(path, mode & ~_OTHERS)
    return True


def explain_os_error(path: Path, error: Exception) -> str:
    """One line for the operator: what of the state directory cannot be used, why, and what to do about it."""
    if isinstance(error, OSError):
        cause = os.strerror(error.errno) if error.errno else str(error)
        remedy = _REMEDIES.get(error.errno or 0)
        path = Path(os.fsdecode(error.filename)) if error.filename else path
    else:
        cause = (str(error) or repr(error)).splitlines()[0]
        code = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
        if code == sqlite3.SQLITE_IOERR and _is_disk_full(path):
            cause, code = os.strerror(errno.ENOSPC), sqlite3.SQLITE_FULL  # as SQLite puts it for some of its files
        remedy = _REMEDIES.get(code)
    return (
        f"{path} cannot be used ({cause}): {remedy or 'see to it'}, or use another state directory with --state DIR; "
        "nothing was changed"
    )


def _is_disk_full(path: Path) -> bool:
    try:
        return shutil.disk_usage(path.parent).free < 64 * 1024
    except OSError:
        return False
