"""One supervisor for each state directory."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil

from supervisor.clock import Clock
from supervisor.errors import StateInUse
from supervisor.journal.schema import unusable

try:
    import fcntl
except ImportError:  # pragma: no cover - not on the systems the tests run on
    fcntl = None  # type: ignore[assignment]

FILE = "supervisor.lock"
_LOOKS, _PAUSE = 10, 0.05
"""How often, and how far apart in seconds, the lock's file is read until it names somebody who lives: its holder
writes the name right after taking the lock."""


@contextmanager
def hold(folder: Path, clock: Clock, name: str) -> Iterator[None]:
    """Holds the directory, created for its owner only when there is none. Raises `StateInUse`, naming the holder, or
    `JournalUnusable` when nothing can be written there.

    The kernel lets go of it when this process ends, however it ends; processes started from here do not inherit it.
    Where the system or the file system knows no locks, the file's word is taken: whoever it names by pid and start
    time, and lives, is the holder. Two that start in the same instant are then both let in.
    """
    path = folder / FILE
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
    except OSError as error:
        raise unusable(path, error) from error
    try:
        if not _take(descriptor):
            raise StateInUse(_tell(folder, _find_holder(descriptor)))
        _write(descriptor, _introduce(clock, name))
        try:
            yield
        finally:
            with suppress(OSError):
                os.ftruncate(descriptor, 0)
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


def _introduce(clock: Clock, name: str) -> dict[str, Any]:
    return {
        "pid": os.getpid(),
        "started": psutil.Process().create_time(),
        "since": clock.wall(),
        "host": socket.gethostname(),
        "what": name,
    }


def _find_holder(descriptor: int) -> dict[str, Any]:
    """What the holder says about itself; nothing when it has not said anything usable."""
    for _ in range(_LOOKS):
        if _lives(said := _read(descriptor)):
            return said
        time.sleep(_PAUSE)
    return {}


def _lives(said: dict[str, Any]) -> bool:
    """Whether it names a living process, as far as can be seen from here: one on another host is believed to."""
    try:
        if said["host"] != socket.gethostname():
            return True
        return abs(psutil.Process(int(said["pid"])).create_time() - float(said["started"])) < 1
    except (KeyError, TypeError, ValueError, psutil.Error):
        return False


def _tell(folder: Path, holder: dict[str, Any]) -> str:
    who = "another bullpen"
    if holder:
        what = str(holder.get("what", "bullpen"))
        since = datetime.fromtimestamp(float(holder.get("since", 0)))
        day = "" if since.date() == datetime.now().date() else f"{since:%Y-%m-%d} "
        where = "" if holder["host"] == socket.gethostname() else f" on {holder['host']}"
        who = f"bullpen pid {holder['pid']}{where} since {day}{since:%H:%M:%S} ({what})"
    return f"the state directory {folder} is in use by {who}: stop that one, or give this one its own with --state DIR"


def _read(descriptor: int) -> dict[str, Any]:
    try:
        os.lseek(descriptor, 0, os.SEEK_SET)
        found = json.loads(os.read(descriptor, 4096))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _write(descriptor: int, said: dict[str, Any]) -> None:
    # The names are a courtesy: a full disk must not keep the supervisor from starting and saying so in its own words.
    with suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, json.dumps(said).encode())
