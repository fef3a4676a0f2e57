"""A program that tries to get away from what started it, or attacks its guard. It stands in `ps` under the tag.

escape.py WAY TAG
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable

WAYS: dict[str, Callable[[str], None]] = {}
SECONDS = "300"
"""After that it gives up: nothing that a test leaves behind lives for ever."""


def way(function: Callable[[str], None]) -> Callable[[str], None]:
    WAYS[function.__name__] = function
    return function


def become_sleeper(tag: str) -> None:
    """With nothing in its environment, and another name."""
    os.execve("/bin/sleep", [tag, SECONDS], {})


def daemonize() -> None:
    if os.fork():
        os._exit(0)
    os.setsid()
    if os.fork():
        os._exit(0)
    os.chdir("/")
    os.closerange(0, 256)


@way
def session(tag: str) -> None:
    with contextlib.suppress(PermissionError):  # it leads a process group already
        os.setsid()
    become_sleeper(tag)


@way
def daemon(tag: str) -> None:
    daemonize()
    become_sleeper(tag)


@way
def deaf(tag: str) -> None:
    daemonize()
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)
    become_sleeper(tag)


@way
def chain(tag: str) -> None:
    """A new process every 10 ms, each in a session of its own, each an orphan at once; the last one ends by itself."""
    daemonize()
    end = time.monotonic() + float(SECONDS)
    while time.monotonic() < end:
        if os.fork():
            os._exit(0)
        os.setsid()
        time.sleep(0.01)


@way
def reaper(tag: str) -> None:
    """Adopts its own orphans, so that they do not come up to the guard."""
    daemonize()
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
    if os.fork() == 0:
        if os.fork():
            os._exit(0)
        become_sleeper(tag)
    time.sleep(float(SECONDS))


@way
def disguise(tag: str) -> None:
    """Takes the guard's name, and does not end when it is told to as a guard."""
    daemonize()
    ctypes.CDLL(None).prctl(15, b"claude-guard", 0, 0, 0)
    for number in (signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)
    time.sleep(float(SECONDS))


@way
def stopped(tag: str) -> None:
    daemonize()
    os.kill(os.getpid(), signal.SIGSTOP)
    become_sleeper(tag)


def guards_above() -> list[int]:
    """All that stands above this process up to the guard, the guard last."""
    found = [os.getppid()]
    while True:
        with open(f"/proc/{found[-1]}/stat", encoding="ascii", errors="replace") as file:
            head, _, rest = file.read().rpartition(")")
        if head.endswith("(claude-guard"):
            return found
        found.append(int(rest.split()[1]))


def kill_guard(tag: str) -> None:
    """First the guard, so that nothing can be ended by it, then all below it that leads here."""
    for pid in reversed(guards_above()):
        os.kill(pid, signal.SIGKILL)
    become_sleeper(tag)


def stop_guard(tag: str) -> None:
    """As often as it is woken."""
    guard = guards_above()[-1]
    daemonize()
    os.environ.clear()
    ctypes.CDLL(None).prctl(15, tag[:15].encode(), 0, 0, 0)
    end = time.monotonic() + float(SECONDS)
    with contextlib.suppress(ProcessLookupError):
        while time.monotonic() < end:
            os.kill(guard, signal.SIGSTOP)
            time.sleep(0.001)


def trace_guard(tag: str) -> None:
    """Holds it as a debugger does: it gets no signal but KILL."""
    guard = guards_above()[-1]
    daemonize()
    if ctypes.CDLL(None).ptrace(16, guard, None, None):
        raise OSError("not traced")
    become_sleeper(tag)


ATTACKS: dict[str, Callable[[str], None]] = {"kill": kill_guard, "stop": stop_guard, "trace": trace_guard}
"""On the guard of the client that this runs in."""


if __name__ == "__main__":
    (WAYS | ATTACKS)[sys.argv[1]](sys.argv[2])
