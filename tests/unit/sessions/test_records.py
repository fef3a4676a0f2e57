"""Nothing of a session is lost at a restart by an oversight: each field is kept, rebuilt, or forgotten on purpose."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any, cast

import pytest

from supervisor.api.keys import SessionKey
from supervisor.api.outcomes import Usage
from supervisor.api.prompts import Priority, Prompt, Source
from supervisor.clock import Clock
from supervisor.conversation import Conversation
from supervisor.journal import ClientRecord, Journal, SessionRecord, TurnRecord
from supervisor.journal.records import row_to_session, row_to_turn, session_to_row, turn_to_row
from supervisor.permissions.rules import Rule
from supervisor.sessions import records
from supervisor.sessions.cost_meter import CostMeter
from supervisor.sessions.records import record_session, record_turn, revive_session, revive_turn
from supervisor.sessions.session import Session
from supervisor.sessions.slot import Slot
from supervisor.sessions.turn import Turn

ANA = SessionKey("desk", "ana", "default")
CLOCK = Clock(wall=lambda: 1_000.0, steady=lambda: 50.0)


def make_session() -> Session:
    """With a value of its own in every field that is kept."""
    session = Session(ANA, CLOCK)
    session.created_at, session.last_activity_at = 100.0, 900.0
    session.uuid, session.workspace = "0b5e", Path("/somewhere/0b5e")
    session.has_history = session.has_failed = session.leaves_none_behind = True
    session.drop_turns = ("newer", "older")
    session.usage, session.meter = Usage(1, 2, 3, 0.25), CostMeter(0.5, 0.125)
    session.turns, session.note = 7, "it went wrong"
    session.allowed = frozenset({Rule("Bash", letter="ls").stored})
    return session


def make_turn() -> Turn:
    prompt = Prompt("desk", "hello", user="ana", session="default", source=Source.OPERATOR, priority=Priority.HIGH)
    return Turn("t1", "u1", ANA, prompt, Conversation(), at=800.0, replays="t0")


def make_slot() -> Slot:
    return Slot("desk-1", "0b5e", Path("/somewhere/0b5e"), "digest", resume=True, at=0.0)


def fields_of(thing: Any) -> set[str]:
    return set(thing.__slots__ if isinstance(thing, Session) else vars(thing))


@pytest.mark.parametrize(
    ("thing", "tables"),
    [
        (make_session, (records.KEPT_OF_SESSION, records.REBUILT_OF_SESSION, records.FORGOTTEN_OF_SESSION)),
        (make_turn, (records.KEPT_OF_TURN, records.REBUILT_OF_TURN, records.FORGOTTEN_OF_TURN)),
    ],
)
def test_every_field_is_kept_rebuilt_or_forgotten_on_purpose(thing: Any, tables: tuple[Collection[str], ...]) -> None:
    """A new field has to be put into one of the tables of `sessions/records.py`."""
    named = [name for table in tables for name in table]
    assert sorted(named) == sorted(set(named)), "each in one table"
    assert set(named) == fields_of(thing())


def test_what_is_kept_of_a_slot_is_what_ends_its_processes() -> None:
    assert set(records.KEPT_OF_SLOT) <= fields_of(make_slot())
    assert {name for names in records.KEPT_OF_SLOT.values() for name in names} == set(ClientRecord._fields)


def test_every_field_of_a_record_is_filled_from_a_field_that_is_kept() -> None:
    of_session = {name for names in records.KEPT_OF_SESSION.values() for name in names}
    assert of_session == set(SessionRecord._fields)
    of_turn = {name for names in records.KEPT_OF_TURN.values() for name in names}
    told_by_the_journal = {"seq", "ended_at", "outcome", "served"}
    assert of_turn == set(TurnRecord._fields) - told_by_the_journal - {"leaves_none_behind"}, "that is its session's"


def test_a_session_comes_back_from_the_journal_with_everything_that_is_kept() -> None:
    before = make_session()
    fresh = Session(ANA, CLOCK)
    row = session_to_row(record_session(before))
    after = revive_session(row_to_session(row), CLOCK, cast(Journal, None))
    for name in records.KEPT_OF_SESSION:
        assert getattr(after, name) == getattr(before, name), name
        assert name == "key" or getattr(before, name) != getattr(fresh, name), f"{name} has a value of its own"
    assert after.last_activity_steady == 50.0 - (1_000.0 - 900.0)
    assert not after.is_judged


def test_what_is_forgotten_of_a_session_is_as_in_a_new_one() -> None:
    before = make_session()
    before.questions, before.allowed_once, before.is_closing = ["q1"], ["call"], True
    before.backoff.fail(0.0)
    before.context_tokens = before.context_window = before.rejections = 9
    before.drops_unjudged = before.is_stalled = before.is_compacted_in_vain = True
    after = revive_session(record_session(before), CLOCK, cast(Journal, None))
    fresh = Session(ANA, CLOCK)
    for name in records.FORGOTTEN_OF_SESSION:
        left, new = getattr(after, name), getattr(fresh, name)
        assert left == new or (left.failures, left.until) == (new.failures, new.until), name


def test_a_turn_that_waits_comes_back_with_everything_that_is_kept() -> None:
    before = make_turn()
    row = turn_to_row(record_turn(before, leaves_none_behind=False))
    after = revive_turn(row_to_turn(row), Session(ANA, CLOCK))
    for name in records.KEPT_OF_TURN:
        assert getattr(after, name) == getattr(before, name), name
    assert after.uuid == "u1"
    assert after.is_recorded


def test_a_turn_whose_id_the_conversation_has_seen_comes_back_with_another() -> None:
    """It was rejected, was to be sent again without what stands before it, and bullpen was killed in between."""
    before, session = make_turn(), Session(ANA, CLOCK)
    session.leave_unjudged(before)
    after = revive_turn(record_turn(before, leaves_none_behind=False), session)
    assert session.drop_turns == ("u1",)
    assert after.first_uuid == "u1"
    assert after.uuid not in ("u1", before.uuid)
