"""Sleeping through the whole engine with the bundled CLI: who sleeps, who wakes, and what becomes of one that dies."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import anyio
import psutil
import pytest

from supervisor.api import events as past
from supervisor.api.keys import SessionKey
from supervisor.api.outcomes import Done
from supervisor.api.prompts import Prompt
from supervisor.api.snapshot import ClientRow
from supervisor.api.states import SlotState
from supervisor.process.process_tree import find_top, list_tree
from tests.acceptance.conftest import Bullpen, Open, find_clients
from tests.acceptance.test_sleeping_clients import SERVER
from tests.opened_files import NO_MEMORY, files_of
from tests.swap import Swap
from tests.waiting import until

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform != "linux", reason="memory goes to swap on Linux only"),
]

SOON = {"pool": {"spares": 0, "dormantAfter": 0.5}}
LONG = 600.0
"""Seconds that clients sleep in the test of that."""
SLEEPERS = ("ana", "boris", "chen")
A_FEW_PAGES = 64 * 1024
"""Of each process: other tests on this machine may read arguments and environments of all processes."""


async def ask(bullpen: Bullpen, text: str, user: str = "ana") -> str:
    outcome = await (await bullpen.supervisor.submit(Prompt("desk", text, user=user))).outcome()
    assert isinstance(outcome, Done), outcome
    return outcome.text


async def fall_asleep(bullpen: Bullpen) -> ClientRow:
    """Its only client, once it has been put to sleep and measured."""

    await until(lambda: sleeping(bullpen), within=60)
    return sleeping(bullpen)[0]


def sleeping(bullpen: Bullpen) -> list[ClientRow]:
    """Whose processes are stopped."""
    rows = [row for row in bullpen.supervisor.view.snapshot().clients if row.state is SlotState.DORMANT]
    return [row for row in rows if is_stopped(row.pid)]


def swapped(process: psutil.Process) -> int:
    """Bytes. The kernel counts no fault of a process where its pages are read by another."""
    return int(process.memory_full_info().swap)


def is_stopped(pid: int) -> bool:
    return psutil.Process(pid).status() == psutil.STATUS_STOPPED


async def test_an_idle_client_sleeps_and_its_next_prompt_wakes_it(open_bullpen: Open, swap: Swap) -> None:
    async with open_bullpen(keys=SOON) as bullpen:
        with await bullpen.supervisor.watch() as feed:
            told: list[past.Event] = []

            def has_slept() -> bool:
                told.extend(one for one in feed.take().events if isinstance(one, past.ClientDormant | past.ClientWoken))
                return bool(told)

            await ask(bullpen, "[[echo]] my number is 4711")
            asleep = await fall_asleep(bullpen)
            await until(has_slept, within=60)
            if swap.takes_memory:
                await until(lambda: bullpen.supervisor.view.snapshot().clients[0].swap_bytes > 50_000_000, within=60)
                assert bullpen.supervisor.view.snapshot().clients[0].memory_bytes < asleep.awake_bytes / 2
            assert "4711" in await ask(bullpen, "[[recall]]")
            assert bullpen.pids == {asleep.pid}, "the same process"
            has_slept()
        assert [type(event) for event in told][:2] == [past.ClientDormant, past.ClientWoken]


async def test_one_that_is_killed_asleep_is_resumed_by_the_next_prompt(open_bullpen: Open, tmp_path: Path) -> None:
    async with open_bullpen(keys=SOON) as bullpen:
        await ask(bullpen, "[[echo]] my number is 4711")
        asleep = await fall_asleep(bullpen)
        os.kill(asleep.pid, signal.SIGKILL)
        assert "4711" in await ask(bullpen, "[[recall]]")
        assert asleep.pid not in bullpen.pids
    assert find_clients(tmp_path) == []


async def test_one_that_never_wakes_is_replaced_and_its_prompt_is_sent_once(
    open_bullpen: Open, cgroup_base: Path, tmp_path: Path
) -> None:
    """R3: its processes are frozen from outside: no signal continues them."""
    frozen = cgroup_base / "frozen"
    frozen.mkdir()
    async with open_bullpen(keys=SOON, wake_timeout=1) as bullpen:
        await ask(bullpen, "[[echo]] my number is 4711")
        asleep = await fall_asleep(bullpen)
        (frozen / "cgroup.procs").write_text(str(asleep.pid))
        (frozen / "cgroup.freeze").write_text("1")
        assert "4711" in await ask(bullpen, "[[recall]] never lost, never twice")
        assert len(bullpen.requests_of("never lost, never twice")) == 1
        assert asleep.pid not in bullpen.pids
    assert find_clients(tmp_path) == []
    await until(lambda: "populated 0" in (frozen / "cgroup.events").read_text())
    frozen.rmdir()


async def test_what_sleeps_ends_with_the_supervisor(open_bullpen: Open, tmp_path: Path) -> None:
    """R3, with a stop and with a drain."""
    async with open_bullpen(keys=SOON) as bullpen:
        await ask(bullpen, "[[say: hello]]")
        await fall_asleep(bullpen)
    assert find_clients(tmp_path) == []
    async with open_bullpen(keys=SOON) as bullpen:
        await ask(bullpen, "[[say: hello]]")
        await fall_asleep(bullpen)
        await bullpen.supervisor.drain("desk")
        await until(lambda: not bullpen.pids, within=30)
        assert find_clients(tmp_path) == []


@pytest.mark.exhaustive
@pytest.mark.timeout(LONG + 600)
async def test_who_has_slept_for_ten_minutes_knows_all_and_has_its_servers(
    open_bullpen: Open, swap: Swap, opened: list[str]
) -> None:
    """Meanwhile another session works, its client departs each time, and all are measured: not a page of those that
    sleep is read back."""
    keys = {
        "tools": ["Read", "mcp__office__find"],
        "allow": ["mcp__office__find"],
        "mcpServers": {"office": {"command": sys.executable, "args": [str(SERVER)]}},
        "pool": {"spares": 0, "dormantAfter": 1, "idleTtl": "1h"},
    }
    # What other programs have in swap is no reason here to hibernate who has slept longest.
    async with open_bullpen(len(SLEEPERS) + 1, keys=keys, dormant_budget="none") as bullpen:
        with await bullpen.supervisor.watch() as feed:
            asleep: set[str] = set()

            def have_slept() -> bool:
                asleep.update(one.client for one in feed.take().events if isinstance(one, past.ClientDormant))
                return len(asleep) == len(SLEEPERS)

            for number, user in enumerate(SLEEPERS):
                await ask(bullpen, f"[[echo]] my number is {4711 + number}", user)
            await until(have_slept, within=60)
        before = {row.pid: row for row in sleeping(bullpen)}
        trees = {pid: list_tree(find_top(psutil.Process(pid))) for pid in before}
        assert {len(tree) for tree in trees.values()} == {3}, "a guard, the CLI and the server"
        in_swap = {process: swapped(process) for tree in trees.values() for process in tree}
        if swap.takes_memory:
            assert all(row.swap_bytes > 50_000_000 for row in sleeping(bullpen))
        opened.clear()
        awake_again = time.monotonic() + LONG
        while time.monotonic() < awake_again:
            assert "still here" in await ask(bullpen, "[[say: still here]]", "dora")
            await bullpen.supervisor.hibernate(SessionKey("desk", "dora", "default"))
            await until(lambda: len(bullpen.pids) == len(SLEEPERS), within=60)
            assert {row.pid for row in sleeping(bullpen)} == before.keys()
        looked_at = {file for process in in_swap for file in files_of(process.pid, opened)}
        assert looked_at <= NO_MEMORY, "the supervisor reads nothing that lies in their memory"
        assert {"stat", "smaps_rollup"} <= looked_at, "it has measured them"
        for process, swapped_before in in_swap.items():
            assert swapped(process) >= swapped_before - A_FEW_PAGES, "nothing of it has been read back"
        async with anyio.create_task_group() as group:
            for number, user in enumerate(SLEEPERS):
                group.start_soon(wake_and_check, bullpen, user, 4711 + number)
        assert before.keys() <= bullpen.pids, "the same processes"
        for pid, tree in trees.items():
            assert list_tree(find_top(psutil.Process(pid))) == tree, "their servers are those that they had"


async def wake_and_check(bullpen: Bullpen, user: str, number: int) -> None:
    """Its earlier word is in what the model is asked, and its server answers."""
    assert str(number) in await ask(bullpen, f"[[recall]] {user} wakes", user)
    (request,) = bullpen.requests_of(f"{user} wakes")
    assert f"my number is {number}" in request
    await ask(bullpen, f"[[tool: mcp__office__find {{}}]] [[say: done]] {user} calls", user)
    assert any("find ran" in text for text in bullpen.requests_of(f"{user} calls"))
