"""Which files of `/proc` this process opens: whether a look at another process may have read that one's own pages."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

NO_MEMORY = {"comm", "smaps", "smaps_rollup", "stat", "statm", "status"}
"""Files of a process that the kernel fills from its own tables; others may lie in the process's pages."""


@pytest.fixture
def opened() -> Iterator[list[str]]:
    """Paths of the files there that this process opens."""
    paths: list[str] = []
    is_over = False

    def hear(event: str, arguments: tuple[object, ...]) -> None:
        if event == "open" and not is_over and str(arguments[0]).startswith("/proc/"):
            paths.append(str(arguments[0]))

    sys.addaudithook(hear)  # for good
    yield paths
    is_over = True


def files_of(pid: int, paths: list[str]) -> set[str]:
    return {Path(path).name for path in paths if path.startswith(f"/proc/{pid}/")}
