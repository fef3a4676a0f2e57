"""One supervisor for each state directory, and what its lock file says between two runs."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import struct
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil

from supervisor.api.errors import StateInUse
from supervisor.clock import Clock
from supervisor.files.private import claim
from supervisor.journal.schema import JournalMark, unusable

try:
    import fcntl
except ImportError:  # pragma: no cover - not on the systems the tests run on
    fcntl = None  # type: ignore[assignment]

FILE = "supervisor.lock"
WITH_A_DOOR = ("the dashboard", "bullpen serve")
"""What says so of itself can be reached by `bullpen attach`."""
_LOOKS, _PAUSE = 10, 0.05
"""How often, and how far apart in seconds, the lock's file is read until it names a living process: its holder
writes the name right after taking the lock."""
_WIDTH = 512
"""Bytes of the file, whatever it says: it is written again after every commit, and a full disk must not hinder that."""


class Hold:
    """The lock while it is held."""

    def __init__(self, folder: Path, descriptor: int, introduction: dict[str, Any], mark: JournalMark) -> None:
        self.path = folder / FILE
        self.mark = mark
        """As an earlier run left it, and since then as `note` was told."""
        self.descriptor = descriptor
        self._introduction = introduction
        self._form = _compose(introduction, mark.journal)
        """All that the file says, but for the number of commits."""

    def note(self, mark: JournalMark) -> None:
        """Keeps it for the next run, without a sync: it may lag behind the journal, never lead. Called after every
        commit, of which only the number is new."""
        if mark.journal != self.mark.journal:
            self._form = _compose(self._introduction, mark.journal)
        self.mark = mark
        self._write()

    def leave(self) -> None:
        self._form = _compose({}, self.mark.journal)
        self._write()

    def _write(self) -> None:
        said = self._form % self.mark.commits if self.mark.journal else self._form
        # The names are a courtesy: a full disk must not keep the supervisor from starting and saying so in its own
        # words.
        with suppress(OSError):
            os.pwrite(self.descriptor, said.ljust(_WIDTH), 0)


def _compose(introduction: dict[str, Any], journal: str) -> bytes:
    """The JSON of the file. With a journal, `%` puts in the number of its commits."""
    if not journal:
        return json.dumps(introduction).encode()
    said = json.dumps(introduction | {"journal": journal})
    return f'{said[:-1].replace("%", "%%")}, "commits": %d}}'.encode()


@contextmanager
def hold(folder: Path, clock: Clock, name: str) -> Iterator[Hold]:
    """Holds the directory, which is created, and made private, as `private.claim` does. Raises `StateInUse`, naming
    the holder, or `JournalUnusable` when nothing can be written there.

    The kernel lets go of it when this process ends, however it ends; processes started from here do not inherit it.
    Where the system or the file system has no locks, the file's content decides: the process that it names by pid and
    start time is the holder while it lives. Two that start in the same instant are then both let in.

    On Linux its path is held as well, by a name that only the kernel keeps: a directory that was deleted and made
    again while a supervisor runs is not free.
    """
    path = claim(folder) / FILE
    try:
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)
        descriptor = os.open(path, flags, 0o600)
        os.fchmod(descriptor, 0o600)
    except OSError as error:
        raise unusable(path, error) from error
    try:
        if not _take(descriptor):
            raise StateInUse(_tell(folder, _find_holder(descriptor)))
        with _path_held(folder):
            held = Hold(folder, descriptor, _introduce(clock, name), _read_mark(descriptor))
            held.note(held.mark)
            try:
                yield held
            finally:
                held.leave()
    finally:
        os.close(descriptor)


def _take(descriptor: int) -> bool:
    if fcntl is not None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            pass
        else:
            return True
    return not _lives(_read(descriptor))


@contextmanager
def _path_held(folder: Path) -> Iterator[None]:
    """An abstract socket by the name of the path, in this user's and this mount namespace's view of it."""
    if not sys.platform.startswith("linux"):
        yield
        return
    try:
        namespace = os.readlink("/proc/self/ns/mnt")
    except OSError:
        namespace = ""
    name = hashlib.sha256(f"{namespace} {os.geteuid()} {folder.resolve()}".encode(errors="surrogateescape")).hexdigest()
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as own:
        try:
            own.bind(f"\0bullpen-{name}")
            own.listen(64)
        except OSError:
            if (who := _find_peer(f"\0bullpen-{name}")) is not None:
                raise StateInUse(
                    f"the state directory {folder} was deleted or replaced while {who} runs on it: stop that one "
                    "first, or give this one its own with --state DIR"
                ) from None
        yield


def _find_peer(name: str) -> str | None:
    """A name for this user's process that listens there. Processes of other users have no say in who may start."""
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as probe:
        try:
            probe.settimeout(1.0)
            probe.connect(name)
            pid, uid, _ = struct.unpack("3i", probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        except (BlockingIOError, TimeoutError):
            return "another bullpen"  # many have asked already, so it is there
        except OSError:
            return None
    return f"bullpen pid {pid}" if uid == os.geteuid() else None


def _introduce(clock: Clock, name: str) -> dict[str, Any]:
    return {
        "pid": os.getpid(),
        "started": psutil.Process().create_time(),
        "since": clock.wall(),
        "host": socket.gethostname(),
        "what": name,
    }


def _find_holder(descriptor: int) -> dict[str, Any]:
    """What the lock's holder wrote about itself; empty when it has written nothing usable."""
    for _ in range(_LOOKS):
        if _lives(said := _read(descriptor)):
            return said
        time.sleep(_PAUSE)
    return {}


def _lives(said: dict[str, Any]) -> bool:
    """Whether a holder's words name a living process, as far as can be seen from here: one on another host is believed
    to live."""
    try:
        if said["host"] != socket.gethostname():
            return True
        return abs(psutil.Process(int(said["pid"])).create_time() - float(said["started"])) < 1
    except (KeyError, TypeError, ValueError, psutil.Error, OSError):
        return False


def _tell(folder: Path, holder: dict[str, Any]) -> str:
    who, join = "another bullpen", ""
    if holder:
        what = str(holder.get("what", "bullpen"))
        since = datetime.fromtimestamp(float(holder.get("since", 0)))
        day = "" if since.date() == datetime.now().date() else f"{since:%Y-%m-%d} "
        where = "" if holder["host"] == socket.gethostname() else f" on {holder['host']}"
        who = f"bullpen pid {holder['pid']}{where} since {day}{since:%H:%M:%S} ({what})"
        if what in WITH_A_DOOR and not where:
            join = "join it with bullpen attach, "
    remedy = f"{join}stop that one, or give this one its own with --state DIR"
    return f"the state directory {folder} is in use by {who}: {remedy}"


def _read(descriptor: int) -> dict[str, Any]:
    try:
        found = json.loads(os.pread(descriptor, 4096, 0))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _read_mark(descriptor: int) -> JournalMark:
    said = _read(descriptor)
    journal, commits = said.get("journal"), said.get("commits")
    return JournalMark(journal, commits) if isinstance(journal, str) and isinstance(commits, int) else JournalMark()
