"""Every fact about one row, in words, for the describe screen. Pure functions."""

from __future__ import annotations

import time

from supervisor import ClientRow, InstanceRow, Question, SessionRow
from tui import format

Facts = list[tuple[str, str]]
"""(label, text) in reading order; an empty label continues the one above."""


def instance_facts(row: InstanceRow, now: float) -> Facts:
    pool = row.pool
    hits = "no turn yet" if pool.hit_rate is None else format.percent(pool.hit_rate)
    return [
        ("archetype", row.archetype),
        ("state", row.state + (f": {row.note}" if row.note else "")),
        ("description", row.description),
        ("turns", f"{row.active_sessions} running of {row.max_sessions} in parallel"),
        ("queue", f"{row.waiting} waiting{_oldest(row.oldest_waiting_at, now)}"),
        ("sessions", f"{row.sessions} known, {row.active_sessions} active, {row.failed} failed"),
        ("questions", f"{row.questions} open"),
        (
            "clients",
            f"{pool.total} of {pool.max_clients}: {pool.busy} busy, {pool.asking} asking, {pool.idle} idle, "
            f"{pool.spare} spare, {pool.starting + pool.reserved} starting, {pool.closing} closing",
        ),
        ("starts", f"{pool.hot} hot, {pool.adopted} on a spare, {pool.cold} cold; {hits} began warm"),
        ("losses", f"{pool.evictions} evicted, {pool.crashes} crashed"),
        ("first text", "no turn yet" if row.first_token_p50 is None else f"{format.duration(row.first_token_p50)} p50"),
        ("memory", format.bytes_short(row.memory_bytes)),
    ]  # fmt: skip


def session_facts(row: SessionRow, now: float) -> Facts:
    usage = row.usage
    facts: Facts = [
        ("instance", row.key.instance),
        ("user", row.key.user),
        ("session", row.key.session),
        ("state", row.state + (f", waits: {row.why}" if row.why else "")),
        ("note", row.note or "none"),
        ("turn", _turn(row, now)),
        ("turns ended", str(row.turns)),
        (
            "tokens",
            f"{usage.input_tokens:,} in, {usage.output_tokens:,} out, {usage.cache_tokens:,} from cache",
        ),
        ("cost", format.money(usage.cost_usd)),
        ("client", row.client_id or "none: hibernated or new"),
        ("memory", format.bytes_short(row.memory_bytes)),
        ("conversation", row.session_uuid or "not begun"),
        ("created", _moment(row.created_at, now)),
        ("last activity", _moment(row.last_activity_at, now)),
        ("questions", str(len(row.questions))),
        ("queue", f"{len(row.waiting)} waiting"),
    ]
    facts += [
        ("", f"{turn.position}. {turn.why}, {format.age(now - turn.queued_at)}, from {turn.source}: {turn.text}")
        for turn in row.waiting
    ]
    return facts


def client_facts(row: ClientRow, now: float) -> Facts:
    tool = "none in flight"
    if row.tool:
        since = "" if row.tool_started_at is None else f", {format.age(now - row.tool_started_at)}"
        tool = row.tool + since
    return [
        ("instance", row.instance),
        ("process", f"{row.pid or 'not started'}, {row.processes} in its tree"),
        ("state", row.state + (f": {row.note}" if row.note else "")),
        ("session", "none: a spare" if row.key is None else str(row.key)),
        ("memory", f"{format.bytes_short(row.memory_bytes)}, the whole process tree"),
        ("", format.spark(row.memory_trend, len(row.memory_trend), low=None)),
        ("cpu", f"{row.cpu_percent:.0f}% of one core"),
        ("tool", tool),
        ("turns", str(row.turns)),
        ("started", _moment(row.started_at, now)),
        ("last event", _moment(row.last_event_at, now)),
    ]


def question_facts(row: Question, now: float) -> Facts:
    return [
        ("session", str(row.key)),
        ("kind", row.kind),
        ("tool", row.tool),
        ("summary", row.summary),
        ("asked", _moment(row.asked_at, now)),
        ("expires", f"in {format.duration(row.expires_at - now)}"),
        ("client held", row.client_id),
        ("always means", row.always or "not on offer"),
        ("arguments", row.detail),
    ]


def _turn(row: SessionRow, now: float) -> str:
    if row.turn_started_at is None:
        return "none runs"
    return f"{row.turn_id}, running for {format.duration(now - row.turn_started_at)}"


def _oldest(at: float | None, now: float) -> str:
    return "" if at is None else f", the oldest for {format.duration(now - at)}"


def _moment(at: float, now: float) -> str:
    return f"{time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(at))}, {format.age(now - at)} ago"
