"""Real process trees that are stopped and continued: all of each, whatever it does meanwhile, and the guard never."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import cast

import anyio
import psutil
import pytest

from supervisor.journal import ClientRecord
from supervisor.process import guard, suspension
from supervisor.process.cgroups import Cgroup
from supervisor.process.paging import Pages
from supervisor.process.process_tree import Tree, is_alive
from supervisor.process.suspension import Suspension
from supervisor.recovery.orphans import end_orphans
from tests.unit.process.trees import FAMILY, RUN, below, guarded, states
from tests.waiting import until, until_sync

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="there is no guard")


@pytest.fixture
def family() -> Iterator[subprocess.Popen[str]]:
    with guarded("/bin/sh", "-c", FAMILY) as process:
        until_sync(lambda: len(below(process)) == 6)
        yield process


def test_everything_below_the_guard_stops_and_goes_on(family: subprocess.Popen[str]) -> None:
    assert family.stdin is not None
    assert family.stdout is not None
    asleep = Suspension(psutil.Process(family.pid))
    assert asleep.stop()
    assert states(below(family)) == {psutil.STATUS_STOPPED}
    assert psutil.Process(family.pid).status() != psutil.STATUS_STOPPED
    family.stdin.write("kept\n")
    family.stdin.flush()
    asleep.wake()
    assert family.stdout.readline() == "kept\n", "what was written meanwhile is read on waking"
    until_sync(lambda: psutil.STATUS_STOPPED not in states(below(family)))


def test_what_was_stopped_before_is_left_stopped(family: subprocess.Popen[str]) -> None:
    stopped = next(process for process in below(family) if process.name() == "cat")
    stopped.suspend()
    asleep = Suspension(psutil.Process(family.pid))
    assert asleep.stop()
    asleep.wake()
    until_sync(lambda: sum(one.status() == psutil.STATUS_STOPPED for one in below(family)) == 1)
    assert stopped.status() == psutil.STATUS_STOPPED


def test_a_shell_with_job_control_does_not_take_its_command_for_suspended() -> None:
    script = "set -m; echo ready; read line; sleep 0.2; echo $?; read line"
    with guarded("/bin/bash", "-c", script) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("go\n")
        process.stdin.flush()
        until_sync(lambda: "sleep" in [one.name() for one in below(process)])
        asleep = Suspension(psutil.Process(process.pid))
        assert asleep.stop()
        asleep.wake()
        assert process.stdout.readline() == "0\n"


def test_one_that_starts_others_all_the_time_is_stopped_with_all_of_them() -> None:
    forks = (
        "import os, time\n"
        "print('ready', flush=True)\n"
        "os.fork()\n"
        "while True:\n"
        "    if os.fork() == 0:\n"
        "        time.sleep(0.05)\n"
        "        os._exit(0)\n"
        "    while os.waitpid(-1, os.WNOHANG)[0]: pass\n"
        "    time.sleep(0.001)\n"
    )
    with guarded(sys.executable, "-I", "-S", "-c", forks) as process:
        for _ in range(8):
            asleep = Suspension(psutil.Process(process.pid))
            assert asleep.stop()
            assert states(below(process)) <= {psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE}
            before = {one.pid for one in below(process)}
            assert before == {one.pid for one in below(process)}, "nothing is started any more"
            asleep.wake()


@pytest.mark.parametrize("before", range(6))
def test_a_wake_while_it_is_being_stopped_leaves_nothing_stopped(
    before: int, family: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """From another thread, after each number of processes that have been stopped."""
    asleep = Suspension(psutil.Process(family.pid))
    real, seen = suspension._has_stopped, []

    def has_stopped(process: psutil.Process) -> bool:
        if len(seen) == before:
            waker = threading.Thread(target=asleep.wake)
            waker.start()
            waker.join(20)
        seen.append(process)
        return real(process)

    monkeypatch.setattr(suspension, "_has_stopped", has_stopped)
    assert not asleep.stop()
    until_sync(lambda: psutil.STATUS_STOPPED not in states(below(family)))
    assert not asleep.stop(), "it is over for good"
    assert psutil.STATUS_STOPPED not in states(below(family))


def test_one_that_cannot_be_stopped_lets_all_of_them_run_on(
    family: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    last = below(family)[-1]
    monkeypatch.setattr(suspension, "WITHIN", 0.05)
    real = suspension._has_stopped
    monkeypatch.setattr(suspension, "_has_stopped", lambda process: process != last and real(process))
    assert not Suspension(psutil.Process(family.pid)).stop()
    until_sync(lambda: psutil.STATUS_STOPPED not in states(below(family)))


class Read:
    """In place of what reads memory back."""

    def __init__(self, pages: Mapping[int, Pages]) -> None:
        self.processes = set(pages)
        self.were_stopped = all(psutil.Process(pid).status() == psutil.STATUS_STOPPED for pid in pages)
        self.has_begun = self.has_ended = False
        reads.append(self)

    def begin(self) -> None:
        self.has_begun = True

    def end(self) -> None:
        self.has_ended = True


reads: list[Read] = []


@pytest.mark.anyio
async def test_what_the_cli_had_is_read_back_and_what_its_servers_had_from_the_second_time_on(
    family: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By then it has shown what they need on waking. Falling asleep again ends the reading. Until they are continued,
    their ids are surely theirs."""
    reads.clear()
    monkeypatch.setattr(suspension, "Prefetch", Read)
    monkeypatch.setattr(suspension, "has_swap", lambda: True)
    paged_out = []

    def page_out(pid: int, pages: Pages, is_over: Callable[[], bool]) -> bool:
        paged_out.append(pid)
        return True

    monkeypatch.setattr(suspension, "page_out", page_out)
    first = Suspension(psutil.Process(family.pid))
    tree = [one.pid for one in below(family)]
    assert await first.run()
    assert set(paged_out) == {family.pid, *tree}, "the guard's too, though it stays awake"
    first.wake()
    second = first.again()
    assert [read.processes for read in reads] == [{tree[0]}]
    assert (reads[0].has_begun, reads[0].has_ended) == (True, True)
    assert await second.run()
    second.wake()
    second.wake()
    assert [read.processes for read in reads[1:]] == [set(tree)]
    assert (reads[1].has_begun, reads[1].has_ended) == (True, False)
    assert [read.were_stopped for read in reads] == [True, True]


@pytest.mark.parametrize(
    ("has_swap", "may_page_out", "expected"),
    [(True, True, ["pages"]), (True, False, ["pages", "group"]), (False, True, [])],
)
@pytest.mark.anyio
async def test_where_it_may_not_page_out_the_control_group_is_asked_to(
    family: subprocess.Popen[str],
    monkeypatch: pytest.MonkeyPatch,
    has_swap: bool,
    may_page_out: bool,
    expected: list[str],
) -> None:
    """And neither where there is nowhere to put it."""
    asked = set()

    class Group:
        def reclaim(self, is_over: Callable[[], bool]) -> None:
            assert not is_over()
            asked.add("group")

    def page_out(pid: int, pages: Pages, is_over: Callable[[], bool]) -> bool:
        asked.add("pages")
        return may_page_out

    monkeypatch.setattr(suspension, "has_swap", lambda: has_swap)
    monkeypatch.setattr(suspension, "page_out", page_out)
    asleep = Suspension(psutil.Process(family.pid), cast(Cgroup, Group()))
    assert await asleep.run()
    asleep.wake()
    assert asked == set(expected)


@pytest.mark.anyio
async def test_one_whose_stopping_is_cancelled_runs_on(
    family: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its client ends meanwhile: what is left of it must not stop in the middle of leaving."""
    asleep = Suspension(psutil.Process(family.pid))
    real, has_come, may_go_on = suspension._has_stopped, threading.Event(), threading.Event()

    def has_stopped(process: psutil.Process) -> bool:
        has_come.set()
        may_go_on.wait(20)
        return real(process)

    monkeypatch.setattr(suspension, "_has_stopped", has_stopped)
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(asleep.run)
            await until(has_come.is_set)
            group.cancel_scope.cancel()
        assert asleep.is_over
    finally:
        may_go_on.set()
    await until(lambda: psutil.STATUS_STOPPED not in states(below(family)))


@pytest.mark.anyio
async def test_where_it_cannot_be_seen_whether_one_has_stopped_all_of_them_run_on(
    family: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def has_stopped(process: psutil.Process) -> bool:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(suspension, "_has_stopped", has_stopped)
    assert not await Suspension(psutil.Process(family.pid)).run()
    await until(lambda: psutil.STATUS_STOPPED not in states(below(family)))


def test_there_is_nothing_to_stop_in_a_tree_that_has_gone() -> None:
    with guarded("/bin/sh", "-c", "echo ready") as process:
        gone = psutil.Process(process.pid)
        process.wait(20)
    assert not Suspension(gone).stop()
    assert not Suspension(None).stop()


def test_a_stopped_tree_ends_with_its_guard_told_to_end_at_once(family: subprocess.Popen[str]) -> None:
    """As the kernel tells it when the supervisor dies."""
    tree = below(family)
    assert Suspension(psutil.Process(family.pid)).stop()
    family.send_signal(guard.END_NOW)
    assert family.wait(20) == -signal.SIGKILL
    assert not [one for one in tree if is_alive(one)]


def test_a_stopped_tree_ends_with_its_cli(family: subprocess.Popen[str]) -> None:
    """Killed from outside: the guard ends what is left, stopped or not."""
    tree = below(family)
    assert Suspension(psutil.Process(family.pid)).stop()
    tree[0].kill()
    assert family.wait(20) == -signal.SIGKILL
    assert not [one for one in tree if is_alive(one)]


@pytest.mark.anyio
async def test_a_stopped_tree_can_be_killed(family: subprocess.Popen[str]) -> None:
    tree = Tree(psutil.Process(family.pid), "")
    tree.look()
    assert Suspension(psutil.Process(family.pid)).stop()
    tree.kill()
    assert await tree.emptied(20)
    assert family.wait(20) == -signal.SIGKILL


@pytest.mark.anyio
async def test_stopped_orphans_are_found_and_ended() -> None:
    with guarded("/bin/sh", "-c", FAMILY, mark=f"{RUN}:desk-1") as process:
        until_sync(lambda: len(below(process)) == 6)
        tree = below(process)
        assert Suspension(psutil.Process(process.pid)).stop()
        record = ClientRecord("desk-1", f"{RUN}:desk-1", tree[0].pid, tree[0].create_time(), "", None)
        assert await end_orphans([record]) == (7, 0)
        await until(lambda: not [one for one in tree if is_alive(one)])
