"""Process trees: listed before anything is ended, measured as a whole, and verified to be empty afterwards (R3).

A tool's shell has its own process group, so a group signal does not find it. A process may also drop its environment
and lose its parent; the root of a client's tree is therefore its guard (`process.guard`), which the kernel makes the
parent of everything below that has lost its own, and which ends only when there is nothing below it any more. What a
guard that was killed leaves comes up to this process (`process.adopted`), and is a part of every tree. Without a
guard (not on Linux), every process of a client carries the client's mark in its environment, and "gone" means that
neither the listed tree nor the mark is found. Where a client has a control group, it means that this is empty, too.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable, Iterator, Set
from pathlib import Path
from typing import NamedTuple

import anyio
import psutil

from supervisor.in_thread import run_in_thread
from supervisor.process import adopted, guard
from supervisor.process.cgroups import Cgroup, list_groups
from supervisor.scarcity import is_blind

MARK = guard.MARK
"""The environment variable that every process of a client's tree inherits."""
POLL = 0.02
"""Seconds between two looks at a process that should be ending."""

LOST = (psutil.Error, OSError)
"""What a look at a process raises that is not there any more, or not ours. psutil lets `FileNotFoundError` through when
the pid is in use again by the time it asks whether the process has gone."""

LOOKS, BETWEEN = 50, 0.1
"""How often it is looked for what has slipped out of a tree, and seconds from one look to the next, where none can be
taken."""

_log = logging.getLogger(__name__)


@contextlib.contextmanager
def if_there() -> Iterator[None]:
    """Ends the block where the process has gone. Raises `OSError` where that cannot be seen."""
    try:
        yield
    except LOST as error:
        if is_blind(error):
            raise


def iter_processes() -> Iterator[psutil.Process]:
    """Every process of this machine. `psutil.process_iter` ends with an error where one of them ends in the moment it
    is looked at."""
    for pid in psutil.pids():
        try:
            process = psutil.Process(pid)
        except LOST:
            continue
        yield process


def list_tree(root: psutil.Process) -> list[psutil.Process]:
    """The process and all its descendants, parents first; empty when it does not run any more. Where they cannot be
    seen, the process alone."""
    try:
        return [root, *root.children(recursive=True)] if root.is_running() else []
    except LOST as error:
        return [root] if is_blind(error) else []


def list_heads(*, with_guards: bool = True) -> list[psutil.Process]:
    """Every process of this machine that is below no guard; `with_guards` those of this kind among them, whose mark is
    also that of all that is below.

    Only of these may the environment be read: that lies in the memory of a process, and one that sleeps below its guard
    would have it read back from swap.
    """
    parents: dict[int, int] = psutil._ppid_map()  # type: ignore[attr-defined]
    guards = {pid for pid in parents if _is_named_guard(pid)}
    found = []
    for pid in parents:
        above, seen = parents[pid], {pid}
        while above in parents and above not in guards and above not in seen:
            seen.add(above)
            above = parents[above]
        if above not in guards and (with_guards or pid not in guards):
            with if_there():
                found.append(psutil.Process(pid))
    return found


def map_marked(marks: Set[str], *, with_guards: bool = True) -> dict[str, list[psutil.Process]]:
    """The heads of this user that carry one of the marks, wherever they have been re-parented to: with what is below
    them, all that does. Costs a walk over all processes."""
    found: dict[str, list[psutil.Process]] = {}
    for process in list_heads(with_guards=with_guards):
        with if_there():
            if (mark := process.environ().get(MARK)) in marks and mark is not None:
                found.setdefault(mark, []).append(process)
    return found


def list_runs(runs: Set[str]) -> list[psutil.Process]:
    """Every process whose mark begins with that of one of these supervisors, and what hangs below it: of clients, of
    shared MCP servers, of hooks. Also what is in the groups of its clients. Costs a walk over all processes."""
    found = []
    for process in list_heads():
        with if_there():
            run, colon, _ = process.environ().get(MARK, "").partition(":")
            if colon and run in runs:
                found += list_tree(process)
    for run in runs:
        for group in list_groups(run):
            found += _list_members(group)
    return found


def _list_members(group: Cgroup) -> list[psutil.Process]:
    found = []
    for pid in group.list_members():
        with contextlib.suppress(*LOST):
            found.append(psutil.Process(pid))
    return found


def find_descendant(ancestor: int, claimed: object) -> int | None:
    """`claimed` when it is the id of that process or of one below it: what a process says of itself is hearsay, and
    what it names is measured and ended."""
    if not isinstance(claimed, int) or isinstance(claimed, bool) or not 0 < claimed < 2**31:
        return None
    try:
        above = psutil.Process(claimed).parents()
    except LOST:
        return None
    return claimed if claimed == ancestor or any(one.pid == ancestor for one in above) else None


def find_top(cli: psutil.Process) -> psutil.Process:
    """The guard of that CLI, where it has one, else the CLI itself."""
    try:
        parent = cli.parent()
        return parent if parent is not None and is_guard(parent) else cli
    except LOST as error:
        if is_blind(error):
            raise
        return cli


def is_guard(process: psutil.Process) -> bool:
    """Whether the process has the name of a guard. Any process may take that name, so this only lets it end by itself
    (`Tree.kill`)."""
    try:
        return process.is_running() and _is_named_guard(process.pid)
    except LOST:
        return False


def _is_named_guard(pid: int) -> bool:
    """psutil's own `name` reads the memory of a process that has a long one."""
    try:
        return Path(f"/proc/{pid}/comm").read_bytes().strip() == guard.NAME.encode()
    except OSError:
        return False


def is_alive(process: psutil.Process) -> bool:
    """Alive, the same process (pid and start time), and not a zombie waiting to be reaped. Also where that cannot be
    seen."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except LOST as error:
        return is_blind(error)


class Tree:
    """The processes of one client that have been seen, to be ended and verified."""

    def __init__(
        self, root: psutil.Process | None, mark: str, cgroup: Cgroup | None = None, *, has_guard: bool = False
    ) -> None:
        """`root` is taken while the process is known to live: its pid may be reused later. `has_guard` when it is, or
        was, a guard. The group, where it has one, is removed when a look finds nothing alive."""
        self._root = root
        self._mark = mark
        self._seen: dict[psutil.Process, None] = {}
        self._told_to_end: set[psutil.Process] = set()
        """Guards that have been told to end everything at once."""
        self._not_told: set[psutil.Process] = set()
        """Processes that could not be killed: psutil looks first whether it is the same process still."""
        self._is_killing = False
        self._is_guarded = has_guard or (root is not None and is_guard(root))
        self._cgroup = cgroup

    def look(self) -> None:
        """Adds what hangs below the root now. Cheap; call it before each step that may orphan something."""
        if self._root is not None:
            self.add(list_tree(self._root))

    async def look_everywhere(self) -> None:
        """Adds what carries the mark, re-parented processes included, what hangs below that, and what is in its group.
        Of a client with a guard, other guards and what is below them are not looked at."""
        for _ in range(LOOKS):
            try:
                self.add(await run_in_thread(self._list_everywhere))
                break
            except OSError as error:
                if not is_blind(error):
                    raise
                await anyio.sleep(BETWEEN)
        else:
            _log.warning("it cannot be seen whether anything is left of %s", self._mark)
        if self._cgroup is not None and not self.alive:
            self._cgroup.remove()

    def _list_everywhere(self) -> list[psutil.Process]:
        marked = map_marked({self._mark}, with_guards=not self._is_guarded)
        found = [process for each in marked.values() for root in each for process in list_tree(root)]
        return found + (_list_members(self._cgroup) if self._cgroup is not None else [])

    @property
    def alive_count(self) -> int:
        return len(self.alive)

    @property
    def alive(self) -> list[psutil.Process]:
        """The processes of the tree that are alive, and all that dead guards of any client have left: a process that
        has lost its guard is always ended."""
        orphans: set[int] = set()
        with if_seen():
            orphans.update(adopted.list_adopted())
        for pid in orphans:
            with contextlib.suppress(*LOST):
                self.add([psutil.Process(pid)])
        # One that forks and exits all the time may be dead by now, and yet its successor lives.
        return [process for process in self._seen if process.pid in orphans or is_alive(process)]

    def terminate(self) -> None:
        for process in self.alive:
            with contextlib.suppress(*LOST):
                process.terminate()

    def kill(self) -> None:
        """A guard is told to kill what is below it, which no listing could do as well, and to end after that. Where it
        has not done so by the next call, it is killed itself."""
        self._is_killing = True
        if self._cgroup is not None:
            self._cgroup.kill()
        for process in self.alive:
            self._kill_one(process)
        self._kill_on()

    def _kill_one(self, process: psutil.Process) -> None:
        self._not_told.discard(process)
        try:
            if (is_guard(process) or self._is_own_guard(process)) and process not in self._told_to_end:
                process.send_signal(guard.END_NOW)
                self._told_to_end.add(process)
            else:
                process.kill()
        except LOST as error:
            if is_blind(error):
                self._not_told.add(process)

    def _is_own_guard(self, process: psutil.Process) -> bool:
        """Needs no look."""
        return self._is_guarded and process == self._root

    def _kill_on(self) -> None:
        """A guard may have been stopped, and be stopped again by what has not been ended yet."""
        for process in tuple(self._not_told):
            self._kill_one(process)
        for process in self._told_to_end:
            with contextlib.suppress(*LOST):
                process.resume()
        with if_seen():
            adopted.kill_adopted()

    async def emptied(self, within: float) -> bool:
        """Waits until nothing seen is alive, at most `within` seconds."""
        with anyio.move_on_after(within):
            while self.alive:
                await anyio.sleep(POLL)
                if self._is_killing:
                    self._kill_on()
        return not self.alive

    def add(self, processes: Iterable[psutil.Process]) -> None:
        for process in processes:
            self._seen.setdefault(process)


@contextlib.contextmanager
def if_seen() -> Iterator[None]:
    """Ends the block where nothing can be seen."""
    try:
        yield
    except OSError as error:
        if not is_blind(error):
            raise


class TreeUsage(NamedTuple):
    """What the whole process tree of one client uses at one moment."""

    memory_bytes: int = 0
    """PSS where the system gives it, else RSS."""
    processes: int = 0
    cpu_seconds: float = 0.0
    """User and system time used so far, also by what has ended and was waited for."""
    swap_bytes: int = 0
    """What of its memory stands in swap, before compression; not a part of `memory_bytes`."""
    peak_bytes: int = 0
    """Of its control group (`Cgroup.peak_bytes`); 0 without."""
    pressure: float | None = None
    """Of its control group, in percent (`Cgroup.pressure`); None without."""


class ProcessTable:
    """The parent and children of every process on this machine, read once to measure many trees. Blocking: use it in a
    thread.

    Reading PSS costs about 1 ms per process, RSS 18 µs. Neither touches a page of the process: what is in swap stays
    there.
    """

    def __init__(self) -> None:
        self._children: dict[int, list[int]] = {}
        for pid, parent in psutil._ppid_map().items():  # type: ignore[attr-defined]
            self._children.setdefault(parent, []).append(pid)

    def measure(self, root: int, cgroup: Cgroup | None = None) -> TreeUsage:
        """The tree below and with that pid, and the group that it has; nothing for 0, which is no process. Raises
        `OSError` where it cannot be seen: a part of it would pass for all."""
        memory, count, cpu, swap = 0, 0, 0.0, 0
        pending = [root] if root else []
        while pending:
            pid = pending.pop()
            pending.extend(self._children.get(pid, ()))
            with if_there():
                process = psutil.Process(pid)
                resident, swapped = _memory_of(process)
                memory += resident
                swap += swapped
                times = process.cpu_times()
                cpu += times.user + times.system + times.children_user + times.children_system
                count += 1
        if cgroup is None or not count:
            return TreeUsage(memory, count, cpu, swap)
        return TreeUsage(memory, count, cpu, swap, cgroup.peak_bytes, cgroup.pressure)


def _memory_of(process: psutil.Process) -> tuple[int, int]:
    """Bytes that are resident and in swap."""
    try:
        full = process.memory_full_info()
        return int(getattr(full, "pss", 0) or full.rss), int(getattr(full, "swap", 0))
    except psutil.AccessDenied:
        return int(process.memory_info().rss), 0
