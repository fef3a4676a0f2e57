"""Where this process has no descriptor left nothing can be seen of others: that does not make them dead (R3)."""

from __future__ import annotations

import contextlib
import resource
import subprocess
import sys
from collections.abc import Iterator

import anyio
import anyio.to_thread
import psutil
import pytest

from supervisor.journal import ClientRecord
from supervisor.process import adopted, process_tree, suspension
from supervisor.process.process_tree import ProcessTable, Tree, find_top, is_alive
from supervisor.process.suspension import Suspension
from supervisor.recovery.orphans import find_orphans
from tests.scarcity import no_descriptors
from tests.unit.process.trees import FAMILY, RUN, below, guarded, states
from tests.waiting import until_sync

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="what is seen of processes lies in files there"),
]


@pytest.fixture
def family() -> Iterator[subprocess.Popen[str]]:
    with guarded("/bin/sh", "-c", FAMILY, mark=f"{RUN}:desk-1") as process:
        until_sync(lambda: len(below(process)) == 6)
        yield process


@pytest.fixture
async def thread() -> None:
    """The first one of a loop needs more than it: its imports."""
    await anyio.to_thread.run_sync(lambda: None)


async def test_nothing_is_called_gone_and_it_is_killed_as_soon_as_it_can_be(
    family: subprocess.Popen[str], thread: None
) -> None:
    top = psutil.Process(family.pid)
    everybody = [top, *below(family)]
    async with adopted.adopting():
        tree = Tree(top, f"{RUN}:desk-1")
        tree.look()
        with no_descriptors():
            assert all(map(is_alive, everybody))
            assert tree.alive_count == 7
            tree.look()
            tree.terminate()
            tree.kill()
            assert not await tree.emptied(0.05)
        assert await tree.emptied(20)
    assert not any(map(is_alive, everybody))


async def test_one_that_was_not_looked_at_before_is_not_gone_either(family: subprocess.Popen[str]) -> None:
    tree = Tree(psutil.Process(family.pid), f"{RUN}:desk-1")
    with no_descriptors():
        tree.look()
        assert tree.alive_count == 1, "its guard, below which all of it is"


async def test_what_slipped_out_is_looked_for_until_it_can_be_seen(
    family: subprocess.Popen[str], thread: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_tree, "BETWEEN", 0.001)
    tree, looks = Tree(None, f"{RUN}:desk-1"), []
    looking = tree._list_everywhere

    def look_blindly_at_first() -> list[psutil.Process]:
        looks.append(looking)
        with no_descriptors() if len(looks) < 3 else contextlib.nullcontext():
            return looking()

    monkeypatch.setattr(tree, "_list_everywhere", look_blindly_at_first)
    await tree.look_everywhere()
    assert len(looks) == 3
    assert tree.alive_count == 7
    monkeypatch.setattr(process_tree, "LOOKS", 2)
    looks.clear()
    await tree.look_everywhere()
    assert len(looks) == 2, "and not for ever"


async def test_a_part_of_a_tree_does_not_pass_for_all_of_it(family: subprocess.Popen[str]) -> None:
    table = ProcessTable()
    record = ClientRecord("desk-1", f"{RUN}:desk-1", *name_of(below(family)[0]), "", None)
    for look in (
        lambda: table.measure(family.pid),
        lambda: find_orphans([record]),
        lambda: find_top(below(family)[0]),
    ):
        with no_descriptors(), pytest.raises(OSError, match="Too many open files"):
            look()


def name_of(process: psutil.Process) -> tuple[int, float]:
    return process.pid, process.create_time()


async def test_what_cannot_be_seen_to_stop_runs_on(
    family: subprocess.Popen[str], thread: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suspension, "WITHIN", 0.05)
    asleep = Suspension(psutil.Process(family.pid))
    stopping = asleep._stop

    def stop_and_lose_sight(process: psutil.Process) -> bool:
        is_stopped = stopping(process)
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
        return is_stopped

    monkeypatch.setattr(asleep, "_stop", stop_and_lose_sight)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        assert not await asleep.run()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    until_sync(lambda: psutil.STATUS_STOPPED not in states(below(family)))
