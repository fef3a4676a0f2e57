"""Takes the steps that the dispatcher names until there is none, and keeps what follows: places, shortages, the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from supervisor.api.keys import SessionKey
from supervisor.api.snapshot import Limit
from supervisor.api.states import InstanceState, WhyWaiting
from supervisor.instance.beginnings import Beginnings
from supervisor.instance.clients import Clients
from supervisor.instance.core import InstanceCore
from supervisor.instance.dormancy import Dormancy
from supervisor.instance.limits import find_limit
from supervisor.instance.rollout import Rollout
from supervisor.instance.stimuli import Handle
from supervisor.instance.turns import Turns
from supervisor.process.end_reason import EndReason
from supervisor.scheduling.admission import Shortage, find_own_shortage, find_own_wake_shortage, is_over_budget
from supervisor.scheduling.dispatcher import (
    Adopt,
    Begin,
    Decision,
    Evict,
    Open,
    OpenSpare,
    Outlook,
    Recycle,
    Roll,
    Scene,
    Sleep,
    Wake,
    decide,
    has_free_turn,
    in_fair_order,
)
from supervisor.scheduling.memory_reserve import Reserve, RunningLedger
from supervisor.scheduling.pool_size import count_spares_wanted
from supervisor.sessions.pool import Pool
from supervisor.sessions.session import Session
from supervisor.sessions.slot import Slot

MOST_PLACED = 50
"""Sessions whose turn could begin, up to which each is told its place in the queue."""


class Scheduler:
    """Carries out the dispatcher's decisions for one instance, and represents it where room on the host is shared out
    (`admission.Tenant`).

    `run` is called by `Instance.handle` alone, after everything that happens.
    """

    def __init__(
        self,
        core: InstanceCore,
        turns: Turns,
        clients: Clients,
        rollout: Rollout,
        dormancy: Dormancy,
        handle: Handle,
    ) -> None:
        """`handle` is given what becomes of the record that a turn begins."""
        self._beginnings = Beginnings(core, turns, handle)
        self.reserve = Reserve(core.connector.expected_bytes)
        """What one more client is expected to need."""
        self.ledger = RunningLedger(core.pool, self.reserve)
        self.shortage = Shortage()
        self.kept_asleep = Shortage()
        """Why the first of its clients that sleep with a turn waiting is not woken."""
        self.limit: Limit | None = None
        """Which limit its turns wait for (`limits.find_limit`)."""
        self._waking = 0
        """Clients that woke when it was looked last."""
        self._core = core
        self._host = core.host
        self._turns = turns
        self._clients = clients
        self._rollout = rollout
        self._dormancy = dormancy
        self._places: dict[SessionKey, int] = {}
        core.host.room.add(self)

    # Questions about room

    @property
    def pool(self) -> Pool:
        return self._core.pool

    @property
    def memory_budget(self) -> int | None:
        """Bytes all its clients may use; None when only the host's budget counts."""
        return self._core.template.pool.memory_budget

    @property
    def memory_remark(self) -> str:
        """What an operator should know about the instance's memory budgets; mostly empty."""
        return self._host.room.remark(self)

    @property
    def lacks_client(self) -> bool:
        """A session waits for a client that could be started for it now."""
        return self._turns.any_ready and next(self._without_client(), None) is not None

    @property
    def waits_since(self) -> float | None:
        """Steady seconds: since when a session waits for a client that its own pool and budget would allow."""
        if not self.lacks_client or not has_free_turn(self.pool, self.turn_limit) or self._own_shortage:
            return None
        heads = [session.mailbox.head for session in self._without_client()]
        return min(head.eligible_steady or 0.0 for head in heads if head is not None)

    @property
    def _own_shortage(self) -> WhyWaiting | None:
        return find_own_shortage(self, self._host.room.most_waking)

    @property
    def waits_to_wake(self) -> tuple[float, Slot] | None:
        """See `admission.Tenant`."""
        if not self.pool.dormant or self.pool.running >= self.turn_limit:
            return None
        waiting = [(session.mailbox.head, session.slot) for session in self._asleep()]
        found = [(head.eligible_steady or 0.0, slot) for head, slot in waiting if head is not None and slot is not None]
        first = min(found, key=lambda one: one[0], default=None)
        return None if first is None or find_own_wake_shortage(self, first[1]) is not None else first

    def find_sleeper(self) -> Slot | None:
        """See `admission.Tenant`."""
        return self._dormancy.find_sleeper()

    @property
    def is_place_wanted(self) -> bool:
        """A session waits for a place, a turn or the memory that one of this instance's clients has."""
        return self.lacks_client or self._host.room.is_wanted or self._is_kept_waiting

    @property
    def _is_kept_waiting(self) -> bool:
        """A session waits though it has a client that is free: as many turns run as may, or there is no memory to wake
        it."""
        slots = [one.slot for one in self._able() if one.slot is not None]
        is_soon = self.kept_asleep.why is WhyWaiting.WAKING
        return any(slot.takes_prompts or (slot.is_dormant and not is_soon) for slot in slots)

    @property
    def has_found_room(self) -> bool:
        """Whether the instance wants to start or wake a client, and the host has room for it now."""
        asleep = self.waits_to_wake
        if asleep is not None and self._host.room.find_wake_shortage(self, asleep[1]) is None:
            return True
        is_short = self.waits_since is not None or self._wants_spare or self._rollout.successor is not None
        return is_short and self._host.room.find_host_shortage(self) is None

    @property
    def _wants_spare(self) -> bool:
        is_short = self.pool.has_room and self.pool.spares < self._spares_wanted
        return is_short and self._core.state is InstanceState.RUNNING

    def _without_client(self) -> Iterator[Session]:
        """Sessions that ask for room. One whose turn waits for something else does not: others get the place
        meanwhile."""
        now = self._core.clock.steady()
        return (one for one in self._able() if one.slot is None and not one.backoff.holds(now))

    def _asleep(self) -> Iterator[Session]:
        """Sessions that could begin a turn if their own client did not sleep."""
        return (one for one in self._able() if one.slot is not None and one.slot.is_dormant)

    def _able(self) -> Iterator[Session]:
        """Sessions whose waiting turn lacks nothing but a client."""
        on_duty = (InstanceState.RUNNING, InstanceState.DRAINING, InstanceState.PARKED)
        if self._core.state not in on_duty or self._host.recording_fails:
            return
        is_held = self._is_held
        if is_held is None and self._core.state is InstanceState.PARKED:
            return
        for session in self._turns.ready:
            if not (is_held and is_held(session)):
                yield session

    # Questions about turns

    @property
    def is_empty(self) -> bool:
        """Neither turns nor processes."""
        return len(self.pool) == 0 and self._turns.is_empty

    @property
    def turn_limit(self) -> int:
        """Turns that may run in parallel now."""
        park = self._core.park
        if park.trial is None:
            return self._core.max_sessions
        others = sum(map(self._tries_nothing, self._turns.running))
        return min(self._core.max_sessions, others + park.trial)

    def _tries_nothing(self, session: Session) -> bool:
        """Whether the session's turn cannot show if all is well: it ran before, waits for a human, or stands still."""
        turn = session.running
        ran_before = turn is not None and turn.started_steady < self._core.park.opened_at
        if turn is not None and turn.served not in ("", self._core.provider):
            return True
        return ran_before or bool(session.questions) or session.is_stalled

    @property
    def outlook(self) -> Outlook:
        """The reasons outside the session that may keep a turn waiting."""
        park = self._core.park
        return Outlook(
            state=self._core.state,
            now=self._core.clock.steady(),
            parked_for=park.kind or park.tries,
            is_recording=not self._host.recording_fails,
            shortage=self.shortage.why,
            kept_asleep=self.kept_asleep.why,
            held_for=None if self._is_held is None else lambda session: self._core.plan_of(session).held_for,
        )

    @property
    def _is_held(self) -> Callable[[Session], bool] | None:
        """Says of a session whether its provider takes no turns; None in the usual case, in which no provider is parked
        or every turn has the instance's own."""
        core = self._core
        if core.state is not InstanceState.PARKED and not self._host.parks.any:
            return None
        return lambda session: core.plan_of(session).held_for is not None

    def place_of(self, session: Session) -> int | None:
        """1 is next among all whose turn could begin; None when it is held up by something of its own, and in a queue
        longer than `MOST_PLACED`, which is not numbered."""
        return self._places.get(session.key)

    def scene(self) -> Scene:
        """A snapshot of all that the next decision depends on."""
        spares = self._spares_wanted
        # Bytes are added up only where a client might be opened: not on the way of a prompt to its own, warm one.
        successor = self._rollout.successor
        needs_room = self.lacks_client or successor is not None or self.pool.spares < spares
        why = self._host.room.find_shortage(self) if needs_room else None
        return Scene(
            state=self._core.state,
            pool=self.pool,
            wanted=lambda session: self._core.connector_for(session).digest,
            is_recording=not self._host.recording_fails,
            max_sessions=self.turn_limit,
            ready=self._turns.ready,
            now=self._core.clock.steady(),
            may_open=needs_room and why is None,
            frees_by_sleep=why is WhyWaiting.MEMORY and self._keeps_enough,
            find_wake_shortage=lambda slot: self._host.room.find_wake_shortage(self, slot),
            find_sleeper=self._dormancy.find_sleeper,
            is_over_budget=is_over_budget(self),
            spares_wanted=spares,
            may_roll=self._rollout.may_go_on,
            successor=successor,
            is_held=self._is_held,
            last_served=self._turns.last_served,
        )

    @property
    def _keeps_enough(self) -> bool:
        """Whether one more sleeper needs no more memory kept free for waking clients."""
        room = self._host.room
        return room.keeps_enough if self._own_shortage is None else self.pool.dormant >= room.most_waking

    @property
    def _spares_wanted(self) -> int:
        template = self._core.template
        wanted = count_spares_wanted(self.pool, template.spares_wanted, template.pool.min_clients)
        if self.pool.spares >= wanted:
            return wanted  # nothing to be done: the host is not asked
        is_held = self._core.spare_backoff.holds(self._core.clock.steady()) or self.pool.has_spare_leaving
        is_calm = not is_held and self._core.park.trial is None
        if not is_calm or self._host.room.is_wanted:
            return 0
        return wanted

    # Taking steps

    def run(self) -> None:
        """Takes every step that can be taken now."""
        scene = self.scene()
        while (decision := decide(scene)) is not None:
            self._take(decision)
            scene = self.scene()
        self._note(scene)

    def look_again(self) -> None:
        """Counts places and notes shortages again, where no step can have become possible."""
        self._note(None)

    def _note(self, scene: Scene | None) -> None:
        self._number_places(scene)
        self._note_backoff()
        self._note_shortage()
        self._note_limit()
        self._note_waking(scene)
        self._rollout.note_end()
        self._close_when_empty()

    def warm(self, session: Session) -> bool:
        """Resumes the session though nothing waits in it: its user is about to write. False when it is warm already,
        has no conversation or a turn on offer, or when what others need comes first."""
        core, now = self._core, self._core.clock.steady()
        slot = session.slot
        is_asleep = slot is not None and slot.is_dormant and not slot.is_stale
        is_cold = is_asleep or (slot is None and session.has_history)
        is_cold = is_cold and not session.is_closing and session.offer is None
        # A client that sleeps is of use to its own session alone.
        is_calm = is_asleep or not self._turns.waiting
        is_calm = is_calm and not self._host.room.is_wanted and core.park.trial is None
        is_on = core.state is InstanceState.RUNNING and not self._host.recording_fails
        if not (is_cold and is_calm and is_on):
            return False
        if slot is not None:
            may_wake = self._host.room.find_wake_shortage(self, slot) is None
            if may_wake:
                self._dormancy.wake(slot)
            return may_wake
        if not self.pool.has_room or session.backoff.holds(now):
            return False
        if is_over_budget(self) or self._host.room.find_shortage(self) is not None:
            return False
        self._clients.open(session)
        return True

    def _take(self, decision: Decision) -> None:
        match decision:
            case Begin(session, slot):
                self._beginnings.begin(session, slot)
            case Wake(session, slot):
                self._dormancy.wake(slot)
                self._beginnings.begin(session, slot, is_woken=True)
            case Sleep(slot):
                self._dormancy.sleep(slot)
            case Adopt(session, slot):
                self._clients.adopt(session, slot)
            case Open(session):
                self._clients.open(session)
                self._rollout.note_opened(session)
            case OpenSpare():
                self._clients.open(None)
            case Evict(slot):
                self._clients.evict(slot)
            case Recycle(slot):
                self._clients.end(slot, EndReason.RECYCLED)
            case Roll(slot):
                self._rollout.roll(slot)

    def _number_places(self, scene: Scene | None) -> None:
        """Counts again who is next, and has those looked at who have moved up or down."""
        if not (self._places or self._turns.any_ready):
            return
        order = self._turns.ready
        if len(order) > 1:
            order = tuple(in_fair_order(scene or self.scene())) if len(order) <= MOST_PLACED else ()
        before, self._places = self._places, {session.key: place for place, session in enumerate(order, start=1)}
        for key in before.keys() | self._places.keys():
            if before.get(key) != self._places.get(key):
                self._host.feed.touch_session(key)

    def _note_backoff(self) -> None:
        """A session whose backoff has let go waits for another reason now."""
        waiting = self._core.backing_off
        if not waiting:
            return
        now = self._core.clock.steady()
        for session in [one for one in waiting.values() if not one.backoff.holds(now)]:
            del waiting[session.key]
            if self._core.sessions.get(session.key) is session:
                self._core.touch(session)

    def _note_shortage(self) -> None:
        """Keeps why its sessions find no room, for the rows that show it."""
        if not (self._turns.any_ready or self.shortage.why):
            return  # mostly nothing waits, and nothing did
        why = self._host.room.explain(self, has_free_turn=has_free_turn(self.pool, self.turn_limit))
        if self.shortage.note(why, self._core.clock.steady()):
            for session in self._turns.ready:
                self._core.touch(session)

    def _note_limit(self) -> None:
        """Keeps which limit its turns wait for, for its row: other instances change what all of them have together."""
        limit = find_limit(self._core, self._turns)
        if limit != self.limit:
            self.limit = limit
            self._core.touch(None)

    def _note_waking(self, scene: Scene | None) -> None:
        """The same for those whose client sleeps; and has other instances look when one of its own wakes no more."""
        why = None
        if self.pool.dormant and (asleep := set(self._asleep())):
            scene = scene or self.scene()
            if self.pool.running < scene.max_sessions:
                first = next(session.slot for session in in_fair_order(scene) if session in asleep)
                why = self._host.room.find_wake_shortage(self, first) if first is not None else None
        if (why or self.kept_asleep.why) and self.kept_asleep.note(why, self._core.clock.steady()):
            for session in self._turns.ready:
                self._core.touch(session)
        before, self._waking = self._waking, self.pool.waking
        if self._waking < before:
            self._host.when_woken(self)

    def _close_when_empty(self) -> None:
        """A drain or a kill is over when there are neither turns nor processes."""
        core = self._core
        if core.state is InstanceState.DRAINING and self.is_empty:
            core.set_drain_deadline(None)
            core.set_state(InstanceState.DRAINED)
        elif core.state is InstanceState.KILLING and self.is_empty:
            core.set_state(InstanceState.STOPPED)
