"""How a bullpen ends that was asked to stop: nothing that it has accepted is lost (R2)."""

from __future__ import annotations

import pytest

from supervisor.api.errors import Suspended
from supervisor.api.keys import SessionKey
from supervisor.api.prompts import Prompt
from supervisor.api.states import SessionState
from supervisor.testing import FakeWorld, hold
from tests.engine.conftest import MakeTemplate, Start
from tests.waiting import until
from tui.cli.ending import GentleEnd
from tui.engine_link.time_to_end import EARLIER

pytestmark = pytest.mark.anyio

ANA, BORIS = (SessionKey("desk", user, "default") for user in ("ana", "boris"))


async def test_what_outlasts_the_time_to_end_is_kept_for_the_next_start(
    start: Start, world: FakeWorld, make_template: MakeTemplate
) -> None:
    """R2: what ran is on offer, what waited runs, and its caller is told so."""
    world.on_prompt = hold
    template = make_template(concurrency={"maxSessions": 1}, pool={"spares": 0})
    lines: list[str] = []
    async with start(template, drain_deadline=EARLIER + 0.05) as supervisor:
        await supervisor.submit(Prompt("desk", "runs", user="ana"))
        waits = await supervisor.submit(Prompt("desk", "waits", user="boris"))
        await waits.accepted()
        await until(lambda: world.written)
        await GentleEnd(supervisor).let_end(lines.append)
    with pytest.raises(Suspended):
        await waits.outcome()
    assert lines[0].startswith("draining: 2 turns left · desk/ana/default still works, 1 queued, interrupted at ")
    world.on_prompt = lambda connection, text: connection.reply("yes")
    async with start(template) as supervisor:
        await until(lambda: [one.text for one in world.written] == ["runs", "waits"])
        rows = {row.key: row for row in supervisor.view.snapshot().sessions}
        assert rows[ANA].state is SessionState.INTERRUPTED
        assert rows[ANA].offer is not None
        await until(lambda: supervisor.view.snapshot().instances[0].active_sessions == 0)
    assert world.violations == []


async def test_a_second_wish_waits_for_nothing_any_more(start: Start, world: FakeWorld) -> None:
    world.on_prompt = hold
    async with start(drain_deadline=600) as supervisor:
        await supervisor.submit(Prompt("desk", "runs", user="ana"))
        await until(lambda: world.written)
        ending = GentleEnd(supervisor)
        await ending.let_end(lambda line: ending.hurry())
        assert supervisor.view.snapshot().instances[0].active_sessions == 1


async def test_without_time_to_end_nothing_that_waits_is_cancelled(start: Start, world: FakeWorld) -> None:
    """R2: a drain of no time at all would."""
    world.on_prompt = hold
    async with start(drain_deadline=0) as supervisor:
        await supervisor.submit(Prompt("desk", "runs", user="ana"))
        waits = await supervisor.submit(Prompt("desk", "waits", user="ana"))
        await waits.accepted()
        await GentleEnd(supervisor).let_end(lambda line: None)
    with pytest.raises(Suspended):
        await waits.outcome()
