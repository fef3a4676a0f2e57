"""Clients in control groups of their own: who is in one, how it ends, and what is done where there is none."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import anyio
import psutil
import pytest

from supervisor.journal import ClientRecord
from supervisor.process import cgroups, guard
from supervisor.process.cgroups import Cgroup, Cgroups, can_reclaim, find_delegated, open_cgroups
from supervisor.process.process_tree import ProcessTable, Tree, TreeUsage, is_alive
from supervisor.process.suspension import Suspension
from supervisor.recovery.orphans import end_orphans
from tests.unit.process.trees import FAMILY, RUN, below, guarded
from tests.waiting import until_sync

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="control groups are Linux's own")

MB = 1024**2
ESCAPED = "echo ready; (env -i setsid sleep 300 &); (env -i setsid sleep 300 &); cat"


def members(group: Cgroup) -> set[int]:
    return {int(pid) for pid in (group.path / "cgroup.procs").read_text().split()}


def test_the_cli_and_all_that_it_starts_are_in_the_group_and_the_guard_is_not(cgroup_base: Path) -> None:
    group = Cgroups(cgroup_base).make(f"{RUN}:desk-1")
    assert group is not None
    with guarded("/bin/sh", "-c", FAMILY, **{guard.CGROUP: str(group.path)}) as process:
        until_sync(lambda: len(below(process)) == 6)
        assert members(group) == {one.pid for one in below(process)}
        assert guard.CGROUP not in below(process)[0].environ()
        group.remove()
        assert group.is_populated, "not while somebody is in it"
    until_sync(lambda: not group.is_populated)
    group.remove()
    assert not group.path.exists()


@pytest.mark.anyio
@pytest.mark.parametrize("is_asleep", [False, True])
async def test_everybody_in_it_is_killed_at_once_and_it_is_removed(cgroup_base: Path, is_asleep: bool) -> None:
    group = Cgroups(cgroup_base).make(f"{RUN}:desk-1")
    assert group is not None
    with guarded("/bin/sh", "-c", ESCAPED, **{guard.CGROUP: str(group.path)}) as process:
        until_sync(lambda: len(below(process)) == 4)
        everybody, root = below(process), psutil.Process(process.pid)
        assert not is_asleep or Suspension(root, group).stop()
        tree = Tree(root, f"{RUN}:desk-1", group)
        tree.look()
        tree.kill()
        assert await tree.emptied(20)
        assert not [one for one in everybody if is_alive(one)]
        await tree.look_everywhere()
    assert not group.path.exists()


@pytest.fixture
def lost() -> Iterator[subprocess.Popen[bytes]]:
    """It has none of a client's marks, and no guard above it."""
    with subprocess.Popen(["sleep", "300"], env={}) as process:
        yield process
        process.kill()


@pytest.mark.anyio
async def test_what_has_slipped_out_of_the_tree_is_found_in_the_group(
    cgroup_base: Path, lost: subprocess.Popen[bytes]
) -> None:
    """R3: no parent, no mark. It may have made groups of its own there."""
    group = Cgroups(cgroup_base).make(f"{RUN}:desk-1")
    assert group is not None
    nested = group.path / "made by a command"
    nested.mkdir()
    (nested / "cgroup.procs").write_text(str(lost.pid))
    tree = Tree(None, f"{RUN}:desk-1", group, has_guard=True)
    assert tree.alive_count == 0
    await tree.look_everywhere()
    assert [one.pid for one in tree.alive] == [lost.pid]
    tree.kill()
    assert await tree.emptied(20)
    lost.wait(20)
    await tree.look_everywhere()
    assert not group.path.exists()


def test_a_restart_ends_what_clients_have_left_in_their_groups(
    cgroup_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R2: their guards were killed with the supervisor."""
    monkeypatch.setattr(cgroups, "find_delegated", lambda: cgroup_base)
    groups = [Cgroup(cgroup_base / f"bullpen-{mark}") for mark in (f"{RUN}:desk-1", f"{RUN}-alive:desk-1")]
    with contextlib.ExitStack() as stack:
        left = []
        for group in groups:
            group.path.mkdir()
            stack.callback(group.remove)
            left.append(stack.enter_context(subprocess.Popen(["sleep", "300"], env={})))
            stack.callback(left[-1].kill)
            (group.path / "cgroup.procs").write_text(str(left[-1].pid))
        record = ClientRecord("desk-1", f"{RUN}:desk-1", 0, 0.0, "", None)
        assert anyio.run(end_orphans, [record]) == (1, 0)
        assert [one.poll() for one in left] == [-signal.SIGTERM, None]
        assert [group.path.exists() for group in groups] == [False, True]


def test_a_group_that_cannot_be_joined_holds_nobody_up(tmp_path: Path) -> None:
    with guarded("/bin/sh", "-c", "echo ready; cat", **{guard.CGROUP: str(tmp_path / "not there")}) as process:
        assert below(process)


def test_what_a_dead_supervisor_has_left_is_removed_unless_somebody_is_in_it(cgroup_base: Path) -> None:
    empty, other = cgroup_base / "bullpen-old:desk-1", cgroup_base / "of somebody else"
    for path in (empty, other):
        path.mkdir()
    held = Cgroup(cgroup_base / "bullpen-old:desk-2")
    held.path.mkdir()
    with guarded("/bin/sh", "-c", "echo ready; cat", **{guard.CGROUP: str(held.path)}):
        Cgroups(cgroup_base)
        assert [path.exists() for path in (empty, other, held.path)] == [False, True, True]
    until_sync(lambda: not held.is_populated)
    Cgroups(cgroup_base)
    assert not held.path.exists()
    other.rmdir()


@pytest.fixture
def given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Files as the kernel shows them to a service that was given its group."""
    base = tmp_path / "cgroup" / "system.slice" / "bullpen.service"
    base.mkdir(parents=True)
    files = {
        base / "cgroup.procs": f"{os.getpid()}\n",
        base / "cgroup.controllers": "memory pids\n",
        base / "cgroup.subtree_control": "",
        base / "memory.reclaim": "",
        tmp_path
        / "mounts": f"25 1 0:22 / /proc rw - proc proc rw\n36 25 0:30 / {tmp_path}/cgroup rw - cgroup2 none rw\n",
        tmp_path / "self": "1:name=systemd:/\n0::/system.slice/bullpen.service\n",
    }
    for path, text in files.items():
        path.write_text(text)
    (tmp_path / "systemd").mkdir()
    for name, file in (("_MOUNTS", "mounts"), ("_SELF", "self"), ("_SYSTEMD", "systemd")):
        monkeypatch.setattr(cgroups, name, tmp_path / file)
    monkeypatch.setattr(cgroups.os, "getxattr", lambda path, name: b"1" if path == base else b"0")
    return base


def test_a_group_counts_as_given_when_systemd_has_marked_it(given: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_delegated() == given
    assert can_reclaim(given)
    cgroups._SELF.write_text("0::/system.slice/bullpen.service/supervisor\n")
    assert find_delegated() == given, "from the subgroup as well"
    monkeypatch.setattr(cgroups.os, "getxattr", lambda path, name: b"0")
    assert find_delegated() is None
    assert open_cgroups() is None


def test_this_process_moves_out_of_the_way_of_the_controller_of_memory(
    given: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = []
    monkeypatch.setattr(cgroups, "_write", lambda path, text: written.append((path, text)) or True)
    opened = open_cgroups()
    assert opened is not None
    assert opened.base == given
    assert written == [
        (given / "supervisor" / "cgroup.procs", str(os.getpid())),
        (given / "cgroup.subtree_control", "+memory"),
    ]


def test_what_a_group_used_at_most_and_how_long_it_waited_is_read_where_the_kernel_tells_it(tmp_path: Path) -> None:
    """S2.29"""
    group, me = Cgroup(tmp_path), os.getpid()
    measure = ProcessTable().measure(me, group)
    assert (measure.peak_bytes, measure.pressure) == (0, None), "there is no controller of memory"
    (tmp_path / "memory.peak").write_text("281018368\n")
    lines = ("some avg10=12.34 avg60=2.00 avg300=0.51 total=4285734", "full avg10=7.00 avg60=1.00 avg300=0.10 total=9")
    (tmp_path / "memory.pressure").write_text("\n".join(lines))
    measure = ProcessTable().measure(me, group)
    assert (measure.peak_bytes, measure.pressure) == (281018368, 12.34)
    assert ProcessTable().measure(0, group) == TreeUsage(), "nothing is told of a client that is not there"


def test_a_real_group_tells_its_peak_and_its_pressure_where_the_host_counts_them(cgroup_base: Path) -> None:
    group = Cgroups(cgroup_base).make(f"{RUN}:desk-1")
    assert group is not None
    with guarded("/bin/sh", "-c", FAMILY, **{guard.CGROUP: str(group.path)}) as process:
        measure = ProcessTable().measure(process.pid, group)
        assert (measure.peak_bytes > 0) is (group.path / "memory.peak").exists()
        assert (measure.pressure is not None) is (group.path / "memory.pressure").exists()
        assert 0 <= (measure.pressure or 0) <= 100
    until_sync(lambda: not group.is_populated)
    group.remove()


def test_memory_is_handed_back_piece_by_piece_until_it_is_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    group = Cgroup(tmp_path)
    assert not group.reclaim(lambda: False), "there is no controller of memory"
    (tmp_path / "memory.current").write_text(f"{100 * MB}\n")
    (tmp_path / "memory.reclaim").write_text("")
    asked: list[str] = []

    def write(path: Path, text: str) -> bool:
        asked.append(text)
        return len(asked) < 5

    monkeypatch.setattr(cgroups, "_write", write)
    assert group.reclaim(lambda: len(asked) == 3)
    assert asked == [str(16 * MB)] * 3
    assert group.reclaim(lambda: False)
    assert len(asked) == 5, "the kernel has no more"
