"""A process may end in any moment between two looks at it: that is no error."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable
from typing import NoReturn

import anyio
import psutil
import pytest

from supervisor.journal import ClientRecord
from supervisor.process.process_tree import (
    MARK,
    ProcessTable,
    Tree,
    find_descendant,
    is_alive,
    iter_processes,
    list_tree,
    map_marked,
)
from supervisor.recovery.orphans import end_orphans, find_orphans
from tests.unit.process.trees import RUN, guarded


@pytest.fixture
def processes() -> list[psutil.Process]:
    return [*psutil.Process().parents(), psutil.Process()]


@pytest.mark.parametrize(
    "look",
    [
        lambda processes: [*iter_processes()],
        lambda processes: map_marked({"mark"}),
        lambda processes: [list_tree(one) for one in processes],
        lambda processes: [is_alive(one) for one in processes],
        lambda processes: [find_descendant(1, one.pid) for one in processes],
        lambda processes: Tree(processes[-1], "mark").look(),
        lambda processes: ProcessTable().measure(processes[-1].pid),
        lambda processes: find_orphans([]),
    ],
    ids=["all", "marked", "tree", "alive", "descendant", "look", "measure", "orphans"],
)
@pytest.mark.skipif(sys.platform != "linux", reason="psutil reads /proc on Linux only")
def test_a_pid_that_is_in_use_again_by_the_second_look_is_one_that_has_gone(
    look: Callable[[list[psutil.Process]], object], processes: list[psutil.Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    """psutil lets the error of the first look through: by the second, the file is there."""

    def vanish(*arguments: object, **named: object) -> NoReturn:
        raise FileNotFoundError("/proc/1/stat")

    for name in ("_parse_stat_file", "environ", "status", "memory_full_info", "create_time", "name"):
        monkeypatch.setattr(f"psutil._pslinux.Process.{name}", vanish)
    look(processes)


@pytest.mark.skipif(sys.platform != "linux", reason="other users' environments are not told elsewhere")
def test_what_a_dead_run_has_left_is_found_by_its_name_whichever_part_of_it_it_was() -> None:
    """R2: a shared MCP server, or a program of a hook, stands in no record of a client."""
    records = [ClientRecord("desk-1", f"{RUN}:desk-1", 0, 0.0, "", None)]
    marks = [f"{RUN}:shared-1", f"{RUN}:hook", f"{RUN}:desk-7", f"x{RUN}:hook", f"{RUN}ly:hook", RUN]
    command = [sys.executable, "-I", "-S", "-c", "print(flush=True); input()"]
    started = []
    try:
        for mark in marks:
            pipe = subprocess.PIPE
            started.append(subprocess.Popen(command, env={**os.environ, MARK: mark}, stdin=pipe, stdout=pipe))
        for process in started:
            assert process.stdout is not None
            process.stdout.readline()  # it is what was to be started, and carries its mark
        found = {process.pid for process in find_orphans(records)}
        assert [mark for mark, process in zip(marks, started, strict=True) if process.pid in found] == marks[:3]
        last = psutil.Process(started[-1].pid)
        for began, expected in ((last.create_time(), [last]), (last.create_time() - 1, [])):
            record = ClientRecord("desk-1", f"of-none-{RUN}:desk-1", last.pid, began, "", None)
            assert find_orphans([record]) == expected, "one that began at another time has only the same id"
    finally:
        for process in started:
            process.communicate(b"\n")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="there is no guard")
def test_what_is_found_by_its_id_is_found_with_its_guard() -> None:
    """R2: what loses its parent while the others are being ended is the guard's then."""
    with guarded("/bin/sh", "-c", "echo ready; cat") as process:
        guard = psutil.Process(process.pid)
        [cli] = guard.children()
        record = ClientRecord("desk-1", f"of-none-{RUN}:desk-1", cli.pid, cli.create_time(), "", None)
        assert find_orphans([record])[:2] == [guard, cli]


@pytest.mark.skipif(sys.platform != "linux", reason="other users' environments are not told elsewhere")
def test_what_a_dead_run_starts_while_it_is_being_ended_is_ended_as_well() -> None:
    """R2: a second writer of a conversation."""
    run = f"{RUN}-goes-on"
    records = [ClientRecord("desk-1", f"{run}:desk-1", 0, 0.0, "", None)]
    goes_on = "trap 'sleep 300 > /dev/null & exit' TERM; sleep 300 > /dev/null & echo ready; wait"
    environment = {"PATH": os.environ["PATH"], MARK: f"{run}:desk-1"}
    with subprocess.Popen(["/bin/sh", "-c", goes_on], env=environment, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            assert anyio.run(end_orphans, records) == (2, 0)
            assert not [one for one in find_orphans(records) if is_alive(one)]
        finally:
            for one in find_orphans(records):
                with contextlib.suppress(psutil.Error):
                    one.kill()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="there is no guard")
def test_the_time_of_what_has_ended_counts_as_used() -> None:
    """A build, say, is a row of short commands: none of them lives long enough to be seen twice."""
    work = f"{sys.executable} -I -S -c 'import time\nwhile time.process_time() < 0.5: pass'; echo ready; cat"
    with guarded("/bin/sh", "-c", work) as process:
        assert ProcessTable().measure(process.pid).cpu_seconds > 0.45
