"""Frozen rows from live objects. Pure: reading changes nothing."""

from __future__ import annotations

import math
from collections.abc import Collection

from msgspec.structs import replace

from supervisor.api.snapshot import ClientRow, InstanceRow, SessionRow, WaitingTurn
from supervisor.api.states import InstanceState, SessionState, WhyWaiting
from supervisor.instance.dormancy import find_why_awake
from supervisor.instance.instance import Instance
from supervisor.scheduling.dispatcher import explain
from supervisor.sessions.session import Session
from supervisor.sessions.slot import Slot
from supervisor.text.cleaning import one_line

SHOWN_WAITING = 20
"""Waiting turns listed with a session; `InstanceRow.waiting` counts them all."""


def make_instance_row(instance: Instance) -> InstanceRow:
    core, scheduler = instance.core, instance.scheduler
    # One pass: this is built anew for every reader whenever anything of the instance has changed.
    questions = failed = offers = stalled = 0
    for session in core.sessions.values():
        questions += len(session.questions) + len(session.holds)
        failed += session.has_failed and session.status is SessionState.FAILED
        offers += session.offer is not None
        stalled += session.is_stalled
    return InstanceRow(
        name=core.name,
        description=core.template.description,
        archetype=core.archetype,
        state=core.state,
        note=core.note
        or core.removal_note
        or core.template_mistake
        or instance.rollout.remark
        or scheduler.memory_remark
        or core.server_remark,
        pool=replace(
            core.pool.statistics(),
            wait_p50=percentile(core.waits, 50),
            wait_p95=percentile(core.waits, 95),
            start_p50=percentile(core.starts, 50),
            start_p95=percentile(core.starts, 95),
        ),
        max_sessions=core.max_sessions,
        sessions=len(core.sessions),
        active_sessions=len(instance.turns.running),
        waiting=instance.turns.waiting,
        oldest_waiting_at=_oldest_waiting(instance),
        waiting_trend=tuple(core.waiting_trend),
        memory_bytes=scheduler.ledger.total.measured,
        first_token_p50=core.first_token_p50,
        questions=questions,
        failed=failed,
        offers=offers,
        stalled=stalled,
        walls=core.walls,
        parked_for=core.park.kind if core.state is InstanceState.PARKED else None,
        parked_until=core.parked_until_at,
        memory_budget=scheduler.memory_budget,
        memory_reserve=scheduler.reserve.bytes,
        version=core.version,
        outdated=instance.rollout.stale,
        rolled=instance.rollout.done,
        to_roll=instance.rollout.total,
        template_mistake=core.template_mistake,
        is_removed=core.is_removed,
        resume_does=core.resume_does,
        limit=instance.scheduler.limit,
        refused=core.refused,
        refused_at=core.refused_at,
        client_limit=core.host.client_limit(core.template),
    )


def _oldest_waiting(instance: Instance) -> float | None:
    if not instance.turns.waiting:
        return None
    return min((turn.queued_at for session in instance.sessions.values() for turn in session.mailbox), default=None)


def percentile(samples: Collection[float], share: float) -> float | None:
    """The smallest sample that `share` percent of them do not exceed; None of none."""
    if not samples:
        return None
    return sorted(samples)[math.ceil(len(samples) * share / 100) - 1]


def make_session_row(session: Session, instance: Instance) -> SessionRow:
    why = explain(session, instance.scheduler.outlook)
    turn, slot = session.running, session.slot
    return SessionRow(
        key=session.key,
        state=session.status,
        why=why,
        waiting=_make_waiting(session, why, instance.scheduler.place_of(session)),
        turn_id=turn.id if turn else "",
        turn_started_at=turn.started_at if turn else None,
        turns=session.turns,
        usage=session.usage,
        memory_bytes=slot.memory_bytes if slot else 0,
        created_at=session.created_at,
        last_activity_at=session.last_activity_at,
        client_id=slot.id if slot else "",
        session_uuid=session.uuid,
        disk_bytes=instance.core.disk_bytes(session),
        questions=(*session.questions, *session.holds),
        note=session.note,
        about=session.gist.about,
        latest=session.gist.latest,
        offer=session.offer,
        context_share=session.context_share,
        awaited_servers=_awaited_servers(session),
        is_self_begun=session.own is not None,
        workspace=str(session.workspace or ""),
        provider=slot.provider if slot else "",
        model=slot.choice.model if slot else "",
        silent_since=session.last_activity_at if session.status is SessionState.STALLED else None,
        client_end=session.client_end,
        client_ended_at=session.client_ended_at,
        ends_with_turn=session.leaves_none_behind,
    )


def _awaited_servers(session: Session) -> tuple[str, ...]:
    """Also a session whose turn has begun waits for them, until the turn has said its first word."""
    turn, slot = session.running, session.slot
    is_held = turn is None or turn.first_text_steady is None
    return slot.awaited_servers if slot is not None and is_held else ()


def _make_waiting(session: Session, why: WhyWaiting | None, place: int | None) -> tuple[WaitingTurn, ...]:
    rows, head = [], session.mailbox.head
    for position, turn in enumerate(session.mailbox, start=1):
        if position > SHOWN_WAITING or why is None:
            break
        rows.append(
            WaitingTurn(
                turn_id=turn.id,
                text=one_line(turn.prompt.text, 200),
                source=turn.prompt.source,
                queued_at=turn.queued_at,
                why=WhyWaiting.BUDGET if turn.is_held else why if turn is head else WhyWaiting.SESSION_BUSY,
                position=position,
                place=place if turn is head else None,
            )
        )
    return tuple(rows)


def make_client_row(slot: Slot, instance: Instance) -> ClientRow:
    return ClientRow(
        id=slot.id,
        instance=instance.name,
        pid=slot.pid,
        state=slot.state,
        key=slot.session.key if slot.session is not None else None,
        memory_bytes=slot.memory_bytes,
        memory_trend=tuple(slot.memory_trend),
        processes=slot.processes,
        cpu_percent=slot.cpu_percent,
        started_at=slot.created_at,
        turns=slot.turns,
        last_event_at=slot.last_event_at,
        tool=slot.tool,
        tool_started_at=slot.tool_started_at,
        note=slot.step,
        memory_level=slot.memory_level,
        memory_growth=slot.memory_growth,
        servers=slot.servers,
        provider=slot.provider,
        model=slot.choice.model,
        is_outdated=slot.is_stale,
        dormant_since=slot.dormant_since,
        swap_bytes=slot.swap_bytes,
        awake_bytes=slot.awake_bytes,
        wake_seconds=slot.wake_seconds,
        why_awake=find_why_awake(slot) if slot.is_ready else None,
        peak_bytes=slot.peak_bytes,
        pressure=slot.pressure,
    )
