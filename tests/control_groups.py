"""A part of the hierarchy of control groups (v2) for one test, where this machine lets us make one."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor.process.cgroups import _find_own


@pytest.fixture
def cgroup_base() -> Iterator[Path]:
    own = _find_own()
    if own is None or not os.access(own, os.W_OK) or not os.access(own / "cgroup.procs", os.W_OK):
        pytest.skip("not tried: this process may make no control groups (v2) here")
    base = own / f"bullpen-tests-{os.getpid()}-{time.monotonic_ns()}"
    base.mkdir()
    yield base
    base.rmdir()
