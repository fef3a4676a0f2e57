"""Real process trees below a guard, for the tests of this folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

from supervisor.process import guard
from supervisor.process.process_tree import list_tree

RUN = f"of-{os.getpid()}"
"""What stands for one supervisor in the marks of these processes. Other tests run beside these on the same machine: a
test that ends what a run has left must not find theirs."""
GUARD = [sys.executable, "-I", "-S", guard.__file__]
FAMILY = "echo ready; setsid sh -c 'sleep 300 & sleep 300' & sleep 300 & cat"
"""A shell, a child in a session of its own with two children, a child, and one that echoes."""


@contextmanager
def guarded(*command: str, mark: str = "", **environ: str) -> Iterator[subprocess.Popen[str]]:
    """What runs below a guard, once it has said something; nothing of it is left afterwards."""
    with subprocess.Popen(
        [*GUARD, *command],
        env={"PATH": os.environ["PATH"], guard.SUPERVISOR: str(os.getpid()), guard.MARK: mark, **environ},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline()
            yield process
        finally:
            process.send_signal(guard.END_NOW)
            process.send_signal(signal.SIGCONT)  # where a mistake has stopped it
            process.wait(20)


def below(process: subprocess.Popen[str]) -> list[psutil.Process]:
    return list_tree(psutil.Process(process.pid))[1:]


def states(processes: list[psutil.Process]) -> set[str]:
    return {process.status() for process in processes}
