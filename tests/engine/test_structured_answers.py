"""A template with `output`: its callers get JSON that fits, or a failure that says why not."""

from __future__ import annotations

import json

import pytest

from supervisor.api.outcomes import Done, Failed, FailureKind
from supervisor.api.prompts import Prompt
from supervisor.testing import FakeWorld
from tests.engine.conftest import MakeTemplate, Start

pytestmark = pytest.mark.anyio

SCHEMA = {"type": "object", "properties": {"answer": {"type": "integer"}}, "required": ["answer"]}


async def test_a_good_answer_is_the_json_alone_also_for_whom_reads_along(
    start: Start, world: FakeWorld, make_template: MakeTemplate
) -> None:
    world.on_prompt = lambda connection, text: connection.reply("Here it is:", structured='{"answer": 42}')
    async with start(make_template(archetype="tool", output=SCHEMA)) as supervisor:
        ticket = await supervisor.submit(Prompt("desk", "how many?", user="ana"))
        read = "".join([str(part) async for part in ticket.stream()])
        outcome = await ticket.outcome()
        assert isinstance(outcome, Done)
        assert json.loads(outcome.text) == json.loads(read) == {"answer": 42}
        again = await supervisor.ticket(ticket.turn_id)
        assert "".join([str(part) async for part in again.stream()]) == read
        compact = await supervisor.submit(Prompt("desk", "how many?", user="ana", session="kept"))
        assert isinstance(await compact.outcome(), Done)


@pytest.mark.parametrize(
    ("structured", "words"),
    [
        ("", "the model gave no answer in the form that the template's output asks for"),
        ('{"answer": "42"}', "the answer does not fit the template's output: answer: '42' is not of type 'integer'"),
        ("{}", "the answer does not fit the template's output: 'answer' is a required property"),
        ('{"answer": 4', "its answer is no JSON that could be kept"),
    ],
)
async def test_any_other_answer_is_a_failure_of_its_own_kind(
    start: Start, world: FakeWorld, make_template: MakeTemplate, structured: str, words: str
) -> None:
    """The CLI reports success where the model never gave its answer the form (measured)."""
    world.on_prompt = lambda connection, text: connection.reply("It is 42.", structured=structured)
    async with start(make_template(archetype="tool", output=SCHEMA)) as supervisor:
        ticket = await supervisor.submit(Prompt("desk", "how many?", user="ana"))
        assert [part async for part in ticket.stream()] == []
        outcome = await ticket.outcome()
        assert isinstance(outcome, Failed)
        assert outcome.kind is FailureKind.OUTPUT_INVALID
        assert outcome.message.startswith(words)
        assert outcome.text.startswith("It is 42.")


async def test_a_command_of_the_cli_needs_no_form(start: Start, world: FakeWorld, make_template: MakeTemplate) -> None:
    world.on_prompt = lambda connection, text: connection.reply(structured='{"answer": 42}')
    async with start(make_template(output=SCHEMA)) as supervisor:
        ticket = await supervisor.submit(Prompt("desk", "how many?", user="ana"))
        await ticket.outcome()
        assert isinstance(await (await supervisor.compact(ticket.key)).outcome(), Done)
