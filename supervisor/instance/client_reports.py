"""What the reports of an instance's clients mean for their sessions."""

from __future__ import annotations

from supervisor.api import events as past
from supervisor.api.outcomes import Done, Failed, FailureKind, Outcome
from supervisor.api.states import Server, SlotState
from supervisor.instance.circuit_breaker import CRASHES, CircuitBreaker
from supervisor.instance.clients import Clients
from supervisor.instance.core import InstanceCore
from supervisor.instance.detached_turns import DetachedTurns
from supervisor.instance.dormancy import TIMERS, Dormancy
from supervisor.instance.rollout import Rollout
from supervisor.instance.turns import Turns
from supervisor.process.client import Client
from supervisor.process.end_reason import EndReason
from supervisor.process.exit_causes import OomWatch, classify
from supervisor.process.reports import NEVER_WRITTEN, CallMade, ClientEvent, Result, ToolEnded, ToolStarted
from supervisor.sessions.loop_detector import describe_loop
from supervisor.sessions.outcomes import REJECTIONS, stopped
from supervisor.sessions.session import Session
from supervisor.sessions.slot import Slot
from supervisor.sessions.turn import Turn


class ClientReports:
    """One method for each stimulus that a client's report is."""

    def __init__(
        self,
        core: InstanceCore,
        turns: Turns,
        clients: Clients,
        *,
        detached: DetachedTurns,
        circuit: CircuitBreaker,
        rollout: Rollout,
        dormancy: Dormancy,
    ) -> None:
        self._core = core
        self._turns = turns
        self._clients = clients
        self._detached = detached
        self._circuit = circuit
        self._rollout = rollout
        self._dormancy = dormancy
        self._host = core.host
        self._feed = core.host.feed
        self._clock = core.host.clock
        self._oom = OomWatch()

    def client_starting(self, slot: Slot) -> None:
        if slot.is_leaving:
            return
        slot.move(SlotState.STARTING)
        self._feed.touch_client(slot.id)
        self._feed.touch_instance(self._core.name)

    def client_ready(self, slot: Slot, seconds: float) -> None:
        if slot.is_leaving:
            return
        slot.move(SlotState.READY)
        slot.idle_since = self._clock.steady()
        self._core.starts.append(seconds)
        self._clients.note_client(slot)
        how = "resume" if slot.resume else "spare" if slot.is_spare else "cold"
        self._core.publish(past.ClientStarted, slot.session, client=slot.id, pid=slot.pid, seconds=seconds, how=how)
        self._feed.touch_client(slot.id)
        if slot.session is not None:
            if slot.resume and slot.client is not None:
                slot.session.meter.begin(slot.client.spent_before)
                slot.session.notice("Resumed: the conversation was loaded into a new process")
            self._turns.note_readiness(slot.session)

    def client_told(self, slot: Slot, event: ClientEvent) -> None:
        slot.last_event_at = self._clock.wall()
        session = slot.session
        if session is None:
            return
        turn = session.running
        is_first = turn is not None and turn.first_text_steady is None
        was_stalled = session.is_stalled
        session.hear(event)
        self._circuit.hear(session, event)
        if turn is not None and is_first and turn.first_text_steady is not None:
            self._core.first_tokens.append(turn.first_text_steady - turn.started_steady)
            self._feed.touch_instance(self._core.name)
        if was_stalled:
            self._feed.touch_instance(self._core.name)
        match event:
            case ToolStarted(tool=tool):
                slot.tool, slot.tool_started_at = tool, slot.last_event_at
                slot.is_sleepless = slot.is_sleepless or tool in TIMERS
            case CallMade() if turn is not None:
                self._stop_when_in_circle(session, turn, event)
            case ToolEnded(tool_use_id=tool_use_id, was_stopped=was_stopped):
                slot.tool, slot.tool_started_at = "", None
                self._host.pending_questions.approvals.note_call_ended(session, tool_use_id, was_stopped=was_stopped)
            case _:
                pass
        self._feed.touch_client(slot.id)
        self._feed.touch_session(session.key)

    def _stop_when_in_circle(self, session: Session, turn: Turn, made: CallMade) -> None:
        limit = self._core.template.doom_loop
        if limit.count is None or turn.stop_reason:
            return
        tools = turn.loops.note(made.within, made.tool, made.call, limit.count, limit.exempt_tools)
        if tools:
            words = describe_loop(tools, limit.count)
            session.notice(f"{words[0].upper()}{words[1:]}", is_warning=True)
            self._circuit.fail_turn(session, FailureKind.DOOM_LOOP, words)

    def client_began(self, slot: Slot, why: str) -> None:
        """The CLI runs a turn that it began by itself: its client is busy, and what it says belongs to that turn."""
        session = slot.session
        if session is None:
            # A spare is one that has said nothing yet: whose words would they be?
            self._clients.end(slot, EndReason.STRAY)
            return
        self._turns.begin_own(session, why)
        if slot.is_ready:
            slot.move(SlotState.BUSY)
        slot.is_resting = False
        self._core.touch(session)

    def client_own_result(self, slot: Slot, result: Result | None) -> None:
        """The end of such a turn; None when it went over into one that has a prompt, and has no Result of its own."""
        slot.last_event_at = self._clock.wall()
        slot.tool, slot.tool_started_at = "", None
        session = slot.session
        if session is None or session.own is None:
            return
        slot.turns += 1
        slot.note_worked(self._clock.steady())
        turn = session.own
        self._host.pending_questions.approvals.note_result(session)
        if result is None:
            outcome: Outcome = Done(session.text_of(turn), seconds=self._clock.steady() - turn.started_steady)
        else:
            outcome = session.settle(turn, result)
        self._finish_own(session, outcome)
        if slot.is_running and session.mailbox.current is None:
            slot.move(SlotState.READY)
            slot.idle_since = self._clock.steady()

    def client_result(self, slot: Slot, result: Result) -> None:
        slot.last_event_at = self._clock.wall()
        if result.terminal_reason != NEVER_WRITTEN:
            slot.turns += 1
            slot.note_worked(self._clock.steady())
        slot.tool, slot.tool_started_at = "", None
        session = slot.session
        if session is None or session.mailbox.current is None:
            return
        turn = session.mailbox.current
        self._host.pending_questions.approvals.note_result(session)
        if slot.is_waking and result.terminal_reason == NEVER_WRITTEN:
            slot.idle_since = self._clock.steady()  # READY at its first sign of life
        elif not slot.is_leaving:
            slot.move(SlotState.BUSY)  # what it has asked is over as well
            slot.is_resting = True
            slot.idle_since = self._clock.steady()
            if session.may_be_rejected_for_another(turn, result):
                self._try_again(slot, session)
                return
        outcome = session.settle(turn, result, self._core.template.output)
        self._finish(session, outcome)
        if session.leaves_none_behind:
            self._clients.end(slot, EndReason.ONE_CALL)
        elif turn.is_command:
            self._note_compaction(session, outcome)
        elif isinstance(outcome, Failed) and outcome.kind in REJECTIONS and session.drop_turns:
            # What is cut from the conversation is cut by the next resume.
            self._clients.end(slot, EndReason.REJECTED)
        else:
            self._compact_when_full(session)

    def _finish(self, session: Session, outcome: Outcome) -> None:
        """Ends the running turn."""
        self._circuit.note_outcome(session, outcome)
        self._turns.finish(session, outcome)

    def _finish_own(self, session: Session, outcome: Outcome) -> None:
        """Ends the turn that the session's client began by itself."""
        self._circuit.note_outcome(session, outcome)
        self._turns.finish_own(session, outcome)

    def client_rested(self, slot: Slot) -> None:
        """The idle sign after a turn: the next one may be written."""
        if slot.is_resting:
            slot.move(SlotState.READY)
            self._core.touch(slot.session)

    def _try_again(self, slot: Slot, session: Session) -> None:
        """A later prompt must not fail for an earlier one: what the model has not replied to is left out."""
        turn = self._turns.put_back(session, "the API rejected it with what stands before it")
        self._host.journal.turns.put_back(turn.id)
        session.leave_unjudged(turn)
        self._core.save(session)
        self._clients.end(slot, EndReason.REJECTED)
        self._turns.note_readiness(session)

    def _compact_when_full(self, session: Session) -> None:
        limit, share = self._core.template.compact_at, session.context_share
        if limit is None or share is None or share < limit or session.is_compacted_in_vain or session.is_closing:
            return
        session.notice(f"The context is {share:.0%} full (compactAt {limit:.0%}): the conversation is compacted")
        self._turns.put_compaction(session)

    def _note_compaction(self, session: Session, outcome: Outcome) -> None:
        limit, share = self._core.template.compact_at, session.context_share
        is_full = limit is not None and share is not None and share >= limit
        session.is_compacted_in_vain = is_full or not isinstance(outcome, Done)

    def client_servers(self, slot: Slot, servers: tuple[Server, ...]) -> None:
        before, slot.servers = slot.servers, servers
        if slot.session is not None:
            slot.session.tell_broken(server for server in servers if server not in before)
        self._feed.touch_client(slot.id)
        self._core.touch(slot.session)

    def client_ending(self, slot: Slot, step: str) -> None:
        if not slot.is_leaving:
            slot.move(SlotState.CLOSING)
        slot.step = step
        reason = slot.client.reason if slot.client is not None else None
        self._core.publish(past.ClientEnding, slot.session, client=slot.id, step=step, reason=str(reason or ""))
        self._feed.touch_client(slot.id)
        self._core.touch(slot.session)

    def client_gone(self, slot: Slot, seconds: float, left_over: int) -> None:
        assert slot.client is not None, "a slot keeps its client"
        client, session = slot.client, slot.session
        if not slot.is_leaving:
            slot.move(SlotState.CLOSING)
        slot.move(SlotState.GONE)
        self._core.pool.remove(slot)
        reason = client.reason or EndReason.DIED
        kind = classify(
            reason,
            client.error,
            was_running=session is not None and session.running is not None,
            was_out_of_memory=self._oom.has_struck_lately(self._clock.steady()),
        )
        if kind is not None:
            self._core.pool.failures[kind] += 1
        if client.error is not None:
            self._core.publish(past.ClientFailed, session, client=slot.id, message=str(client.error), kind=kind)
        self._core.publish(
            past.ClientGone,
            session,
            client=slot.id,
            reason=str(reason),
            kind=kind,
            seconds=seconds,
            left_over=left_over,
        )
        self._feed.touch_client(slot.id)
        if not left_over:
            self._host.journal.forget_client(slot.mark)
        if kind is not None:
            self._circuit.note_bad_end(session, kind)
        self._rollout.note_gone(slot, is_worth_another_try=kind in CRASHES)
        if session is None:
            self._core.discard(slot)
        if session is not None:
            session.lose_client(str(reason))
            session.meter.end(is_saved=client.has_saved)
            if session.key in self._core.sessions:
                self._core.save(session)
            self._settle_after(session, client, reason, kind)
            if kind in CRASHES and session.backoff.is_exhausted:
                self._give_up(session)
            self._turns.note_readiness(session)
            self._core.remove_when_over(session)

    def _settle_after(
        self, session: Session, client: Client[Slot], reason: EndReason, kind: FailureKind | None
    ) -> None:
        """Ends or puts back the turn that an ended client ran, or was started for."""
        if (own := session.own) is not None:
            is_stopped = client.error is None or bool(own.stop_reason)
            failure = Failed(kind or FailureKind.CRASHED, str(client.error), text=session.text_of(own))
            outcome = stopped(own, str(reason), session.text_of(own)) if is_stopped else failure
            self._finish_own(session, outcome)
        turn = session.mailbox.current
        if turn is not None:
            if client.error is None or turn.stop_reason:
                self._finish(session, stopped(turn, str(reason), session.text_of(turn)))
            elif client.is_undelivered:
                # It has not reached the process: another one gets it. The backoff counts how often.
                if client.has_written:
                    session.leave_unheard(turn)
                    self._core.save(session)
                self._host.journal.turns.put_back(self._turns.put_back(session, str(client.error)).id)
            else:
                self._finish(session, Failed(kind or FailureKind.CRASHED, str(client.error)))
        elif reason is EndReason.START_FAILED and (head := session.mailbox.head) is not None:
            if kind is FailureKind.RESUME_TARGET_MISSING:
                self._core.leave_conversation(session)
                session.forget_context()
                self._detached.begin_anew(head)
                self._core.save(session)
                self._core.publish(past.ContextLost, session)
            else:
                # A client that never became ready is not blindly started again: the waiting turn fails with the reason.
                self._turns.drop(session, head, Failed(kind or FailureKind.START_FAILED, str(client.error)))

    def _give_up(self, session: Session) -> None:
        """Several clients in a row have ended badly: waiting turns fail instead of being tried again."""
        words = f"{session.backoff.failures} clients of this session ended badly in a row; a new prompt tries once more"
        self._detached.end(session, words)
        for turn in tuple(session.mailbox):
            self._turns.drop(session, turn, Failed(FailureKind.CRASH_LOOP, words))

    def question_put(self, slot: Slot) -> None:
        if slot.state is SlotState.BUSY:
            slot.move(SlotState.ASKING)
            slot.asking_since = self._clock.steady()
        self._core.touch(slot.session)

    def question_over(self, slot: Slot) -> None:
        session = slot.session
        if session is not None and not session.questions:
            slot.asking_since = None
            if slot.state is SlotState.ASKING:
                slot.move(SlotState.BUSY)
        self._core.touch(session)

    def start_lost(self, session: Session, turn: Turn, why: str) -> None:
        """No disk can hold that the turn begins: it must not, and its client is interrupted before it writes."""
        if session.mailbox.current is turn:
            self._circuit.fail_turn(session, FailureKind.ENGINE, f"its start cannot be recorded ({why})")
