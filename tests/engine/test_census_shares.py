"""Many clients are measured some at a time, so that no prompt waits for all of them."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from supervisor.api.prompts import Prompt
from supervisor.engine import memory_sampler
from supervisor.engine.memory_sampler import Census
from supervisor.sessions.slot import Slot
from supervisor.testing import FakeWorld
from tests.engine.conftest import MakeTemplate, Start
from tests.waiting import until

pytestmark = pytest.mark.anyio

MiB = 1024**2
SESSIONS = 5


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
