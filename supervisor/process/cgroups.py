"""Control groups for clients, where this process was given a part of the hierarchy (cgroup v2, `Delegate=yes`).

    …/bullpen.service            what was given
        supervisor               this process and the guards
        bullpen-RUN:desk-1       one client: the CLI and all that it has started

A group hands the memory of its processes back without any privilege (`memory.reclaim`), and all of them are killed with
one write, whatever they do meanwhile. It also tells what its client used at most, and how long that waited for memory.
Everything works without: what is missing here is done with signals, and with the guard.
"""

from __future__ import annotations

import contextlib
import glob
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

NAME = "bullpen-"
"""What the groups of clients begin with."""
OWN = "supervisor"
"""The group of this process itself: one that has processes of its own can have no controllers for those below it."""
PIECE = 16 * 1024**2
"""Bytes handed back at once: one that is woken meanwhile is left alone after that."""

_SOME = re.compile(r"some avg10=(\d+\.\d+) ")
_MOUNTS, _SELF, _SYSTEMD = Path("/proc/self/mountinfo"), Path("/proc/self/cgroup"), Path("/run/systemd/system")


class Cgroup:
    """The control group of one client. Every method tolerates that the group is gone."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def is_populated(self) -> bool:
        return "populated 1" in _read(self.path / "cgroup.events")

    @property
    def peak_bytes(self) -> int:
        """The most that was charged to it at once: pages of files count too, what is in swap does not. 0 without the
        controller of memory."""
        peak = _read(self.path / "memory.peak").strip()
        return int(peak) if peak.isdigit() else 0

    @property
    def pressure(self) -> float | None:
        """Percent of the last ten seconds in which some process of it waited for memory; None where the kernel does not
        count that."""
        found = _SOME.match(_read(self.path / "memory.pressure"))
        return float(found[1]) if found else None

    def reclaim(self, is_over: Callable[[], bool]) -> bool:
        """Hands the memory of its processes back, until nothing more can be or it is over. False where the kernel
        has no such thing for it. Blocking."""
        current, file = _read(self.path / "memory.current").strip(), self.path / "memory.reclaim"
        if not current.isdigit() or not file.exists():
            return False
        for _ in range(int(current) // PIECE + 1):
            if is_over() or not _write(file, str(PIECE)):
                break
        return True

    def kill(self) -> None:
        _write(self.path / "cgroup.kill", "1")

    def list_members(self) -> list[int]:
        """Ids of the processes in it, and in groups that these have made below it."""
        pids = [pid for folder in self._folders() for pid in _read(folder / "cgroup.procs").split()]
        return [int(pid) for pid in pids if pid != "0"]  # one that this process cannot name

    def remove(self) -> None:
        """Removes the group when it is empty; does nothing while it is not."""
        for folder in self._folders():
            with contextlib.suppress(OSError):
                folder.rmdir()

    def _folders(self) -> list[Path]:
        """Folders of the groups below this one, and its own last."""
        return [Path(folder) for folder, _, _ in os.walk(self.path, topdown=False)]


class Cgroups:
    """The groups of one supervisor's clients."""

    def __init__(self, base: Path) -> None:
        """`base` is the group that was given. Removes the empty ones that a dead supervisor has left there."""
        self.base = base
        for path in base.glob(f"{NAME}*"):
            Cgroup(path).remove()

    def make(self, mark: str) -> Cgroup | None:
        """Makes the control group of one client; None when that is not possible."""
        path = self.base / f"{NAME}{mark.replace('/', '-')}"
        try:
            path.mkdir(exist_ok=True)
        except OSError:
            return None
        return Cgroup(path)


def list_groups(run: str) -> list[Cgroup]:
    """The control groups of one supervisor's clients. That supervisor may be dead."""
    base = find_delegated()
    return [] if base is None else [Cgroup(path) for path in base.glob(f"{NAME}{glob.escape(run)}:*")]


def open_cgroups() -> Cgroups | None:
    """Finds the part of the hierarchy that was delegated to this process; None without one. Where it can, it moves this
    process into a group of its own, so that the groups of clients can have the memory controller."""
    base = find_delegated()
    if base is None:
        return None
    if "memory" in _read(base / "cgroup.controllers").split():
        _enable_memory(base)
    return Cgroups(base)


def find_delegated() -> Path | None:
    """The group in which this process may make others."""
    own = _find_own() if sys.platform.startswith("linux") else None
    if own is None:
        return None
    # systemd may have put it into a subgroup already (`DelegateSubgroup=`), or an earlier engine of this process has.
    base = own.parent if own.name == OWN else own
    return base if _is_given(base) and os.access(base, os.W_OK) and os.access(base / "cgroup.procs", os.W_OK) else None


def can_reclaim(base: Path) -> bool:
    """Whether clients there give their memory back without a privilege. The file is not there for the root of all."""
    return "memory" in _read(base / "cgroup.controllers").split() and (base / "memory.reclaim").exists()


def _is_given(base: Path) -> bool:
    """Marked so by systemd, which owns the hierarchy of every other group; without systemd, owned by this user.
    Root owns everything, which says nothing."""
    for name in ("user.delegate", "trusted.delegate"):
        with contextlib.suppress(OSError):
            if os.getxattr(base, name) == b"1":
                return True
    with contextlib.suppress(OSError):
        return not _SYSTEMD.exists() and os.geteuid() != 0 and base.stat().st_uid == os.geteuid()
    return False


def _find_own() -> Path | None:
    below = next((line[3:] for line in _read(_SELF).splitlines() if line.startswith("0::")), None)
    if below is None:
        return None
    for line in _read(_MOUNTS).splitlines():
        fields, _, rest = line.partition(" - ")
        if rest.split(" ", 1)[0] == "cgroup2":
            root, point = fields.split()[3:5]
            path = os.path.relpath(below, root)
            return None if path.startswith("..") else Path(os.path.normpath(os.path.join(point, path)))
    return None


def _enable_memory(base: Path) -> None:
    if "memory" in _read(base / "cgroup.subtree_control").split():
        return
    own = base / OWN
    with contextlib.suppress(OSError):
        own.mkdir(exist_ok=True)
    for pid in _read(base / "cgroup.procs").split():
        _write(own / "cgroup.procs", pid)
    _write(base / "cgroup.subtree_control", "+memory")


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _write(path: Path, text: str) -> bool:
    """Writes into a file of a control group. False when the kernel refused, or did only a part."""
    try:
        descriptor = os.open(path, os.O_WRONLY)
    except OSError:
        return False
    try:
        return os.write(descriptor, text.encode()) > 0
    except OSError:
        return False
    finally:
        os.close(descriptor)
