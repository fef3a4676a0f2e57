"""Memory of real clients: ceilings and budgets act on what their process trees measure (S2.29–32)."""

from __future__ import annotations

from pathlib import Path

import pytest

from supervisor.api import events as past
from supervisor.api.outcomes import Done, Failed, FailureKind
from supervisor.api.prompts import Prompt
from supervisor.api.questions import Allow
from supervisor.api.states import WhyWaiting
from tests.acceptance.conftest import Open, find_clients
from tests.waiting import until

pytestmark = pytest.mark.anyio

NO_CEILINGS = {"spares": 0, "softMemory": "none", "hardMemory": "none", "panicMemory": "none"}
SLEEPER = '[[tool: Bash {"command": "sleep 300 & sleep 300", "timeout": 600000}]] [[say: never]]'


async def test_a_client_above_its_hard_ceiling_ends_with_its_turn_and_its_session_is_resumed_whole(
    open_bullpen: Open, tmp_path: Path
) -> None:
    async with open_bullpen(keys={"pool": NO_CEILINGS | {"hardMemory": "64MiB"}}) as bullpen:
        supervisor = bullpen.supervisor
        with await supervisor.watch() as feed:
            first = await (await supervisor.submit(Prompt("desk", "[[echo]] my number is 4711", user="ana"))).outcome()
            assert isinstance(first, Done)
            await until(lambda: not supervisor.view.snapshot().clients, within=30)
            gone = [event for event in feed.take().events if isinstance(event, past.ClientGone)]
        assert [event.reason for event in gone] == ["recycled: over its memory ceiling"]
        assert find_clients(tmp_path) == []
        recalled = await (await supervisor.submit(Prompt("desk", "[[recall]]", user="ana"))).outcome()
        assert isinstance(recalled, Done)
        assert "4711" in recalled.text


async def test_a_client_above_its_panic_ceiling_is_ended_in_its_turn_with_its_whole_tree(
    open_bullpen: Open, tmp_path: Path
) -> None:
    """R3: the tool's children too; the turn says what it was, and the session goes on."""
    async with open_bullpen(keys={"pool": NO_CEILINGS}) as bullpen:
        supervisor = bullpen.supervisor
        await (await supervisor.submit(Prompt("desk", "[[echo]] my number is 4711", user="ana"))).outcome()
        ticket = await supervisor.submit(Prompt("desk", SLEEPER, user="ana"))
        await until(lambda: supervisor.view.snapshot().questions, within=30)
        await supervisor.answer((await supervisor.snapshot()).questions[0].id, Allow())
        await until(lambda: supervisor.view.snapshot().clients[0].processes >= 3, within=30)
        instance = supervisor._instances["desk"]
        pool = instance.template.pool
        tight = pool.model_copy(update={"panic_memory": 64 * 1024**2})
        instance.core.template = instance.template.model_copy(update={"pool": tight})
        outcome = await ticket.outcome()
        assert isinstance(outcome, Failed)
        assert outcome.kind is FailureKind.OUT_OF_MEMORY
        assert "more than panicMemory (64MiB)" in outcome.message
        await until(lambda: not supervisor.view.snapshot().clients, within=30)
        assert find_clients(tmp_path) == []
        instance.core.template = instance.template.model_copy(update={"pool": pool})
        recalled = await (await supervisor.submit(Prompt("desk", "[[recall]]", user="ana"))).outcome()
        assert isinstance(recalled, Done)
        assert "4711" in recalled.text


async def test_a_budget_that_holds_one_client_runs_the_second_after_the_first(open_bullpen: Open) -> None:
    """S2.29–31: by what the first one measures and what a second is expected to need."""
    async with open_bullpen(keys={"pool": NO_CEILINGS | {"memoryBudget": "256MiB"}}) as bullpen:
        supervisor = bullpen.supervisor
        first = await supervisor.submit(Prompt("desk", "[[slow: 4]] [[say: one]]", user="ana"))
        second = await supervisor.submit(Prompt("desk", "[[say: two]]", user="boris"))
        await until(lambda: supervisor.view.snapshot().instances[0].memory_bytes, within=30)
        row = supervisor.view.session_row(second.key)
        assert row is not None
        assert row.why is WhyWaiting.MEMORY
        assert len((await supervisor.snapshot()).clients) == 1
        for ticket, text in ((first, "one"), (second, "two")):
            outcome = await ticket.outcome()
            assert isinstance(outcome, Done)
            assert outcome.text == text
        assert len((await supervisor.snapshot()).clients) == 1, "the first has made room"
