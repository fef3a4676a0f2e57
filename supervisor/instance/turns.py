"""The turns of one instance, from being taken in to their one outcome, and what the journal is told of each."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import uuid4

from supervisor.api import events as past
from supervisor.api.errors import JournalFailed, Suspended
from supervisor.api.ids import new_id
from supervisor.api.keys import SessionKey
from supervisor.api.outcomes import Cancelled, Interrupted, Outcome
from supervisor.api.prompts import Prompt, Source
from supervisor.api.states import InstanceState
from supervisor.instance.core import InstanceCore
from supervisor.instance.stimuli import Handle, HoldOver, OutcomeRecorded, OutcomeReplaced, PromptRecorded
from supervisor.process.end_reason import EndReason
from supervisor.sessions.records import record_turn
from supervisor.sessions.session import Session
from supervisor.sessions.spending import accounts_of
from supervisor.sessions.turn import Turn

COMPACT = "/compact"
"""The CLI's command that puts a summary in the place of the conversation so far."""


class Turns:
    """The turns of one instance: waiting, free to begin, running. Every turn enters once and leaves once."""

    def __init__(self, core: InstanceCore, handle: Handle) -> None:
        """`handle` is given what the journal has done with a turn."""
        self.waiting = 0
        """Turns queued in all sessions."""
        self.waiting_text = 0
        """Characters of their prompts."""
        self._core = core
        self._host = core.host
        self._handle = handle
        self._ready: dict[SessionKey, Session] = {}
        self._running: dict[SessionKey, Session] = {}
        self._beginning: set[str] = set()
        """Ids of turns that begin when they are recorded (`Turn.begins_when_recorded`)."""
        self._last_served: dict[str, int] = {}
        self._served = 0

    @property
    def ready(self) -> tuple[Session, ...]:
        """Sessions with a turn waiting and none running."""
        return tuple(self._ready.values())

    @property
    def any_ready(self) -> bool:
        return bool(self._ready)

    @property
    def running(self) -> tuple[Session, ...]:
        """Sessions with a turn running."""
        return tuple(self._running.values())

    @property
    def is_empty(self) -> bool:
        return self.waiting == 0 and not self._running

    @property
    def last_served(self) -> Mapping[str, int]:
        """User → number of the latest start that was theirs."""
        return self._last_served

    def put(self, session: Session, turn: Turn) -> None:
        """Queues a turn. It counts, and may begin, from when it is recorded."""
        if self._core.template.output is not None and turn.is_prompt:
            turn.expect_form()
        if not turn.is_recorded:
            # Before anything is changed: a value that cannot be noted has changed nothing then.
            record = record_turn(turn, leaves_none_behind=session.leaves_none_behind)
            is_next = (
                not len(session.mailbox)
                and not (turn.replays or turn.is_held)
                and self._may_begin_at_once(session, turn)
            )
            if is_next:  # accepted and begun in one transaction
                record = record._replace(started_at=self._host.clock.wall())
            self._host.journal.turns.accept(record, lambda error: self._handle(PromptRecorded(session, turn, error)))
            if is_next:
                turn.begins_when_recorded = True
                self._beginning.add(turn.id)
        turn.queued_steady = self._host.clock.steady()
        session.mailbox.put(turn)
        self._count(turn, 1)
        if turn.is_recorded:
            self.note_recorded(session, turn, None)
        else:
            # It may be first now, and is not ready: what goes before all others keeps the session back until it is.
            self.note_readiness(session)

    def note_recorded(self, session: Session, turn: Turn, error: JournalFailed | None) -> None:
        """The journal's answer about a prompt. Recorded, the turn counts from here on; with an error it was refused,
        and nothing of it is left."""
        self._beginning.discard(turn.id)
        is_next = session.mailbox.head is turn and self._may_begin_at_once(session, turn)
        if turn.begins_when_recorded and turn in session.mailbox and error is None and not is_next:
            # Something came first. It counts once its record says that it waits: until then a kill makes it one that
            # was interrupted.
            turn.begins_when_recorded = False
            self._host.journal.turns.put_back(turn.id, lambda: self._handle(PromptRecorded(session, turn, None)))
            return
        if turn.when_recorded is not None:
            turn.when_recorded(error is None)
        if turn not in session.mailbox:
            # Withdrawn in the meantime: it was accepted all the same, or refused.
            turn.note_recorded() if error is None else turn.withdraw(error)
            return
        if error is not None:
            self._take_out(session, turn)
            turn.withdraw(error)
        else:
            turn.note_recorded()
            self._core.publish(past.TurnQueued, session, turn, source=turn.prompt.source, route=turn.prompt.route)
            if turn.is_held:
                self._hold(session, turn)
        self.note_readiness(session)
        if error is not None and session.is_blank:
            self._core.remove_session(session)

    def _hold(self, session: Session, turn: Turn) -> None:
        """Puts it to the operator, who is told by the answer's deadline too whether it may run."""
        words, ttl = turn.held_for or "what may be spent in a day was reached", self._core.template.question_ttl
        self._host.pending_questions.ask_about_budget(
            session, turn.id, words, ttl, lambda refused: self._handle(HoldOver(session, turn, refused))
        )

    def end_hold(self, session: Session, turn: Turn, refused: str) -> None:
        """The operator lets a turn run, or not."""
        if not turn.is_held or turn not in session.mailbox:
            return  # withdrawn in the meantime
        turn.is_held = False
        if refused:
            self.drop(session, turn, Cancelled(refused))
            return
        self._host.journal.turns.release(turn.id)
        self.note_readiness(session)

    def _may_begin_at_once(self, session: Session, turn: Turn) -> bool:
        """Whether only the record keeps the session's next turn from its own, warm client. What the scheduler will do
        with it is then certain."""
        core, slot = self._core, session.slot
        is_free = session.running is None and slot is not None and slot.is_ready and not slot.is_outgrown
        if not is_free or slot is None:
            return False
        wanted = core.plan_for(turn.prompt) if turn.is_prompt else core.plan_of(session)
        is_free = wanted.held_for is None and core.connector_of(wanted.choice).digest == slot.digest
        is_on = core.state is InstanceState.RUNNING and core.park.trial is None and not self._host.recording_fails
        has_place = core.pool.running + len(self._beginning) < core.max_sessions
        return is_free and is_on and has_place and not self._ready

    def _count(self, turn: Turn, step: int) -> None:
        self.waiting += step
        self.waiting_text += step * len(turn.prompt.text)

    def _take_out(self, session: Session, turn: Turn) -> None:
        session.mailbox.withdraw(turn)
        self._count(turn, -1)

    def suspend(self, session: Session, turn: Turn) -> None:
        """Leaves a turn that waits to the next run: the journal has it."""
        self._take_out(session, turn)
        self._host.pending_questions.lose_about(session, turn.id)
        turn.withdraw(Suspended("bullpen stops: the prompt is kept, and runs when it starts again"))
        self._core.publish(past.TurnSuspended, session, turn)
        self.note_readiness(session)

    def drop(self, session: Session, turn: Turn, outcome: Outcome) -> None:
        """Ends a turn that waits."""
        session.drop(turn, outcome)
        if turn.begins_when_recorded:
            self._host.journal.turns.put_back(turn.id)
        self._count(turn, -1)
        self._host.pending_questions.lose_about(session, turn.id)
        self._host.pending_questions.approvals.note_turn_over(session, turn.id)
        self._record_end(turn, outcome)
        self._core.publish(past.TurnFinished, session, turn, outcome=outcome)
        self.note_readiness(session)
        self._core.remove_when_over(session)

    def begin(self, session: Session) -> Turn:
        """Makes the head of a ready session the running turn."""
        turn = session.begin()
        self._count(turn, -1)
        self._running[session.key] = session
        self._served += 1
        self._last_served[session.key.user] = self._served
        self._ready.pop(session.key, None)
        return turn

    def was_begun_on_record(self, turn: Turn) -> bool:
        """Whether the turn's only record says that it begins, so that its start need not be recorded. Clears that
        mark."""
        was_begun, turn.begins_when_recorded = turn.begins_when_recorded, False
        return was_begun

    def put_compaction(self, session: Session) -> Turn:
        """Queues the command that shortens the session's conversation, before all that waits in it."""
        key = session.key
        prompt = Prompt(key.instance, COMPACT, key.user, key.session, Source.ENGINE)
        turn = Turn(new_id(), str(uuid4()), key, prompt, session.conversation, at=self._host.clock.wall())
        self.put(session, turn)
        return turn

    def begin_own(self, session: Session, why: str) -> Turn:
        """Takes in a turn that the session's client has begun by itself: a turn like others, but without a caller."""
        key, now = session.key, self._host.clock.wall()
        prompt = Prompt(key.instance, f"(begun by the agent itself: {why})", key.user, key.session, Source.AGENT)
        turn = Turn(new_id(), str(uuid4()), key, prompt, session.conversation, at=now, is_recorded=True)
        turn.queued_steady = self._host.clock.steady()
        session.begin_own(turn)
        self._running[session.key] = session
        record = record_turn(turn, leaves_none_behind=session.leaves_none_behind)
        self._host.journal.turns.accept(record, lambda error: None)
        self._host.journal.turns.start(turn.id, now, lambda: None)
        self._core.publish(past.TurnStarted, session, turn, waited=0.0, acquisition="hot")
        self.note_readiness(session)
        return turn

    def finish_own(self, session: Session, outcome: Outcome) -> None:
        """Ends the turn that the session's client began by itself."""
        turn = session.finish_own(outcome)
        if session.mailbox.current is None:
            del self._running[session.key]
        self._note_end(session, turn, outcome)

    def finish(self, session: Session, outcome: Outcome) -> None:
        """Ends the running turn."""
        turn = session.finish(outcome)
        if session.own is None:
            del self._running[session.key]
        self._note_end(session, turn, outcome)

    def _note_end(self, session: Session, turn: Turn, outcome: Outcome) -> None:
        self._host.pending_questions.approvals.note_turn_over(session, turn.id)
        self._record_end(turn, outcome)
        if isinstance(outcome, Interrupted):
            self.leave_to_next_run(session, turn)
        self._core.save(session)
        self._core.turn_seconds.append(self._host.clock.steady() - turn.started_steady)
        heard = turn.first_text_steady
        first_token = heard - turn.started_steady if heard is not None else None
        self._core.publish(past.TurnFinished, session, turn, outcome=outcome, first_token=first_token)
        self.note_readiness(session)

    def _record_end(self, turn: Turn, outcome: Outcome) -> None:
        now = self._core.clock.wall()
        if usage := getattr(outcome, "usage", None):
            self._host.today.add(usage, now)
            self._host.feed.touch_host()
        accounts = accounts_of(turn.key, turn.prompt.user, turn.served)
        self._host.spending.add(accounts, outcome, now)
        for event in self._host.look_at_budgets(accounts):
            self._host.feed.publish(event)
        self._host.journal.turns.end(
            turn.id,
            now,
            outcome,
            lambda: self._handle(OutcomeRecorded(turn)),
            lambda replacement: self._handle(OutcomeReplaced(turn, replacement)),
            served=turn.served,
        )

    def leave_to_next_run(self, session: Session, turn: Turn) -> None:
        """A turn that is interrupted because this run ends is offered by the next one, as after a crash: the unanswered
        prompt is cut from the conversation before it is sent again."""
        if turn.stop_reason != EndReason.STOPPING or not self._host.keeps_queue or session.leaves_none_behind:
            return
        if turn.prompt.source in (Source.AGENT, Source.ENGINE):
            return
        now = self._core.clock.wall()
        session.drop_turns = (turn.first_uuid, *session.drop_turns)
        self._host.journal.turns.offer(turn.id, session.key, now, now + self._core.template.question_ttl)

    def put_back(self, session: Session, reason: str) -> Turn:
        """Makes the running turn wait again, before all others."""
        turn = session.put_back()
        del self._running[session.key]
        self._count(turn, 1)
        self._core.publish(past.TurnPutBack, session, turn, reason=reason)
        return turn

    def note_readiness(self, session: Session) -> None:
        """Keeps the list of sessions that could start a turn, and since when nothing but the pool keeps them. Of one in
        which nothing runs any more the text is let go of."""
        if session.mailbox.is_ready:
            self._ready[session.key] = session
            head = session.mailbox.head
            if head is not None and head.eligible_steady is None:
                head.eligible_steady = self._host.clock.steady()
        else:
            self._ready.pop(session.key, None)
            session.fade()
        self._core.touch(session)

    def forget_users(self) -> None:
        """Drops the turn-taking state of users who have no session any more."""
        known = {key.user for key in self._core.sessions}
        self._last_served = {user: number for user, number in self._last_served.items() if user in known}
