"""Compaction on purpose: by the operator, and at a share of the context."""

from __future__ import annotations

import pytest

from supervisor.api.entries import Asked, Noticed
from supervisor.api.errors import Refused
from supervisor.api.outcomes import Done, Interrupted
from supervisor.api.prompts import Prompt, Source
from supervisor.process.reports import Compacted
from supervisor.testing import FakeConnection, FakeWorld, hold
from tests.engine.conftest import MakeTemplate, Start
from tests.waiting import until

pytestmark = pytest.mark.anyio


def fill(tokens: int) -> object:
    def answer(connection: FakeConnection, text: str) -> None:
        connection.context_tokens = tokens
        connection.reply("ok")

    return answer


async def test_the_operator_has_a_conversation_compacted_as_a_turn_of_its_own(start: Start, world: FakeWorld) -> None:
    world.on_prompt = fill(900)  # type: ignore[assignment]
    async with start() as supervisor:
        first = await supervisor.submit(Prompt("desk", "one", user="ana"))
        await first.outcome()
        assert (await supervisor.snapshot()).sessions[0].context_share == 0.9
        ticket = await supervisor.compact(first.key)
        assert isinstance(await ticket.outcome(), Done)
        row = (await supervisor.snapshot()).sessions[0]
        assert row.context_share is not None
        assert (round(row.context_share, 3), row.turns) == (0.1, 2)
        assert world.live[0].commands == ["/compact"]
        assert [one.text for one in world.written] == ["one"], "it is no prompt"
        entries = (await supervisor.conversation(first.key)).read().entries
        assert [one.source for one in entries if isinstance(one, Asked)] == [Source.CALLER, Source.ENGINE]
        assert any("900 tokens before, 100 after" in one.text for one in entries if isinstance(one, Noticed))
    assert not world.violations


async def test_it_is_refused_while_a_turn_runs_and_without_a_conversation(start: Start, world: FakeWorld) -> None:
    world.on_prompt = hold
    async with start() as supervisor:
        ticket = await supervisor.submit(Prompt("desk", "one", user="ana"))
        with pytest.raises(Refused, match="nothing to compact"):
            await supervisor.compact(ticket.key)
        await until(lambda: world.written)
        with pytest.raises(Refused, match="runs a turn"):
            await supervisor.compact(ticket.key)
        world.live[0].reply("ok")
        await ticket.outcome()
        await until(lambda: supervisor.view.snapshot().clients[0].state == "ready")
        world.on_command = hold
        running = await supervisor.compact(ticket.key)
        after = await supervisor.submit(Prompt("desk", "two", user="ana"))
        await until(lambda: world.live[0].commands)
        assert len(world.written) == 1, "nothing is written meanwhile"
        await supervisor.interrupt(ticket.key)
        assert isinstance(await running.outcome(), Interrupted)
        await until(lambda: len(world.written) == 2)
        world.live[0].reply("ok")
        assert isinstance(await after.outcome(), Done)


async def test_it_comes_by_itself_at_a_share_of_the_context_and_before_what_waits(
    start: Start, world: FakeWorld, make_template: MakeTemplate
) -> None:
    world.on_prompt = fill(850)  # type: ignore[assignment]
    async with start(make_template(pool={"spares": 0}, compactAt="80%")) as supervisor:
        first = await supervisor.submit(Prompt("desk", "one", user="ana"))
        second = await supervisor.submit(Prompt("desk", "two", user="ana"))
        await second.outcome()
        entries = (await supervisor.conversation(first.key)).read().entries
        sources = [one.source for one in entries if isinstance(one, Asked)]
        assert sources[:3] == [Source.CALLER, Source.ENGINE, Source.CALLER]
        assert any("85% full (compactAt 80%)" in one.text for one in entries if isinstance(one, Noticed))


async def test_one_that_does_not_help_is_not_repeated(
    start: Start, world: FakeWorld, make_template: MakeTemplate
) -> None:
    world.on_prompt = fill(850)  # type: ignore[assignment]

    def in_vain(connection: FakeConnection, text: str) -> None:
        connection.tell(Compacted(850, 840))
        connection.finish(text="")

    world.on_command = in_vain
    async with start(make_template(pool={"spares": 0}, compactAt="80%")) as supervisor:
        for text in ("one", "two", "three"):
            await (await supervisor.submit(Prompt("desk", text, user="ana"))).outcome()
        assert world.live[0].commands == ["/compact"]
