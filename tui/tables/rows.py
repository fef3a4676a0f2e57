"""Turns the engine's rows into table rows, and says in which order they stand. Pure functions."""

from __future__ import annotations

import math
import re
from typing import Any

from supervisor import (
    ClientRow,
    InstanceRow,
    InstanceState,
    MemoryLevel,
    PoolStatistics,
    Question,
    SessionKey,
    SessionRow,
    SessionState,
    SlotState,
)
from tui.tables.layout import Column
from tui.wording import dormancy, format, reasons
from tui.wording.cells import Cell, Row
from tui.wording.remedies import KEYS, Remedies

QUEUE_TOP = 10
"""Waiting turns that fill a sparkline of the queue."""
MEMORY_TOP = 1_000_000_000
"""Bytes that fill a sparkline of a client's memory."""

INSTANCE_COLUMNS = (
    Column("name", "instance", 11, flex=2, sort_letter="I", is_name=True),
    Column("state", "state", 10, sort_letter="S"),
    Column("archetype", "kind", 8, priority=7),
    Column("needs", "needs", 8, sort_letter="N"),
    Column("clients", "clients", 15, flex=1, sort_letter="C"),
    Column("sessions", "sess", 4, "right", priority=3),
    Column("waiting", "queue", 5, "right", sort_letter="Q"),
    Column("trend", f"minute 0–{QUEUE_TOP}", 12, priority=6),
    Column("oldest", "oldest", 6, "right", priority=1, sort_letter="O"),
    Column("memory", "memory", 6, "right", priority=2, sort_letter="M"),
    Column("first", "1st text", 8, "right", priority=5, sort_letter="T"),
    Column("hits", "warm", 4, "right", priority=8),
    Column("note", "note", 14, flex=4, priority=9),
)

SESSION_COLUMNS = (
    Column("state", "state", 13, sort_letter="S", words=frozenset(SessionState)),
    Column("instance", "instance", 8, flex=1, priority=1, sort_letter="I", is_name=True),
    Column("user", "user", 8, flex=1, sort_letter="U", is_name=True),
    Column("session", "session", 11, flex=2, sort_letter="E", is_name=True),
    Column("why", "why · doing · about", 30, narrowest=20, flex=8, sort_letter="W"),
    Column("turns", "turns", 5, "right", priority=7, sort_letter="T"),
    Column("tokens", "tokens", 6, "right", priority=5, sort_letter="N"),
    Column("cost", "cost", 6, "right", priority=6, sort_letter="C"),
    Column("memory", "memory", 6, "right", priority=3, sort_letter="M"),
    Column("last", "last", 5, "right", priority=2, sort_letter="L"),
)

CLIENT_COLUMNS = (
    Column("pid", "pid", 7, "right", priority=4, sort_letter="P"),
    Column("state", "state", 10, sort_letter="S", words=frozenset(SlotState)),
    Column("session", "client · session", 16, flex=3, sort_letter="E", is_name=True),
    Column("memory", "memory", 6, "right", sort_letter="M"),
    Column("trend", "0–1G", 8, priority=3),
    Column("growth", "growth", 6, "right", priority=5, sort_letter="W"),
    Column("cpu", "cpu", 4, "right", priority=1, sort_letter="C"),
    Column("age", "age", 5, "right", priority=6, sort_letter="A"),
    Column("turns", "turns", 5, "right", priority=7, sort_letter="T"),
    Column("tool", "doing", 10, flex=2, priority=2),
)

FAST_GROWTH = 50_000_000
"""Bytes a minute: at this rate a client of ordinary size doubles within five minutes."""

SETTLED = 30.0
"""Seconds after its start from which a client's growth says something about it."""

SPARE_GLYPH = "◇"
"""A connected client without a session."""

OUTDATED_GLYPH = "↻"
"""A client that still runs an earlier version of its template."""

_NEEDS_YOU = {
    SessionState.ASKING: 0,
    SessionState.INTERRUPTED: 1,
    SessionState.FAILED: 2,
    SessionState.STALLED: 3,
    SessionState.WAITING: 4,
    SessionState.WORKING: 5,
    SessionState.IDLE: 6,
    SessionState.DORMANT: 7,
    SessionState.NEW: 8,
    SessionState.HIBERNATED: 9,
}

BIGGEST_FIRST = frozenset(
    [
        "needs",
        "clients",
        "sessions",
        "waiting",
        "oldest",
        "memory",
        "growth",
        "first",
        "hits",
        "turns",
        "tokens",
        "cost",
        "cpu",
        "age",
    ]
)
"""Columns whose first sort puts the largest value on top."""

_SPARE_STATES = (SlotState.READY, SlotState.DORMANT, SlotState.WAKING)
"""In which a client without a session is one for sessions to come."""

_NUMBER = re.compile(r"(\d+)$")


def session_id(key: SessionKey) -> str:
    """The row key of a session."""
    return "\x1f".join(key)


def session_key(row_key: str) -> SessionKey:
    """The session of a row key."""
    return SessionKey(*row_key.split("\x1f"))


def session_order(row: SessionRow) -> tuple[Any, ...]:
    """Needs-you first: asking, interrupted, failed, stalled, next to begin, longest working, then the most recent."""
    rank, place = _NEEDS_YOU[row.state], 0.0
    since = -row.last_activity_at
    if row.state is SessionState.WAITING and row.waiting:
        place = row.waiting[0].place or math.inf  # without one, something else than the queue holds it up
        since = row.waiting[0].queued_at
    elif row.state is SessionState.INTERRUPTED and row.offer is not None:
        since = row.offer.made_at
    elif row.state is SessionState.STALLED and row.silent_since is not None:
        since = row.silent_since
    elif row.state in (SessionState.ASKING, SessionState.WORKING):
        since = row.turn_started_at or row.last_activity_at
    return (rank, place, since, row.key)


def client_order(row: ClientRow) -> tuple[Any, ...]:
    """Sort key of a client: instance, then number. A client keeps its row for life."""
    found = _NUMBER.search(row.id)
    return (row.instance, int(found[1]) if found else 0, row.id)


def instance_order(row: InstanceRow) -> tuple[Any, ...]:
    return (row.name,)


def clients_compact(pool: PoolStatistics, outdated: int = 0) -> tuple[Cell, ...]:
    """Clients by state in the fewest cells: `2● 1◐ 1○ 3☾ /8`; states with none are left out. First stands, when there
    are any, how many of them all run an earlier version of the template: `3↻`. The ceiling is never what is cut."""
    parts: list[Cell] = []
    for number, mark, style in (
        (outdated, OUTDATED_GLYPH, "accent"),
        (pool.busy, format.glyph(SlotState.BUSY), "busy"),
        (pool.asking, format.glyph(SlotState.ASKING), "warn"),
        (pool.idle, format.glyph(SlotState.READY), "ok"),
        (pool.spare, SPARE_GLYPH, "dim"),
        (pool.dormant, format.glyph(SlotState.DORMANT), format.role(SlotState.DORMANT)),
        (pool.waking, format.glyph(SlotState.WAKING), format.role(SlotState.WAKING)),
        (pool.starting + pool.reserved, format.glyph(SlotState.STARTING), "accent"),
        (pool.closing, format.glyph(SlotState.CLOSING), "dim"),
    ):
        if number:
            parts.append(Cell(f"{number}{mark} ", style))
    parts.append(Cell(f"/{pool.max_clients}" if parts else f"0/{pool.max_clients}", "dim", stays=True))
    return tuple(parts)


def opening_row(row: Row) -> Row:
    """The row of an instance whose engine is being opened: how it is, and what of it waits, is not known yet."""
    cells = {"state": Cell(f"{format.glyph(SlotState.STARTING)} opening", "dim")}
    return row._replace(
        cells=tuple(cells.get(column.key, cell) for column, cell in zip(INSTANCE_COLUMNS, row.cells, strict=True))
    )


def instance_row(row: InstanceRow, now: float, by: Remedies = KEYS) -> Row:
    pool = row.pool
    needs = tuple(
        Cell(f"{number}{format.glyph(state)} ", format.role(state))
        for number, state in (
            (row.questions, SessionState.ASKING),
            (row.offers, SessionState.INTERRUPTED),
            (row.failed, SessionState.FAILED),
            (row.stalled, SessionState.STALLED),
        )
        if number
    )
    if row.template_mistake:
        needs = (*needs, Cell("edit", "error"))
    oldest = None if row.oldest_waiting_at is None else now - row.oldest_waiting_at
    hits = pool.hit_rate
    return Row(
        row.name,
        (
            Cell(row.name, "strong"),
            Cell(f"{format.glyph(row.state)} {row.state}", format.role(row.state)),
            Cell(row.archetype, "dim"),
            needs or Cell("·", "dim"),
            clients_compact(pool, row.outdated),
            _number(row.sessions),
            Cell(str(row.waiting), "accent") if row.waiting else Cell("·", "dim"),
            Cell(format.spark(row.waiting_trend, 12, top=QUEUE_TOP) if any(row.waiting_trend) else "", "accent"),
            Cell("", "dim") if oldest is None else Cell(format.age(oldest), "strong" if oldest > 30 else "accent"),
            _bytes(row.memory_bytes),
            Cell("", "dim") if row.first_token_p50 is None else Cell(format.duration(row.first_token_p50)),
            Cell("", "dim") if hits is None else Cell(format.percent(hits)),
            _instance_note(row, now, by),
        ),
        (
            row.name,
            row.state,
            row.archetype,
            (row.questions, row.offers, row.failed, row.stalled, bool(row.template_mistake)),
            pool.total,
            row.sessions,
            row.waiting,
            None,
            None if row.oldest_waiting_at is None else -row.oldest_waiting_at,
            row.memory_bytes,
            row.first_token_p50,
            hits,
            row.note,
        ),
    )


def session_row(
    row: SessionRow,
    question: Question | None,
    client: ClientRow | None,
    now: float,
    by: Remedies = KEYS,
) -> Row:
    """`question` is the session's oldest open one, `client` the one that serves it."""
    key = row.key
    tokens = row.usage.input_tokens + row.usage.output_tokens
    quiet = "dim" if row.state in (SessionState.HIBERNATED, SessionState.NEW) else ""
    return Row(
        session_id(key),
        (
            Cell(f"{format.glyph(row.state)} {row.state}", format.role(row.state)),
            Cell(key.instance, "dim"),
            Cell(key.user, quiet),
            Cell(key.session, quiet or "strong"),
            reasons.why_cells(row, question, client, now, by),
            _number(row.turns),
            Cell(format.count(tokens), quiet) if tokens else Cell("·", "dim"),
            Cell(format.money(row.usage.cost_usd), quiet) if row.usage.cost_usd else Cell("·", "dim"),
            _memory(row.memory_bytes, MemoryLevel.NORMAL if client is None else client.memory_level),
            Cell(format.age(now - row.last_activity_at), "dim"),
        ),
        (
            session_order(row),
            key.instance,
            key.user,
            key.session,
            row.waiting[0].queued_at if row.waiting else None,
            row.turns,
            tokens,
            row.usage.cost_usd,
            row.memory_bytes,
            -row.last_activity_at,
        ),
    )


def client_row(row: ClientRow, now: float) -> Row:
    is_spare = row.key is None
    word = str(row.state)
    doing = (
        row.note
        or dormancy.short(row, now)
        or (f"{format.tool_name(row.tool)}{reasons.since(row.tool_started_at, now)}" if row.tool else "")
    )
    if is_spare:
        whose = Cell("spare" if row.state in _SPARE_STATES else "", "dim")
    else:
        assert row.key is not None
        whose = Cell(f"{row.key.user}/{row.key.session}")
    if row.is_outdated:
        doing = f"{OUTDATED_GLYPH} {doing or 'earlier'}"
    mark = SPARE_GLYPH if is_spare and row.state is SlotState.READY else format.glyph(row.state)
    return Row(
        row.id,
        (
            Cell(str(row.pid) if row.pid else "·", "dim"),
            Cell(f"{mark} {word}", "dim" if mark == SPARE_GLYPH else format.role(row.state)),
            (Cell(f"{row.id} ", "dim"), whose),
            _memory(row.memory_bytes, row.memory_level),
            Cell(_trend(row.memory_trend), "dim"),
            _growth(row, now),
            Cell(f"{row.cpu_percent:.0f}%", "" if row.cpu_percent >= 1 else "dim"),
            Cell(format.age(now - row.started_at), "dim"),
            _number(row.turns),
            Cell(
                doing,
                "dim"
                if row.note or row.dormant_since is not None
                else "accent"
                if row.is_outdated and not row.tool
                else "",
            ),
        ),
        (
            row.pid or None,
            word,
            (row.instance, *(row.key or ("", "", ""))),
            row.memory_bytes,
            None,
            row.memory_growth,
            row.cpu_percent,
            -row.started_at,
            row.turns,
            doing,
        ),
    )


def _instance_note(row: InstanceRow, now: float, by: Remedies) -> Cell:
    """Amber only when turns wait for the operator's answers."""
    standing = reasons.standing(row, now, by)
    if held := reasons.held_words(row):
        return Cell(standing, "warn" if held == standing else "accent")
    if row.template_mistake and row.note == row.template_mistake:
        return Cell(row.note, "error")
    if row.state is InstanceState.RUNNING:
        if (refused := reasons.recently_refused(row, now)) and refused == standing:
            return Cell(refused, "error")
        return Cell(standing or row.description, "dim")
    return Cell(standing or row.description, format.role(row.state))


def _number(number: int) -> Cell:
    return Cell(format.count(number)) if number else Cell("·", "dim")


def _bytes(size: int) -> Cell:
    return Cell(format.bytes_short(size)) if size else Cell("·", "dim")


def _memory(size: int, level: MemoryLevel) -> Cell:
    """Above a ceiling the letter of the ceiling stands behind the size."""
    letter, role = format.MEMORY_MARKS[level]
    return Cell(f"{format.bytes_short(size)} {letter}", role) if letter else _bytes(size)


def _growth(row: ClientRow, now: float) -> Cell:
    if now - row.started_at < SETTLED or row.state in (SlotState.DORMANT, SlotState.WAKING):
        return Cell("·", "dim")
    return Cell(format.growth(row.memory_growth), "error" if row.memory_growth > FAST_GROWTH else "dim")


def _trend(samples: tuple[int, ...]) -> str:
    """The recent samples; always on one scale, which the column's title tells."""
    return format.spark(samples, 8, top=MEMORY_TOP)
