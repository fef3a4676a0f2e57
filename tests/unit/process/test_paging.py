"""The memory of stopped processes goes to swap, stays there whatever looks at it, and comes back."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import mmap
import os
import subprocess
import sys
import threading
from array import array
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from supervisor.process import host_memory, paging, suspension
from supervisor.process.host_memory import HostMemory, look_at_host
from supervisor.process.paging import Pages, find_own, find_resident
from supervisor.process.process_tree import ProcessTable, Tree, is_guard, list_runs, map_marked
from supervisor.process.suspension import Suspension
from tests.opened_files import NO_MEMORY, files_of
from tests.swap import Swap
from tests.unit.process.trees import RUN, below, guarded, states
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
    with guarded(sys.executable, "-I", "-S", "-c", HOARD, mark=f"{RUN}:desk-1") as process:
        yield process


def swapped(process: psutil.Process) -> int:
    """Bytes. The kernel counts no fault of a process where its pages are read by another."""
    return int(process.memory_full_info().swap)


A_FEW_PAGES = 64 * 1024
"""Other tests on this machine may read arguments and environments of all processes."""


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
    await Tree(top, f"{RUN}:desk-2").look_everywhere()
    await Tree(dead, f"{RUN}:desk-3", has_guard=True).look_everywhere()
    assert files_of(top.pid, opened) <= NO_MEMORY
    # Another supervisor looks for what is its own: it reads the mark of the guard, which is that of all below.
    map_marked({f"{RUN}:desk-2"})
    list_runs({"other"})
    assert files_of(cli.pid, opened) <= NO_MEMORY
    assert "environ" in files_of(top.pid, opened)
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

    def wake_at_the_second(process: int, ranges: array[int], advice: int) -> tuple[int, int]:
        assert advice == paging._PAGE_OUT
        calls.append(ranges)
        if len(calls) == 2:
            asleep.wake()
        return sum(ranges[1::2]), 0

    monkeypatch.setattr(paging, "_advise", wake_at_the_second)
    monkeypatch.setattr(suspension, "has_swap", lambda: True)
    assert not await asleep.run()
    assert len(calls) == 2
    monkeypatch.setattr(suspension, "Prefetch", lambda pages: pytest.fail("it has had its memory back"))
    asleep.wake()
    until_sync(lambda: psutil.STATUS_STOPPED not in states(below(hoarder)))


def faults(process: psutil.Process) -> int:
    """How often it had to wait for a page that was read from swap."""
    return int(Path(f"/proc/{process.pid}/stat").read_text("ascii").rpartition(")")[2].split()[9])


def pidfds() -> set[str]:
    found = set()
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):  # the one of this look is closed by now
            if "pidfd" in os.readlink(f"/proc/self/fd/{name}"):
                found.add(name)
    return found


@pytest.mark.anyio
async def test_what_it_had_in_memory_is_read_back_before_it_asks_for_it(
    hoarder: subprocess.Popen[str], swap: Swap
) -> None:
    (cli,) = below(hoarder)
    assert hoarder.stdin is not None
    assert hoarder.stdout is not None
    asleep, before = Suspension(psutil.Process(hoarder.pid)), pidfds()
    assert find_resident(cli.pid, find_own(cli.pid)).size > 64 * MB
    assert await asleep.run()
    if swap.takes_memory:
        assert find_resident(cli.pid, find_own(cli.pid)).size < MB
    asleep.wake()
    until_sync(lambda: "prefetch" not in [thread.name for thread in threading.enumerate()])
    assert pidfds() == before
    waited = faults(cli)
    hoarder.stdin.write("\n")
    hoarder.stdin.flush()
    assert int(hoarder.stdout.readline()) == 64 * MB
    assert faults(cli) - waited < 500, "of 16,384 pages, which are read eight at a time at most where it asks for them"


def test_memory_is_handed_over_in_pieces() -> None:
    """Of many ranges, of a long one, and of none."""
    many = Pages(array("Q", [number for place in range(2500) for number in (place * 8192, 4096)]))
    assert [len(piece.ranges) // 2 for piece in many.pieces()] == [1024, 1024, 452]
    assert [list(piece.ranges) for piece in Pages(array("Q", [MB, 9 * MB])).pieces(4 * MB)] == [
        [MB, 4 * MB],
        [5 * MB, 4 * MB],
        [9 * MB, MB],
    ]
    assert list(Pages(array("Q")).pieces()) == []


def test_a_range_that_the_kernel_cannot_have_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends there, and says how far it came, or that it did not come anywhere."""
    done = []

    def advise(process: int, ranges: array[int], advice: int) -> tuple[int, int]:
        assert advice == paging._WILL_NEED
        if ranges[0] == 3:
            return 0, errno.EINVAL
        taken = list(zip(ranges[::2], ranges[1::2], strict=True))
        taken = taken[: next((at for at, (start, _) in enumerate(taken) if start == 3), None)]
        done.extend(start for start, _ in taken)
        return sum(length for _, length in taken), 0

    monkeypatch.setattr(paging, "_advise", advise)
    paging.read_back(0, Pages(array("Q", [1, 10, 2, 10, 3, 10, 4, 10])))
    paging.read_back(0, Pages(array("Q", [3, 10, 5, 10])))
    assert done == [1, 2, 4, 5]


def test_what_is_shared_with_others_is_not_its_own() -> None:
    """It is in use by those, as the code of the CLI is."""
    own, shared = ctypes.create_string_buffer(MB), mmap.mmap(-1, MB)
    start = ctypes.addressof(ctypes.c_char.from_buffer(shared))
    found = find_own(os.getpid()).ranges
    spans = [range(begin, begin + length) for begin, length in zip(found[::2], found[1::2], strict=True)]
    assert any(ctypes.addressof(own) in span for span in spans)
    assert not any(start in span for span in spans)


def test_what_has_ended_meanwhile_is_no_failure() -> None:
    none = 2**22 + 1  # no process of Linux has such an id
    assert paging.page_out(none, Pages(array("Q", [MB, MB])), is_over=lambda: False)
    assert not find_own(none).ranges


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
