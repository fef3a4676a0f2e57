"""Orphans of a guard that was killed: the kernel gives them to this process, which ends and reaps them.

A client may kill its own guard (`process.guard`). The CLI dies with it, but processes that have dropped mark,
session and parent would become children of init, where nothing tells whose they were. So while an engine runs, its
process is a sub-reaper as well: what a dead guard leaves behind becomes its child.

A host program has children of its own. They must not be ended, and their exit status is not to be taken. The children
of a guard differ from them in a limit that only root can raise again: `guard.LIMIT`, inherited by all that a client
starts. A process with a lower one than this process's own belongs below a guard; as a child of this process it has lost
it.

Linux only; elsewhere, and while no engine runs, nothing is adopted.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import sys
from collections.abc import AsyncIterator

from supervisor.process import guard

ROUNDS = 200
"""Looks in a row after processes that fork and exit faster than one look takes; each is some 20 µs."""

_SET_SUBREAPER, _GET_SUBREAPER = 36, 37
"""Numbers of `prctl`."""

_engines = 0
"""How many run in this process."""
_was_reaper = ctypes.c_int()
"""Whether this process was one before the first engine."""


@contextlib.asynccontextmanager
async def adopting() -> AsyncIterator[None]:
    """Makes this process a sub-reaper while the block runs; it stays one when it was one before. Blocks may overlap."""
    global _engines
    if not sys.platform.startswith("linux"):
        yield
        return
    libc = ctypes.CDLL(None)
    if _engines == 0:
        libc.prctl(_GET_SUBREAPER, ctypes.byref(_was_reaper), 0, 0, 0)
        libc.prctl(_SET_SUBREAPER, 1, 0, 0, 0)
    _engines += 1
    try:
        yield
    finally:
        _engines -= 1
        if _engines == 0:
            libc.prctl(_SET_SUBREAPER, _was_reaper.value, 0, 0, 0)


def list_adopted() -> list[int]:
    """Pids of the living ones; reaps the dead. Empty only after a look that found neither: one look may miss a process
    that forks and exits all the time, but not the zombies that it leaves."""
    if not _engines:
        return []
    for _ in range(ROUNDS):
        found = [pid for pid in guard.list_children() if _is_of_client(pid)]
        living = [pid for pid in found if not _reap(pid)]
        if living or not found:
            return living
    return [pid for pid in guard.list_children() if _is_of_client(pid)]


def kill_adopted() -> None:
    """Kills them and what comes up from below them, until all are dead or `ROUNDS` are over; does not wait for the
    kernel to have ended them. As in the guard, only children are killed: a pid is theirs until they are reaped here."""
    told: set[int] = set()
    for _ in range(ROUNDS):
        living = set(list_adopted())
        if not living - told:
            return
        for pid in living - told:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        told = (told & living) | living


def _is_of_client(pid: int) -> bool:
    try:
        theirs, own = resource.prlimit(pid, guard.LIMIT)[1], resource.getrlimit(guard.LIMIT)[1]
    except (OSError, ValueError):  # reaped meanwhile, or another user's
        return False
    return theirs != resource.RLIM_INFINITY and (own == resource.RLIM_INFINITY or theirs < own)


def _reap(pid: int) -> bool:
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return True
