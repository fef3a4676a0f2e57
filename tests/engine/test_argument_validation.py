"""Whatever callers hand in is taken or refused with one line, and what is refused has changed nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from supervisor.api.errors import (
    AcceptanceUnknown,
    BullpenError,
    InvalidPrompt,
    NotAccepting,
    NotRecorded,
    OutcomeUnknown,
    Refused,
    Saturated,
    UnknownTarget,
)
from supervisor.api.keys import SessionKey
from supervisor.api.outcomes import Done
from supervisor.api.prompts import Prompt
from supervisor.api.questions import Allow, Choose, Deny
from supervisor.config.settings import Settings
from supervisor.config.templates import Template
from supervisor.engine.supervisor import Supervisor
from supervisor.journal import writer as writing
from supervisor.testing import FakeWorld, hold
from tests.engine.conftest import MakeTemplate, Start
from tests.unit.test_bounds import anything
from tests.waiting import at_once, until

pytestmark = pytest.mark.anyio

WILD_TEXTS = ["\ud800", "\x00", "a\x00b", "\udfff" * 5, "x" * 2_000_000, "\u202e", "..", "😀", "", " ", "none"]

odd = anything | st.sampled_from(WILD_TEXTS)


def state_of(supervisor: Supervisor) -> tuple[Any, ...]:
    """All that a refusal must leave as it is."""
    snapshot = supervisor.view.snapshot()
    rows = [(row.name, row.state, row.note, row.waiting, row.sessions, row.max_sessions) for row in snapshot.instances]
    sessions = [(row.key, row.state, row.turns, len(row.waiting)) for row in snapshot.sessions]
    return rows, sessions, snapshot.questions, at_once(supervisor.limits()), set(supervisor._turns)


async def refused(supervisor: Supervisor, call: Callable[[], object]) -> BullpenError | None:
    """The refusal; None when it was taken. Nothing else may come out."""
    before = state_of(supervisor)
    refusal: Refused | None = None
    try:
        call()
    except Refused as error:
        refusal = error
    if refusal is not None:
        assert len(str(refusal).splitlines()) == 1
        assert len(str(refusal)) < 1_000
        assert state_of(supervisor) == before
    return refusal


def run(work: Callable[[Supervisor, FakeWorld], Any], folder: Path) -> None:
    """For Hypothesis, which knows no loops."""

    async def begin() -> None:
        world = FakeWorld()
        keys = {"name": "desk", "description": "d", "path": folder / "desk.md", "concurrency": {"maxSessions": 2}}
        host = Settings.model_validate({"state_dir": folder / "state"})
        async with Supervisor([Template.model_validate(keys)], host, connect=world.connect) as supervisor:
            await work(supervisor, world)
            await supervisor.resume("desk")
            assert isinstance(
                await (await supervisor.submit(Prompt("desk", "still there?", user="zoe"))).outcome(), Done
            )
            await supervisor.drain("desk")
            with anyio.fail_after(20):
                await supervisor.drained()
        assert supervisor.failure is None
        assert world.violations == []

    anyio.run(begin)


prompts = st.builds(
    Prompt,
    agent=st.just("desk") | odd,
    text=st.just("hello") | odd,
    user=st.just("ana") | odd,
    session=st.just("") | odd,
    source=st.just("caller") | odd,  # type: ignore[arg-type]
    priority=st.just(2) | odd,  # type: ignore[arg-type]
)


@given(st.lists(prompts | odd, min_size=20, max_size=40))
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_prompt_of_any_shape_is_answered_or_refused(
    tmp_path_factory: pytest.TempPathFactory, chosen: list[Any]
) -> None:
    async def work(supervisor: Supervisor, _: FakeWorld) -> None:
        for prompt in chosen:
            taken: list[Any] = []
            await refused(supervisor, lambda: taken.append(at_once(supervisor.submit(prompt))))  # noqa: B023 - called at once
            for ticket in taken:
                await ticket.accepted()
                assert isinstance(await ticket.outcome(), Done)

    run(work, tmp_path_factory.mktemp("engine"))


KEYS = st.builds(SessionKey, st.just("desk") | odd, st.just("ana") | odd, st.just("default") | odd)  # type: ignore[arg-type]
WORDS = st.text(max_size=5) | st.integers() | st.none()
ANSWERS = (
    st.builds(Allow, odd)  # type: ignore[arg-type]
    | st.builds(Deny, odd)  # type: ignore[arg-type]
    | st.builds(Choose, odd | st.dictionaries(WORDS, odd, max_size=2))  # type: ignore[arg-type]
    | odd
)
VERBS: dict[str, tuple[Any, ...]] = {
    "withdraw": (odd,),
    "interrupt": (KEYS | odd,),
    "clear_queue": (st.just("desk") | odd, st.none() | KEYS | odd),
    "answer": (odd, ANSWERS),
    "replay": (KEYS | odd,),
    "drop_offer": (KEYS | odd,),
    "limits": (odd,),
    "adjust": (
        st.just("desk") | st.just("") | odd,
        st.sampled_from(["maxClients", "idleTtl", "max_agents"]) | odd,
        odd,
    ),
    "pause": (odd,),
    "resume": (odd,),
    "drain": (odd,),
    "kill": (odd,),
    "scale": (st.just("desk") | odd, odd),
    "kill_client": (odd,),
    "hibernate": (KEYS | odd,),
    "close_session": (KEYS | odd,),
    "conversation": (KEYS | odd,),
}
calls = st.sampled_from(sorted(VERBS)).flatmap(lambda verb: st.tuples(st.just(verb), *VERBS[verb]))


@given(st.lists(calls, min_size=40, max_size=80))
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_verb_with_any_arguments_does_what_it_says_or_is_refused(
    tmp_path_factory: pytest.TempPathFactory, chosen: list[tuple[Any, ...]]
) -> None:
    async def work(supervisor: Supervisor, _: FakeWorld) -> None:
        await (await supervisor.submit(Prompt("desk", "hello", user="ana"))).outcome()
        for verb, *arguments in chosen:
            await refused(supervisor, lambda: at_once(getattr(supervisor, verb)(*arguments)))  # noqa: B023 - called at once

    run(work, tmp_path_factory.mktemp("engine"))


# Single cases


@pytest.mark.parametrize(
    "fields",
    [
        {"session": None},
        {"session": 0},
        {"user": None},
        {"user": ["ana"]},
        {"text": None},
        {"text": b"bytes"},
        {"text": "\u200b\u202e"},
        {"source": "nobody"},
        {"source": ["caller"]},
        {"priority": "high"},
        {"priority": 99},
        {"priority": True},
        {"agent": None},
        {"agent": ["desk"]},
    ],
    ids=str,
)
async def test_a_prompt_with_a_wrong_type_is_refused_and_its_user_is_not_stuck(
    start: Start, world: FakeWorld, fields: dict[str, Any]
) -> None:
    async with start() as supervisor:
        prompt = Prompt(**{"agent": "desk", "text": "hello", "user": "ana", **fields})
        assert await refused(supervisor, lambda: at_once(supervisor.submit(prompt))) is not None
        assert isinstance(await (await supervisor.submit(Prompt("desk", "hello", user="ana"))).outcome(), Done)
        await supervisor.drain("desk")
        await supervisor.drained()


async def test_what_is_no_prompt_is_refused(start: Start) -> None:
    async with start() as supervisor:
        for thing in (None, "hello", {"agent": "desk"}):
            with pytest.raises(InvalidPrompt, match="must be a Prompt"):
                await supervisor.submit(thing)  # type: ignore[arg-type]


async def test_source_and_priority_may_be_written_as_their_values(start: Start, world: FakeWorld) -> None:
    async with start() as supervisor:
        ticket = await supervisor.submit(Prompt("desk", "hello", source="hook", priority=0))  # type: ignore[arg-type]
        assert isinstance(await ticket.outcome(), Done)


@pytest.mark.parametrize("text", ["a\x00b", "half \ud83d", "\udc00\ud800", "😀" * 10])
async def test_a_prompt_of_odd_characters_is_answered(start: Start, world: FakeWorld, text: str) -> None:
    async with start() as supervisor:
        assert isinstance(await (await supervisor.submit(Prompt("desk", text, user="ana"))).outcome(), Done)


async def test_a_submit_that_fails_on_the_way_has_changed_nothing(
    start: Start, world: FakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even by an internal error."""
    async with start() as supervisor:
        before = state_of(supervisor)
        with monkeypatch.context() as patch:
            patch.setattr("supervisor.instance.turns.record_turn", lambda *_, **__: 1 // 0)
            with pytest.raises(ZeroDivisionError):
                await supervisor.submit(Prompt("desk", "hello", user="ana"))
        assert state_of(supervisor) == before
        assert isinstance(await (await supervisor.submit(Prompt("desk", "hello", user="ana"))).outcome(), Done)
        await supervisor.drain("desk")
        await supervisor.drained()


async def test_a_queue_is_cleared_only_by_its_own_instance(
    start: Start, world: FakeWorld, make_template: MakeTemplate
) -> None:
    world.on_prompt = hold
    async with start(make_template("one"), make_template("two")) as supervisor:
        for _ in range(2):
            ticket = await supervisor.submit(Prompt("one", "hello", user="ana"))
            await ticket.accepted()
        await until(lambda: bool(world.live) and bool(world.live[-1].prompts))
        with pytest.raises(UnknownTarget):
            await supervisor.clear_queue("two", ticket.key)
        assert await supervisor.clear_queue("one", ticket.key) == 1


async def test_prompts_that_wait_hold_no_more_text_than_a_bound(
    start: Start, world: FakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many may wait: a million characters each would be all of the memory."""
    monkeypatch.setattr("supervisor.engine.supervisor.MOST_WAITING_TEXT", 100)
    world.on_prompt = hold
    async with start() as supervisor:
        tickets = [await supervisor.submit(Prompt("desk", "x" * 30, user="ana")) for _ in range(3)]
        assert isinstance(
            await refused(supervisor, lambda: at_once(supervisor.submit(Prompt("desk", "x" * 30)))), Saturated
        )
        await until(lambda: world.connections and world.connections[0].prompts)
        await supervisor.submit(Prompt("desk", "x" * 30, user="ana"))
        await supervisor.withdraw(tickets[1].turn_id)
        await supervisor.clear_queue("desk")
        assert supervisor._instances["desk"].turns.waiting_text == 0


async def test_verbs_after_the_end_are_refused(start: Start, world: FakeWorld) -> None:
    async with start() as supervisor:
        key = (await supervisor.submit(Prompt("desk", "hello", user="ana"))).key
    for call in (supervisor.interrupt, supervisor.replay, supervisor.close_session, supervisor.hibernate):
        with pytest.raises(NotAccepting):
            await call(key)
    with pytest.raises(NotAccepting):
        await supervisor.answer("x", Allow())


# What is not known is not called refused


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "FIRST_DELAY", 0.01)
    monkeypatch.setattr(writing, "CLOSING_TIME", 0.05)


async def test_a_prompt_whose_commit_nobody_heard_of_is_not_refused(
    start: Start, world: FakeWorld, brief: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk stops answering, and bullpen stops: the prompt may be there or not."""
    world.on_prompt = hold
    async with start() as supervisor:
        journal = supervisor._host.journal
        await journal.flush()

        async def hang(*_: object) -> None:
            await anyio.sleep_forever()

        monkeypatch.setattr(journal._writer, "_write", hang)
        ticket = await supervisor.submit(Prompt("desk", "hello", user="ana"))
        await until(lambda: journal._writer.notes)
    for waiting in (ticket.accepted, ticket.outcome):
        with pytest.raises(AcceptanceUnknown, match="look there for desk/ana/default") as caught:
            await waiting()
        assert not isinstance(caught.value, Refused)


async def test_an_outcome_that_is_not_recorded_is_not_called_refused(
    start: Start, world: FakeWorld, brief: None
) -> None:
    world.on_prompt = hold
    async with start() as supervisor:
        ticket = await supervisor.submit(Prompt("desk", "hello", user="ana"))
        await until(lambda: world.connections and world.connections[0].prompts)
        await supervisor._host.journal._connection.execute_fetchall("PRAGMA query_only = 1")
        world.connections[0].reply("fine")
        await until(lambda: ticket.finished)
    await ticket.accepted()
    with pytest.raises(OutcomeUnknown) as caught:
        await ticket.outcome()
    assert not isinstance(caught.value, Refused)


async def test_a_prompt_that_could_not_be_recorded_is_refused(start: Start, world: FakeWorld, brief: None) -> None:
    async with start() as supervisor:
        await supervisor._host.journal._connection.execute_fetchall("PRAGMA query_only = 1")
        with pytest.raises(NotRecorded) as caught:
            await (await supervisor.submit(Prompt("desk", "hello", user="ana"))).accepted()
        assert isinstance(caught.value, Refused)
        await supervisor._host.journal._connection.execute_fetchall("PRAGMA query_only = 0")
