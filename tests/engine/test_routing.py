"""Prompts that name no agent."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from supervisor.api.codec import pack, unpack
from supervisor.api.errors import NoAgentMatches, NotAccepting, RequestConflict, UnknownAgent
from supervisor.api.events import TurnQueued
from supervisor.api.prompts import AUTO, Prompt, Route
from supervisor.claude.contexts import source_of
from supervisor.testing import FakeWorld
from tests.engine.conftest import MakeTemplate, Start
from tests.engine.test_restart import crashing
from tests.waiting import until

pytestmark = pytest.mark.anyio

VPN = Prompt("", "My VPN is down", user="ana")


def two(make_template: MakeTemplate) -> tuple[object, object]:
    pool = {"pool": {"spares": 0}}
    return make_template("desk", triggers=["vpn"], **pool), make_template("clerk", triggers=["todo"], **pool)


async def test_a_prompt_without_an_agent_goes_where_its_words_lead_and_says_why(
    start: Start, make_template: MakeTemplate
) -> None:
    """S4.route"""
    async with start(*two(make_template)) as supervisor:
        with await supervisor.watch() as feed:
            for agent in ("", AUTO):
                ticket = await supervisor.submit(replace(VPN, agent=agent))
                await ticket.outcome()
                turn = await supervisor.turn(ticket.turn_id)
                assert (ticket.key.instance, turn.prompt.agent) == ("desk", "desk")
                assert turn.prompt.route is not None
                assert turn.prompt.route.reason == "its triggers name “vpn”"
                assert turn.prompt.route.score > 0
            queued = [one for one in feed.take().events if isinstance(one, TurnQueued)]
            assert [one.route for one in queued] == [turn.prompt.route] * 2
            assert unpack(TurnQueued, pack(queued[0])) == queued[0]
        assert (await supervisor.route("VPN")).agent == "desk"
        with pytest.raises(NoAgentMatches, match="clerk, desk"):
            await supervisor.submit(replace(VPN, text="hello"))
        assert (await supervisor.route("VPN", ("clerk",))).agent == "clerk", "of these alone"
        with pytest.raises(UnknownAgent):
            await supervisor.submit(replace(VPN, agent="nobody"))


async def test_the_index_is_made_once_for_the_agents_it_is_of_and_shown_with_the_other_caches(
    start: Start, make_template: MakeTemplate
) -> None:
    """S4.7-11: the keyword index is a cache as others, and an edit reaches it."""
    one, two_ = two(make_template)
    async with start(one, two_) as supervisor:

        async def counts() -> tuple[int, int, int]:
            [found] = [cache for cache in (await supervisor.contexts()).caches if cache.name == "routing"]
            return found.misses, found.hits, found.entries

        for agents in ((), (), ("clerk", "desk"), (), ("desk", "clerk")):
            await supervisor.route("VPN", agents)
        assert await counts() == (1, 4, 1)
        await supervisor.replace_template(make_template("desk", triggers=["printer"], pool={"spares": 0}))
        assert (await supervisor.route("printer")).agent == "desk"
        with pytest.raises(NoAgentMatches):
            await supervisor.route("VPN")
        assert await counts() == (2, 5, 2)
        supervisor._host.caches.change(source_of("desk"))
        assert await counts() == (2, 5, 0), "what was made from an edited template is given up"


async def test_what_a_caller_says_of_the_choice_is_passed_over(start: Start) -> None:
    async with start() as supervisor:
        ticket = await supervisor.submit(Prompt("desk", "x", route=Route("admin", 9, "I say so")))
        assert (await supervisor.turn(ticket.turn_id)).prompt.route is None


async def test_an_agent_that_is_called_auto_is_meant_itself(start: Start, make_template: MakeTemplate) -> None:
    async with start(make_template(AUTO), make_template("desk", triggers=["vpn"])) as supervisor:
        ticket = await supervisor.submit(replace(VPN, agent=AUTO))
        assert ticket.key.instance == AUTO
        assert (await supervisor.submit(VPN)).key.instance == "desk"


async def test_a_conversation_goes_on_with_the_agent_it_is_with(start: Start, make_template: MakeTemplate) -> None:
    async with start(*two(make_template)) as supervisor:
        talk = replace(VPN, session="t-1")
        await (await supervisor.submit(talk)).outcome()
        ticket = await supervisor.submit(replace(talk, text="put it on the todo list"))
        assert ticket.key.instance == "desk"
        route = (await supervisor.turn(ticket.turn_id)).prompt.route
        assert route == Route("desk", 0.0, "the conversation t-1 is with it")
        other = await supervisor.submit(replace(talk, user="ben", text="todo"))
        assert other.key.instance == "clerk", "another user's session of that name is another"


async def test_a_drained_agent_is_refused_and_no_other_takes_its_prompts(
    start: Start, make_template: MakeTemplate
) -> None:
    async with start(*two(make_template)) as supervisor:
        await supervisor.drain("desk")
        with pytest.raises(NotAccepting, match="desk"):
            await supervisor.submit(VPN)


async def test_a_request_keeps_its_first_choice_over_a_crash_and_other_templates(
    start: Start, world: FakeWorld, make_template: MakeTemplate
) -> None:
    """S4.route"""
    named = replace(VPN, request="r-1")
    async with crashing(start(*two(make_template)), world) as supervisor:
        first = await supervisor.submit(named)
        await first.outcome()
        assert (await supervisor.submit(named)).turn_id == first.turn_id
    templates = make_template("desk"), make_template("clerk", triggers=["vpn"])
    async with start(*templates) as supervisor:
        again = await supervisor.submit(named)
        assert (again.turn_id, again.key.instance) == (first.turn_id, "desk")
        route = (await supervisor.turn(again.turn_id)).prompt.route
        assert route is not None
        assert route.reason == "its triggers name “vpn”"
        assert (await supervisor.submit(replace(named, request="r-2"))).key.instance == "clerk"
        with pytest.raises(RequestConflict):
            await supervisor.submit(replace(named, text="other words about the vpn"))


async def test_nothing_that_was_said_is_left_in_the_reason_of_a_session_that_is_closed(
    start: Start, make_template: MakeTemplate
) -> None:
    async with start(*two(make_template)) as supervisor:
        ticket = await supervisor.submit(replace(VPN, request="r-1"))
        await ticket.outcome()
        await supervisor.close_session(ticket.key)
        await until(lambda: supervisor.view.session_row(ticket.key) is None)
        await (await supervisor.submit(replace(VPN, user="ben"))).outcome()  # the journal has written what came before
        route = (await supervisor.turn(ticket.turn_id)).prompt.route
        assert route is not None
        assert route.reason == ""
        assert (await supervisor.submit(replace(VPN, request="r-1"))).turn_id == ticket.turn_id


async def test_the_default_of_the_settings_takes_the_rest(start: Start, make_template: MakeTemplate) -> None:
    async with start(*two(make_template), routing={"default": "clerk"}) as supervisor:
        ticket = await supervisor.submit(replace(VPN, text="hello"))
        assert ticket.key.instance == "clerk"
