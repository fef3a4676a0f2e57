"""What a session is about is known at every moment, at no cost, and again after a restart."""

from __future__ import annotations

import pytest

from supervisor.api import events as past
from supervisor.api.entries import Asked, Replied
from supervisor.api.errors import UnknownTarget
from supervisor.api.keys import SessionKey
from supervisor.api.outcomes import Usage
from supervisor.api.prompts import Prompt
from supervisor.sessions.daily_usage import Today, midnight
from supervisor.sessions.gist import ABOUT_LIMIT, TAIL, Gist
from supervisor.testing import FakeWorld
from tests.engine.conftest import MakeTemplate, Start

pytestmark = pytest.mark.anyio

ANA = SessionKey("desk", "ana", "default")


def test_the_newest_line_is_the_last_that_says_something() -> None:
    gist = Gist()
    gist.begin("Please\nhelp me", "ana")
    assert (gist.about, gist.latest) == ("Please help me", "")
    for part in ("First li", "ne\n\n- sec", "ond\n```\n"):
        gist.stream(part)
    assert gist.latest == "second"
    gist.close("First line\n\n- second, whole\n```\n")
    gist.stream("Thi")
    assert gist.latest == "Thi"
    gist.void()
    assert gist.latest == ""
    gist.close("## In short\n> **30.00** for a `full` day, *or less*, a_b\n")
    assert gist.latest == "30.00 for a full day, *or less*, a_b"
    gist.begin("x" * 100_000, "ana")
    assert len(gist.about) <= ABOUT_LIMIT


def test_a_long_reply_is_not_kept() -> None:
    gist = Gist()
    for _ in range(1_000):
        gist.stream("y" * 10_000)
    assert len(gist._tail) <= TAIL
    assert len(gist.latest) <= ABOUT_LIMIT


async def test_the_row_tells_prompt_and_reply_and_a_restart_keeps_them(start: Start, world: FakeWorld) -> None:
    async with start() as supervisor:
        await (await supervisor.submit(Prompt("desk", "How do I\nreset my VPN?", "ana"))).outcome()
        (row,) = (await supervisor.snapshot()).sessions
        assert row.about == "How do I reset my VPN?"
        assert row.latest
    async with start() as supervisor:
        (again,) = (await supervisor.snapshot()).sessions
        assert (again.about, again.latest) == (row.about, row.latest)
        assert not supervisor.view._instances["desk"].sessions[ANA]._text.is_held


async def test_earlier_runs_are_told_once_and_oldest_first(start: Start, world: FakeWorld) -> None:
    async with start() as supervisor:
        assert await supervisor.past() == ()
        for text in ("one", "two"):
            await (await supervisor.submit(Prompt("desk", text, "ana"))).outcome()
        await supervisor.pause("desk")
        await supervisor.resume("desk")
    async with start() as supervisor:
        told = await supervisor.past()
        assert [type(event) for event in told] == [past.TurnFinished] * 2 + [past.ActionTaken] * 2
        assert [event.at for event in told] == sorted(event.at for event in told)
        assert {(event.instance, event.user, event.session) for event in told[:2]} == {ANA}
        with await supervisor.watch() as feed:
            assert not any(isinstance(event, past.TurnFinished) for event in feed.take().events)


async def test_what_was_used_today_is_summed_up_over_runs(start: Start, world: FakeWorld) -> None:
    async with start() as supervisor:
        await (await supervisor.submit(Prompt("desk", "one", "ana"))).outcome()
        used = (await supervisor.snapshot()).host.today
        assert used != Usage()
        assert used == (await supervisor.snapshot()).sessions[0].usage
        await supervisor.close_session(ANA)
    async with start() as supervisor:
        assert (await supervisor.snapshot()).host.today == used


def test_a_new_day_begins_at_nothing() -> None:
    today, noon = Today(), midnight(1_790_000_000.0) + 43_200
    today.add(Usage(1, 2, 3, 0.5), noon)
    today.add(Usage(1, 2, 3, 0.5), noon + 60)
    assert today.usage(noon + 120) == Usage(2, 4, 6, 1.0)
    assert today.usage(noon + 86_400) == Usage()


async def test_the_end_of_a_conversation_is_read_without_the_rest(start: Start, world: FakeWorld) -> None:
    async with start() as supervisor:
        for number in range(30):
            await (await supervisor.submit(Prompt("desk", f"prompt {number}", "ana"))).outcome()
        live = await supervisor.glimpse(ANA, 4)
        assert len(live.entries) == 4
    async with start() as supervisor:
        seen = await supervisor.glimpse(ANA, 4)
        assert seen.entries == live.entries
        assert any(isinstance(entry, Asked | Replied) for entry in seen.entries)
        assert not supervisor.view._instances["desk"].sessions[ANA]._text.is_held
        with pytest.raises(UnknownTarget):
            await supervisor.glimpse(SessionKey("desk", "nobody", "default"))


async def test_forgetting_a_user_clears_the_line_in_a_conversation_that_is_everybodys(
    start: Start, world: FakeWorld, make_template: MakeTemplate
) -> None:
    templates = make_template("desk", archetype="employee"), make_template("help")
    async with start(*templates) as supervisor:
        for agent in ("help", "desk"):
            await (await supervisor.submit(Prompt(agent, "a secret of mine", "ana"))).outcome()
        (shared,) = (row.key for row in (await supervisor.snapshot()).sessions if row.key.instance == "desk")
        assert shared.user != "ana"
        assert supervisor._session(shared).gist.about == "a secret of mine"
        await supervisor.forget_user("ana")
        assert supervisor._session(shared).gist.about == ""
        assert supervisor._session(shared).gist.latest == ""
