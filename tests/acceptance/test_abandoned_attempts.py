"""A reply whose connection is lost in the middle of a block: the CLI begins it again, and the answer has it once."""

from __future__ import annotations

from pathlib import Path

import pytest

from supervisor.api.entries import Noticed, Replied
from supervisor.api.outcomes import Done
from supervisor.api.prompts import Prompt
from tests.acceptance.conftest import Open
from tests.acceptance.test_command_line import ask, folder  # noqa: F401 - a fixture

pytestmark = pytest.mark.anyio

BROKEN = "[[cut: 2, half a sentence that]] [[say: half a sentence that goes on]]"


async def test_an_answer_that_was_broken_off_twice_stands_there_once(open_bullpen: Open) -> None:
    async with open_bullpen() as bullpen:
        ticket = await bullpen.supervisor.submit(Prompt("desk", BROKEN, user="ana"))
        parts = [part async for part in ticket.stream(whole=True)]
        outcome = await ticket.outcome()
        entries = (await bullpen.supervisor.conversation(ticket.key)).read().entries
        assert len(bullpen.requests_of("half a sentence")) == 3, "two attempts were broken off"
    assert isinstance(outcome, Done)
    assert outcome.text == "half a sentence that goes on"
    assert [one.text for one in entries if isinstance(one, Replied)] == ["half a sentence that goes on"]
    assert parts == ["half a sentence that goes on", "\n"]
    notices = [one.text for one in entries if isinstance(one, Noticed)]
    assert len(notices) == 2
    assert all(text.startswith("The connection to the API was lost; attempt") for text in notices)


async def test_a_block_that_was_whole_before_the_break_is_kept(open_bullpen: Open) -> None:
    """The CLI asks for the rest then, and does not send it anew."""
    async with open_bullpen() as bullpen:
        prompt = "[[say: whole before]] [[cut: 1, half a sen]] [[say: the rest]]"
        outcome = await (await bullpen.supervisor.submit(Prompt("desk", prompt, user="ana"))).outcome()
    assert isinstance(outcome, Done)
    assert outcome.text == "whole before\n\nthe rest"


def test_a_pipe_gets_an_answer_that_was_broken_off_once(folder: Path) -> None:  # noqa: F811
    answer = ask(folder, "desk", BROKEN)
    assert (answer.stdout, answer.returncode) == ("half a sentence that goes on\n", 0)
