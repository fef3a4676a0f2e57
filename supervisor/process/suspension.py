"""A process tree that is stopped and continued by signals, without any of it noticing.

Parents are stopped before their children and continued after them. A parent that runs while a child stops is told of
it: a shell with job control takes its command for suspended and goes on with the next one. One that is stopped itself
never learns of it, because that word is taken back when the child is continued.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Set

import anyio
import psutil
from anyio.lowlevel import RunVar

from supervisor.in_thread import run_in_thread
from supervisor.process.cgroups import Cgroup
from supervisor.process.host_memory import has_swap
from supervisor.process.paging import Pages, find_own, find_resident, page_out
from supervisor.process.prefetch import Prefetch
from supervisor.process.process_tree import LOST, is_alive, is_guard, list_tree
from supervisor.scarcity import is_blind

WITHIN = 5.0
"""Seconds for a whole tree to stop. It takes milliseconds, unless the host is busy, or a process waits for a disk."""
POLL = 0.001
"""Seconds between two looks at a process that should be stopping."""

AT_ONCE = 1
"""How many trees of this process are stopped at the same time: handing memory back takes a core for a moment."""

_AT_REST = frozenset("TtZXx")
"""States of a thread that runs no more: stopped, by a tracer too, or dead."""

_turn = RunVar[anyio.CapacityLimiter]("turns of suspensions")


class Suspension:
    """One stopping of a tree. `wake` may come at any time and from any thread, and ends it for good."""

    def __init__(
        self, root: psutil.Process | None, cgroup: Cgroup | None = None, woken: Set[psutil.Process] = frozenset()
    ) -> None:
        """A guard as the root stays awake: it must hear of the supervisor's death. `cgroup` is that of all below it.
        `woken` have been woken by an earlier suspension."""
        self._root = root
        self._cgroup = cgroup
        self._woken = woken
        self._lock = threading.Lock()
        """Held while a process is stopped, so that `wake` misses none."""
        self._stopped: list[psutil.Process] = []
        """By this suspension, oldest first. What was stopped before is left to what has stopped it."""
        self._seen: set[psutil.Process] = set()
        self._paged_out: dict[int, Pages] = {}
        """What each process, by its id, is likely to need when it is woken."""
        self._prefetch: Prefetch | None = None
        self._is_over = False

    @property
    def is_over(self) -> bool:
        """Whether the processes are to be left alone: the client was woken, or could not be stopped."""
        return self._is_over

    async def run(self) -> bool:
        """Stops the tree and hands over its memory, in a thread. Cancelled, it is as if it had been woken."""
        try:
            return await run_in_thread(self._run, abandon_on_cancel=True, limiter=_turns())
        except OSError:  # it cannot be seen whether everything has stopped
            self.wake()
            return False
        except BaseException:
            self.wake()
            raise

    def _run(self) -> bool:
        is_stopped = self.stop()
        if is_stopped and has_swap():
            self._hand_over()
        return is_stopped and not self._is_over

    def again(self) -> Suspension:
        """The next one of the same tree."""
        if self._prefetch is not None:
            self._prefetch.end()
        return Suspension(self._root, self._cgroup, self._seen)

    def _hand_over(self) -> None:
        """The memory of the guard as well: it runs only when it hears something."""
        is_done = all(self._page_out(process) for process in self._list_all())
        if not is_done and self._cgroup is not None:
            self._cgroup.reclaim(self._ask_is_over)

    def _page_out(self, process: psutil.Process) -> bool:
        """Hands the process's memory back. False when that is not allowed."""
        own = find_own(process.pid)
        needed = find_resident(process.pid, own) if self._needs_on_waking(process) else None
        if not page_out(process.pid, own, self._ask_is_over):
            return False
        with self._lock:
            if needed is not None and not self._is_over:
                self._paged_out[process.pid] = needed
        return True

    def _needs_on_waking(self, process: psutil.Process) -> bool:
        """The CLI always needs most of what it had. An MCP server may not be called for long: what that needs shows the
        first waking."""
        stopped = self._stopped  # `wake` puts another in its place
        return process in stopped and (process == stopped[0] or process in self._woken)

    def _ask_is_over(self) -> bool:
        return self._is_over

    def stop(self) -> bool:
        """Returns when nothing of the tree runs. False, and all of it runs on, when `wake` came meanwhile, when there
        is nothing to stop, or when a process did not stop in time. Blocking."""
        if self._stop_all():
            return True
        self.wake()
        return False

    def wake(self) -> None:
        """Continues what was stopped; does nothing the second time. Microseconds."""
        with self._lock:
            self._is_over = True
            stopped, self._stopped = self._stopped, []
            paged_out, self._paged_out = self._paged_out, {}
        prefetch = Prefetch(paged_out) if paged_out else None
        for process in reversed(stopped):
            # A stopped parent reaps no child: until it is continued, the pid belongs to the process that was stopped.
            with contextlib.suppress(OSError):
                os.kill(process.pid, signal.SIGCONT)
        if prefetch is not None:
            self._prefetch = prefetch
            prefetch.begin()

    def _stop_all(self) -> bool:
        deadline = time.monotonic() + WITHIN
        # Until a listing brings nothing new: what a process had started before it stopped is stopped next.
        while fresh := [process for process in self._list() if process not in self._seen]:
            for process in fresh:
                if not (self._stop(process) and self._await_stop(process, deadline)):
                    return False
        return bool(self._stopped) and not self._is_over

    def _list_all(self) -> list[psutil.Process]:
        return list_tree(self._root) if self._root is not None else []

    def _list(self) -> list[psutil.Process]:
        """The processes to stop, parents first."""
        found = self._list_all()
        return found[1:] if found and is_guard(found[0]) else found

    def _stop(self, process: psutil.Process) -> bool:
        """Stops the process. False when that is not to be, or cannot be done. One that has ended meanwhile counts as
        stopped."""
        self._seen.add(process)
        with self._lock:
            if self._is_over:
                return False
            try:
                if process.status() != psutil.STATUS_STOPPED:
                    process.suspend()
                    self._stopped.append(process)
            except psutil.AccessDenied:  # another user's
                return False
            except LOST:
                pass
        return True

    def _await_stop(self, process: psutil.Process, deadline: float) -> bool:
        """Waits until the process stands still; its children are stopped after that. False when it takes too long or is
        not wanted any more."""
        while not _has_stopped(process):
            if self._is_over or time.monotonic() > deadline:
                return False
            time.sleep(POLL)
        return time.monotonic() <= deadline


def _has_stopped(process: psutil.Process) -> bool:
    """No thread of it runs any more; also when it has ended."""
    try:
        if not sys.platform.startswith("linux"):
            return process.status() in (psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE)
        tasks = f"/proc/{process.pid}/task"
        return all(_state_of(f"{tasks}/{thread}/stat") in _AT_REST for thread in os.listdir(tasks))
    except LOST:
        return not is_alive(process)


def _state_of(stat: str) -> str:
    """Raises `OSError` when it cannot be seen."""
    try:
        with open(stat, encoding="ascii", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0]
    except OSError as error:
        if is_blind(error):
            raise
        return "X"  # the thread has ended


def _turns() -> anyio.CapacityLimiter:
    """One for each loop."""
    try:
        return _turn.get()
    except LookupError:
        _turn.set(limiter := anyio.CapacityLimiter(AT_ONCE))
        return limiter
