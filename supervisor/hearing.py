"""What an instance's clients tell it, and what that means for their sessions.

Called by the clients' readers, so everything here but `ask` is synchronous: the reader never waits for a consumer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from supervisor import events as past
from supervisor.client import Client, EndReason
from supervisor.client_events import ClientEvent, Result, ToolEnded, ToolStarted
from supervisor.connection import ToolRequest, Verdict
from supervisor.errors import ClientDied, ResumeTargetMissing
from supervisor.house import House
from supervisor.model import Failed, FailureKind, Interrupted, Outcome, SlotState
from supervisor.session import Session
from supervisor.slot import Slot

if TYPE_CHECKING:
    from supervisor.instance import Instance


class Hearing:
    """The `client.Listener` of one instance."""

    def __init__(self, instance: Instance, house: House) -> None:
        self._instance = instance
        self._feed = house.feed
        self._desk = house.desk
        self._clock = house.clock

    def client_starting(self, slot: Slot) -> None:
        if slot.is_leaving:
            return
        slot.move(SlotState.STARTING)
        self._feed.touch_client(slot.id)
        self._feed.touch_instance(self._instance.name)

    def client_ready(self, slot: Slot, seconds: float) -> None:
        if slot.is_leaving:
            return
        slot.move(SlotState.READY)
        slot.idle_since = self._clock.steady()
        how = "resume" if slot.resume else "spare" if slot.is_spare else "cold"
        self._instance.publish(past.ClientStarted, slot.session, client=slot.id, pid=slot.pid, seconds=seconds, how=how)
        self._feed.touch_client(slot.id)
        if slot.session is not None:
            if slot.resume:
                slot.session.notice("Resumed: the conversation was loaded into a new process")
            self._instance.note_readiness(slot.session)
        self._instance.kick()

    def client_told(self, slot: Slot, event: ClientEvent) -> None:
        slot.last_event_at = self._clock.wall()
        session = slot.session
        if session is None:
            return
        turn = session.mailbox.current
        is_first = turn is not None and turn.first_text_steady is None
        session.hear(event)
        if turn is not None and is_first and turn.first_text_steady is not None:
            self._instance.first_tokens.append(turn.first_text_steady - turn.started_steady)
            self._feed.touch_instance(self._instance.name)
        match event:
            case ToolStarted(tool=tool):
                slot.tool, slot.tool_started_at = tool, slot.last_event_at
            case ToolEnded():
                slot.tool, slot.tool_started_at = "", None
            case _:
                pass
        self._feed.touch_client(slot.id)
        self._feed.touch_session(session.key)

    def client_result(self, slot: Slot, result: Result) -> None:
        slot.last_event_at = self._clock.wall()
        slot.turns += 1
        self._instance.spare_pause = 0.0
        slot.tool, slot.tool_started_at = "", None
        session = slot.session
        if session is None or session.mailbox.current is None:
            return
        turn = session.mailbox.current
        outcome = session.settle(turn, result)
        if not slot.is_leaving:
            slot.move(SlotState.READY)
            slot.idle_since = self._clock.steady()
        self._instance.finish(session, outcome)
        if session.leaves_none_behind:
            self._instance.end_client(slot, EndReason.ONE_CALL)
        self._instance.kick()

    def client_ending(self, slot: Slot, step: str) -> None:
        if not slot.is_leaving:
            slot.move(SlotState.CLOSING)
        slot.step = step
        reason = slot.client.reason if slot.client is not None else None
        self._instance.publish(past.ClientEnding, slot.session, client=slot.id, step=step, reason=str(reason or ""))
        self._feed.touch_client(slot.id)
        self._instance.touch(slot.session)

    def client_gone(self, slot: Slot, seconds: float, left_over: int) -> None:
        assert slot.client is not None, "a slot keeps its client"
        client, session = slot.client, slot.session
        if not slot.is_leaving:
            slot.move(SlotState.CLOSING)
        slot.move(SlotState.GONE)
        self._instance.pool.remove(slot)
        reason = client.reason or EndReason.DIED
        if client.error is not None:
            self._instance.pool.crashes += 1
            self._instance.publish(past.ClientFailed, session, client=slot.id, message=str(client.error))
        self._instance.publish(
            past.ClientGone, session, client=slot.id, reason=str(reason), seconds=seconds, left_over=left_over
        )
        self._feed.touch_client(slot.id)
        if session is None:
            if reason in (EndReason.START_FAILED, EndReason.DIED):
                self._instance.pause_spares()
        else:
            session.slot = None
            if client.error is not None:
                session.expect_fresh_costs()
            self._settle_after(session, client, reason)
            self._instance.note_readiness(session)
            self._instance.forget_call(session)
        self._instance.kick()

    def _settle_after(self, session: Session, client: Client, reason: EndReason) -> None:
        """What the end of a client means for the turn it ran, or was started for."""
        turn = session.mailbox.current
        if turn is not None:
            outcome: Outcome
            if client.error is not None and not turn.stop_reason:
                is_oversize = isinstance(client.error, ClientDied) and client.error.oversize
                kind = FailureKind.OVERSIZE_MESSAGE if is_oversize else FailureKind.CRASHED
                outcome = Failed(kind, str(client.error))
            else:
                outcome = Interrupted(turn.stop_reason or str(reason), session.text_so_far)
            self._instance.finish(session, outcome)
        elif reason is EndReason.START_FAILED and (head := session.mailbox.head) is not None:
            if isinstance(client.error, ResumeTargetMissing):
                session.forget_context()
                self._instance.publish(past.ContextLost, session)
            else:
                self._instance.drop(session, head, Failed(FailureKind.START_FAILED, str(client.error)))

    async def ask(self, slot: Slot, request: ToolRequest) -> Verdict:
        session = slot.session
        assert session is not None, "only a session's turn asks"
        if slot.state is SlotState.BUSY:
            slot.move(SlotState.ASKING)
        self._instance.touch(session)
        try:
            return await self._desk.ask(session, slot.id, request, self._instance.template.question_ttl)
        finally:
            if slot.state is SlotState.ASKING and not session.questions:
                slot.move(SlotState.BUSY)
            self._instance.touch(session)
