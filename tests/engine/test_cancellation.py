"""Cancelled anywhere, the pool stays consistent (S2.20): one test for each point where a cancel can land.

The points are the awaits of a client's life (`POINTS`) and those of a caller (`WAITS`); the cancels are anyio's, of the
scope around the supervisor, and asyncio's own, which no shield keeps out.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import anyio
import anyio.lowlevel
import pytest

from supervisor.api.outcomes import Done
from supervisor.api.prompts import Prompt
from supervisor.api.states import Server
from supervisor.config.templates import Template
from supervisor.engine.supervisor import Supervisor
from supervisor.process.connection import Connector, Launch
from supervisor.process.reports import ClientEvent
from supervisor.sessions.turn import Turn
from supervisor.testing import FakeConnection, FakeTree, FakeWorld, answer_at_once, hold
from tests.engine.conftest import MakeTemplate, Start
from tests.waiting import until

pytestmark = pytest.mark.anyio

POINTS = ("connect", "events", "send", "interrupt", "ping", "disconnect", "look_everywhere", "emptied")


@dataclass
class Gate:
    """Holds whoever comes to one point, once."""

    point: str = ""
    held: asyncio.Task[object] | None = None
    opened: anyio.Event = field(default_factory=anyio.Event)

    async def pass_through(self, point: str) -> None:
        if point == self.point and self.held is None:
            self.held = asyncio.current_task()
            await self.opened.wait()


class GatedWorld(FakeWorld):
    """A fake world in which one await can be held."""

    def __init__(self) -> None:
        super().__init__()
        self.barrier = Gate()

    def connect(self, template: Template) -> Connector:
        return GatedConnector(self, template.name)


class GatedConnector:
    expected_bytes = 1

    def __init__(self, world: GatedWorld, digest: str) -> None:
        self._world = world
        self.digest = digest

    def open(self, launch: Launch) -> FakeConnection:
        connection = GatedConnection(self._world, launch)
        self._world.connections.append(connection)
        return connection


class GatedConnection(FakeConnection):
    world: GatedWorld

    async def connect(self) -> None:
        await self.world.barrier.pass_through("connect")
        await super().connect()

    async def events(self) -> AsyncIterator[ClientEvent]:
        await self.world.barrier.pass_through("events")
        async for event in super().events():
            yield event

    async def send(self, text: str, uuid: str) -> None:
        await self.world.barrier.pass_through("send")
        await super().send(text, uuid)

    def send_at_once(self, text: str, uuid: str) -> bool:
        return False  # a prompt that may be cut off here is one that waits

    async def interrupt(self) -> None:
        await self.world.barrier.pass_through("interrupt")
        await super().interrupt()

    async def ping(self) -> tuple[Server, ...]:
        await self.world.barrier.pass_through("ping")
        return await super().ping()

    async def disconnect(self) -> None:
        await self.world.barrier.pass_through("disconnect")
        await super().disconnect()

    def tree(self) -> FakeTree:
        return GatedTree(self)


class GatedTree(FakeTree):
    _process: GatedConnection

    async def look_everywhere(self) -> None:
        await self._process.world.barrier.pass_through("look_everywhere")
        await super().look_everywhere()

    async def emptied(self, within: float) -> bool:
        await self._process.world.barrier.pass_through("emptied")
        return await super().emptied(within)


@pytest.fixture
def world() -> GatedWorld:
    return GatedWorld()


async def reach(supervisor: Supervisor, world: GatedWorld, point: str) -> Turn:
    """Brings the first client to the point and leaves it there."""
    world.barrier.point = point
    world.on_prompt = hold if point in ("interrupt", "disconnect", "look_everywhere", "emptied") else answer_at_once
    ticket = await supervisor.submit(Prompt("desk", "one", user="ana"))
    if world.on_prompt is hold:
        await until(lambda: world.connections and world.connections[0].prompts)
    match point:
        case "interrupt":
            await supervisor.interrupt(ticket.key)
        case "disconnect" | "look_everywhere":
            await supervisor.kill_client("desk-1")
        case "emptied":
            world.connections[0].survives_terminate = True
            await supervisor.kill_client("desk-1")
        case _:
            pass
    await until(lambda: world.barrier.held)
    return ticket


def assert_consistent(supervisor: Supervisor, world: GatedWorld) -> None:
    """Every place has a living client, every living client a place, and nothing is left over."""
    assert supervisor.failure is None
    instance = supervisor._instances["desk"]
    assert len(instance.pool) == len(world.live), repr(instance.pool)
    assert instance.turns.waiting == 0
    assert len(instance.turns.running) == 0
    assert supervisor._host.starts.borrowed_tokens == 0
    assert len(supervisor._turns) == 0


@pytest.mark.parametrize("point", POINTS)
async def test_a_native_cancel_of_a_clients_task_ends_that_client_and_nobody_else(
    start: Start, world: GatedWorld, make_template: MakeTemplate, point: str
) -> None:
    """S2.20"""
    template = make_template(concurrency={"maxSessions": 2}, pool={"spares": 0})
    async with start(template, health_interval=0.02, control_timeout=0.5) as supervisor:
        ticket = await reach(supervisor, world, point)
        assert world.barrier.held is not None
        world.barrier.held.cancel()
        await anyio.lowlevel.checkpoint()
        world.barrier.opened.set()
        world.on_prompt = answer_at_once
        with anyio.fail_after(10):
            await ticket.outcome()
            for user in ("boris", "ana"):
                assert isinstance(await (await supervisor.submit(Prompt("desk", "next", user=user))).outcome(), Done)
        await until(lambda: len(supervisor._instances["desk"].pool) == len(world.live))
        assert_consistent(supervisor, world)
    assert world.live == []


@pytest.mark.parametrize("point", POINTS)
async def test_cancelling_the_scope_around_the_supervisor_ends_everything(
    start: Start, world: GatedWorld, point: str
) -> None:
    """S2.20, R3"""
    with anyio.fail_after(10), anyio.CancelScope() as scope:
        async with start(health_interval=0.02, control_timeout=0.5) as supervisor:
            await reach(supervisor, world, point)
            scope.cancel()
            world.barrier.opened.set()
            await anyio.sleep_forever()
    assert scope.cancelled_caught
    assert world.live == []


@pytest.mark.parametrize("point", POINTS)
async def test_a_native_cancel_of_the_task_that_runs_it_ends_everything(
    start: Start, world: GatedWorld, point: str
) -> None:
    """S2.20, R3: as when the program is told to go."""
    supervisor = start(health_interval=0.02, control_timeout=0.5)
    assert isinstance(supervisor, Supervisor)
    running = asyncio.ensure_future(supervisor.run())
    await until(lambda: supervisor._is_up)
    await reach(supervisor, world, point)
    running.cancel()
    await anyio.lowlevel.checkpoint()
    world.barrier.opened.set()
    with anyio.fail_after(10), pytest.raises(asyncio.CancelledError):
        await running
    assert world.live == []


async def listen(ticket: Turn) -> None:
    async for _ in ticket.stream():
        pass


WAITS: dict[str, Callable[[Supervisor, Turn], Awaitable[object]]] = {
    "accepted": lambda supervisor, ticket: ticket.accepted(),
    "outcome": lambda supervisor, ticket: ticket.outcome(),
    "stream": lambda supervisor, ticket: listen(ticket),
    "drained": lambda supervisor, ticket: supervisor.drained("desk"),
}


@pytest.mark.parametrize("is_native", [True, False])
@pytest.mark.parametrize("wait", WAITS)
async def test_a_caller_that_is_cancelled_changes_nothing(
    start: Start, world: GatedWorld, wait: str, is_native: bool
) -> None:
    """S2.20, R4: its turn goes on, and the next one gets its own answer."""
    world.on_prompt = hold
    async with start() as supervisor:
        ticket = await supervisor.submit(Prompt("desk", "one", user="ana"))
        if is_native:
            caller = asyncio.ensure_future(WAITS[wait](supervisor, ticket))
            await anyio.lowlevel.checkpoint()
            caller.cancel()
            with pytest.raises(asyncio.CancelledError):
                await caller
        else:
            with anyio.CancelScope() as scope:
                scope.cancel()
                await WAITS[wait](supervisor, ticket)
        await until(lambda: world.connections and world.connections[0].prompts)
        world.connections[0].reply("first answer")
        outcome = await ticket.outcome()
        assert isinstance(outcome, Done)
        assert outcome.text == "first answer"
        second = await supervisor.submit(Prompt("desk", "two", user="ana"))
        await until(lambda: len(world.connections[0].prompts) == 2)
        world.connections[0].reply("second answer")
        outcome = await second.outcome()
        assert isinstance(outcome, Done)
        assert outcome.text == "second answer"
        assert_consistent(supervisor, world)
    assert world.violations == []


async def test_a_cancel_while_an_earlier_run_is_taken_over_ends_everything(start: Start, world: GatedWorld) -> None:
    """S2.20, R2: what waited has begun already when the start is called off."""
    async with start() as supervisor:
        await supervisor.pause("desk")
        waiting = await supervisor.submit(Prompt("desk", "kept", user="ana"))
        await waiting.accepted()
    world.barrier.point = "connect"
    again = start()
    assert isinstance(again, Supervisor)
    running = asyncio.ensure_future(again.run())
    await until(lambda: world.barrier.held)
    running.cancel()
    await anyio.lowlevel.checkpoint()
    world.barrier.opened.set()
    with anyio.fail_after(10), pytest.raises(asyncio.CancelledError):
        await running
    assert world.live == []
    assert len(world.connections) == 1
