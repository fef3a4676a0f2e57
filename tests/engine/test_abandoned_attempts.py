"""A reply that breaks off and begins again: callers, readers and the outcome have it once."""

from __future__ import annotations

import anyio
import pytest

from supervisor.api.entries import Noticed, Replied, StartsAgain
from supervisor.api.outcomes import Done, Interrupted
from supervisor.api.prompts import Prompt
from supervisor.process.reports import Retrying, Voided
from supervisor.testing import FakeWorld, hold
from tests.engine.conftest import Start
from tests.waiting import at_once, until

pytestmark = pytest.mark.anyio


async def test_the_outcome_and_the_conversation_have_the_reply_once(start: Start, world: FakeWorld) -> None:
    world.on_prompt = hold
    async with start() as supervisor:
        ticket = await supervisor.submit(Prompt("desk", "hello"))
        await until(lambda: world.written)
        agent = world.holder_of("hello")
        agent.give_up("hello brave ")
        agent.reply("hello brave new world")
        outcome = await ticket.outcome()
        entries = (await supervisor.conversation(ticket.key)).read().entries
    assert isinstance(outcome, Done)
    assert outcome.text == "hello brave new world"
    assert [entry.text for entry in entries if isinstance(entry, Replied)] == ["hello brave new world"]


async def test_a_turn_stopped_after_an_attempt_was_given_up_keeps_nothing_of_it(start: Start, world: FakeWorld) -> None:
    world.on_prompt = hold
    async with start() as supervisor:
        ticket = await supervisor.submit(Prompt("desk", "hello"))
        await until(lambda: world.written)
        world.holder_of("hello").give_up("void words")
        await until(
            lambda: any(isinstance(one, Noticed) for one in at_once(supervisor.conversation(ticket.key)).read().entries)
        )
        await supervisor.interrupt(ticket.key)
        outcome = await ticket.outcome()
    assert isinstance(outcome, Interrupted)
    assert outcome.text == ""


@pytest.mark.parametrize("whole", [True, False])
async def test_a_stream_gives_whole_blocks_or_says_that_one_begins_again(
    start: Start, world: FakeWorld, whole: bool
) -> None:
    world.on_prompt = hold
    heard: list[str] = []
    async with start() as supervisor:
        ticket = await supervisor.submit(Prompt("desk", "hello"))

        async def listen() -> None:
            async for fragment in ticket.stream(whole=whole):
                heard.append(fragment)

        async with anyio.create_task_group() as group:
            group.start_soon(listen)
            await until(lambda: world.written)
            agent = world.holder_of("hello")
            agent.say("one ")
            await until(lambda: at_once(supervisor.conversation(ticket.key)).read().opened == "one ")
            await until(lambda: whole or heard == ["one "])
            agent.give_up("")
            await until(lambda: whole or isinstance(heard[-1], StartsAgain))
            agent.reply("one two")
    if whole:
        assert heard == ["one two", "\n"]
    else:
        assert [*map(type, heard)].count(StartsAgain) == 1
        assert "".join(heard[2:]) == "one two\n"


@pytest.mark.parametrize(
    ("status", "reason", "words"),
    [
        (None, "unknown", "The connection to the API was lost; attempt 1 of 3"),
        (None, "", "The connection to the API was lost; attempt 1 of 3"),
        (529, "overloaded", "The API refused with 529 (overloaded); attempt 1 of 3"),
        (500, "unknown", "The API refused with 500; attempt 1 of 3"),
    ],
)
async def test_a_notice_tells_a_lost_connection_from_a_refusal(
    start: Start, world: FakeWorld, status: int | None, reason: str, words: str
) -> None:
    world.on_prompt = hold
    async with start() as supervisor:
        ticket = await supervisor.submit(Prompt("desk", "hello"))
        await until(lambda: world.written)
        agent = world.holder_of("hello")
        agent.tell(Voided())
        agent.tell(Retrying(1, 3, 0.5, status, reason))
        agent.reply("done")
        await ticket.outcome()
        notices = [
            one.text for one in (await supervisor.conversation(ticket.key)).read().entries if isinstance(one, Noticed)
        ]
    assert notices == [f"{words} at once"]
