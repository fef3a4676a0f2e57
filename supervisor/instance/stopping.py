"""Ends turns before their time, on whatever grounds, and says what a full queue means to who comes next."""

from __future__ import annotations

from supervisor.api.errors import Saturated
from supervisor.api.outcomes import Cancelled
from supervisor.instance.core import InstanceCore
from supervisor.instance.detached_turns import DetachedTurns
from supervisor.instance.turns import Turns
from supervisor.sessions.session import Session
from supervisor.sessions.turn import Turn


class Stopping:
    """Interrupts, cancels and refuses turns of one instance."""

    def __init__(self, core: InstanceCore, turns: Turns, detached: DetachedTurns) -> None:
        self._core = core
        self._turns = turns
        self._detached = detached

    def interrupt(self, session: Session, reason: str) -> bool:
        """Interrupts the running turn; False when none runs."""
        slot = session.slot
        turns = [turn for turn in (session.own, session.mailbox.current) if turn is not None]
        if not turns or slot is None or slot.client is None:
            return self._detached.end(session, reason)
        for turn in turns:
            turn.ask_to_stop(reason)
        slot.client.interrupt()
        return True

    def stop(self, session: Session, turn: Turn, reason: str) -> bool:
        """Interrupts a turn that has begun; takes one that waits out of its queue."""
        if turn in (session.own, session.mailbox.current) or turn.is_detached or turn.told:
            return self.interrupt(session, reason)
        self._turns.drop(session, turn, Cancelled(reason))
        return True

    def cancel_waiting(self, reason: str, only: Session | None = None) -> int:
        """Cancels what waits in one session or in all. Returns how many turns that were."""
        sessions = [only] if only is not None else list(self._core.sessions.values())
        turns = [(session, turn) for session in sessions for turn in session.mailbox]
        for session, turn in turns:
            if not self._detached.end(session, reason):
                self._turns.drop(session, turn, Cancelled(reason))
        return len(turns)

    def refuse(self, why: str) -> Saturated:
        """Counts one more prompt that found no room. Returns the refusal for its caller."""
        core = self._core
        core.refused, core.refused_at = core.refused + 1, core.clock.wall()
        return self._make_saturated(why)

    def _make_saturated(self, why: str) -> Saturated:
        """The refusal with the pool's counts, and a retry time: the queue's length in rounds of the median turn, and
        not before a pool that has parked itself tries again."""
        core, waiting = self._core, self._turns.waiting
        counts = core.pool.statistics()
        rounds = 1 + waiting // max(1, core.max_sessions)
        return Saturated(
            core.name,
            total=counts.total,
            active=counts.active,
            idle=counts.idle + counts.spare + counts.dormant,
            waiting=waiting,
            retry_after=max(1.0, rounds * core.typical_turn, core.park.left(core.clock.steady())),
            why=why,
        )
