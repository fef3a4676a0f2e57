"""What a killed guard leaves comes up to this process, is told from this process's own children, and is reaped."""

from __future__ import annotations

import os
import subprocess
import sys

import psutil
import pytest

from supervisor.process import guard
from supervisor.process.adopted import adopting, list_adopted
from supervisor.process.process_tree import Tree, is_alive
from tests.waiting import until, until_sync

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="there is no sub-reaper"),
]

DAEMON = "(env -i setsid sleep 300 </dev/null >/dev/null 2>&1 & echo $!)"
CHAINS = """
import os
for _ in range(8):
    if os.fork() == 0:
        while True:
            if os.fork():
                os._exit(0)
            os.setsid()
print(0, flush=True)
input()
"""


def start(*command: str, guarded: bool = True) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*([sys.executable, "-I", "-S", guard.__file__] if guarded else []), *command],
        env={"PATH": os.environ["PATH"], "BULLPEN_SUPERVISOR": str(os.getpid())},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def read_pid(process: subprocess.Popen[str]) -> int:
    assert process.stdout is not None
    return int(process.stdout.readline())


def end(orphan: psutil.Process) -> None:
    """One of this process's own: nothing else reaps it."""
    orphan.kill()
    os.waitpid(orphan.pid, 0)


async def end_all() -> Tree:
    """As a client does at its end."""
    tree = Tree(None, "of-no-process")
    if tree.alive_count:
        tree.terminate()
        if not await tree.emptied(0.2):
            tree.kill()
            await tree.emptied(10)
    return tree


@pytest.fixture
def others() -> set[int]:
    """Children that earlier tests have given this process."""
    return {*guard.list_children()}


async def test_what_a_killed_guard_leaves_is_ended_and_reaped(others: set[int]) -> None:
    async with adopting():
        with start("/bin/sh", "-c", f"{DAEMON}; sleep 300") as process:
            escaped = psutil.Process(read_pid(process))
            process.kill()
            process.wait(20)
            await until(lambda: escaped.pid in list_adopted(), within=20)
            await until(lambda: escaped.environ() == {}, within=20)
            assert (await end_all()).alive_count == 0
        assert not psutil.pid_exists(escaped.pid)
        assert {*guard.list_children()} <= others


async def test_processes_that_fork_as_fast_as_they_can_do_not_outlive_a_killed_guard(others: set[int]) -> None:
    async with adopting():
        with start(sys.executable, "-IS", "-c", CHAINS) as process:
            read_pid(process)
            process.kill()
            process.wait(20)
            assert (await end_all()).alive_count == 0
        for _ in range(50):
            assert list_adopted() == []
        assert {*guard.list_children()} <= others


async def test_the_children_of_the_program_and_their_orphans_are_left_alone() -> None:
    async with adopting():
        with (
            start("/bin/sh", "-c", "exec sleep 300", guarded=False) as own,
            start("/bin/sh", "-c", DAEMON, guarded=False) as parent,
            start("/bin/sh", "-c", "exit 7", guarded=False) as ended,
        ):
            orphan = psutil.Process(read_pid(parent))
            assert parent.wait(20) == 0
            until_sync(lambda: orphan.ppid() == os.getpid(), within=20)
            until_sync(lambda: psutil.Process(ended.pid).status() == psutil.STATUS_ZOMBIE, within=20)
            assert list_adopted() == []
            assert (await end_all()).alive_count == 0
            assert (own.poll(), ended.poll()) == (None, 7)
            assert is_alive(orphan)
            own.kill()
            end(orphan)


async def test_the_guards_of_clients_are_not_taken_for_orphans() -> None:
    async with adopting():
        with start("/bin/sh", "-c", f"{DAEMON}; read line; exit 5") as process:
            escaped = psutil.Process(read_pid(process))
            assert (await end_all()).alive_count == 0
            assert is_alive(escaped)
            process.communicate("\n", timeout=20)
            assert process.returncode == 5


async def test_a_process_adopts_only_while_an_engine_runs() -> None:
    async with adopting():
        async with adopting():
            pass
        with start("/bin/sh", "-c", DAEMON, guarded=False) as parent:
            orphan = psutil.Process(read_pid(parent))
        until_sync(lambda: orphan.ppid() == os.getpid(), within=20)
        end(orphan)
    with start("/bin/sh", "-c", DAEMON, guarded=False) as parent:
        orphan = psutil.Process(read_pid(parent))
    until_sync(lambda: orphan.ppid() not in (parent.pid, os.getpid()), within=20)
    orphan.kill()
