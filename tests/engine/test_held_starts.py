"""Starts of processes wait while something more urgent is done, and nothing else waits with them."""

from __future__ import annotations

import anyio
import pytest

from supervisor.api.outcomes import Cancelled, Done
from supervisor.api.prompts import Prompt
from supervisor.api.states import SlotState
from supervisor.testing import FakeWorld
from tests.engine.conftest import MakeTemplate, Start
from tests.waiting import until

pytestmark = pytest.mark.anyio

PROMPT = Prompt("desk", "hello", user="ana")


async def test_no_process_is_started_before_starts_are_released(
    start: Start, world: FakeWorld, make_template: MakeTemplate
) -> None:
    supervisor = start(make_template(pool={"spares": 1}))
    release = supervisor.hold_starts()  # type: ignore[attr-defined]
    async with supervisor as running:
        ticket = await running.submit(PROMPT)
        await ticket.accepted()
        await anyio.wait_all_tasks_blocked()
        assert (world.live, world.most_starting) == ([], 0)
        (place,) = (await running.snapshot()).clients
        assert place.state is SlotState.RESERVED
        release()
        release()
        with anyio.fail_after(5):
            assert isinstance(await ticket.outcome(), Done)
    assert world.violations == []


async def test_what_ends_does_not_wait_for_starts_that_are_held(
    start: Start, world: FakeWorld, make_template: MakeTemplate
) -> None:
    supervisor = start(make_template(pool={"spares": 1}))
    supervisor.hold_starts()  # type: ignore[attr-defined]
    with anyio.fail_after(5):
        async with supervisor as running:
            ticket = await running.submit(PROMPT)
            await running.kill("desk")
            assert isinstance(await ticket.outcome(), Cancelled)
            await until(lambda: not running.view.snapshot().clients)
    assert world.most_starting == 0
