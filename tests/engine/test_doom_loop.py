"""A turn whose agent repeats itself is stopped, and says so (S4.15-16)."""

from __future__ import annotations

import pytest

from supervisor.api.entries import Noticed
from supervisor.api.keys import SessionKey
from supervisor.api.outcomes import Done, Failed, FailureKind, Outcome
from supervisor.api.prompts import Prompt
from supervisor.config.templates import Template
from supervisor.process.reports import CallMade
from supervisor.testing import FakeConnection, FakeWorld
from tests.engine.conftest import MakeTemplate, Start

pytestmark = pytest.mark.anyio


def _call(connection: FakeConnection, text: str) -> None:
    """`Bash:ls Bash:ls sub/Read:x`: calls, with what they stand within; then the agent answers if it is not stopped."""
    for word in text.split():
        within, _, call = word.rpartition("/")
        connection.tell(CallMade(call.partition(":")[0], call, within))
    if not text.endswith(" "):
        connection.reply("over")


async def _ask(start: Start, world: FakeWorld, template: Template, *texts: str) -> list[Outcome]:
    world.on_prompt = _call
    async with start(template) as supervisor:
        return [await (await supervisor.submit(Prompt("desk", text, user="ana"))).outcome() for text in texts]


async def test_a_turn_in_a_circle_is_stopped_with_its_kind_and_a_notice(
    start: Start, world: FakeWorld, make_template: MakeTemplate
) -> None:
    world.on_prompt = _call
    async with start(make_template(doomLoop=3)) as supervisor:
        outcome = await (await supervisor.submit(Prompt("desk", "Bash:ls Bash:ls Bash:ls ", user="ana"))).outcome()
        assert isinstance(outcome, Failed)
        assert outcome.kind is FailureKind.DOOM_LOOP
        assert outcome.message.startswith("the agent called Bash 3 times in a row with the same input")
        entries = (await supervisor.conversation(SessionKey("desk", "ana", "default"))).read().entries
        (notice,) = [one for one in entries if isinstance(one, Noticed)]
        assert notice.is_warning
        assert notice.text.startswith("The agent called Bash 3 times")
        # Its client has nothing to be blamed for: the session goes on in it.
        assert isinstance(await (await supervisor.submit(Prompt("desk", "hi", user="ana"))).outcome(), Done)
        assert len(world.connections) == 1
        assert not world.violations


async def test_every_turn_is_counted_afresh(start: Start, world: FakeWorld, make_template: MakeTemplate) -> None:
    outcomes = await _ask(start, world, make_template(doomLoop=3), "Bash:ls Bash:ls", "Bash:ls Bash:ls")
    assert all(isinstance(one, Done) for one in outcomes)


@pytest.mark.parametrize("text", ["s/Read:x s/Read:x s/Read:x ", "A:1 B:2 A:1 B:2 A:1 B:2 "])
async def test_circles_of_sub_agents_and_of_several_calls_are_stopped(
    start: Start, world: FakeWorld, make_template: MakeTemplate, text: str
) -> None:
    (outcome,) = await _ask(start, world, make_template(doomLoop={"count": 3}), text)
    assert isinstance(outcome, Failed)
    assert outcome.kind is FailureKind.DOOM_LOOP


@pytest.mark.parametrize("loop", ["none", {"count": 3, "exempt": "Bash"}, {"exempt": ["Bash"]}, 10])
async def test_it_can_be_left_out_and_tools_can_be_exempt(
    start: Start, world: FakeWorld, make_template: MakeTemplate, loop: object
) -> None:
    (outcome,) = await _ask(start, world, make_template(doomLoop=loop), "Bash:ls " * 8 + "Bash:ls")
    assert isinstance(outcome, Done)


async def test_calls_that_look_how_something_is_going_may_be_repeated(
    start: Start, world: FakeWorld, make_template: MakeTemplate
) -> None:
    (outcome,) = await _ask(start, world, make_template(), "BashOutput:1 " * 30 + "BashOutput:1")
    assert isinstance(outcome, Done)
