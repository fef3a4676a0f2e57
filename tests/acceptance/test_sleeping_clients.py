"""Real clients that sleep: their memory goes, no look brings it back, and they wake with all that they knew."""

from __future__ import annotations

import sys
from pathlib import Path

import anyio
import psutil
import pytest

from benchmarks.agents import Agent, open_agents
from supervisor.process.cgroups import Cgroups
from supervisor.process.process_tree import ProcessTable, find_top, is_alive, list_tree
from tests.acceptance.conftest import find_clients
from tests.swap import Swap

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform != "linux", reason="memory goes to swap on Linux only"),
]

MB = 1024**2
SERVER = Path(__file__).with_name("tools_server.py")
WITH_A_SERVER = {
    "tools": ["Read", "mcp__office__find"],
    "mcpServers": {"office": {"command": sys.executable, "args": [str(SERVER)]}},
}


def tree_of(agent: Agent) -> list[psutil.Process]:
    return list_tree(find_top(psutil.Process(agent.connection.pid)))


def list_groups(base: Path) -> list[Path]:
    return [path for path in base.iterdir() if path.is_dir()]


def members_of(group: Path) -> set[int]:
    return {int(pid) for pid in (group / "cgroup.procs").read_text("ascii").split()}


def swapped(processes: list[psutil.Process]) -> int:
    return sum(process.memory_full_info().swap for process in processes)


async def test_a_client_sleeps_with_its_servers_and_wakes_with_what_it_knew(tmp_path: Path, swap: Swap) -> None:
    """While it sleeps another one is measured, works and departs: not a page of the sleeping one is touched."""
    async with open_agents(tmp_path, WITH_A_SERVER) as agents:
        sleeper, other = await agents.start(), await agents.start()
        await sleeper.turn("[[echo]] my number is 4711")
        await other.turn("[[say: hello]]")
        tree = tree_of(sleeper)
        assert len(tree) >= 3, "a guard, the CLI and the server"
        awake = sleeper.measure()
        assert await sleeper.connection.suspend()
        assert {process.status() for process in tree[1:]} == {psutil.STATUS_STOPPED}
        asleep, before = sleeper.measure(), swapped(tree)
        if swap.takes_memory:
            assert asleep.memory_bytes < awake.memory_bytes * 0.4
            assert asleep.swap_bytes > 50 * MB
        table = ProcessTable()
        for _ in range(5):
            assert sleeper.connection.measure(table).processes == len(tree)
        await other.turn("[[say: still here]]")
        await other.connection.tree().look_everywhere()
        await agents.end(other)
        # Other tests on this machine may read arguments and environments of all processes.
        assert swapped(tree) >= before - len(tree) * 64 * 1024, "nothing of it has been read back"
        assert sleeper.measure().cpu_seconds == asleep.cpu_seconds
        sleeper.connection.wake()
        assert "4711" in (await sleeper.turn("[[recall]]")).text
        await sleeper.turn("[[tool: mcp__office__find {}]] [[say: done]]")
        assert "find ran" in agents.rehearsal.record[-1].text
        assert tree_of(sleeper) == tree, "the server is the one that it had"


async def test_a_prompt_that_is_written_before_it_wakes_is_answered(tmp_path: Path) -> None:
    async with open_agents(tmp_path) as agents:
        agent = await agents.start()
        await agent.turn("[[echo]] my number is 4711")
        assert await agent.connection.suspend()
        async with anyio.create_task_group() as group:

            @group.start_soon
            async def wake() -> None:
                agent.connection.wake()

            assert "4711" in (await agent.turn("[[recall]]")).text


async def test_one_that_is_killed_asleep_leaves_nothing(tmp_path: Path) -> None:
    """R3"""
    async with open_agents(tmp_path, WITH_A_SERVER) as agents:
        agent = await agents.start()
        await agent.turn("[[say: hello]]")
        tree = agent.connection.tree()
        tree.look()
        processes = tree_of(agent)
        assert await agent.connection.suspend()
        tree.kill()
        assert await tree.emptied(20)
        assert not [process for process in processes if is_alive(process)]
        assert find_clients(tmp_path) == []
        resumed = await agents.start(agent.session_uuid)
        assert "hello" in (await resumed.turn("[[recall]]")).text


async def test_one_in_a_group_of_its_own_sleeps_and_ends_there(tmp_path: Path, cgroup_base: Path) -> None:
    async with open_agents(tmp_path, WITH_A_SERVER, Cgroups(cgroup_base)) as agents:
        agent = await agents.start()
        await agent.turn("[[echo]] my number is 4711")
        (group,) = list_groups(cgroup_base)
        assert members_of(group) == {process.pid for process in tree_of(agent)[1:]}
        measure = agent.measure()
        assert (measure.peak_bytes > 0) is (group / "memory.peak").exists()
        assert (measure.pressure is not None) is (group / "memory.pressure").exists()
        assert await agent.connection.suspend()
        agent.connection.wake()
        assert "4711" in (await agent.turn("[[recall]]")).text
        assert await agent.connection.suspend()
        tree = agent.connection.tree()
        tree.look()
        tree.kill()
        assert await tree.emptied(20)
        await tree.look_everywhere()
        assert not list_groups(cgroup_base)
