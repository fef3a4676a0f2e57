"""What the journal keeps, as values, and how each is laid out in a row."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Any, NamedTuple

from supervisor import bounds
from supervisor.api.codec import pack, pack_outcome, unpack, unpack_outcome
from supervisor.api.keys import SessionKey
from supervisor.api.outcomes import Outcome, Usage, outcome_word
from supervisor.api.prompts import Priority, Prompt, Route, Source
from supervisor.api.questions import Question
from supervisor.text.values import in_words

Row = tuple[Any, ...]


class SessionRecord(NamedTuple):
    key: SessionKey
    created_at: float
    """Unix seconds."""
    last_activity_at: float
    """Unix seconds."""
    uuid: str = ""
    """Claude Code's id of the conversation; empty until a client was assigned."""
    workspace: str = ""
    """A path; empty until a client was assigned."""
    has_history: bool = False
    drop_turn: str = ""
    """The uuid of an unanswered prompt that the next resume cuts from the conversation; mostly empty."""
    usage: Usage = Usage()
    cost_seen: float = 0.0
    """The running total that the last client told, in dollars (`cost_meter.CostMeter`)."""
    turns: int = 0
    note: str = ""
    has_failed: bool = False
    allowed: frozenset[str] = frozenset()
    """What "always in this session" has allowed."""
    leaves_none_behind: bool = False
    cost_saved: float = 0.0
    """The running total that a client was last known to have saved, in dollars."""


class TurnRecord(NamedTuple):
    id: str
    uuid: str
    """Travels with the prompt to the CLI."""
    key: SessionKey
    prompt: Prompt
    queued_at: float
    """Unix seconds, like all times here."""
    replays: str = ""
    """Id of the interrupted turn whose prompt it sends again; mostly empty."""
    leaves_none_behind: bool = False
    seq: int = 0
    """Order of acceptance over all sessions. Given by the journal: 0 in what has not been written yet."""
    started_at: float | None = None
    ended_at: float | None = None
    outcome: Outcome | None = None
    served: str = ""
    """The provider that it ran with; empty before its end, and for the host's own."""
    is_held: bool = False
    """It waits for the operator: a budget is reached."""


class ClientRecord(NamedTuple):
    """A client whose processes may still live."""

    id: str
    mark: str
    """What its processes carry in their environment; no two clients of any two runs have the same."""
    pid: int
    started: float
    """The start time of that process, as psutil gives it: pid and start time together name one process."""
    session_uuid: str
    key: SessionKey | None
    """None while it is a spare."""


class Removal(NamedTuple):
    """What is still to be removed from disk of a conversation that is over. Kept until it is gone."""

    uuid: str
    """Claude Code's id of the conversation."""
    workspace: str
    """A path below the state directory's `workspaces`; empty when there is none, or another conversation uses it."""
    key: SessionKey
    workspace_due_at: float | None
    """Unix seconds; None when it is to be kept."""
    has_files: bool = True
    """What the CLI keeps of the conversation has not been removed yet."""


class OfferOutcome(StrEnum):
    REPLAYED = "replayed"
    DROPPED = "dropped"
    EXPIRED = "expired"


class OfferRecord(NamedTuple):
    """An interrupted turn that waits for a decision."""

    turn: TurnRecord
    made_at: float
    expires_at: float


class Unreadable(NamedTuple):
    """One row that is not what this program writes."""

    table: str
    id: str
    why: str


class RecoveredState(NamedTuple):
    """What an earlier run left behind."""

    sessions: tuple[SessionRecord, ...]
    waiting: tuple[TurnRecord, ...]
    """Accepted, not started; in order of acceptance."""
    running: tuple[TurnRecord, ...]
    """Started, without an outcome; in order of acceptance."""
    offers: tuple[OfferRecord, ...]
    """Open ones, oldest first."""
    clients: tuple[ClientRecord, ...]
    """Those of runs that did not end in order."""
    questions: tuple[Question, ...]
    """Asked and never settled, oldest first."""
    removals: tuple[Removal, ...] = ()
    unreadable: tuple[Unreadable, ...] = ()
    """What was edited or damaged: it fails alone."""


SESSION_COLUMNS = (
    "instance, user, session, created_at, last_activity_at, uuid, workspace, has_history, drop_turn, input_tokens, "
    "output_tokens, cache_tokens, cost_usd, cost_seen, turns, note, has_failed, allowed, leaves_none_behind, "
    "cost_saved"
)
TURN_COLUMNS = (
    "id, uuid, instance, user, session, agent, text, prompt_user, prompt_session, source, priority, queued_at, "
    "replays, leaves_none_behind, seq, started_at, ended_at, outcome, result, request, route, depth, written, "
    "held, provider, model, served"
)
REMOVAL_COLUMNS = "uuid, workspace, instance, user, session, has_files, workspace_due_at"
CLIENT_COLUMNS = "id, mark, pid, started, session_uuid, instance, user, session"


def session_to_row(record: SessionRecord) -> Row:
    usage = record.usage
    return (
        *record.key,
        record.created_at,
        record.last_activity_at,
        record.uuid,
        record.workspace,
        record.has_history,
        record.drop_turn,
        usage.input_tokens,
        usage.output_tokens,
        usage.cache_tokens,
        usage.cost_usd,
        record.cost_seen,
        record.turns,
        record.note,
        record.has_failed,
        json.dumps(sorted(record.allowed)) if record.allowed else "[]",
        record.leaves_none_behind,
        record.cost_saved,
    )


def row_to_session(row: Row) -> SessionRecord:
    """Raises `ValueError` when a text is none. Numbers are as they stand there (`bound_session`)."""
    _check_texts(*row[:3], row[5], row[6], row[8], row[15])
    return SessionRecord(
        key=SessionKey(row[0], row[1], row[2]),
        created_at=row[3],
        last_activity_at=row[4],
        uuid=row[5],
        workspace=row[6],
        has_history=bool(row[7]),
        drop_turn=row[8],
        usage=Usage(row[9], row[10], row[11], row[12]),
        cost_seen=row[13],
        turns=row[14],
        note=row[15],
        has_failed=bool(row[16]),
        allowed=_read_allowed(row[17]),
        leaves_none_behind=bool(row[18]),
        cost_saved=row[19],
    )


def bound_session(record: SessionRecord) -> SessionRecord:
    """The record with every number brought into range, whatever the row held."""
    return record._replace(
        created_at=bounds.moment(record.created_at),
        last_activity_at=bounds.moment(record.last_activity_at),
        cost_seen=bounds.dollars(record.cost_seen),
        cost_saved=bounds.dollars(record.cost_saved),
        turns=bounds.count(record.turns),
    )


def bound_client(record: ClientRecord) -> ClientRecord:
    """The record; pid and start time become 0 when they cannot be real. Its processes are then found by its mark
    alone."""
    is_named = isinstance(record.pid, int) and 0 <= record.pid < 2**31 and isinstance(record.started, int | float)
    return record if is_named else record._replace(pid=0, started=0.0)


def bound_turn(record: TurnRecord) -> TurnRecord:
    """The record with every time brought into the range that a clock can show."""
    started_at = None if record.started_at is None else bounds.moment(record.started_at)
    return record._replace(queued_at=bounds.moment(record.queued_at), started_at=started_at)


def turn_to_row(record: TurnRecord) -> Row:
    prompt, outcome = record.prompt, record.outcome
    return (
        record.id,
        record.uuid,
        *record.key,
        prompt.agent,
        prompt.text,
        prompt.user,
        prompt.session,
        prompt.source.value,
        int(prompt.priority),
        record.queued_at,
        record.replays,
        record.leaves_none_behind,
        record.seq or None,
        record.started_at,
        record.ended_at,
        outcome_word(outcome) if outcome is not None else "",
        pack_outcome(outcome) if outcome is not None else "",
        prompt.request,
        pack(prompt.route) if prompt.route is not None else "",
        prompt.depth,
        prompt.written,
        record.is_held,
        prompt.provider,
        prompt.model,
        record.served,
    )


def row_to_turn(row: Row) -> TurnRecord:
    """Raises `ValueError`, `KeyError` or `TypeError` when it was not written by bullpen."""
    _check_texts(*row[:9], row[12], row[19], row[20], row[22], row[24], row[25], row[26])
    return TurnRecord(
        id=row[0],
        uuid=row[1],
        key=SessionKey(row[2], row[3], row[4]),
        prompt=Prompt(
            agent=row[5],
            text=row[6],
            user=row[7],
            session=row[8],
            source=Source(row[9]),
            priority=Priority(row[10]),
            request=row[19],
            route=unpack(Route, row[20]) if row[20] else None,
            depth=_read_number(row[21]),
            written=row[22],
            provider=row[24],
            model=row[25],
        ),
        queued_at=row[11],
        replays=row[12],
        leaves_none_behind=bool(row[13]),
        seq=row[14],
        started_at=row[15],
        ended_at=row[16],
        outcome=unpack_outcome(row[17], row[18]) if row[17] else None,
        is_held=bool(row[23]),
        served=row[26],
    )


def client_to_row(record: ClientRecord) -> Row:
    return (record.id, record.mark, record.pid, record.started, record.session_uuid, *(record.key or ("", "", "")))


def row_to_client(row: Row) -> ClientRecord:
    """Raises `ValueError` when a text is none."""
    _check_texts(*row[:2], *row[4:8])
    key = SessionKey(row[5], row[6], row[7]) if row[5] else None
    return ClientRecord(row[0], row[1], row[2], row[3], row[4], key)


def removal_to_row(removal: Removal) -> Row:
    return (removal.uuid, removal.workspace, *removal.key, removal.has_files, removal.workspace_due_at)


def row_to_removal(row: Row) -> Removal:
    _check_texts(*row[:5])
    return Removal(row[0], row[1], SessionKey(row[2], row[3], row[4]), row[6], bool(row[5]))


def _check_texts(*values: object) -> None:
    for value in values:
        if not isinstance(value, str):
            raise ValueError(f"{in_words(value)} stands where a text should")


def _read_number(value: object) -> int:
    if not isinstance(value, int):
        raise ValueError(f"{in_words(value)} stands where a number should")
    return value


def _read_allowed(packed: str) -> frozenset[str]:
    if packed == "[]":
        return frozenset()
    found = json.loads(packed)
    if not isinstance(found, list):
        raise ValueError(f"{in_words(found)} stands where a list should")
    _check_texts(*found)
    return frozenset(found)
