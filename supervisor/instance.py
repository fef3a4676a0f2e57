"""One agent on duty: its sessions, its pool, its state. It takes the dispatcher's steps and hears its clients.

Everything here is synchronous. Awaiting is done by the clients' own tasks, which are handed to `spawn`.
"""

from __future__ import annotations

import statistics
from collections import deque
from pathlib import Path
from uuid import uuid4

from supervisor import events as past
from supervisor.client import Client, EndReason
from supervisor.connection import Connector, Launch, ToolRequest, Verdict
from supervisor.dispatcher import Adopt, Begin, Evict, Open, OpenSpare, Scene, decide
from supervisor.hearing import Hearing
from supervisor.house import House
from supervisor.model import (
    Cancelled,
    Expired,
    Failed,
    InstanceState,
    Outcome,
    SessionKey,
    SlotState,
)
from supervisor.pool import Pool
from supervisor.session import Session
from supervisor.slot import Slot
from supervisor.templates import Template
from supervisor.turn import Turn

FIRST_TOKENS = 100
"""Turns that the median of the first-token time is taken from."""
SPARE_BACKOFF = (1.0, 60.0)
"""Seconds without a new spare after one could not be started: doubled each time, from, up to."""


class Instance:
    """Owns its sessions and its slots; whoever changes them calls `kick` afterwards."""

    def __init__(self, template: Template, connector: Connector, house: House) -> None:
        self.template = template
        self.name = template.name
        self.archetype = template.archetype
        self.max_sessions = template.concurrency.max_sessions
        self.pool = Pool(template.client_limit)
        self.sessions: dict[SessionKey, Session] = {}
        self.state = InstanceState.RUNNING
        self.note = ""
        self.first_tokens: deque[float] = deque(maxlen=FIRST_TOKENS)
        self.turn_seconds: deque[float] = deque(maxlen=FIRST_TOKENS)
        self.waiting_trend: deque[int] = deque(maxlen=60)
        self.drain_deadline: float | None = None
        """Steady seconds; what still runs then is interrupted."""
        self.drain_deadline_at: float | None = None
        """The same moment in Unix seconds, for people."""
        self._connector = connector
        self._house = house
        self._ready: dict[SessionKey, Session] = {}
        self._last_served: dict[str, int] = {}
        self._served = 0
        self._numbers = 0
        self.spare_pause = 0.0
        self._spares_from = 0.0
        self._is_kicking = False
        self._hearing = Hearing(self, house)
        house.room.add(self)

    def __repr__(self) -> str:
        return f"<Instance {self.name} {self.state}, {len(self.sessions)} sessions, {self.pool!r}>"

    # Questions about it

    @property
    def waiting(self) -> int:
        return sum(len(session.mailbox) for session in self.sessions.values())

    @property
    def active_sessions(self) -> int:
        return sum(session.mailbox.current is not None for session in self.sessions.values())

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
        return min(self.template.pool.idle_ttl, self._house.agent_ttl)

    @property
    def wants_room(self) -> bool:
        """A session waits for a client that its own pool would allow."""
        is_starting = self.state in (InstanceState.RUNNING, InstanceState.DRAINING)
        may_start = is_starting and self.pool.has_room and self.active_sessions < self.max_sessions
        return may_start and any(session.slot is None for session in self._ready.values())

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

    # Sessions and turns

    def open_session(self, key: SessionKey, *, leaves_none_behind: bool = False) -> Session:
        session = Session(key, self._house.clock)
        session.leaves_none_behind = leaves_none_behind
        self.sessions[key] = session
        self.publish(past.SessionOpened, session)
        return session

    def remove_session(self, session: Session) -> None:
        """Takes it off the books. It must have neither turns nor a client."""
        del self.sessions[session.key]
        self._ready.pop(session.key, None)
        if not any(other.user == session.key.user for other in self.sessions):
            self._last_served.pop(session.key.user, None)
        self.publish(past.SessionClosed, session)
        self.touch(session)

    def put(self, session: Session, turn: Turn) -> None:
        """Queues an accepted turn."""
        turn.queued_steady = self._house.clock.steady()
        session.mailbox.put(turn)
        self.publish(past.TurnQueued, session, turn, source=turn.prompt.source)
        self.note_readiness(session)
        self.kick()

    def drop(self, session: Session, turn: Turn, outcome: Cancelled | Expired | Failed) -> None:
        """Ends a turn that waits."""
        session.drop(turn, outcome)
        self.publish(past.TurnFinished, session, turn, outcome=outcome)
        self.note_readiness(session)
        self.forget_call(session)

    def stop_turn(self, session: Session, reason: str) -> bool:
        """Interrupts the running turn; False when none runs."""
        turn, slot = session.mailbox.current, session.slot
        if turn is None or slot is None or slot.client is None:
            return False
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
                        session.adopt(slot)
                        self.touch(session)
                    case Open(session):
                        self._open(session)
                    case OpenSpare():
                        self._open(None)
                    case Evict(slot):
                        self.pool.evictions += 1
                        self.end_client(slot, EndReason.EVICTED)
        finally:
            self._is_kicking = False
        self.close_when_empty()
        self._house.feed.touch_instance(self.name)

    @property
    def _spares_wanted(self) -> int:
        if not self.spares_may_start or self._house.room.is_wanted:
            return 0
        in_use = len(self.pool) - self.pool.spares
        return max(self.template.spares_wanted, self.template.pool.min_clients - in_use)

    def _scene(self) -> Scene:
        return Scene(
            state=self.state,
            pool=self.pool,
            digest=self._connector.digest,
            max_sessions=self.max_sessions,
            ready=self._ready.values(),
            has_host_room=self._house.room.is_left,
            spares_wanted=self._spares_wanted,
            last_served=self._last_served,
        )

    def _begin(self, session: Session, slot: Slot) -> None:
        assert slot.client is not None, "a READY slot has a client"
        acquisition = self._count_acquisition(slot, session)
        turn = session.begin()
        slot.move(SlotState.BUSY)
        self._served += 1
        self._last_served[session.key.user] = self._served
        self._ready.pop(session.key, None)
        slot.client.send(turn.prompt.text, turn.uuid)
        waited = self._house.clock.steady() - turn.queued_steady
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

        launch = Launch(
            client_id=slot.id,
            mark=f"{self._house.mark}:{slot.id}",
            session_uuid=uuid,
            resume=resume,
            workspace=slot.workspace,
            ask=ask,
        )
        slot.client = Client(
            slot, self._connector.open(launch), self._hearing, self._house.deadlines, self._house.starts
        )
        self.pool.add(slot)
        if session is not None:
            session.adopt(slot)
        self._house.feed.touch_client(slot.id)
        self._house.spawn(slot.client)
        self.touch(session)

    def _workspace_for(self, uuid: str) -> Path:
        # Ids from outside never name a directory: the session's own random id does (S3.3–5).
        if self.template.workspace == "private":
            return self._house.workspaces / self.name / uuid
        return (self.template.path.parent / self.template.workspace).resolve()

    # Ending

    def finish(self, session: Session, outcome: Outcome) -> None:
        turn = session.finish(outcome)
        self.turn_seconds.append(self._house.clock.steady() - turn.started_steady)
        self.publish(past.TurnFinished, session, turn, outcome=outcome)
        self.note_readiness(session)

    def forget_call(self, session: Session) -> None:
        """A call that leaves nothing behind is taken off the books with its client and its last turn."""
        is_over = session.slot is None and session.mailbox.current is None and not len(session.mailbox)
        is_unwanted = session.leaves_none_behind or session.is_closing
        if is_unwanted and is_over and session.key in self.sessions:
            self.remove_session(session)

    @property
    def spares_may_start(self) -> bool:
        """Not for a while after a spare that could not be started, or died unused."""
        return self._house.clock.steady() >= self._spares_from

    def resume_spares(self) -> None:
        """Tries again once the pause is over."""
        if self._spares_from and self.spares_may_start:
            self._spares_from = 0.0
            self.kick()

    def pause_spares(self) -> None:
        shortest, longest = SPARE_BACKOFF
        self.spare_pause = min(longest, max(shortest, self.spare_pause * 2))
        self._spares_from = self._house.clock.steady() + self.spare_pause

    # Telling

    def touch(self, session: Session | None) -> None:
        feed = self._house.feed
        feed.touch_instance(self.name)
        if session is not None:
            feed.touch_session(session.key)
            if session.slot is not None:
                feed.touch_client(session.slot.id)

    def publish(
        self, kind: type[past.Event], session: Session | None = None, turn: Turn | None = None, **facts: object
    ) -> None:
        ids: dict[str, object] = {"instance": self.name}
        if session is not None:
            ids |= {"user": session.key.user, "session": session.key.session}
            if session.slot is not None:
                ids["client"] = session.slot.id
        if turn is not None:
            ids["turn"] = turn.id
        self._house.feed.publish(kind(at=self._house.clock.wall(), **{**ids, **facts}))  # type: ignore[arg-type]
