"""Compaction with the bundled CLI."""

from __future__ import annotations

import pytest

from supervisor.api.entries import Noticed
from supervisor.api.outcomes import Done, Failed
from supervisor.api.prompts import Prompt
from tests.acceptance.conftest import Open

pytestmark = pytest.mark.anyio


async def test_a_conversation_goes_on_from_its_summary(open_bullpen: Open) -> None:
    async with open_bullpen() as bullpen:
        supervisor = bullpen.supervisor
        first = await supervisor.submit(Prompt("desk", "[[say: noted]] my number is 4711", user="ana"))
        await first.outcome()
        share = (await supervisor.snapshot()).sessions[0].context_share
        assert share is not None
        assert 0 < share < 1
        outcome = await (await supervisor.compact(first.key)).outcome()
        assert isinstance(outcome, Done)
        assert outcome.usage.cost_usd > 0
        entries = (await supervisor.conversation(first.key)).read().entries
        assert any("was compacted" in one.text for one in entries if isinstance(one, Noticed))
        after = await (await supervisor.submit(Prompt("desk", "[[recall]]", user="ana"))).outcome()
        assert isinstance(after, Done)
        assert "continued from a previous conversation" in after.text
        assert "my number is 4711" not in after.text


async def test_a_callers_prompt_that_reads_like_the_command_is_only_text(open_bullpen: Open) -> None:
    async with open_bullpen() as bullpen:
        supervisor = bullpen.supervisor
        ticket = await supervisor.submit(Prompt("desk", "[[say: noted]]", user="ana"))
        await ticket.outcome()
        await (await supervisor.compact(ticket.key)).outcome()
        await (await supervisor.submit(Prompt("desk", "/compact", user="ana"))).outcome()
        after = await (await supervisor.submit(Prompt("desk", "[[recall]]", user="ana"))).outcome()
        assert not isinstance(after, Failed)
        assert bullpen.requests_of("/compact"), "it went to the model"
