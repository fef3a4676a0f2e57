"""Sleeping through the whole engine with the bundled CLI: who sleeps, who wakes, and what becomes of one that dies."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import psutil
import pytest

from supervisor.api import events as past
from supervisor.api.snapshot import ClientRow
from supervisor.api.types import Done, Prompt, SlotState
from tests.acceptance.conftest import House, Open, find_clients
from tests.swap import Swap
from tests.waiting import until

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform != "linux", reason="memory goes to swap on Linux only"),
]

SOON = {"pool": {"spares": 0, "dormantAfter": 0.5}}


async def ask(house: House, text: str) -> str:
    outcome = await (await house.supervisor.submit(Prompt("desk", text, user="ana"))).outcome()
    assert isinstance(outcome, Done), outcome
    return outcome.text


async def fall_asleep(house: House) -> ClientRow:
    """Its only client, once it has been put to sleep and measured."""

    def sleeping() -> list[ClientRow]:
        return [row for row in house.supervisor.view.snapshot().clients if row.state is SlotState.DORMANT]

    await until(lambda: sleeping() and is_stopped(sleeping()[0].pid), within=60)
    return sleeping()[0]


def is_stopped(pid: int) -> bool:
    return psutil.Process(pid).status() == psutil.STATUS_STOPPED


async def test_an_idle_client_sleeps_and_its_next_prompt_wakes_it(open_house: Open, swap: Swap) -> None:
    async with open_house(keys=SOON) as house:
        with await house.supervisor.watch() as feed:
            told: list[past.Event] = []

            def has_slept() -> bool:
                told.extend(one for one in feed.take().events if isinstance(one, past.ClientDormant | past.ClientWoken))
                return bool(told)

            await ask(house, "[[echo]] my number is 4711")
            asleep = await fall_asleep(house)
            await until(has_slept, within=60)
            if swap.takes_memory:
                await until(lambda: house.supervisor.view.snapshot().clients[0].swap_bytes > 50_000_000, within=60)
                assert house.supervisor.view.snapshot().clients[0].memory_bytes < asleep.awake_bytes / 2
            assert "4711" in await ask(house, "[[recall]]")
            assert house.pids == {asleep.pid}, "the same process"
            has_slept()
        assert [type(event) for event in told][:2] == [past.ClientDormant, past.ClientWoken]


async def test_one_that_is_killed_asleep_is_resumed_by_the_next_prompt(open_house: Open, tmp_path: Path) -> None:
    async with open_house(keys=SOON) as house:
        await ask(house, "[[echo]] my number is 4711")
        asleep = await fall_asleep(house)
        os.kill(asleep.pid, signal.SIGKILL)
        assert "4711" in await ask(house, "[[recall]]")
        assert asleep.pid not in house.pids
    assert find_clients(tmp_path) == []


async def test_one_that_never_wakes_is_replaced_and_its_prompt_is_sent_once(
    open_house: Open, cgroup_base: Path, tmp_path: Path
) -> None:
    """R3: its processes are frozen from outside: no signal continues them."""
    frozen = cgroup_base / "frozen"
    frozen.mkdir()
    async with open_house(keys=SOON, wake_timeout=1) as house:
        await ask(house, "[[echo]] my number is 4711")
        asleep = await fall_asleep(house)
        (frozen / "cgroup.procs").write_text(str(asleep.pid))
        (frozen / "cgroup.freeze").write_text("1")
        assert "4711" in await ask(house, "[[recall]] never lost, never twice")
        assert len(house.requests_of("never lost, never twice")) == 1
        assert asleep.pid not in house.pids
    assert find_clients(tmp_path) == []
    await until(lambda: "populated 0" in (frozen / "cgroup.events").read_text())
    frozen.rmdir()


async def test_what_sleeps_ends_with_the_supervisor(open_house: Open, tmp_path: Path) -> None:
    """R3, with a stop and with a drain."""
    async with open_house(keys=SOON) as house:
        await ask(house, "[[say: hello]]")
        await fall_asleep(house)
    assert find_clients(tmp_path) == []
    async with open_house(keys=SOON) as house:
        await ask(house, "[[say: hello]]")
        await fall_asleep(house)
        await house.supervisor.drain("desk")
        await until(lambda: not house.pids, within=30)
        assert find_clients(tmp_path) == []
