"""The operator's verbs on an instance, and what time does to it. All synchronous; the feed tells what follows."""

from __future__ import annotations

import time

from supervisor.api.errors import Refused, Saturated
from supervisor.api.types import Cancelled, Expired, FailureKind, InstanceState, Source
from supervisor.config.live_limits import adjust_template
from supervisor.instance import circuit_breaker, detached_turns
from supervisor.instance.instance import Instance
from supervisor.process.client import EndReason
from supervisor.scheduling.pool_size import find_surplus
from supervisor.sessions.session import Session
from supervisor.sessions.turn import Turn

_CLOSED = (InstanceState.DRAINED, InstanceState.STOPPED)


def pause(instance: Instance) -> None:
    """New prompts queue; what runs goes on."""
    if not instance.is_accepting:
        raise Refused(f"{instance.name} is {instance.state}: resume it first")
    instance.set_state(InstanceState.PAUSED, "paused by the operator")


def resume(instance: Instance) -> None:
    """Takes back pause, drain and stop."""
    if instance.state is InstanceState.KILLING:
        raise Refused(f"{instance.name} is being killed: wait until it is stopped, then resume it")
    instance.set_drain_deadline(None)
    circuit_breaker.unpark(instance)
    instance.set_state(InstanceState.RUNNING)
    instance.kick()


def drain(instance: Instance, deadline: float, now: float) -> None:
    """Closes the intake. `deadline` in seconds, `now` in steady seconds. A second call interrupts what still runs."""
    if instance.state in _CLOSED:
        raise Refused(f"{instance.name} is {instance.state} already")
    if instance.state is InstanceState.KILLING:
        raise Refused(f"{instance.name} is being killed")
    left = 0.0 if instance.state is InstanceState.DRAINING else deadline
    instance.set_drain_deadline(now + left, left)
    instance.set_state(InstanceState.DRAINING, _who_holds_up(instance))
    advance(instance, now)
    instance.kick()


def kill(instance: Instance, reason: EndReason = EndReason.KILLED) -> None:
    """Cancels what waits, ends what runs and every process."""
    instance.set_drain_deadline(None)
    instance.set_state(InstanceState.KILLING, str(reason))
    if reason is EndReason.STOPPING and instance.keeps_queue:
        for session in instance.sessions.values():
            for turn in tuple(session.mailbox):
                if turn.is_recorded and not session.leaves_none_behind and not (turn.is_away or turn.told):
                    instance.turns.suspend(session, turn)
    _cancel_waiting(instance, str(reason))
    for slot in instance.pool:
        instance.clients.end(slot, reason)
    instance.close_when_empty()


def scale(instance: Instance, max_sessions: int) -> None:
    """Changes how many turns may run in parallel, and with it how many clients there may be."""
    if not 1 <= max_sessions <= 1_000:
        raise Refused(f"{instance.name} cannot be scaled to {max_sessions}: give a number from 1 to 1000")
    template = instance.template
    extra = max(0, instance.pool.max_clients - instance.max_sessions)
    changes = {
        "concurrency": template.concurrency.model_copy(update={"max_sessions": max_sessions}),
        "pool": template.pool.model_copy(update={"max_clients": max_sessions + extra}),
    }
    instance.apply(template.model_copy(update=changes))
    instance.kick()


def adjust(instance: Instance, limit: str, value: str, *, most: int) -> None:
    """Changes one limit until the next restart. `most`: clients this host holds. Raises `Refused`."""
    template = adjust_template(instance.template, limit, value)
    if template.concurrency.max_sessions > most:
        raise Refused(
            f"{instance.name} cannot have {template.concurrency.max_sessions} turns in parallel: this host holds "
            f"{most} clients (max_agents)"
        )
    instance.apply(template)
    instance.kick()


def clear_queue(instance: Instance, session: Session | None) -> int:
    """Cancels what waits in one session or in all. Returns how many."""
    return _cancel_waiting(instance, "the operator cleared the queue", session)


def advance(instance: Instance, now: float) -> None:
    """What the passing of time means. `now` in steady seconds; called often, cheap when nothing is due."""
    _expire_waiting(instance, now)
    _stop_overdue(instance, now)
    _note_silence(instance, now)
    if instance.state is InstanceState.DRAINING:
        _advance_drain(instance, now)
    detached_turns.free_askers(instance, now)
    circuit_breaker.advance(instance, now)
    instance.resume_braked(now)
    instance.note_shortage()
    instance.close_when_empty()


def tidy(instance: Instance, now: float) -> bool:
    """Gives up a client that was idle too long and forgets sessions nobody has used. `now` in steady seconds.

    True when a client is on its way out: the next one may follow when it has gone.
    """
    pool = instance.template.pool
    surplus = find_surplus(
        instance.pool,
        now=now,
        idle_ttl=instance.idle_ttl,
        min_clients=pool.min_clients,
        spares=instance.template.spares_wanted,
        short_at=instance.shortage.seen_at,
    )
    if surplus is not None:
        instance.clients.end(surplus, EndReason.IDLE)
    for session in list(instance.sessions.values()):
        is_unused = session.slot is None and session.mailbox.current is None and not len(session.mailbox)
        if is_unused and now - session.last_activity_steady > instance.template.session_ttl:
            instance.remove_session(session)
    instance.turns.forget_users()
    return instance.pool.closing > 0


def make_saturated(instance: Instance, why: str) -> Saturated:
    """The refusal with the pool's counts, and a retry time: the queue's length in rounds of the median turn, and not
    before a pool that has parked itself tries again."""
    counts = instance.pool.statistics()
    rounds = 1 + instance.turns.waiting // max(1, instance.max_sessions)
    return Saturated(
        instance.name,
        total=counts.total,
        active=counts.active,
        idle=counts.idle + counts.spare,
        waiting=instance.turns.waiting,
        retry_after=max(1.0, rounds * instance.typical_turn, instance.park.left(instance.clock.steady())),
        why=why,
    )


def _cancel_waiting(instance: Instance, reason: str, only: Session | None = None) -> int:
    sessions = [only] if only is not None else list(instance.sessions.values())
    turns = [(session, turn) for session in sessions for turn in session.mailbox]
    for session, turn in turns:
        if not detached_turns.end_away(instance, session, reason):
            instance.turns.drop(session, turn, Cancelled(reason))
    instance.kick()
    return len(turns)


def _expire_waiting(instance: Instance, now: float) -> None:
    limit = instance.template.max_wait
    if limit is None:
        return
    overdue: list[tuple[Session, Turn]] = []
    for session in instance.turns.ready:
        head = session.mailbox.head
        if head is not None and (head.prompt.source is Source.OPERATOR or head.is_taken_down):
            continue  # an operator sees the queue, and may withdraw; what had begun is not refused any more
        if head is not None and head.eligible_steady is not None and now - head.eligible_steady > limit:
            overdue.append((session, head))
    for session, turn in overdue:
        asking = instance.pool.statistics().asking
        held = f", {asking} of {len(instance.pool)} wait for the operator's answer" if asking else ""
        error = make_saturated(instance, f"no client became free within {limit:.0f} s{held}")
        instance.turns.drop(session, turn, Expired(str(error), error.retry_after))


def _stop_overdue(instance: Instance, now: float) -> None:
    longest, quietest = instance.template.turn_timeout, instance.template.stall_timeout
    if longest is None and quietest is None:
        return
    for session in instance.turns.running:
        turn = session.running
        if turn is None or turn.stop_reason:
            continue
        if longest is not None and now - turn.started_steady > longest:
            instance.stop_turn(session, f"it took longer than {longest:.0f} s (turnTimeout)")
        # Silence is no fault of a turn that waits for an answer.
        elif quietest is not None and not session.questions and now - session.last_activity_steady > quietest:
            words = f"it gave no sign of life for {quietest:.0f} s (stallTimeout)"
            circuit_breaker.fail_turn(instance, session, FailureKind.STALLED, words)


def _note_silence(instance: Instance, now: float) -> None:
    """Shows what is silent; ends nothing (S2.33). A silent turn is no trial any more: the next one may begin."""
    silent = [
        session
        for session in instance.turns.running
        if not session.is_stalled
        and not session.questions
        and now - session.last_activity_steady > instance.stall_after
    ]
    for session in silent:
        session.is_stalled = True
        instance.touch(session)
    if silent:
        instance.kick()


def _advance_drain(instance: Instance, now: float) -> None:
    is_overdue = instance.drain_deadline is not None and now >= instance.drain_deadline
    if is_overdue:
        _cancel_waiting(instance, "drained")
        for session in instance.turns.running:
            turn = session.running
            if turn is not None and not turn.stop_reason:
                instance.stop_turn(session, "drained")
        if instance.state is not InstanceState.DRAINING:
            return  # that was the last of it
    for slot in instance.pool:
        if slot.is_evictable or (is_overdue and slot.is_coming):
            instance.clients.end(slot, EndReason.DRAINED)
    instance.set_state(InstanceState.DRAINING, _who_holds_up(instance))


def _who_holds_up(instance: Instance) -> str:
    running = instance.turns.running
    asking = sum(bool(session.questions) for session in running)
    parts = []
    if running:
        who = f"{running[0].key} still works" if len(running) == 1 else f"{len(running)} turns still run"
        parts.append(f"{who} ({asking} of them wait{'s' if asking == 1 else ''} for an answer)" if asking else who)
    if waiting := instance.turns.waiting:
        parts.append(f"{waiting} queued")
    if running and instance.drain_deadline_at is not None:
        parts.append(f"interrupted at {time.strftime('%H:%M:%S', time.localtime(instance.drain_deadline_at))}")
    return ", ".join(parts)
