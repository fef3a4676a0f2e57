"""One agent on duty: its sessions, its pool, its state. It takes the dispatcher's steps and hears its clients.

Everything here is synchronous. Awaiting is done by the clients' own tasks, which are handed to `spawn`.
"""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import anyio

from supervisor import away, parking
from supervisor import events as past
from supervisor.admission import Shortage, find_own_shortage, is_over_budget
from supervisor.brake import Brake
from supervisor.client import Client, EndReason
from supervisor.clock import Clock
from supervisor.connection import Connector, Launch, ToolRequest, Verdict
from supervisor.dispatcher import (
    Adopt,
    Begin,
    Evict,
    Open,
    OpenSpare,
    Outlook,
    Recycle,
    Scene,
    decide,
    has_free_turn,
)
from supervisor.errors import JournalFailed, Suspended
from supervisor.hearing import Hearing
from supervisor.house import House
from supervisor.journal import ClientRecord
from supervisor.model import (
    InstanceState,
    Interrupted,
    Outcome,
    SessionKey,
    SlotState,
)
from supervisor.park import Park
from supervisor.permissions import QuestionDesk
from supervisor.pool import Pool
from supervisor.recording import record_session, record_turn
from supervisor.reserve import Reserve
from supervisor.session import Session
from supervisor.sizing import count_spares_wanted
from supervisor.slot import Slot
from supervisor.templates import Template
from supervisor.turn import Turn

FIRST_TOKENS = 100
"""Turns that the median of the first-token time is taken from."""


class Instance:
    """Owns its sessions and its slots; whoever changes them calls `kick` afterwards."""

    def __init__(self, template: Template, connector: Connector, house: House) -> None:
        self.template = template
        self.name = template.name
        self.archetype = template.archetype
        self.pool = Pool(template.client_limit)
        self.sessions: dict[SessionKey, Session] = {}
        self.state = InstanceState.RUNNING
        self.note = ""
        self.first_tokens: deque[float] = deque(maxlen=FIRST_TOKENS)
        self.turn_seconds: deque[float] = deque(maxlen=FIRST_TOKENS)
        self.waits: deque[float] = deque(maxlen=FIRST_TOKENS)
        """Seconds from submit to start."""
        self.starts: deque[float] = deque(maxlen=FIRST_TOKENS)
        """Seconds from reserving a client to its being connected."""
        self.waiting_trend: deque[int] = deque(maxlen=60)
        self.brake = Brake()
        """Over all sessions: when clients end badly in a row the pool parks."""
        self.spare_brake = Brake()
        """No new spare for a while after one that could not be started, or died unused."""
        self.park = Park()
        self.parked_until_at: float | None = None
        """Unix seconds, for people."""
        self.drain_deadline: float | None = None
        """Steady seconds; what still runs then is interrupted."""
        self.drain_deadline_at: float | None = None
        """The same moment in Unix seconds, for people."""
        self._connector = connector
        self._house = house
        self.waiting = 0
        """Turns queued in all sessions."""
        self._ready: dict[SessionKey, Session] = {}
        self._running: dict[SessionKey, Session] = {}
        self._last_served: dict[str, int] = {}
        self._served = 0
        self._numbers = 0
        self._is_kicking = False
        self._brakes_from = 0.0
        self._hearing = Hearing(self, house)
        self.reserve = Reserve(connector.expected_bytes)
        self.shortage = Shortage()
        house.room.add(self)

    def __repr__(self) -> str:
        return f"<Instance {self.name} {self.state}, {len(self.sessions)} sessions, {self.pool!r}>"

    # Questions about it

    @property
    def clock(self) -> Clock:
        return self._house.clock

    @property
    def active_sessions(self) -> int:
        return len(self._running)

    @property
    def running(self) -> tuple[Session, ...]:
        """Sessions with a turn running."""
        return tuple(self._running.values())

    @property
    def first_token_p50(self) -> float | None:
        return statistics.median(self.first_tokens) if self.first_tokens else None

    @property
    def typical_turn(self) -> float:
        """Seconds a turn takes: the median of the last ones; 5 before there are any."""
        return statistics.median(self.turn_seconds) if self.turn_seconds else 5.0

    @property
    def idle_ttl(self) -> float:
        """Seconds a client may be idle before its session hibernates."""
        return min(self.template.pool.idle_ttl, self._house.settings.agent_ttl)

    @property
    def outlook(self) -> Outlook:
        return Outlook(
            self.state, self.clock.steady(), self.park.kind, not self._house.recording_fails, self.shortage.why
        )

    @property
    def desk(self) -> QuestionDesk:
        return self._house.desk

    @property
    def is_place_wanted(self) -> bool:
        """Somebody waits for a place that one of this instance's clients has."""
        return self.lacks_client or self._house.room.is_wanted

    @property
    def keeps_queue(self) -> bool:
        return self._house.keeps_queue

    @property
    def stall_after(self) -> float:
        """Seconds of silence after which a running turn is shown as stalled."""
        return self._house.settings.stall_after

    @property
    def turn_limit(self) -> int:
        """Turns that may run in parallel now."""
        return min(self.max_sessions, self.park.trial or self.max_sessions)

    @property
    def lacks_client(self) -> bool:
        """A session waits for a client that could be started for it now."""
        return next(self._without_client(), None) is not None

    @property
    def waits_since(self) -> float | None:
        """Steady seconds: since when a session waits for a client that its own pool and budget would allow."""
        if not self.lacks_client or not has_free_turn(self.pool, self.turn_limit) or find_own_shortage(self):
            return None
        heads = [session.mailbox.head for session in self._without_client()]
        return min(head.eligible_steady or 0.0 for head in heads if head is not None)

    def _without_client(self) -> Iterator[Session]:
        """Who asks for room. One that waits for something else does not: others get the place meanwhile."""
        if self.state not in (InstanceState.RUNNING, InstanceState.DRAINING) or self._house.recording_fails:
            return
        now = self.clock.steady()
        for session in self._ready.values():
            if session.slot is None and not session.brake.holds(now):
                yield session

    @property
    def memory_budget(self) -> int | None:
        """Bytes all its clients may use; None when only the host's budget counts."""
        return self.template.pool.memory_budget

    @property
    def memory_remark(self) -> str:
        """What an operator should know about its memory budgets; mostly empty."""
        return self._house.room.remark(self)

    def note_shortage(self) -> None:
        """Keeps why its sessions find no room, for whoever shows it."""
        why = self._house.room.explain(self, has_free_turn=has_free_turn(self.pool, self.turn_limit))
        if self.shortage.note(why, self._house.clock.steady()):
            for session in self._ready.values():
                self.touch(session)

    @property
    def wants_spare(self) -> bool:
        """It would keep one more client for whoever comes next."""
        is_short = self.pool.has_room and self.pool.spares < self._spares_wanted
        return is_short and self.state is InstanceState.RUNNING

    @property
    def is_accepting(self) -> bool:
        return self.state in (InstanceState.RUNNING, InstanceState.PAUSED, InstanceState.PARKED)

    @property
    def is_empty(self) -> bool:
        """Neither turns nor processes."""
        return len(self.pool) == 0 and self.waiting == 0 and self.active_sessions == 0

    @property
    def ready(self) -> tuple[Session, ...]:
        """Sessions with a turn waiting and none running."""
        return tuple(self._ready.values())

    @property
    def max_sessions(self) -> int:
        """Turns in parallel, at most."""
        return self.template.concurrency.max_sessions

    def apply(self, template: Template) -> None:
        """The same template with other limits; what is compiled into clients must not differ. `kick` afterwards."""
        self.template = template
        self.pool.max_clients = template.client_limit
        self._house.feed.touch_instance(self.name)

    # Sessions and turns

    def open_session(self, key: SessionKey, *, leaves_none_behind: bool = False) -> Session:
        session = Session(key, self._house.clock, self._house.journal)
        session.leaves_none_behind = leaves_none_behind
        self.add_session(session)
        self.keep(session)
        self.publish(past.SessionOpened, session)
        return session

    def add_session(self, session: Session) -> None:
        self.sessions[session.key] = session
        self.touch(session)

    def keep(self, session: Session) -> None:
        """Records how it stands."""
        self._house.journal.keep_session(record_session(session))

    def remove_session(self, session: Session) -> None:
        """Takes it off the books. It must have neither turns nor a client."""
        del self.sessions[session.key]
        self._house.journal.forget_session(session.key)
        self._ready.pop(session.key, None)
        if not any(other.user == session.key.user for other in self.sessions):
            self._last_served.pop(session.key.user, None)
        self.publish(past.SessionClosed, session)
        self.touch(session)

    def put(self, session: Session, turn: Turn) -> None:
        """Queues a turn. It counts, and may begin, from when it is recorded."""
        turn.queued_steady = self._house.clock.steady()
        session.mailbox.put(turn)
        self.waiting += 1
        if turn.is_recorded:
            self._note_recorded(session, turn, None)
        else:
            record = record_turn(turn, leaves_none_behind=session.leaves_none_behind)
            self._house.journal.accept_turn(record, lambda error: self._note_recorded(session, turn, error))
            self.touch(session)

    def _note_recorded(self, session: Session, turn: Turn, error: JournalFailed | None) -> None:
        if turn not in session.mailbox:
            # Withdrawn in the meantime: it was accepted all the same, or refused.
            turn.note_recorded() if error is None else turn.withdraw(error)
            return
        if error is not None:
            self._take_out(session, turn)
            turn.withdraw(error)
            if session.is_blank:
                self.remove_session(session)
                return
        else:
            turn.note_recorded()
            self.publish(past.TurnQueued, session, turn, source=turn.prompt.source)
        self.note_readiness(session)
        self.kick()

    def _take_out(self, session: Session, turn: Turn) -> None:
        session.mailbox.withdraw(turn)
        self.waiting -= 1

    def suspend(self, session: Session, turn: Turn) -> None:
        """Leaves a turn that waits to the next run: the journal has it."""
        self._take_out(session, turn)
        turn.withdraw(Suspended("bullpen stops: the prompt is kept, and runs when it starts again"))
        self.publish(past.TurnSuspended, session, turn)
        self.note_readiness(session)

    def drop(self, session: Session, turn: Turn, outcome: Outcome) -> None:
        """Ends a turn that waits."""
        session.drop(turn, outcome)
        self.waiting -= 1
        self._house.journal.end_turn(turn.id, self.clock.wall(), outcome, turn.note_outcome_recorded)
        self.publish(past.TurnFinished, session, turn, outcome=outcome)
        self.note_readiness(session)
        self.forget_call(session)

    def stop_turn(self, session: Session, reason: str) -> bool:
        """Interrupts the running turn; False when none runs."""
        turn, slot = session.mailbox.current, session.slot
        if turn is None or slot is None or slot.client is None:
            return away.end_away(self, session, reason)
        turn.stop_reason = turn.stop_reason or reason
        slot.client.interrupt()
        return True

    def note_readiness(self, session: Session) -> None:
        """Keeps the list of sessions that could start a turn, and since when nothing but the pool keeps them."""
        if session.mailbox.is_ready:
            self._ready[session.key] = session
            head = session.mailbox.head
            if head is not None and head.eligible_steady is None:
                head.eligible_steady = self._house.clock.steady()
        else:
            self._ready.pop(session.key, None)
        self.touch(session)

    def end_client(self, slot: Slot, reason: EndReason) -> None:
        """Sends a slot on its way out. What runs on it becomes interrupted when it is gone."""
        if slot.is_leaving or slot.client is None:
            return
        turn = slot.session.mailbox.current if slot.session is not None else None
        if turn is not None:
            turn.stop_reason = turn.stop_reason or str(reason)
        slot.move(SlotState.CLOSING)
        self._house.feed.touch_client(slot.id)
        slot.client.end(reason)
        self.touch(slot.session)

    def set_drain_deadline(self, steady: float | None, left: float = 0.0) -> None:
        self.drain_deadline = steady
        self.drain_deadline_at = None if steady is None else self._house.clock.wall() + left

    def set_state(self, state: InstanceState, note: str = "") -> None:
        if (state, note) == (self.state, self.note):
            return
        self.state, self.note = state, note
        self.publish(past.InstanceChanged, state=state, note=note)
        self._house.feed.touch_instance(self.name)
        for session in self.sessions.values():
            if len(session.mailbox):
                self._house.feed.touch_session(session.key)

    def close_when_empty(self) -> None:
        """A drain or a kill is over when there are neither turns nor processes."""
        if self.state is InstanceState.DRAINING and self.is_empty:
            self.set_drain_deadline(None)
            self.set_state(InstanceState.DRAINED, "drained: resume opens it again")
        elif self.state is InstanceState.KILLING and self.is_empty:
            self.set_state(InstanceState.STOPPED, "killed: resume opens it again")

    # Taking steps

    def kick(self) -> None:
        """Takes every step that can be taken now. Call it after anything that may allow one."""
        if self._is_kicking:
            return
        self._is_kicking = True
        try:
            while (decision := decide(self._scene())) is not None:
                match decision:
                    case Begin(session, slot):
                        self._begin(session, slot)
                    case Adopt(session, slot):
                        self._adopt(session, slot)
                    case Open(session):
                        self._open(session)
                    case OpenSpare():
                        self._open(None)
                    case Evict(slot):
                        self.pool.evictions += 1
                        self.end_client(slot, EndReason.EVICTED)
                    case Recycle(slot):
                        self.end_client(slot, EndReason.RECYCLED)
        finally:
            self._is_kicking = False
        self.note_brakes()
        self.note_shortage()
        self.close_when_empty()
        self._house.feed.touch_instance(self.name)

    @property
    def _spares_wanted(self) -> int:
        is_calm = not self.spare_brake.holds(self.clock.steady()) and self.park.trial is None
        if not is_calm or self._house.room.is_wanted:
            return 0
        return count_spares_wanted(self.pool, self.template.spares_wanted, self.template.pool.min_clients)

    def _scene(self) -> Scene:
        spares = self._spares_wanted
        # Bytes are added up only where a client might be opened: not on the way of a prompt to its own, warm one.
        needs_room = self.lacks_client or self.pool.spares < spares
        return Scene(
            state=self.state,
            pool=self.pool,
            digest=self._connector.digest,
            is_recording=not self._house.recording_fails,
            max_sessions=self.turn_limit,
            ready=self._ready.values(),
            now=self.clock.steady(),
            may_open=needs_room and self._house.room.find_shortage(self) is None,
            is_over_budget=is_over_budget(self),
            spares_wanted=spares,
            last_served=self._last_served,
        )

    def _begin(self, session: Session, slot: Slot) -> None:
        assert slot.client is not None, "a READY slot has a client"
        acquisition = self._count_acquisition(slot, session)
        turn = session.begin()
        self.waiting -= 1
        self._running[session.key] = session
        slot.move(SlotState.BUSY)
        self._served += 1
        self._last_served[session.key.user] = self._served
        self._ready.pop(session.key, None)
        recorded = anyio.Event()
        self._house.journal.start_turn(turn.id, self.clock.wall(), recorded.set)
        slot.client.send(turn.words, turn.uuid, recorded)
        waited = self._house.clock.steady() - turn.queued_steady
        self.waits.append(waited)
        self.publish(past.TurnStarted, session, turn, waited=waited, acquisition=acquisition)
        self.touch(session)

    def _count_acquisition(self, slot: Slot, session: Session) -> str:
        turn = session.mailbox.head
        assert turn is not None, "a turn waits"
        if slot.turns > 0:
            self.pool.hot += 1
            return "hot"
        was_warm = slot.idle_since <= turn.queued_steady
        if was_warm:
            self.pool.adopted += 1
            return "spare"
        self.pool.cold += 1
        return "cold"

    def _open(self, session: Session | None) -> None:
        resume = session is not None and session.has_history
        uuid = session.uuid if session is not None and resume else str(uuid4())
        workspace = session.workspace if session is not None and session.workspace is not None else None
        self._numbers += 1
        slot = Slot(
            f"{self.name}-{self._numbers}",
            uuid,
            workspace or self._workspace_for(uuid),
            self._connector.digest,
            resume=resume,
            at=self._house.clock.wall(),
        )

        async def ask(request: ToolRequest) -> Verdict:
            return await self._hearing.ask(slot, request)

        slot.mark = f"{self._house.mark}:{slot.id}"
        launch = Launch(
            client_id=slot.id,
            mark=slot.mark,
            session_uuid=uuid,
            resume=resume,
            workspace=slot.workspace,
            drop_turns=session.drop_turns if session is not None and resume else (),
            is_unanswered=session is None or not session.is_answered,
            ask=ask,
        )
        slot.client = Client(
            slot, self._connector.open(launch), self._hearing, self._house.deadlines, self._house.starts
        )
        self.pool.add(slot)
        # Before it is started: whatever becomes of this process, the next run can find and end it.
        self.note_client(slot)
        if session is not None:
            self._adopt(session, slot)
        self._house.feed.touch_client(slot.id)
        self._house.spawn(slot.client)
        self.touch(session)

    def _adopt(self, session: Session, slot: Slot) -> None:
        session.adopt(slot)
        self.keep(session)
        self.note_client(slot)
        self.touch(session)

    def note_client(self, slot: Slot) -> None:
        """Records its processes' names: mark, pid and start time, as far as they are known."""
        key = slot.session.key if slot.session is not None else None
        self._house.journal.note_client(
            ClientRecord(slot.id, slot.mark, slot.pid, slot.process_started, slot.uuid, key)
        )

    def _workspace_for(self, uuid: str) -> Path:
        # Ids from outside never name a directory: the session's own random id does (S3.3–5).
        if self.template.workspace == "private":
            return self._house.workspaces / self.name / uuid
        return (self.template.path.parent / self.template.workspace).resolve()

    # Ending

    def finish(self, session: Session, outcome: Outcome) -> None:
        turn = session.finish(outcome)
        del self._running[session.key]
        self._house.journal.end_turn(turn.id, self.clock.wall(), outcome, turn.note_outcome_recorded)
        if isinstance(outcome, Interrupted):
            self.leave_to_next_run(session, turn)
        self.keep(session)
        parking.note_outcome(self, session, outcome)
        self.turn_seconds.append(self._house.clock.steady() - turn.started_steady)
        self.publish(past.TurnFinished, session, turn, outcome=outcome)
        self.note_readiness(session)

    def leave_to_next_run(self, session: Session, turn: Turn) -> None:
        """A turn that is interrupted because this run ends is offered by the next one, as after a crash: the unanswered
        prompt is cut from the conversation before it is sent again."""
        if turn.stop_reason != EndReason.STOPPING or not self._house.keeps_queue or session.leaves_none_behind:
            return
        now = self.clock.wall()
        session.drop_turns = (turn.uuid, *session.drop_turns)
        self._house.journal.offer_turn(turn.id, session.key, now, now + self.template.question_ttl)

    def put_back(self, session: Session, reason: str) -> Turn:
        """Makes the running turn wait again, before all others."""
        turn = session.put_back()
        del self._running[session.key]
        self.waiting += 1
        self.publish(past.TurnPutBack, session, turn, reason=reason)
        return turn

    def forget_call(self, session: Session) -> None:
        """A call that leaves nothing behind is taken off the books with its client and its last turn."""
        is_over = session.slot is None and session.mailbox.current is None and not len(session.mailbox)
        is_unwanted = session.leaves_none_behind or session.is_closing
        if is_unwanted and is_over and session.key in self.sessions:
            self.remove_session(session)

    def resume_braked(self, now: float) -> None:
        """Tries again what had to wait after a failure, once its time has come. `now` in steady seconds."""
        if self._brakes_from and now >= self._brakes_from:
            self._brakes_from = 0.0
            for session in self.ready:
                self.touch(session)
            self.kick()

    def note_brakes(self) -> None:
        """Remembers the earliest time at which a brake lets go."""
        now = self.clock.steady()
        held = [brake.until for brake in (self.spare_brake, *(one.brake for one in self.ready)) if brake.holds(now)]
        self._brakes_from = min(held, default=0.0)

    # Telling

    def touch(self, session: Session | None) -> None:
        feed = self._house.feed
        feed.touch_instance(self.name)
        if session is not None:
            feed.touch_session(session.key)
            if session.slot is not None:
                feed.touch_client(session.slot.id)

    def publish(
        self, what: type[past.Event], /, session: Session | None = None, turn: Turn | None = None, **facts: object
    ) -> None:
        ids: dict[str, object] = {"instance": self.name}
        if session is not None:
            ids |= {"user": session.key.user, "session": session.key.session}
            if session.slot is not None:
                ids["client"] = session.slot.id
        if turn is not None:
            ids["turn"] = turn.id
        self._house.feed.publish(what(at=self._house.clock.wall(), **{**ids, **facts}))  # type: ignore[arg-type]
