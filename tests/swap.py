"""Swap for the tests of this run: the machine's own, or a file that is made for them and removed by the last one."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pytest

from supervisor.process.host_memory import has_swap, look_at_host

SIZE = 1024**3
"""Bytes of the file."""


@dataclass(frozen=True)
class Swap:
    takes_memory: bool
    """What is put to sleep is paged out."""
    why_not: str = ""


@pytest.fixture(scope="session")
def swap(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Swap]:
    """Where there can be none, a test does what it can without, and this says so in one line."""
    base = tmp_path_factory.getbasetemp()
    # The processes of one run share a folder.
    folder = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    with contextlib.ExitStack() as stack:
        why_not = stack.enter_context(_made_for_all(folder))
        if not why_not and not look_at_host().pages_out:
            why_not = "this process may not page out others (CAP_SYS_NICE)"
        if why_not:
            with warnings.catch_warnings():
                warnings.simplefilter("default")
                warnings.warn(f"nothing is paged out in these tests: {why_not}", stacklevel=1)
        yield Swap(not why_not, why_not)


@contextlib.contextmanager
def _made_for_all(folder: Path) -> Iterator[str]:
    """Why there is no swap; empty when there is."""
    file = folder / "swap"
    with open(folder / "swap.turn", "w") as turn, open(folder / "swap.users", "w") as users:
        with _locked(turn):
            why_not = "" if has_swap() else _make(file)
            fcntl.flock(users, fcntl.LOCK_SH)  # also let go of by one that is killed
        try:
            yield why_not
        finally:
            with _locked(turn):
                fcntl.flock(users, fcntl.LOCK_UN)
                with contextlib.suppress(BlockingIOError):
                    fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    _remove(file)


@contextlib.contextmanager
def _locked(file: IO[str]) -> Iterator[None]:
    fcntl.flock(file, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(file, fcntl.LOCK_UN)


def _make(file: Path) -> str:
    if os.geteuid() != 0:
        return "there is no swap, and only root may make some"
    if shutil.disk_usage(file.parent).free < 2 * SIZE:
        return "there is no swap, and no room for a file of it"
    try:
        with open(file, "wb") as made:
            file.chmod(0o600)
            os.posix_fallocate(made.fileno(), 0, SIZE)
        subprocess.run(["mkswap", str(file)], check=True, capture_output=True, text=True)
        subprocess.run(["swapon", str(file)], check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        file.unlink(missing_ok=True)
        words = getattr(error, "stderr", "") or str(error)
        return f"there is no swap, and none can be made: {' '.join(words.split())[:200]}"
    return ""


def _remove(file: Path) -> None:
    if file.exists():
        subprocess.run(["swapoff", str(file)], check=True, capture_output=True)
        file.unlink()
