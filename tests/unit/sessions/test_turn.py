"""A turn is the engine's record, its ticket what the caller holds: two types, and one writer for each field."""

from __future__ import annotations

import gc
import re
import weakref
from collections import defaultdict
from pathlib import Path

import pytest

import supervisor
from supervisor.api.errors import NotRecorded
from supervisor.api.keys import SessionKey
from supervisor.api.outcomes import Done, FailureKind
from supervisor.api.prompts import Prompt
from supervisor.conversation import Conversation
from supervisor.sessions.turn import Turn, TurnState

pytestmark = pytest.mark.anyio

ROOT = Path(supervisor.__file__).parent
WRITING = re.compile(
    r"\b(?:turn|head|own)\.(\w+)(?=(?:, [\w.]+)* = |(?:, [\w.]+)*: .* = |\.(?:append|clear|extend|remove)\()"
    r"|(?<=, )(?:turn|head|own)\.(\w+)(?= = )"
)
"""A field of a turn, by the names that a turn goes by, where it is assigned or changed."""


def make_turn() -> Turn:
    key = SessionKey("desk", "ana", "default")
    return Turn("t1", "u1", key, Prompt("desk", "hello", user="ana"), Conversation(), at=0.0)


def test_each_field_of_a_turn_is_written_in_one_place() -> None:
    writers: defaultdict[str, set[str]] = defaultdict(set)
    for path in ROOT.rglob("*.py"):
        for found in WRITING.finditer(path.read_text("utf-8")):
            writers[found[1] or found[2]].add(path.name)
    known = vars(make_turn())
    assert {field: names for field, names in writers.items() if field in known and len(names) > 1} == {}
    by_itself = ("uuid", "stop_reason", "fails_as", "ticket", "_on_end")
    assert {field: names for field, names in writers.items() if field in by_itself} == {}
    assert writers["started_at"] == writers["started_steady"] == {"session.py"}
    assert writers["told"] == {"detached_turns.py"}


def test_the_first_reason_to_stop_stays() -> None:
    turn = make_turn()
    turn.ask_to_stop("too long", FailureKind.STALLED)
    turn.ask_to_stop("killed")
    assert (turn.stop_reason, turn.fails_as) == ("too long", FailureKind.STALLED)


def test_a_turn_that_is_written_again_goes_by_another_id() -> None:
    turn = make_turn()
    turn.rename()
    assert turn.uuid != turn.first_uuid == "u1"


async def test_a_caller_is_told_an_outcome_once_it_is_recorded() -> None:
    turn = make_turn()
    turn.end(Done("fine"))
    assert turn.state is TurnState.ENDED
    assert turn.ticket.finished == Done("fine")
    turn.replace_outcome(Done("finer"))
    turn.note_outcome_recorded()
    turn.withdraw(NotRecorded("too late"))
    assert await turn.ticket.outcome() == Done("finer")


async def test_what_a_caller_holds_keeps_no_turn_in_memory() -> None:
    turn = make_turn()
    ticket, trace = turn.ticket, weakref.ref(turn)
    turn.note_recorded()
    turn.end(Done("fine"))
    turn.note_outcome_recorded()
    del turn
    gc.collect()
    assert trace() is None
    await ticket.accepted()
    assert await ticket.outcome() == Done("fine")


async def test_a_turn_that_is_withdrawn_is_told_to_those_who_wait_for_its_end_once() -> None:
    turn, calls = make_turn(), []
    turn.on_end(lambda: calls.append(1))
    turn.withdraw(NotRecorded("the disk is full"))
    turn.withdraw(NotRecorded("again"))
    assert calls == [1]
    for wait in (turn.ticket.accepted, turn.ticket.outcome):
        with pytest.raises(NotRecorded):
            await wait()
