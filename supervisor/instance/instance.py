"""One agent on duty: its sessions, its pool, its state. It takes the dispatcher's steps and hears its clients.

Everything here is synchronous. Awaiting is done by the clients' own tasks, which are handed to `spawn`.
"""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Iterator

import anyio

from supervisor.api import events as past
from supervisor.api.types import FailureKind, InstanceState, SessionKey, SlotState
from supervisor.clock import Clock
from supervisor.config.restrictions import describe_walls
from supervisor.config.templates import Template
from supervisor.instance import circuit_breaker, detached_turns
from supervisor.instance.clients import Clients
from supervisor.instance.shared import HostContext
from supervisor.instance.turns import Turns
from supervisor.process.client import EndReason
from supervisor.process.connection import Connector
from supervisor.scheduling.admission import Shortage, find_own_shortage, is_over_budget
from supervisor.scheduling.circuit_state import Park
from supervisor.scheduling.dispatcher import (
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
    in_fair_order,
)
from supervisor.scheduling.memory_reserve import Reserve
from supervisor.scheduling.pool_size import count_spares_wanted
from supervisor.sessions.backoff import Backoff
from supervisor.sessions.open_questions import OpenQuestions
from supervisor.sessions.pool import Pool
from supervisor.sessions.records import record_session
from supervisor.sessions.session import Session
from supervisor.sessions.slot import Slot
from supervisor.sessions.turn import Turn

MOST_PLACED = 50
"""Sessions whose turn could begin, up to which each is told its place in the queue."""
FIRST_TOKENS = 100
"""Turns that the median of the first-token time is taken from."""


class Instance:
    """Owns its sessions and its slots; whoever changes them calls `kick` afterwards."""

    def __init__(self, template: Template, connector: Connector, host: HostContext) -> None:
        self.template = template
        self.walls = describe_walls(template)
        """What its clients cannot reach, in words. Nothing that can be changed while it runs changes it."""
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
        self.backoff = Backoff()
        """Over all sessions: when clients end badly in a row the pool parks."""
        self.spare_backoff = Backoff()
        """No new spare for a while after one that could not be started, or died unused."""
        self.park = Park()
        self.parked_until_at: float | None = None
        """Unix seconds, for people."""
        self.drain_deadline: float | None = None
        """Steady seconds; what still runs then is interrupted."""
        self.drain_deadline_at: float | None = None
        """The same moment in Unix seconds, for people."""
        self.turns = Turns(self, host)
        self.clients = Clients(self, connector, host)
        self._host = host
        self._is_kicking = False
        self._places: dict[SessionKey, int] = {}
        self._brakes_from = 0.0
        self.reserve = Reserve(connector.expected_bytes)
        self.shortage = Shortage()
        host.room.add(self)

    def __repr__(self) -> str:
        return f"<Instance {self.name} {self.state}, {len(self.sessions)} sessions, {self.pool!r}>"

    # Questions about it

    @property
    def clock(self) -> Clock:
        return self._host.clock

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
        return min(self.template.pool.idle_ttl, self._host.settings.agent_ttl)

    @property
    def outlook(self) -> Outlook:
        return Outlook(
            state=self.state,
            now=self.clock.steady(),
            parked_for=self.park.kind or self.park.tries,
            is_recording=not self._host.recording_fails,
            shortage=self.shortage.why,
        )

    @property
    def pending_questions(self) -> OpenQuestions:
        return self._host.pending_questions

    @property
    def is_place_wanted(self) -> bool:
        """Somebody waits for a place that one of this instance's clients has."""
        return self.lacks_client or self._host.room.is_wanted

    @property
    def keeps_queue(self) -> bool:
        return self._host.keeps_queue

    def place_of(self, session: Session) -> int | None:
        """1 is next among all whose turn could begin; None when it is held up by something of its own, and in a queue
        so long (`MOST_PLACED`) that nobody counts."""
        return self._places.get(session.key)

    @property
    def stall_after(self) -> float:
        """Seconds of silence after which a running turn is shown as stalled."""
        return self._host.settings.stall_after

    @property
    def turn_limit(self) -> int:
        """Turns that may run in parallel now."""
        if self.park.trial is None:
            return self.max_sessions
        others = sum(map(self._tries_nothing, self.turns.running))
        return min(self.max_sessions, others + self.park.trial)

    def _tries_nothing(self, session: Session) -> bool:
        """Its turn does not show whether all is well: it ran before, waits for a human, or stands still."""
        turn = session.running
        ran_before = turn is not None and turn.started_steady < self.park.opened_at
        return ran_before or bool(session.questions) or session.is_stalled

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
        if self.state not in (InstanceState.RUNNING, InstanceState.DRAINING) or self._host.recording_fails:
            return
        now = self.clock.steady()
        for session in self.turns.ready:
            if session.slot is None and not session.backoff.holds(now):
                yield session

    @property
    def memory_budget(self) -> int | None:
        """Bytes all its clients may use; None when only the host's budget counts."""
        return self.template.pool.memory_budget

    @property
    def server_remark(self) -> str:
        """Which MCP servers its clients go without, or wait for; mostly empty."""
        broken = sorted({str(server) for slot in self.pool for server in slot.servers if server.is_broken})
        awaited = sorted({name for slot in self.pool for name in slot.awaited_servers})
        parts = [f"MCP server {', '.join(broken)}"] if broken else []
        parts += [f"waits for MCP server {', '.join(awaited)}"] if awaited else []
        return "; ".join(parts)

    @property
    def memory_remark(self) -> str:
        """What an operator should know about its memory budgets; mostly empty."""
        return self._host.room.remark(self)

    def note_shortage(self) -> None:
        """Keeps why its sessions find no room, for whoever shows it."""
        why = self._host.room.explain(self, has_free_turn=has_free_turn(self.pool, self.turn_limit))
        if self.shortage.note(why, self._host.clock.steady()):
            for session in self.turns.ready:
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
        return len(self.pool) == 0 and self.turns.is_empty

    @property
    def max_sessions(self) -> int:
        """Turns in parallel, at most."""
        return self.template.concurrency.max_sessions

    def apply(self, template: Template) -> None:
        """The same template with other limits; what is compiled into clients must not differ. `kick` afterwards."""
        self.template = template
        self.pool.max_clients = template.client_limit
        self._host.feed.touch_instance(self.name)

    # Sessions and turns

    def make_session(self, key: SessionKey, *, leaves_none_behind: bool = False) -> Session:
        """A session that is not on the books yet: `open_session` puts it there."""
        session = Session(key, self._host.clock, self._host.journal)
        session.leaves_none_behind = leaves_none_behind
        return session

    def open_session(self, session: Session) -> Session:
        self.add_session(session)
        self.keep(session)
        self.publish(past.SessionOpened, session)
        return session

    def add_session(self, session: Session) -> None:
        self.sessions[session.key] = session
        self.touch(session)

    def keep(self, session: Session) -> None:
        """Records how it stands."""
        self._host.journal.keep_session(record_session(session))

    def remove_session(self, session: Session) -> None:
        """Takes it off the books, and what it has on disk away. It must have neither turns nor a client."""
        del self.sessions[session.key]
        ttl = 0.0 if session.leaves_none_behind else self.template.workspace_ttl
        self._host.eraser.forget(session.key, session.uuid, session.workspace, ttl)
        self.turns.forget(session)
        self.publish(past.SessionClosed, session)
        self.touch(session)

    def discard(self, slot: Slot) -> None:
        """A spare that was never used has ended: no session will come for what it has on disk."""
        if slot.turns or slot.resume:
            return
        self._host.eraser.discard(SessionKey(self.name, "", ""), slot.uuid, slot.workspace, 0.0)

    def leave_conversation(self, session: Session, slot: Slot | None = None) -> None:
        """The session goes on without its conversation so far: in that of `slot`, or in one that is still to begin."""
        uuid = session.uuid if slot is None or slot.uuid != session.uuid else ""
        workspace = session.workspace if slot is not None and slot.workspace != session.workspace else None
        if uuid or workspace is not None:
            self._host.eraser.discard(session.key, uuid, workspace, self.template.workspace_ttl)

    def disk_bytes(self, session: Session) -> int:
        """Of its workspace and its conversation, as last measured."""
        disk = self._host.disk
        return disk.of_session.get(session.uuid, 0) if disk is not None else 0

    def stop_turn(self, session: Session, reason: str) -> bool:
        """Interrupts the running turn; False when none runs."""
        slot = session.slot
        turns = [turn for turn in (session.own, session.mailbox.current) if turn is not None]
        if not turns or slot is None or slot.client is None:
            return detached_turns.end_away(self, session, reason)
        for turn in turns:
            turn.stop_reason = turn.stop_reason or reason
        slot.client.interrupt()
        return True

    def set_drain_deadline(self, steady: float | None, left: float = 0.0) -> None:
        self.drain_deadline = steady
        self.drain_deadline_at = None if steady is None else self._host.clock.wall() + left

    def set_state(self, state: InstanceState, note: str = "") -> None:
        if (state, note) == (self.state, self.note):
            return
        self.state, self.note = state, note
        self.publish(past.InstanceChanged, state=state, note=note)
        self._host.feed.touch_instance(self.name)
        for session in self.sessions.values():
            if len(session.mailbox):
                self._host.feed.touch_session(session.key)

    def close_when_empty(self) -> None:
        """A drain or a kill is over when there are neither turns nor processes."""
        if self.state is InstanceState.DRAINING and self.is_empty:
            self.set_drain_deadline(None)
            self.set_state(InstanceState.DRAINED, "resume opens it again")
        elif self.state is InstanceState.KILLING and self.is_empty:
            self.set_state(InstanceState.STOPPED, "resume opens it again")

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
                        self.clients.adopt(session, slot)
                    case Open(session):
                        self.clients.open(session)
                    case OpenSpare():
                        self.clients.open(None)
                    case Evict(slot):
                        self.pool.evictions += 1
                        self.clients.end(slot, EndReason.EVICTED)
                    case Recycle(slot):
                        self.clients.end(slot, EndReason.RECYCLED)
        finally:
            self._is_kicking = False
        self._number_places()
        self.note_brakes()
        self.note_shortage()
        self.close_when_empty()
        self._host.feed.touch_instance(self.name)

    def _number_places(self) -> None:
        """Counts again who is next, and has those looked at who have moved up or down."""
        order = self.turns.ready
        if len(order) > 1:
            order = tuple(in_fair_order(self._scene())) if len(order) <= MOST_PLACED else ()
        before, self._places = self._places, {session.key: place for place, session in enumerate(order, start=1)}
        for key in before.keys() | self._places.keys():
            if before.get(key) != self._places.get(key):
                self._host.feed.touch_session(key)

    @property
    def _spares_wanted(self) -> int:
        wanted = count_spares_wanted(self.pool, self.template.spares_wanted, self.template.pool.min_clients)
        if self.pool.spares >= wanted:
            return wanted  # nothing to be done: the house is not asked
        is_held = self.spare_backoff.holds(self.clock.steady()) or self.pool.has_spare_leaving
        is_calm = not is_held and self.park.trial is None
        if not is_calm or self._host.room.is_wanted:
            return 0
        return wanted

    def _scene(self) -> Scene:
        spares = self._spares_wanted
        # Bytes are added up only where a client might be opened: not on the way of a prompt to its own, warm one.
        needs_room = self.lacks_client or self.pool.spares < spares
        return Scene(
            state=self.state,
            pool=self.pool,
            digest=self.clients.connector.digest,
            is_recording=not self._host.recording_fails,
            max_sessions=self.turn_limit,
            ready=self.turns.ready,
            now=self.clock.steady(),
            may_open=needs_room and self._host.room.find_shortage(self) is None,
            is_over_budget=is_over_budget(self),
            spares_wanted=spares,
            last_served=self.turns.last_served,
        )

    def _begin(self, session: Session, slot: Slot) -> None:
        assert slot.client is not None, "a READY slot has a client"
        acquisition = self._count_acquisition(slot, session)
        turn = self.turns.begin(session)
        slot.move(SlotState.BUSY)
        recorded = anyio.Event()

        def give_up(why: str) -> None:
            if session.mailbox.current is turn:
                circuit_breaker.fail_turn(self, session, FailureKind.ENGINE, f"its start cannot be recorded ({why})")

        self._host.journal.start_turn(turn.id, self.clock.wall(), recorded.set, give_up)
        slot.client.send(turn.words, turn.uuid, recorded, is_command=turn.is_command)
        waited = self._host.clock.steady() - turn.queued_steady
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

    # Ending

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
            for session in self.turns.ready:
                self.touch(session)
            self.kick()

    def note_brakes(self) -> None:
        """Remembers the earliest time at which a brake lets go."""
        now = self.clock.steady()
        brakes = (self.spare_backoff, *(session.backoff for session in self.turns.ready))
        held = [backoff.until for backoff in brakes if backoff.holds(now)]
        self._brakes_from = min(held, default=0.0)

    # Telling

    def touch(self, session: Session | None) -> None:
        feed = self._host.feed
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
        self._host.feed.publish(what(at=self._host.clock.wall(), **{**ids, **facts}))  # type: ignore[arg-type]
