"""Many clients are measured some at a time, so that no prompt waits for all of them."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import psutil
import pytest

from supervisor.api.keys import SessionKey
from supervisor.api.prompts import Prompt
from supervisor.clock import Clock
from supervisor.config.settings import Settings
from supervisor.engine import memory_sampler
from supervisor.engine.memory_sampler import Census
from supervisor.process.process_tree import TreeUsage
from supervisor.scheduling.swap import SwapUse
from supervisor.sessions.place import Place
from supervisor.sessions.slot import Slot
from supervisor.testing import FakeWorld
from tests.engine.conftest import MakeTemplate, Start
from tests.waiting import until

pytestmark = pytest.mark.anyio

MiB = 1024**2
SESSIONS = 5


def scarce() -> tuple[int, int]:
    raise OSError(errno.EMFILE, "Too many open files")


class Unused:
    """As much of psutil as a measurement of the host asks for."""

    Process = psutil.Process

    def __init__(self, available: int) -> None:
        self.virtual_memory = lambda: SimpleNamespace(available=available)


async def test_all_are_measured_in_shares_and_each_share_counts_at_once(
    start: Start, world: FakeWorld, make_template: MakeTemplate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S2.29–31: with pauses in between, and the sum of all is that of the host."""
    monkeypatch.setattr(memory_sampler, "SHARE", 2)
    world.expected_bytes = 100 * MiB
    template = make_template(concurrency={"maxSessions": SESSIONS}, pool={"spares": 0, "idleTtl": "1h"})
    async with start(template, memory_interval=3600, health_interval=3600) as supervisor:
        for number in range(SESSIONS):
            await (await supervisor.submit(Prompt("desk", "hello", user=f"user-{number}"))).outcome()
        slots = [*supervisor._instances["desk"].pool]
        shares: list[tuple[str, ...]] = []

        def heed(share: Sequence[Slot]) -> None:
            shares.append(tuple(slot.id for slot in share))
            assert all(slot.memory_bytes == 100 * MiB for slot in share)
            later = slots[sum(map(len, shares)) :]
            assert not any(slot.memory_bytes for slot in later)

        pause = await Census(supervisor._host.clock).take(slots, over=0.3, heed=heed)
        assert pause == pytest.approx(0.1)
        assert [len(share) for share in shares] == [2, 2, 1]
        assert [name for share in shares for name in share] == [slot.id for slot in slots]
        assert supervisor.view.snapshot().host.memory_bytes == SESSIONS * 100 * MiB


async def test_the_rows_of_session_and_client_are_told_what_was_measured(
    start: Start, world: FakeWorld, make_template: MakeTemplate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S2.29–31: nothing else happens to them here."""
    monkeypatch.setattr("supervisor.engine.housekeeping.TICK", 3_600)
    async with start(make_template(pool={"spares": 0}), memory_interval=0.1, health_interval=3600) as supervisor:
        await (await supervisor.submit(Prompt("desk", "hello", user="ana"))).outcome()
        (slot,) = supervisor._instances["desk"].pool
        await until(lambda: slot.is_ready and slot.memory_bytes)
        with await supervisor.watch() as feed:
            seen: dict[object, int] = {}

            def take() -> dict[object, int]:
                changes = feed.take()
                seen.update({row.key: row.memory_bytes for row in changes.sessions})
                seen.update({row.id: row.memory_bytes for row in changes.clients})
                return seen

            world.live[0].memory_bytes = 123 * MiB
            both = {SessionKey("desk", "ana", "default"), slot.id}
            await until(lambda: take() == dict.fromkeys(both, 123 * MiB))


async def test_one_that_has_gone_meanwhile_is_left_out(
    start: Start, world: FakeWorld, make_template: MakeTemplate
) -> None:
    """S2.29–31"""
    async with start(make_template(pool={"spares": 0}), memory_interval=3600) as supervisor:
        await (await supervisor.submit(Prompt("desk", "hello", user="ana"))).outcome()
        slots = [*supervisor._instances["desk"].pool]
        await supervisor.kill_client(slots[0].id)
        await until(lambda: not world.live and not len(supervisor._instances["desk"].pool))
        shares: list[Sequence[Slot]] = []
        await Census(supervisor._host.clock).take(slots, over=0.1, heed=shares.append)
        assert shares == [[]]


async def test_the_room_in_swap_is_read_before_the_clients_and_what_all_of_them_have_there_is_added(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """S2.29–31: one that falls asleep after it was measured must not make it seem smaller, in whichever share it is."""
    monkeypatch.setattr(memory_sampler, "SHARE", 2)
    free = [400]

    class Sleeper:
        def measure(self, processes: object) -> TreeUsage:
            measured = TreeUsage(100, 1, 0.0, 10)
            free[0] -= 50  # what it hands back from now on
            return measured

    slots = [Slot(f"desk-{number}", "", Path(), "", resume=False, at=0.0) for number in range(SESSIONS)]
    for slot in slots:
        slot.client = cast(Any, Sleeper())
    monkeypatch.setattr(memory_sampler, "read_swap", lambda: (1000, free[0]))
    census = Census(Clock())
    await census.take(slots, over=0, heed=lambda share: None)
    assert [slot.swap_bytes for slot in slots] == [10] * SESSIONS
    assert (census.swap_total, census.swap_free) == (1000, 400)
    used = SESSIONS * 10
    assert census.swap_use(used, Settings(dormant_budget=1.0)) == SwapUse(used, 400 + used)


async def test_what_is_unused_changes_in_the_step_in_which_what_clients_use_does(
    start: Start, world: FakeWorld, make_template: MakeTemplate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S2.29–31: in between, a client would be admitted with memory that one has given back and others have taken."""
    elsewhere: list[str] = []
    note = Place.note_measure

    def note_measure(slot: Slot, measure: TreeUsage, at: float) -> None:
        note(slot, measure, at)
        asyncio.get_running_loop().call_soon(elsewhere.append, slot.id)

    async with start(make_template(pool={"spares": 0}), memory_interval=3600) as supervisor:
        await (await supervisor.submit(Prompt("desk", "hello", user="ana"))).outcome()
        slots = [*supervisor._instances["desk"].pool]
        census = Census(supervisor._host.clock)
        census.memory_available = -1
        monkeypatch.setattr(Place, "note_measure", note_measure)
        monkeypatch.setattr(memory_sampler, "psutil", Unused(available=7 * MiB))

        def heed(share: Sequence[Slot]) -> None:
            assert slots[0].memory_bytes
            assert census.memory_available == 7 * MiB
            assert not elsewhere, "nothing else has run"

        await census.take(slots, over=0.1, heed=heed)
        await until(lambda: elsewhere)


async def test_what_could_not_be_measured_once_is_compared_with_its_last_measurement(
    start: Start, world: FakeWorld, make_template: MakeTemplate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S2.29–31: else a client that works would seem to be at rest, and be put to sleep."""
    async with start(make_template(pool={"spares": 0}), memory_interval=3600) as supervisor:
        await (await supervisor.submit(Prompt("desk", "hello", user="ana"))).outcome()
        slots = [*supervisor._instances["desk"].pool]
        census = Census(supervisor._host.clock)
        await census.take(slots, over=0.1, heed=lambda share: None)
        since = census._cpu_seen[slots[0].id]
        with monkeypatch.context() as patch:
            patch.setattr(memory_sampler, "read_swap", scarce)
            await census.take(slots, over=0.1, heed=lambda share: None)
        assert census._cpu_seen == {slots[0].id: since}
        await census.take(slots, over=0.1, heed=lambda share: None)
        assert slots[0].cpu_since == since[0]
        await census.take([], over=0.1, heed=lambda share: None)
        assert not census._cpu_seen, "nothing is kept of one that has gone"
