"""One odd value stops nobody else: what the API, the CLI or a caller may send, and the engine lives."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import pytest

from supervisor.api import events as past
from supervisor.api.codec import pack_outcome
from supervisor.api.outcomes import Done, Failed, FailureKind, Outcome
from supervisor.api.prompts import Prompt
from supervisor.api.snapshot import InstanceRow
from supervisor.api.states import InstanceState
from supervisor.engine.supervisor import Supervisor
from supervisor.process.reports import Limited, Retrying
from supervisor.scheduling.circuit_state import LONGEST_PARK
from supervisor.testing import FakeConnection, FakeWorld, hold
from tests.engine.conftest import Start
from tests.engine.journal_stage import read
from tests.waiting import until

pytestmark = pytest.mark.anyio


def row_of(supervisor: Supervisor) -> InstanceRow:
    return supervisor.view.snapshot().instances[0]


def result_of(connection: FakeConnection, **fields: Any) -> dict[str, Any]:
    """The line that ends the running turn, as the CLI writes it."""
    return {
        "type": "result",
        "subtype": "success",
        "duration_ms": 1,
        "duration_api_ms": 1,
        "is_error": False,
        "num_turns": 1,
        "session_id": "s",
        "result": "fine",
        "user_message_uuids": [connection.prompt_uuid],
        **fields,
    }


async def is_well(supervisor: Supervisor, world: FakeWorld) -> bool:
    """Another user's turn is answered."""
    world.on_prompt = lambda connection, text: connection.reply("fine")
    outcome = await (await supervisor.submit(Prompt("desk", "still there?", user="other"))).outcome()
    return isinstance(outcome, Done) and supervisor.failure is None


async def test_a_usage_that_no_database_holds_is_booked_as_the_most_there_is(start: Start, world: FakeWorld) -> None:
    world.on_prompt = lambda connection, _: connection.write(
        result_of(connection, usage={"input_tokens": 2**63, "output_tokens": "x"}, total_cost_usd=float("inf"))
    )
    async with start() as supervisor:
        for _ in range(2):
            outcome = await (await supervisor.submit(Prompt("desk", "x", user="ana"))).outcome()
            assert isinstance(outcome, Done)
            assert outcome.usage.input_tokens == 2**53
        assert await is_well(supervisor, world)


@pytest.mark.parametrize("resets_at", [1e18, 10**400, float("inf"), float("nan"), -1, "tomorrow", [1], True])
async def test_a_limit_that_resets_at_no_time_at_all_parks_for_a_sane_time(
    start: Start, world: FakeWorld, resets_at: Any
) -> None:
    world.on_prompt = hold
    async with start() as supervisor:
        await supervisor.submit(Prompt("desk", "x", user="ana"))
        await until(lambda: world.connections and world.connections[0].prompts)
        info = {"status": "rejected", "resetsAt": resets_at}
        world.connections[0].write(
            {"type": "rate_limit_event", "rate_limit_info": info, "uuid": "u", "session_id": "s"}
        )
        world.connections[0].tell(Limited(True, resets_at))
        await until(lambda: row_of(supervisor).state is InstanceState.PARKED)
        row = row_of(supervisor)
        assert row.parked_until is not None
        assert row.parked_until <= supervisor._clock.wall() + LONGEST_PARK
        await until(lambda: not world.connections[0]._out.statistics().current_buffer_used)  # both were heard
        await anyio.wait_all_tasks_blocked()
        await supervisor.resume("desk")
        assert await is_well(supervisor, world)


async def test_a_limit_that_resets_in_years_is_tried_again_within_hours(start: Start, world: FakeWorld) -> None:
    world.on_prompt = hold
    async with start() as supervisor:
        await supervisor.submit(Prompt("desk", "x", user="ana"))
        await until(lambda: world.connections and world.connections[0].prompts)
        now = supervisor._clock.wall()
        world.connections[0].tell(Limited(True, now + 3 * 365 * 86400))
        await until(lambda: row_of(supervisor).state is InstanceState.PARKED)
        until_at = row_of(supervisor).parked_until
        assert until_at is not None
        assert LONGEST_PARK - 5 <= until_at - now <= LONGEST_PARK + 5


@pytest.mark.parametrize("delay", [float("inf"), float("nan"), 10**400, -5, "soon"])
async def test_a_retry_after_no_time_at_all_is_told_and_parks_for_a_sane_time(
    start: Start, world: FakeWorld, delay: Any
) -> None:
    world.on_prompt = hold
    async with start() as supervisor:
        ticket = await supervisor.submit(Prompt("desk", "x", user="ana"))
        await until(lambda: world.connections and world.connections[0].prompts)
        world.connections[0].tell(Retrying(1, 3, delay, 429, "rate_limit"))
        await until(lambda: row_of(supervisor).state is InstanceState.PARKED)
        assert (row_of(supervisor).parked_until or 0) <= supervisor._clock.wall() + LONGEST_PARK
        await supervisor.interrupt(ticket.key)
        await ticket.outcome()
        await supervisor.resume("desk")
        assert await is_well(supervisor, world)


async def test_a_message_that_cannot_be_read_ends_its_own_turn_at_most(start: Start, world: FakeWorld) -> None:
    world.on_prompt = lambda connection, _: connection.write({"type": "assistant", "message": "no mapping"})
    async with start() as supervisor:
        outcome = await (await supervisor.submit(Prompt("desk", "x", user="ana"))).outcome()
        assert not isinstance(outcome, Done)
        assert await is_well(supervisor, world)


async def test_what_cannot_be_recorded_of_one_session_is_told_and_ends_nobody(
    start: Start, world: FakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wall behind the wall: a value that gets as far as the journal."""
    monkeypatch.setattr("supervisor.bounds.MOST", 2**70)
    world.on_prompt = lambda connection, _: connection.write(result_of(connection, usage={"input_tokens": 2**63}))
    async with start() as supervisor:
        with await supervisor.watch() as feed:
            outcome = await (await supervisor.submit(Prompt("desk", "x", user="ana"))).outcome()
            assert isinstance(outcome, Done)
            await supervisor._host.journal.flush()
            lost = [event for event in feed.take().events if isinstance(event, past.RecordLost)]
        assert lost
        assert "OverflowError" in lost[0].message
        assert await is_well(supervisor, world)


async def test_an_outcome_that_cannot_be_recorded_is_told_as_it_is_recorded(
    start: Start, world: FakeWorld, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """R1, R4: one outcome, and the same for the caller and in the journal."""

    def refuse(outcome: Outcome) -> str:
        if isinstance(outcome, Done) and outcome.text == "odd":
            raise TypeError("no such thing in JSON")
        return pack_outcome(outcome)

    monkeypatch.setattr("supervisor.journal.turn_book.pack_outcome", refuse)
    world.on_prompt = lambda connection, text: connection.reply(text)
    async with start() as supervisor:
        outcome = await (await supervisor.submit(Prompt("desk", "odd", user="ana"))).outcome()
        assert isinstance(outcome, Failed)
        assert outcome.kind is FailureKind.ENGINE
        assert await is_well(supervisor, world)
    assert read(tmp_path / "state", "SELECT outcome FROM turns ORDER BY seq") == [("failed",), ("done",)]


async def test_a_turn_whose_start_cannot_be_recorded_fails_and_is_never_written(
    start: Start, world: FakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with start() as supervisor:
        journal = supervisor._host.journal
        start_turn = journal.turns.start
        monkeypatch.setattr(journal.turns, "start", lambda turn, _, *calls: start_turn(turn, 2**63, *calls))
        outcome = await (await supervisor.submit(Prompt("desk", "x", user="ana"))).outcome()
        monkeypatch.setattr(journal.turns, "start", start_turn)
        assert isinstance(outcome, Failed)
        assert outcome.kind is FailureKind.ENGINE
        assert await is_well(supervisor, world)
    assert [one.text for one in world.written] == ["still there?"]


# What an earlier run has kept

DAMAGE = {
    "a turn of an unknown priority": "UPDATE turns SET priority = 99 WHERE id = '{turn}'",
    "a turn whose prompt is no text": "UPDATE turns SET text = x'00ff' WHERE id = '{turn}'",
    "a turn without a time": "UPDATE turns SET queued_at = 'then' WHERE id = '{turn}'",
    "a session whose times are none": "UPDATE sessions SET last_activity_at = 9e999, created_at = 'then'",
    "a session whose rules are no list": "UPDATE sessions SET allowed = '{{'",
    "a session without an id": "UPDATE sessions SET uuid = x'00'",
    "usage out of range": "UPDATE sessions SET input_tokens = -5, cost_usd = 9e999, turns = -1",
    "a client of no process": (
        "INSERT INTO clients (mark, id, pid, started, session_uuid, instance, user, session) "
        "VALUES ('m', 'c', 9223372036854775807, 'then', '', '', '', '')"
    ),
    "a client of no conversation": (
        "INSERT INTO clients (mark, id, pid, started, session_uuid, instance, user, session) "
        "VALUES ('m', 'c', 0, 0, x'00', '', '', '')"
    ),
    "a question that is none": (
        "INSERT INTO questions (id, instance, user, session, turn_id, asked_at, body) "
        "VALUES ('q', 'desk', 'ana', 'default', 't', 1, '[1]')"
    ),
    "an offer without times": (
        "INSERT INTO offers (turn_id, instance, user, session, made_at, expires_at) "
        "VALUES ('{turn}', 'desk', 'ana', 'default', 'then', 9e999)"
    ),
    "an entry at the end of all numbers": (
        "INSERT INTO entries (number, instance, user, session, at, kind, body) "
        "VALUES (9223372036854775807, 'desk', 'ana', 'default', 1, 'asked', 'null')"
    ),
    "an entry out of time": (
        "INSERT INTO entries (number, instance, user, session, at, kind, body) "
        """VALUES (77, 'desk', 'ana', 'default', 1, 'noticed', '{{"at": 1e300, "text": "x"}}')"""
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
async def test_a_row_that_was_edited_fails_alone_and_is_no_reason_not_to_start(
    start: Start, world: FakeWorld, tmp_path: Path, damage: str
) -> None:
    world.on_prompt = hold
    async with start() as supervisor:
        await supervisor.submit(Prompt("desk", "first", user="ana"))
        waiting = await supervisor.submit(Prompt("desk", "second", user="ana"))
        await waiting.accepted()
        await until(lambda: world.connections and world.connections[0].prompts)
    with closing(sqlite3.connect(tmp_path / "state" / "journal.db")) as connection, connection:
        connection.execute(DAMAGE[damage].format(turn=waiting.turn_id))
    world.on_prompt = lambda connection, text: connection.reply("fine")
    async with start() as supervisor:
        assert await is_well(supervisor, world)
        for row in (await supervisor.snapshot()).sessions:
            assert (await supervisor.conversation(row.key)).read().entries is not None
        await supervisor.kill("desk")
        await supervisor.drained()
    assert read(tmp_path / "state", "SELECT count(*) FROM turns WHERE outcome = ''") == [(0,)]
    assert read(tmp_path / "state", "SELECT count(*) FROM clients") == [(0,)], "told once, and not at each start"
