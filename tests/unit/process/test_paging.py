"""The memory of stopped processes goes to swap, stays there whatever looks at it, and comes back."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from supervisor.process import host_memory, paging, suspension
from supervisor.process.host_memory import HostMemory, look_at_host
from supervisor.process.process_tree import ProcessTable, Tree, is_guard, list_runs, map_marked
from supervisor.process.suspension import Suspension
from tests.swap import Swap
from tests.unit.process.trees import below, guarded, states
from tests.waiting import until_sync

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the call is Linux's own")

MB = 1024**2
HOARD = (
    "import ctypes, sys\n"
    "ctypes.CDLL(None).prctl(15, b'of-15-characters', 0, 0, 0)\n"
    f"kept = bytearray(b'x' * {64 * MB})\n"
    "print('ready', flush=True)\n"
    "for line in sys.stdin: print(kept.count(b'x'), flush=True)"
)


@pytest.fixture
def hoarder() -> Iterator[subprocess.Popen[str]]:
    with guarded(sys.executable, "-I", "-S", "-c", HOARD, mark="run:desk-1") as process:
        yield process


NO_MEMORY = {"comm", "smaps", "smaps_rollup", "stat", "statm", "status"}
"""Files of a process in `/proc` that the kernel fills from its own tables; others may lie in the process's pages."""


def swapped(process: psutil.Process) -> int:
    """Bytes. The kernel counts no fault of a process where its pages are read by another."""
    return int(process.memory_full_info().swap)


A_FEW_PAGES = 64 * 1024
"""Other tests on this machine may read arguments and environments of all processes."""


@pytest.fixture
def opened() -> Iterator[list[str]]:
    """Paths of the files that this process opens."""
    paths: list[str] = []
    is_over = False

    def hear(event: str, arguments: tuple[object, ...]) -> None:
        if event == "open" and not is_over:
            paths.append(str(arguments[0]))

    sys.addaudithook(hear)  # for good
    yield paths
    is_over = True


def files_of(process: psutil.Process, paths: list[str]) -> set[str]:
    return {Path(path).name for path in paths if path.startswith(f"/proc/{process.pid}/")}


@pytest.mark.anyio
async def test_what_is_asleep_is_in_swap_and_stays_there_whatever_looks_at_it(
    hoarder: subprocess.Popen[str], swap: Swap, opened: list[str]
) -> None:
    top = psutil.Process(hoarder.pid)
    (cli,) = below(hoarder)
    assert ProcessTable().measure(top.pid).memory_bytes > 64 * MB
    asleep = Suspension(top)
    assert await asleep.run()
    measure, before = ProcessTable().measure(top.pid), swapped(cli)
    if swap.takes_memory:
        assert measure.memory_bytes < 8 * MB
        assert measure.swap_bytes > 60 * MB
    with guarded("/bin/sh", "-c", "echo ready") as other:
        dead = psutil.Process(other.pid)
        other.wait(20)
    opened.clear()
    ProcessTable().measure(top.pid)
    is_guard(cli)
    # Another client departs, one that has died as well.
    await Tree(top, "run:desk-2").look_everywhere()
    await Tree(dead, "run:desk-3", has_guard=True).look_everywhere()
    assert files_of(top, opened) <= NO_MEMORY
    # Another supervisor looks for what is its own: it reads the mark of the guard, which is that of all below.
    map_marked({"run:desk-2"})
    list_runs({"other"})
    assert files_of(cli, opened) <= NO_MEMORY
    assert "environ" in files_of(top, opened)
    assert swapped(cli) >= before - A_FEW_PAGES
    asleep.wake()
    assert hoarder.stdin is not None
    assert hoarder.stdout is not None
    hoarder.stdin.write("\n")
    hoarder.stdin.flush()
    assert int(hoarder.stdout.readline()) == 64 * MB, "nothing of it is lost"


@pytest.mark.anyio
async def test_one_that_is_woken_while_it_is_paged_out_is_left_alone(
    hoarder: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asleep = Suspension(psutil.Process(hoarder.pid))
    calls = []

    def wake_at_the_second(*arguments: int) -> int:
        calls.append(arguments)
        if len(calls) == 2:
            asleep.wake()
        return 0

    monkeypatch.setattr(paging, "_advise", wake_at_the_second)
    monkeypatch.setattr(suspension, "has_swap", lambda: True)
    assert not await asleep.run()
    assert len(calls) == 2
    until_sync(lambda: psutil.STATUS_STOPPED not in states(below(hoarder)))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give up what is missing here")
def test_one_that_may_not_page_out_is_told_apart() -> None:
    """As any user: the kernel asks for CAP_SYS_NICE."""
    ask = "import os; os.setuid(65534); print(may_page_out())"
    words = [sys.executable, "-c", f"from supervisor.process.paging import may_page_out; {ask}"]
    answer = subprocess.run(words, capture_output=True, text=True, check=True, timeout=30)
    assert answer.stdout == "False\n"


def test_what_the_host_has_is_read_from_its_own_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {
        "_MEMORY": "MemTotal: 9 kB\nSwapTotal:       4096 kB\nSwapFree:        1024 kB\n",
        "_SWAPS": "Filename Type Size Used Priority\n/dev/zram0 partition 1024 0 100\n/swap file 3072 0 -2\n",
        "_ZSWAP": "Y\n",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
        monkeypatch.setattr(host_memory, name, tmp_path / name)
    monkeypatch.setattr(host_memory, "may_page_out", lambda: True)
    assert look_at_host() == HostMemory(4 * MB, MB, MB, has_zswap=True, pages_out=True)
    assert look_at_host().hands_back
    for name in files:
        monkeypatch.setattr(host_memory, name, tmp_path / "not there")
    assert look_at_host() == HostMemory(pages_out=True)
    assert not look_at_host().hands_back
