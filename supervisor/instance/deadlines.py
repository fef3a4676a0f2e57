"""What the passing of time means for an instance: what waits too long, runs too long, is silent, or is not used."""

from __future__ import annotations

import time

from supervisor.api.outcomes import Expired, FailureKind
from supervisor.api.prompts import Source
from supervisor.api.states import InstanceState, WhyWaiting
from supervisor.instance.circuit_breaker import CircuitBreaker
from supervisor.instance.clients import Clients
from supervisor.instance.core import InstanceCore
from supervisor.instance.detached_turns import DetachedTurns
from supervisor.instance.dormancy import Dormancy
from supervisor.instance.limits import find_limit
from supervisor.instance.scheduler import Scheduler
from supervisor.instance.stopping import Stopping
from supervisor.instance.turns import Turns
from supervisor.process.end_reason import EndReason
from supervisor.scheduling.dispatcher import explain
from supervisor.scheduling.pool_size import find_surplus
from supervisor.sessions.session import Session
from supervisor.sessions.turn import Turn

WAITED_FOR = {
    WhyWaiting.MEMORY: "there was no memory for another client",
    WhyWaiting.STARTING: "its client was still starting",
    WhyWaiting.WAKING: "its client slept, and as many as may wake at once did",
    WhyWaiting.BACKING_OFF: "its client had crashed",
}
"""Why a turn has not begun in time, where no limit of a number is why."""


class Deadlines:
    """What time alone changes in one instance: turns and clients that are overdue, and the end of a drain. `now` is in
    steady seconds everywhere."""

    def __init__(
        self,
        core: InstanceCore,
        turns: Turns,
        clients: Clients,
        *,
        scheduler: Scheduler,
        detached: DetachedTurns,
        stopping: Stopping,
        circuit: CircuitBreaker,
        dormancy: Dormancy,
    ) -> None:
        self._core = core
        self._turns = turns
        self._clients = clients
        self._scheduler = scheduler
        self._detached = detached
        self._stopping = stopping
        self._circuit = circuit
        self._dormancy = dormancy

    def advance(self, now: float) -> None:
        """Does what is due. Called often, cheap when nothing is."""
        self._expire_waiting(now)
        self._stop_overdue(now)
        self._note_silence(now)
        if self._core.state is InstanceState.DRAINING:
            self._advance_drain(now)
        self._detached.free_askers(now)
        self._circuit.advance(now)
        self._dormancy.advance(now)

    def tidy(self, now: float) -> bool:
        """Gives up a client that was idle too long and forgets sessions that are not used any more.

        True when a client is on its way out: the next one may follow when it has gone.
        """
        core, template = self._core, self._core.template
        surplus = find_surplus(
            core.pool,
            now=now,
            idle_ttl=core.idle_ttl,
            min_clients=template.pool.min_clients,
            spares=template.spares_wanted,
            short_at=self._scheduler.shortage.seen_at,
        )
        if surplus is not None:
            self._clients.end(surplus, EndReason.IDLE)
        for session in list(core.sessions.values()):
            if session.is_at_rest and now - session.last_activity_steady > template.session_ttl:
                core.remove_session(session)
        self._turns.forget_users()
        return core.pool.closing > 0

    def who_holds_up(self) -> str:
        """What a draining instance still waits for, in words."""
        running = self._turns.running
        asking = sum(bool(session.questions) for session in running)
        parts = list(filter(None, [self._core.removal_note]))
        if running:
            if len(running) == 1:
                parts.append(f"{running[0].key} {'waits for an answer' if asking else 'still works'}")
            else:
                some = f" ({asking} of them wait{'s' if asking == 1 else ''} for an answer)" if asking else ""
                parts.append(f"{len(running)} turns still run{some}")
        if waiting := self._turns.waiting:
            parts.append(f"{waiting} queued")
        if running and (deadline_at := self._core.drain_deadline_at) is not None:
            parts.append(f"interrupted at {time.strftime('%H:%M:%S', time.localtime(deadline_at))}")
        return ", ".join(parts)

    def _expire_waiting(self, now: float) -> None:
        limit = self._core.template.max_wait
        if limit is None:
            return
        overdue: list[tuple[Session, Turn]] = []
        for session in self._turns.ready:
            head = session.mailbox.head
            if head is not None and (head.prompt.source is Source.OPERATOR or head.is_in_conversation):
                continue  # an operator sees the queue, and may withdraw; what had begun is not refused any more
            if head is not None and head.eligible_steady is not None and now - head.eligible_steady > limit:
                overdue.append((session, head))
        for session, turn in overdue:
            error = self._stopping.refuse(f"no turn could begin within {limit:.0f} s{self._what_kept(session)}")
            self._turns.drop(session, turn, Expired(str(error), error.retry_after))

    def _what_kept(self, session: Session) -> str:
        """The reason for which the session's next turn has waited, to stand behind a sentence."""
        why = explain(session, self._scheduler.outlook)
        if why is None:
            kept = ""
        elif why is WhyWaiting.NO_SLOT and (limit := find_limit(self._core, self._turns)) is not None:
            kept = f": {limit}"
            if asking := self._core.pool.statistics().asking:
                kept += f", {asking} of them wait{'s' if asking == 1 else ''} for the operator's answer"
        else:
            kept = f": {WAITED_FOR.get(why, why)}"
        return kept + (f"; {remark}" if (remark := self._core.server_remark) else "")

    def _stop_overdue(self, now: float) -> None:
        longest, quietest = self._core.template.turn_timeout, self._core.template.stall_timeout
        if longest is None and quietest is None:
            return
        for session in self._turns.running:
            turn = session.running
            if turn is None or turn.stop_reason:
                continue
            if longest is not None and now - turn.started_steady > longest:
                self._stopping.interrupt(session, f"it took longer than {longest:.0f} s (turnTimeout)")
            # Silence is no fault of a turn that waits for an answer.
            elif quietest is not None and not session.questions and now - session.last_activity_steady > quietest:
                words = f"it gave no sign of life for {quietest:.0f} s (stallTimeout)"
                self._circuit.fail_turn(session, FailureKind.STALLED, words)

    def _note_silence(self, now: float) -> None:
        """Shows what is silent; ends nothing (S2.33). A silent turn is no trial any more: the next one may begin."""
        stall_after = self._core.host.settings.stall_after
        for session in self._turns.running:
            is_silent = not session.questions and now - session.last_activity_steady > stall_after
            if is_silent and not session.is_stalled:
                session.is_stalled = True
                self._core.touch(session)

    def _advance_drain(self, now: float) -> None:
        core = self._core
        is_overdue = core.drain_deadline is not None and now >= core.drain_deadline
        if is_overdue:
            self._stopping.cancel_waiting("drained")
            for session in self._turns.running:
                turn = session.running
                if turn is not None and not turn.stop_reason:
                    self._stopping.interrupt(session, "drained")
            if self._scheduler.is_empty:
                return  # that was the last of it
        for slot in core.pool:
            if slot.is_evictable or (is_overdue and slot.is_coming):
                self._clients.end(slot, EndReason.DRAINED)
        core.set_state(InstanceState.DRAINING, self.who_holds_up())
