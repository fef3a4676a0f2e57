"""A session is resumed ahead of its prompt, when its user is about to write and nobody else needs the place."""

from __future__ import annotations

import pytest

from supervisor.api.entries import Noticed
from supervisor.api.errors import UnknownTarget
from supervisor.api.keys import SessionKey
from supervisor.api.prompts import Prompt
from supervisor.api.states import InstanceState, SessionState
from supervisor.engine.supervisor import Supervisor
from supervisor.testing import FakeWorld, answer_at_once, hold
from tests.engine.conftest import MakeTemplate, Start
from tests.waiting import until

pytestmark = pytest.mark.anyio

ANA, BEN = SessionKey("desk", "ana", "default"), SessionKey("desk", "ben", "default")


async def say(supervisor: Supervisor, user: str) -> None:
    """One turn of that user, whose client is idle then."""
    await (await supervisor.submit(Prompt("desk", "hello", user=user))).outcome()
    key = SessionKey("desk", user, "default")
    await until(lambda: supervisor.view.session_row(key).state is SessionState.IDLE)  # type: ignore[union-attr]


async def test_the_next_turn_of_a_warmed_session_is_hot(
    start: Start, world: FakeWorld, make_template: MakeTemplate
) -> None:
    async with start(make_template(pool={"spares": 0})) as supervisor:
        await (await supervisor.submit(Prompt("desk", "hello", user="ana"))).outcome()
        assert await supervisor.warm(ANA) is False, "it is warm"
        await until(lambda: supervisor.view.session_row(ANA).state is SessionState.IDLE)  # type: ignore[union-attr]
        await supervisor.hibernate(ANA)
        await until(lambda: not supervisor.view.snapshot().clients)  # a session is hibernated before its client is gone
        assert await supervisor.warm(ANA) is True
        assert await supervisor.warm(ANA) is False, "it is on its way"
        await until(lambda: supervisor.view.session_row(ANA).state is SessionState.IDLE)  # type: ignore[union-attr]
        assert len(world.live) == 1
        before = supervisor.view.snapshot().instances[0].pool.cold
        await (await supervisor.submit(Prompt("desk", "again", user="ana"))).outcome()
        pool = supervisor.view.snapshot().instances[0].pool
        assert pool.cold == before, "no start was waited for"
        uuid = supervisor.view.session_row(ANA).session_uuid  # type: ignore[union-attr]
        assert world.transcripts[uuid] == ["hello", "again"]
        notices = [one.text for one in (await supervisor.conversation(ANA)).read().entries if isinstance(one, Noticed)]
        assert notices == ["Resumed: the conversation was loaded into a new process"]
        with pytest.raises(UnknownTarget):
            await supervisor.warm(SessionKey("desk", "nobody", "x"))
    assert world.violations == []


async def test_nothing_is_warmed_while_one_turn_shows_whether_the_provider_is_back(
    start: Start, world: FakeWorld, make_template: MakeTemplate
) -> None:
    """S1.18: a pool that tries again starts no process but for that turn."""
    async with start(make_template(pool={"spares": 0}, concurrency={"maxSessions": 2})) as supervisor:
        await say(supervisor, "ana")
        await supervisor.hibernate(ANA)
        await until(lambda: not supervisor.view.snapshot().clients)
        world.on_prompt = lambda connection, text: connection.fail(429)
        await (await supervisor.submit(Prompt("desk", "too much", user="ben"))).outcome()
        assert supervisor.view.snapshot().instances[0].state is InstanceState.PARKED
        await supervisor.resume("desk")
        assert supervisor.view.snapshot().instances[0].state is InstanceState.RUNNING
        assert await supervisor.warm(ANA) is False
        world.on_prompt = answer_at_once
        await say(supervisor, "ben")
        assert await supervisor.warm(ANA) is True, "all is well"
    assert world.violations == []


async def test_nothing_is_warmed_where_somebody_waits_or_there_is_no_room(
    start: Start, world: FakeWorld, make_template: MakeTemplate
) -> None:
    async with start(make_template(pool={"spares": 0}), max_agents=5) as supervisor:
        await (await supervisor.submit(Prompt("desk", "hello", user="ana"))).outcome()
        await until(lambda: supervisor.view.session_row(ANA).state is SessionState.IDLE)  # type: ignore[union-attr]
        await supervisor.hibernate(ANA)
        await until(lambda: not supervisor.view.snapshot().clients)  # a session is hibernated before its client is gone
        await supervisor.pause("desk")
        assert await supervisor.warm(ANA) is False
        await supervisor.resume("desk")
        world.on_prompt = hold
        await supervisor.submit(Prompt("desk", "busy", user="ben"))
        await until(lambda: bool(world.live) and bool(world.live[-1].prompts))
        assert await supervisor.warm(ANA) is False, "the one place is taken"
        await supervisor.submit(Prompt("desk", "waits", user="cem"))
        await supervisor.adjust("desk", "maxClients", "2")
        assert await supervisor.warm(ANA) is False, "a turn waits"
    assert world.violations == []
