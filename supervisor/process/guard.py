"""The guard of one client: a small parent process that ends when the CLI and all that the CLI has started have ended.

    supervisor ── guard ── claude ── tools' shells ── …
                    └── whatever lost its parent: the kernel gives it to the guard, wherever it went

A process can drop its environment, session, parent and name, but not its sub-reaper: when its parents are gone it
becomes the guard's own child. So "nothing is left" is the kernel's answer to `waitpid`: no children. The guard

- starts the CLI in a session of its own, so that Ctrl+C and a closed terminal reach only the supervisor;
- takes from it the capabilities that the supervisor was given;
- passes SIGTERM, SIGINT, SIGHUP and SIGQUIT on to the CLI;
- starts it with a lower `LIMIT`, so that what it leaves behind when it is killed itself can be told from others;
- when the CLI ends, tells what is left to end (TERM, `STRAGGLERS` later KILL), waits for it, and ends as the CLI did;
- on `END_NOW`, which the kernel sends it when the supervisor dies, kills everything at once, as often as it takes.

Run by its path with the standard library alone: `python -I -S guard.py CLI [ARGUMENT …]`, through the script that
`executable.wrap_cli` writes. Linux only. What it takes from its environment (and does not pass on):

    BULLPEN_SUPERVISOR   pid of the process that starts it. When that is not its parent any more, nothing is started.
    BULLPEN_KEEP         names of the variables that the CLI gets, separated by commas; `NAME*` stands for all that
                         begin so. Not set: all of them. `BULLPEN_CLIENT`, the mark, is always kept.
    BULLPEN_CGROUP       the control group that the CLI joins, and not the guard. When it cannot, it runs without.

The guard's own copies of environment and arguments are overwritten: in `/proc` the CLI's tools find the mark and the
guard's name, not what was kept from them, and a process listing shows the arguments of each CLI once.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
import time

NAME = "claude-guard"
"""What `ps` calls it; at most 15 characters."""
END_NOW = signal.SIGUSR1
STRAGGLERS = 0.5
"""Seconds between TERM and KILL for what outlives the CLI."""
POLL = 0.02
"""Seconds between two looks at processes that should be ending."""

LIMIT = 10
"""RLIMIT_LOCKS. The kernel has kept and inherited it without any effect since Linux 2.4.25. A process may
lower its hard limit, and only root may raise it again: `process.adopted` knows the orphans of a dead guard by it."""

MARK, KEEP, SUPERVISOR = "BULLPEN_CLIENT", "BULLPEN_KEEP", "BULLPEN_SUPERVISOR"
CGROUP = "BULLPEN_CGROUP"
NOT_STARTED = 127
"""Exit code when the CLI cannot be started, as of a shell."""

_PASSED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
_HEARD = (*_PASSED_ON, signal.SIGCHLD, END_NOW)
_SET_PARENT_DEATH_SIGNAL, _SET_NAME, _SET_SUBREAPER, _AMBIENT, _CLEAR_ALL = 1, 15, 36, 47, 4
"""Numbers of `prctl`."""


def main(command: list[str]) -> int:
    """Returns the exit code when the CLI could not be started; else ends as the CLI has ended."""
    # Blocked signals wait until they are asked for: none interrupts anything, none is lost.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, _HEARD)
    given = dict(os.environ)
    become_guard()
    parent, group = given.pop(SUPERVISOR, ""), given.pop(CGROUP, "")
    if parent and os.getppid() != int(parent):
        return NOT_STARTED  # it died before the kernel was told to tell of its death
    environment = choose_environment(given)
    _overwrite(environment.get(MARK, ""))
    guard = os.getpid()
    cli = os.fork()
    if cli == 0:
        _join(group)
        _become_cli(command, environment, mask, guard)
    _let_go()
    return _end_like(Watch(cli).run())


def become_guard() -> None:
    """A session of its own, the parent of all orphans below, told of the supervisor's death."""
    if os.getpid() != os.getsid(0):
        os.setsid()
    libc = ctypes.CDLL(None)
    libc.prctl(_SET_SUBREAPER, 1, 0, 0, 0)
    libc.prctl(_SET_PARENT_DEATH_SIGNAL, int(END_NOW), 0, 0, 0)
    libc.prctl(_SET_NAME, NAME.encode(), 0, 0, 0)
    # What the supervisor may do beyond other users (to page out its clients) is not for them.
    libc.prctl(_AMBIENT, _CLEAR_ALL, 0, 0, 0)


def choose_environment(given: dict[str, str]) -> dict[str, str]:
    """The variables of the guard's environment that the CLI gets."""
    keep = given.pop(KEEP, None)
    if keep is None:
        return given
    names = [name.strip() for name in keep.split(",")]
    prefixes = tuple(name[:-1] for name in names if name.endswith("*"))
    exact = {MARK, *names}
    return {name: value for name, value in given.items() if name in exact or (prefixes and name.startswith(prefixes))}


class Watch:
    """The guard's main loop, from the start of the CLI until the guard has no children."""

    def __init__(self, cli: int) -> None:
        self._cli = cli
        self._status: int | None = None
        """Of the CLI, as `waitpid` gives it, once it has ended."""
        self._kill_from: float | None = None
        """Monotonic seconds from which on everything is killed; None while the CLI runs."""
        self._told: set[tuple[int, int]] = set()
        """Pids and the signals they were sent: children that have not been reaped, so no pid is used again."""

    def run(self) -> int:
        """Returns the CLI's status."""
        while True:
            is_new = self._end_children()
            self._hear(0.0 if is_new else POLL if self._kill_from is not None else None)
            if not self._reap():
                return self._status or 0

    def _hear(self, timeout: float | None) -> None:
        heard = signal.sigwaitinfo(_HEARD) if timeout is None else signal.sigtimedwait(_HEARD, timeout)
        number = heard.si_signo if heard is not None else 0
        if number == END_NOW:
            self._kill_from = 0.0
        elif number in _PASSED_ON and self._status is None:
            os.kill(self._cli, number)

    def _reap(self) -> bool:
        """Reaps children. False when none is left, and so no descendant."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if pid == 0:
                return True
            self._told = {told for told in self._told if told[0] != pid}
            if pid == self._cli:
                self._status = status
                if self._kill_from is None:
                    self._kill_from = time.monotonic() + STRAGGLERS

    def _end_children(self) -> bool:
        """Signals each child once. Killing only children is safe: a pid is theirs until they are reaped here. Their own
        children come up to the guard. True when there was one that had not been told."""
        if self._kill_from is None:
            return False
        number = signal.SIGKILL if time.monotonic() >= self._kill_from else signal.SIGTERM
        fresh = {(pid, int(number)) for pid in list_children()} - self._told
        for pid, _ in fresh:
            os.kill(pid, number)
        self._told |= fresh
        return bool(fresh)


def list_children() -> list[int]:
    """Pids of this process's children, zombies included."""
    me = os.getpid()
    try:
        with open(f"/proc/self/task/{me}/children", encoding="ascii") as file:
            return [int(pid) for pid in file.read().split()]
    except OSError:  # a kernel without that file
        return [int(name) for name in os.listdir("/proc") if name.isdigit() and _parent_of(name) == me]


def _parent_of(pid: str) -> int:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return int(file.read().rpartition(b")")[2].split()[1])
    except OSError:
        return 0


def _join(group: str) -> None:
    try:
        if group:
            with open(f"{group}/cgroup.procs", "w", encoding="ascii") as file:
                file.write("0")
    except OSError:
        pass


def _become_cli(command: list[str], environment: dict[str, str], mask: set[int | signal.Signals], guard: int) -> None:
    # Whatever ends the guard, a busy CLI must not go on unwatched.
    ctypes.CDLL(None).prctl(_SET_PARENT_DEATH_SIGNAL, int(signal.SIGKILL), 0, 0, 0)
    try:
        if os.getppid() == guard:
            _lower_limit()
            # Python ignores these two; the CLI and its tools expect them as they were.
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)
            signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            os.execve(command[0], command, environment)
    except OSError as error:
        os.write(2, f"{command[0]}: {error.strerror}\n".encode())
    finally:
        os._exit(NOT_STARTED)


def _lower_limit() -> None:
    _, hard = resource.getrlimit(LIMIT)
    lower = 2**40 if hard == resource.RLIM_INFINITY else max(0, hard - 1)
    resource.setrlimit(LIMIT, (lower, lower))


def _overwrite(mark: str) -> None:
    with open("/proc/self/stat", "rb") as file:
        fields = file.read().rpartition(b")")[2].split()
    arguments, arguments_end, environment, environment_end = map(int, fields[45:49])
    # Where the last byte is not a zero, the kernel shows only what stands before the first one.
    _fill(arguments, arguments_end - 1, NAME.encode() + b"\0")
    if arguments:
        ctypes.memset(arguments_end - 1, ord(" "), 1)
    _fill(environment, environment_end, f"{MARK}={mark}\0".encode() if mark else b"")


def _fill(start: int, end: int, words: bytes) -> None:
    """The words, as far as there is room, and zeros behind them."""
    if 0 < start < end:
        ctypes.memset(start, 0, end - start)
        ctypes.memmove(start, words, min(len(words), end - start))


def _let_go() -> None:
    """Holds neither the CLI's pipes, whose end must be seen, nor its working directory."""
    os.chdir("/")
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    os.close(null)


def _end_like(status: int) -> int:
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if number != signal.SIGKILL:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
        os.kill(os.getpid(), number)
    os._exit(os.waitstatus_to_exitcode(status) & 0xFF)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
