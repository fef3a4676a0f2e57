"""An internal error in what follows from one client's words ends that client alone: its turn fails, and says so."""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import Any

import anyio
import pytest

from supervisor.api import events as past
from supervisor.api.outcomes import Done, Failed, FailureKind
from supervisor.api.prompts import Prompt
from supervisor.api.questions import Allow
from supervisor.api.states import Server, ServerState
from supervisor.engine import housekeeping, runtime
from supervisor.engine.supervisor import Supervisor
from supervisor.instance import scheduler
from supervisor.instance.circuit_breaker import CircuitBreaker
from supervisor.instance.client_reports import ClientReports
from supervisor.instance.turns import Turns
from supervisor.permissions.requests import ToolRequest
from supervisor.process.reports import Limited, TextDelta
from supervisor.sessions.session import Session
from supervisor.testing import FakeWorld, hold
from tests.engine.conftest import MakeTemplate, Start
from tests.waiting import until

pytestmark = pytest.mark.anyio

PLACES = {
    "a report is added to the conversation": (Session, "hear"),
    "what it means for the pool": (CircuitBreaker, "hear"),
    "the result is settled": (Session, "settle"),
    "the turn is ended": (Turns, "finish"),
    "the client is ready": (ClientReports, "client_ready"),
    "its servers are noted": (ClientReports, "client_servers"),
}
UNWRITTEN = ("the client is ready", "its servers are noted")
"""Places where the prompt may not have been written yet."""


class Fault:
    """Raises in one place, a number of times, for one user."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, times: int = 1) -> None:
        self.times = times
        work = getattr(owner, name)

        def fail_or_work(*args: Any, **kwargs: Any) -> Any:
            if self.times:
                self.times -= 1
                raise ZeroDivisionError(f"in {name}")
            return work(*args, **kwargs)

        monkeypatch.setattr(owner, name, fail_or_work)


async def is_well(supervisor: Supervisor, user: str) -> bool:
    outcome = await (await supervisor.submit(Prompt("desk", f"well, {user}?", user=user))).outcome()
    return isinstance(outcome, Done) and supervisor.failure is None


@pytest.mark.parametrize("place", PLACES)
async def test_a_mistake_in_what_follows_from_a_clients_words_ends_that_client_alone(
    start: Start,
    world: FakeWorld,
    make_template: MakeTemplate,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    place: str,
) -> None:
    world.on_prompt = hold
    template = make_template(concurrency={"maxSessions": 3}, pool={"spares": 0})
    async with start(template) as supervisor:
        other = await supervisor.submit(Prompt("desk", "of another", user="other"))
        await until(lambda: world.connections and world.connections[0].prompts)
        await anyio.wait_all_tasks_blocked()  # what its client has said so far is heard: the fault is not for that one
        fault = Fault(monkeypatch, *PLACES[place])
        if place == "its servers are noted":
            world.servers = (Server("files", ServerState.CONNECTED),)
        ticket = await supervisor.submit(Prompt("desk", "odd", user="ana"))
        await until(lambda: not fault.times or any("odd" in one.prompts for one in world.connections))
        if fault.times:
            world.holder_of("odd").tell(Limited(False, None))
            world.holder_of("odd").reply("fine")
        await until(lambda: not fault.times)
        world.on_prompt = lambda connection, text: connection.reply("fine")
        outcome = await ticket.outcome()
        if place in UNWRITTEN:
            assert isinstance(outcome, Done | Failed)  # another client gets it where this one has not had it yet
        else:
            assert isinstance(outcome, Failed)
            assert outcome.kind is FailureKind.ENGINE
            assert "ZeroDivisionError" in outcome.message
        assert supervisor.failure is None
        assert supervisor._instances["desk"].pool.failures[FailureKind.ENGINE] == 1
        assert any("ended by a mistake" in record.message for record in caplog.records)
        world.holder_of("of another").reply("as if nothing had been")
        outcome = await other.outcome()
        assert isinstance(outcome, Done)
        world.on_prompt = lambda connection, text: connection.reply("fine")
        assert await is_well(supervisor, "third")
        assert await is_well(supervisor, "ana")
        await supervisor.drain("desk")
        await supervisor.drained()


@pytest.mark.parametrize("name", ["begin_own", "finish_own"])
async def test_a_mistake_about_a_turn_of_its_own_ends_that_client_alone(
    start: Start, world: FakeWorld, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    async with start() as supervisor:
        assert await is_well(supervisor, "ana")
        (connection,) = world.connections
        fault = Fault(monkeypatch, Turns, name)
        connection.begin_own()
        connection.tell(TextDelta("by myself"))
        connection.finish_own("by myself")
        await until(lambda: not fault.times and not connection.is_alive)
        assert await is_well(supervisor, "ana")
        assert await is_well(supervisor, "other")
        assert supervisor._instances["desk"].pool.failures[FailureKind.ENGINE] == 1
        await supervisor.drain("desk")
        await supervisor.drained()


async def test_a_mistake_is_shown_with_the_client_that_it_ended(
    start: Start, world: FakeWorld, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    async with start() as supervisor:
        Fault(monkeypatch, Session, "settle")
        with await supervisor.watch() as feed:
            await (await supervisor.submit(Prompt("desk", "odd", user="ana"))).outcome()
            await until(lambda: not world.live)
            (told,) = [event for event in feed.take().events if isinstance(event, past.ClientFailed)]
        assert told.kind is FailureKind.ENGINE
        assert "ZeroDivisionError" in told.message
        assert "Traceback" in caplog.text


async def test_a_client_that_is_ended_by_a_mistake_holds_its_session_back_as_a_crash_does(
    start: Start, world: FakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it would be tried again, and fail again, as fast as clients start."""
    async with start() as supervisor:
        Fault(monkeypatch, ClientReports, "client_ready", times=1_000_000)
        ticket = await supervisor.submit(Prompt("desk", "odd", user="ana"))
        instance = supervisor._instances["desk"]
        await until(lambda: instance.pool.failures[FailureKind.ENGINE] == 2)
        assert instance.sessions[ticket.key].backoff.failures == 2
        assert instance.core.backoff.failures == 2
        await supervisor.interrupt(ticket.key)
        assert supervisor.failure is None


@pytest.mark.parametrize("is_killed", [False, True], ids=["its process ends", "the operator ends it"])
async def test_a_mistake_in_the_scheduler_leaves_no_process_behind(
    start: Start, world: FakeWorld, monkeypatch: pytest.MonkeyPatch, nothing_comes_due: None, is_killed: bool
) -> None:
    """The steps of a client's end go on whatever becomes of the rest (R3)."""
    monkeypatch.setattr(runtime, "LAST_RESORT", 0.5)
    with pytest.raises((ExceptionGroup, ZeroDivisionError)):
        await end_a_client_without_a_scheduler(start, world, monkeypatch, is_killed=is_killed)
    assert world.live == []


async def end_a_client_without_a_scheduler(
    start: Start, world: FakeWorld, monkeypatch: pytest.MonkeyPatch, *, is_killed: bool
) -> None:
    def fail(scene: Any) -> None:
        raise ZeroDivisionError("in decide")

    async with start() as supervisor:
        await (await supervisor.submit(Prompt("desk", "one", user="ana"))).outcome()
        await anyio.wait_all_tasks_blocked()
        (slot,) = supervisor._instances["desk"].pool
        monkeypatch.setattr(scheduler, "decide", fail)
        if is_killed:
            with suppress(ZeroDivisionError):
                await supervisor.kill_client(slot.id)
        else:
            world.connections[0].die()
        with anyio.move_on_after(3):
            await supervisor._stopped.wait()
    assert supervisor.failure is not None


@pytest.fixture
def nothing_comes_due(monkeypatch: pytest.MonkeyPatch) -> None:
    """The scheduler runs because of what the test does alone, not because something was measured meanwhile."""
    for name in ("watch_the_clock", "take_census", "measure_disk", "watch_state"):
        monkeypatch.setattr(housekeeping.Housekeeping, name, lambda self: anyio.sleep_forever())


class FailOnce:
    """In the place of `decide`: makes one mistake."""

    def __init__(self) -> None:
        self._decide = scheduler.decide
        self.has_failed = False

    def __call__(self, scene: Any) -> Any:
        if not self.has_failed:
            self.has_failed = True
            raise ZeroDivisionError("in decide")
        return self._decide(scene)


async def test_a_caller_is_not_told_of_a_mistake_that_comes_after_the_prompt_was_taken_in(
    start: Start, monkeypatch: pytest.MonkeyPatch, nothing_comes_due: None
) -> None:
    """The prompt is in its queue and on its way to the journal (R1)."""
    told: list[Exception] = []
    with suppress(ExceptionGroup, ZeroDivisionError):
        async with start() as supervisor:
            await anyio.wait_all_tasks_blocked()
            monkeypatch.setattr(scheduler, "decide", FailOnce())
            try:
                await supervisor.submit(Prompt("desk", "one", user="ana"))
            except ZeroDivisionError as error:
                told.append(error)
            with anyio.move_on_after(1):
                await supervisor._stopped.wait()
    assert told == []


async def test_an_approval_reaches_its_client_whatever_the_scheduler_makes_of_it(
    start: Start, world: FakeWorld, monkeypatch: pytest.MonkeyPatch, nothing_comes_due: None
) -> None:
    """It is recorded as approved when the verdict goes to the client: then it has to arrive there (D4)."""
    world.on_prompt = hold
    verdicts: list[Any] = []
    async with start() as supervisor:
        await supervisor.submit(Prompt("desk", "one", user="ana"))
        await until(lambda: world.connections and world.connections[0].prompts)

        async def ask() -> None:
            verdicts.append(await world.connections[0].ask(ToolRequest("Write", {"file_path": "x"})))

        async with anyio.create_task_group() as group:
            group.start_soon(ask)
            await until(lambda: supervisor.view.open_questions())
            with monkeypatch.context() as patch:
                patch.setattr(scheduler, "decide", FailOnce())
                await supervisor.answer(supervisor.view.open_questions()[0].id, Allow())
                await until(lambda: verdicts)
    assert isinstance(verdicts[0].answer, Allow)


async def test_a_moment_without_free_descriptors_ends_nothing(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """What clients use cannot be measured then: that is all."""
    looks: list[int] = []

    def fail() -> object:
        looks.append(1)
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("supervisor.engine.memory_sampler.ProcessTable", fail)
    async with start(memory_interval=0.1) as supervisor:
        await until(lambda: len(looks) > 2)
        assert await is_well(supervisor, "ana")
