"""What a late reader of the feed gets is what it would have got one after the other."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from supervisor.api.changes import Changes
from supervisor.api.events import SessionOpened
from supervisor.api.keys import SessionKey
from supervisor.api.snapshot import Snapshot
from tests.tui import stage
from tests.tui.stage_engine import StageEngine

NAMES = st.sampled_from("abc")
HOST = StageEngine().host


def key(name: str) -> SessionKey:
    return SessionKey(name, "ana", "x")


@st.composite
def changes(draw: Any, *, may_be_cut: bool = True) -> Changes:
    """As the feed gives them: a row has changed, or is gone, and never both."""
    number = draw(st.integers(0, 99))
    alive, gone = draw(st.sets(NAMES)), draw(st.sets(NAMES))
    alive -= gone
    instances = tuple(stage.instance(name, max_sessions=number) for name in sorted(alive))
    sessions = tuple(stage.session(key(name), turns=number) for name in sorted(alive))
    clients = tuple(stage.client(f"{name}-1", None, pid=number) for name in sorted(alive))
    events = tuple(SessionOpened(at=float(number), instance=name) for name in sorted(alive))
    host = draw(st.none() | st.just(replace(HOST, memory_bytes=number)))
    questions = draw(st.none() | st.just(()) | st.just((stage.PERMISSION,)))
    if may_be_cut and draw(st.booleans()):
        whole = Snapshot(replace(HOST, memory_bytes=number), instances, sessions, clients, questions or ())
        return Changes(snapshot=whole, events=events)
    return Changes(
        host=host, instances=instances, sessions=sessions, clients=clients, questions=questions,
        gone_instances=frozenset(gone), gone_sessions=frozenset(map(key, gone)),
        gone_clients=frozenset(f"{name}-1" for name in gone), events=events,
    )  # fmt: skip


def shown(known: dict[str, Any], each: Changes) -> dict[str, Any]:
    """What a screen holds after these changes."""
    if each.snapshot is not None:
        whole = each.snapshot
        rows = [*whole.instances, *whole.sessions, *whole.clients]
        return {"host": whole.host, "questions": whole.questions} | {_id(row): row for row in rows}
    known = dict(known)
    if each.host is not None:
        known["host"] = each.host
    if each.questions is not None:
        known["questions"] = each.questions
    known |= {_id(row): row for row in (*each.instances, *each.sessions, *each.clients)}
    for name in (*each.gone_instances, *each.gone_sessions, *each.gone_clients):
        known.pop(str(name), None)
    return known


def _id(row: Any) -> str:
    return str(getattr(row, "name", None) or getattr(row, "key", None) or row.id)


@settings(deadline=None)
@given(st.lists(changes(), min_size=1, max_size=5))
def test_changes_put_together_leave_the_same_rows_and_tell_the_same_events(several: list[Changes]) -> None:
    known: dict[str, Any] = {}
    together = several[0]
    for number, each in enumerate(several):
        known = shown(known, each)
        if number:
            together = together.then(each)
    assert shown({}, together) == known
    events = [event for each in several for event in each.events]
    if all(each.snapshot is None for each in several):
        assert list(together.events) == events
    else:
        last = max(number for number, each in enumerate(several) if each.snapshot is not None)
        assert list(together.events) == [event for each in several[last:] for event in each.events]
