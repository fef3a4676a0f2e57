"""In the process of the engine a verb waits for nothing, though its contract lets a remote one wait."""

from __future__ import annotations

import asyncio
import inspect

import pytest

from supervisor.api.engine import Engine
from supervisor.api.errors import UnknownTarget
from supervisor.api.keys import SessionKey
from supervisor.api.prompts import Prompt
from supervisor.api.questions import Allow
from supervisor.api.states import InstanceState
from supervisor.engine.supervisor import Supervisor
from supervisor.testing import FakeWorld, hold
from tests.engine.conftest import Start
from tests.waiting import at_once, until

pytestmark = pytest.mark.anyio

ANA, BEN = SessionKey("desk", "ana", "default"), SessionKey("desk", "ben", "default")
WAITING = {"drained", "stop", "test_hook"}
"""Methods that wait until something has ended."""


async def test_no_verb_waits_for_anything(start: Start, world: FakeWorld) -> None:
    """`at_once` fails when one does."""
    async with start() as supervisor:
        for user in ("ana", "ben"):
            await (await supervisor.submit(Prompt("desk", "hello", user=user))).outcome()
        await until(lambda: supervisor.view.session_row(ANA).client_id)  # type: ignore[union-attr]
        with at_once(supervisor.watch()) as feed:
            assert feed.snapshot == at_once(supervisor.snapshot())
        at_once(supervisor.conversation(ANA)).close()
        assert at_once(supervisor.glimpse(ANA)).entries
        at_once(supervisor.past())
        assert at_once(supervisor.warm(ANA)) is False
        at_once(supervisor.audit())
        assert at_once(supervisor.budgets()) == ()
        assert [one.name for one in at_once(supervisor.providers())] == ["default"]
        assert [one.name for one in at_once(supervisor.contexts()).caches] == ["contexts", "routing", "mcp-tools"], (
            "all that share sources"
        )
        at_once(supervisor.servers())
        assert at_once(supervisor.route("hello")).agent == "desk"
        assert at_once(supervisor.hooks()) == at_once(supervisor.hook_runs()) == at_once(supervisor.schedules()) == ()
        assert "max_agents" in at_once(supervisor.limits())
        at_once(supervisor.adjust("desk", "maxClients", "2"))
        at_once(supervisor.scale("desk", 2))
        at_once(supervisor.compact(ANA))
        at_once(supervisor.clear_queue("desk"))
        world.on_prompt = hold
        ticket = at_once(supervisor.submit(Prompt("desk", "more", user="ana")))
        assert at_once(supervisor.turn(ticket.turn_id)).id == at_once(supervisor.ticket(ticket.turn_id)).turn_id
        assert at_once(supervisor.interrupt(ANA, ticket.turn_id))
        at_once(supervisor.submit(Prompt("desk", "more", user="ben")))
        waiting = at_once(supervisor.submit(Prompt("desk", "and more", user="ben")))
        at_once(supervisor.withdraw(waiting.turn_id))
        for refused in (
            supervisor.replay(ANA),
            supervisor.drop_offer(ANA),
            supervisor.answer("none", Allow()),
            supervisor.kill_client("none"),
            supervisor.hibernate(SessionKey("desk", "nobody", "x")),
            supervisor.close_session(SessionKey("desk", "nobody", "x")),
        ):
            with pytest.raises(UnknownTarget):
                at_once(refused)
        assert at_once(supervisor.forget_user("ben")) == 1
        at_once(supervisor.pause("desk"))
        at_once(supervisor.resume("desk"))
        at_once(supervisor.drain("desk"))
        at_once(supervisor.kill("desk"))
        assert supervisor.view.snapshot().instances[0].state in (InstanceState.KILLING, InstanceState.STOPPED)
    named = set(inspect.getsource(test_no_verb_waits_for_anything).split("supervisor.")[1:])
    called = {name.partition("(")[0] for name in named}
    verbs = {name for name in vars(Engine) if not name.startswith("_")}
    assert verbs - called == WAITING, "every verb is called above"


async def test_no_other_task_runs_between_two_verbs(start: Start, world: FakeWorld) -> None:
    world.on_prompt = hold
    seen: list[InstanceState] = []

    async def look(supervisor: Supervisor) -> None:
        while True:
            seen.append(supervisor.view.snapshot().instances[0].state)
            await asyncio.sleep(0)

    async with start() as supervisor:
        looker = asyncio.create_task(look(supervisor))
        await until(lambda: seen)
        await supervisor.pause("desk")
        await supervisor.resume("desk")
        await asyncio.sleep(0)
        looker.cancel()
    assert InstanceState.PAUSED not in seen


async def test_a_caller_that_is_cancelled_before_it_has_run_has_changed_nothing(start: Start, world: FakeWorld) -> None:
    async with start() as supervisor:
        before = await supervisor.snapshot()
        task = asyncio.create_task(supervisor.submit(Prompt("desk", "hello", user="ana")))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await supervisor.snapshot()).sessions == before.sessions == ()
