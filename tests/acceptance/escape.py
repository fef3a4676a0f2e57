"""A program that tries to get away from whatever started it: `escape.py WAY TAG`. It stands in `ps` under the tag."""

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
    """A new process every 10 ms, each in a session of its own, each an orphan at once."""
    daemonize()
    while True:
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


if __name__ == "__main__":
    WAYS[sys.argv[1]](sys.argv[2])
