"""Begins turns: the prompt goes to its session's client, once it is recorded that it does."""

from __future__ import annotations

import asyncio

from supervisor.api import events as past
from supervisor.api.outcomes import FailureKind
from supervisor.api.states import SlotState
from supervisor.instance.core import InstanceCore, Plan
from supervisor.instance.stimuli import Handle, StartLost
from supervisor.instance.turns import Turns
from supervisor.sessions.session import Session
from supervisor.sessions.slot import Slot


class Beginnings:
    """Begins turns of one instance. The scheduler decides which turn begins, and on which client."""

    def __init__(self, core: InstanceCore, turns: Turns, handle: Handle) -> None:
        """`handle` is given what becomes of the record that a turn begins."""
        self._core = core
        self._turns = turns
        self._handle = handle

    def begin(self, session: Session, slot: Slot, *, is_woken: bool = False) -> None:
        """Begins the session's next turn on its client. `is_woken`: the client slept until now."""
        assert slot.client is not None, "a READY slot has a client"
        acquisition = self._count_acquisition(slot, session, is_woken=is_woken)
        plan = self._core.plan_of(session)
        turn = self._turns.begin(session)
        turn.served = slot.provider
        if plan.instead_of:
            self._tell_stand_in(session, plan)
        if slot.is_ready:
            slot.move(SlotState.BUSY)  # one that wakes is BUSY at its first sign of life
        recorded = asyncio.Event()
        clock = self._core.clock
        if self._turns.was_begun_on_record(turn):
            recorded.set()
        else:
            # The client waits for that record itself: the writing of a prompt is no step of the scheduler.
            self._core.host.journal.turns.start(
                turn.id, clock.wall(), recorded.set, lambda why: self._handle(StartLost(session, turn, why))
            )
        slot.client.send(turn.words, turn.uuid, recorded, is_command=turn.is_command)
        waited = clock.steady() - turn.queued_steady
        self._core.waits.append(waited)
        self._core.publish(
            past.TurnStarted,
            session,
            turn,
            waited=waited,
            acquisition=acquisition,
            provider=slot.provider,
            model=slot.choice.model,
        )
        self._core.touch(session)

    def _tell_stand_in(self, session: Session, plan: Plan) -> None:
        kind = self._core.parked_for(plan.instead_of)
        why = "its limit is reached" if kind is FailureKind.RATE_LIMIT else "its credentials were refused"
        model = f", model {plan.choice.model}" if plan.choice.model else ""
        session.notice(
            f"Provider {plan.instead_of} takes no turns now ({why}): this one runs with {plan.choice.provider}{model}"
        )

    def _count_acquisition(self, slot: Slot, session: Session, *, is_woken: bool) -> str:
        turn = session.mailbox.head
        assert turn is not None, "a turn waits"
        if slot.turns > 0 and is_woken:
            self._core.pool.woken += 1
            return "dormant"
        if slot.turns > 0:
            self._core.pool.hot += 1
            return "hot"
        was_warm = slot.idle_since <= turn.queued_steady
        if was_warm:
            self._core.pool.adopted += 1
            return "spare"
        self._core.pool.cold += 1
        return "cold"
