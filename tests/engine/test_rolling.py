"""A changed template reaches every session at its next idle boundary, its history kept (S3.1-2)."""

from __future__ import annotations

import anyio
import pytest

from supervisor.api import events as past
from supervisor.api.errors import ConnectFailed
from supervisor.api.outcomes import Done, Failed
from supervisor.api.prompts import Prompt
from supervisor.api.questions import Allow
from supervisor.api.states import SlotState
from supervisor.config.templates import Template
from supervisor.engine.supervisor import Supervisor
from supervisor.feed import Subscription
from supervisor.instance import stimuli
from supervisor.permissions.requests import ToolRequest
from supervisor.testing import FakeConnection, FakeWorld, hold
from tests.engine.conftest import MakeTemplate, Start
from tests.engine.turned_clock import TurnedClock, until_looked_after
from tests.waiting import until

pytestmark = pytest.mark.anyio

NEW = "Help in verse."
ROLLED = "rolled: the next one has the template as it is now"


async def ask(supervisor: Supervisor, text: str, user: str) -> None:
    assert isinstance(await (await supervisor.submit(Prompt("desk", text, user=user))).outcome(), Done)


def edited(template: Template, **changes: object) -> Template:
    return template.model_copy(update={"system_prompt": NEW} | changes)


def prompt_of(connection: FakeConnection) -> str:
    assert connection.template is not None
    return connection.template.system_prompt


def told(feed: Subscription) -> list[str]:
    """The starts and ends of clients, in their order."""
    words = {past.ClientStarted: "start", past.ClientGone: "end"}
    return [f"{words[type(one)]} {one.client}" for one in feed.take().events if type(one) in words]


async def until_rolled(supervisor: Supervisor) -> None:
    instance = supervisor._instances["desk"]
    await until(lambda: instance.rollout.stale == 0 and all(slot.is_ready for slot in instance.pool))


async def test_idle_clients_are_rolled_one_after_the_other_and_are_as_warm_as_before(
    start: Start, world: FakeWorld, make_template: MakeTemplate
) -> None:
    """S3.1-2"""
    template = make_template(concurrency={"maxSessions": 3}, pool={"spares": 0})
    async with start(template) as supervisor:
        for user in ("ana", "boris", "chen"):
            await ask(supervisor, f"I am {user}", user)
        await until(lambda: all(slot.is_ready for slot in supervisor._instances["desk"].pool))
        with await supervisor.watch() as feed:
            await supervisor.replace_template(edited(template))
            await until_rolled(supervisor)
            assert told(feed) == [
                *("end desk-1", "start desk-4"),
                *("end desk-2", "start desk-5"),
                *("end desk-3", "start desk-6"),
            ]
        assert [prompt_of(one) for one in world.live] == [NEW] * 3
        await ask(supervisor, "who am I?", "boris")
        assert world.holder_of("who am I?").remembers == ["I am boris", "who am I?"]
        pool = supervisor.view.snapshot().instances[0].pool
        assert pool.cold == 3, "nobody waited for a start because of the edit"
    assert world.violations == []


async def test_a_running_turn_keeps_its_client_and_the_next_one_runs_on_the_new_version(
    start: Start, world: FakeWorld, make_template: MakeTemplate
) -> None:
    """S3.1-2"""
    world.on_prompt = hold
    template = make_template(pool={"spares": 0})
    async with start(template) as supervisor:
        first = await supervisor.submit(Prompt("desk", "one", user="ana"))
        second = await supervisor.submit(Prompt("desk", "two", user="ana"))
        await until(lambda: bool(world.written))
        await supervisor.replace_template(edited(template))
        world.connections[0].reply("still the old one")
        assert isinstance(await first.outcome(), Done)
        await until(lambda: len(world.written) == 2)
        (old, new) = world.connections
        assert (old.prompts, prompt_of(old)) == (["one"], "Help.")
        assert (new.prompts, prompt_of(new), new.launch.resume) == (["two"], NEW, True)
        new.reply("done")
        assert isinstance(await second.outcome(), Done)
    assert world.violations == []


async def test_a_client_that_asks_is_left_alone(start: Start, world: FakeWorld, make_template: MakeTemplate) -> None:
    """S3.1-2"""
    world.on_prompt = hold
    template = make_template(pool={"spares": 0})
    async with start(template) as supervisor, anyio.create_task_group() as group:
        ticket = await supervisor.submit(Prompt("desk", "one", user="ana"))
        await until(lambda: bool(world.written))
        asking = world.connections[0]
        group.start_soon(asking.ask, ToolRequest("Write", {"file_path": "x"}))
        await until(lambda: bool(supervisor.view.open_questions()))
        await supervisor.replace_template(edited(template))
        slot = next(iter(supervisor._instances["desk"].pool))
        assert (slot.state, slot.is_stale) == (SlotState.ASKING, True)
        await supervisor.answer(supervisor.view.open_questions()[0].id, Allow())
        asking.reply("written")
        assert isinstance(await ticket.outcome(), Done)
        await until_rolled(supervisor)
        assert [prompt_of(one) for one in world.live] == [NEW]
    assert world.violations == []


async def test_a_stale_spare_is_replaced_and_serves_nobody(
    start: Start, world: FakeWorld, make_template: MakeTemplate
) -> None:
    """S3.1-2"""
    template = make_template(concurrency={"maxSessions": 2}, pool={"spares": 1})
    async with start(template) as supervisor:
        await until(lambda: len(world.live) == 1)
        await supervisor.replace_template(edited(template))
        await ask(supervisor, "hello", "ana")
        assert prompt_of(world.holder_of("hello")) == NEW
        await until_rolled(supervisor)
        await until(lambda: len(world.live) == 2)
        assert [prompt_of(one) for one in world.live] == [NEW] * 2
        assert [one.prompts for one in world.connections if prompt_of(one) != NEW] == [[]]
    assert world.violations == []


async def test_a_limit_is_changed_without_rolling(start: Start, world: FakeWorld, make_template: MakeTemplate) -> None:
    """S3.1-2"""
    template = make_template(pool={"spares": 0})
    async with start(template) as supervisor:
        await ask(supervisor, "hello", "ana")
        wider = template.model_copy(update={"concurrency": template.concurrency.model_copy(update={"max_sessions": 3})})
        await supervisor.replace_template(wider)
        instance = supervisor._instances["desk"]
        assert (instance.rollout.stale, instance.core.max_sessions, instance.pool.max_clients) == (0, 3, 3)
        assert len(world.connections) == 1


async def test_a_version_that_cannot_be_started_costs_one_warm_client_and_not_all(
    start: Start, world: FakeWorld, make_template: MakeTemplate
) -> None:
    template = make_template(concurrency={"maxSessions": 3}, pool={"spares": 0})
    async with start(template) as supervisor:
        for user in ("ana", "boris", "chen"):
            await ask(supervisor, f"I am {user}", user)
        await until(lambda: all(slot.is_ready for slot in supervisor._instances["desk"].pool))
        world.connect_failures += [ConnectFailed("it would not start")]
        feed = await supervisor.watch()
        await supervisor.replace_template(edited(template))
        await until(lambda: world.failed_connects == 1)
        rollout = supervisor._instances["desk"].rollout
        await until(lambda: len(supervisor._instances["desk"].pool) == 2)
        assert (rollout.done, rollout.total, len(world.live)) == (1, 3, 2)
        # It is tried again for the same session, and goes on from there.
        await until_rolled(supervisor)
        rolled = [event for event in feed.take().events if isinstance(event, past.TemplateRolled)]
        assert [event.clients for event in rolled] == [3]
        assert [prompt_of(one) for one in world.live] == [NEW] * 3
    assert world.violations == []


async def test_no_idle_client_is_rolled_while_spares_cannot_be_kept_alive(
    start: Start, world: FakeWorld, make_template: MakeTemplate
) -> None:
    """S1.18: those that work are kept."""
    turned = TurnedClock()
    template = make_template(concurrency={"maxSessions": 2}, pool={"spares": 1})
    async with start(template, clock=turned.clock) as supervisor:
        await ask(supervisor, "one", "ana")
        instance = supervisor._instances["desk"]
        await until(lambda: (told := instance.pool.statistics()) and (told.spare, told.idle) == (1, 1))
        next(one for one in world.live if not one.prompts).die()
        await until(lambda: instance.core.spare_backoff.failures == 1)
        await supervisor.replace_template(edited(template))
        assert (instance.rollout.stale, [slot.state for slot in instance.pool]) == (1, [SlotState.READY])
        turned.seconds = 2
        await until_rolled(supervisor)
        assert {prompt_of(one) for one in world.live} == {NEW}
    assert world.violations == []


async def test_a_prompt_that_is_recorded_while_its_template_changes_begins_on_the_new_version(
    start: Start, world: FakeWorld, make_template: MakeTemplate
) -> None:
    """S3.1-2: nothing but its record keeps it from its warm client when the edit arrives."""
    template = make_template(pool={"spares": 0})
    async with start(template) as supervisor:
        await ask(supervisor, "one", "ana")
        await until(lambda: all(slot.is_ready for slot in supervisor._instances["desk"].pool))
        ticket = await supervisor.submit(Prompt("desk", "two", user="ana"))
        instance = supervisor._instances["desk"]
        new = edited(template)
        instance.handle(stimuli.ReplaceTemplate(new, world.connect(new)))
        assert isinstance(await ticket.outcome(), Done)
        assert prompt_of(world.holder_of("two")) == NEW
    assert world.violations == []


async def test_a_client_that_took_the_place_of_a_rolled_one_and_failed_at_work_is_not_started_again(
    start: Start, world: FakeWorld, make_template: MakeTemplate
) -> None:
    """S1.18: only one that never worked shows that the new version cannot be started."""
    turned = TurnedClock()
    template = make_template(pool={"spares": 0})
    async with start(template, clock=turned.clock) as supervisor:
        await ask(supervisor, "one", "ana")
        await supervisor.replace_template(edited(template))
        await until_rolled(supervisor)
        await ask(supervisor, "two", "ana")
        world.on_prompt = hold
        ticket = await supervisor.submit(Prompt("desk", "three", user="ana"))
        await until(lambda: len(world.written) == 3)
        world.holder_of("three").die()
        assert isinstance(await ticket.outcome(), Failed)
        turned.seconds = 5
        await until_looked_after(supervisor)
        assert len(world.connections) == 2
