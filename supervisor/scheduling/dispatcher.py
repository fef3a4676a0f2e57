"""Who runs next, on which client, and who makes room. Pure and synchronous: nothing here awaits or changes anything.

`decide` looks at a `Scene` and names one step; the scheduler takes it and asks again, until there is none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from supervisor.api.outcomes import FailureKind
from supervisor.api.prompts import Source
from supervisor.api.states import InstanceState, SlotState, WhyWaiting
from supervisor.scheduling.admission import find_memory
from supervisor.sessions.pool import Pool
from supervisor.sessions.session import Session
from supervisor.sessions.slot import Slot


class Begin(NamedTuple):
    """Write the session's next prompt to its own, connected client."""

    session: Session
    slot: Slot


class Wake(NamedTuple):
    """Wake the session's own client, and write the next prompt to it at once."""

    session: Session
    slot: Slot


class Sleep(NamedTuple):
    """Put an idle client to sleep: its memory is wanted, and not its place."""

    slot: Slot


class Adopt(NamedTuple):
    """Give a spare to a session that has no conversation yet. It may still be starting, or sleep."""

    session: Session
    slot: Slot


class Open(NamedTuple):
    """Reserve a place and start a client for the session, with `resume` when it has a conversation."""

    session: Session


class OpenSpare(NamedTuple):
    """Start a client without a session: a spare."""


class Evict(NamedTuple):
    """End an idle client; its session hibernates."""

    slot: Slot


class Recycle(NamedTuple):
    """End a client that has outgrown its memory ceiling; its session's next turn starts a fresh one."""

    slot: Slot


class Roll(NamedTuple):
    """End a client that was started with options which are not wanted any more; the next one has those that are."""

    slot: Slot


Decision = Begin | Wake | Sleep | Adopt | Open | OpenSpare | Evict | Recycle | Roll


class Scene(NamedTuple):
    """Everything that a decision depends on."""

    state: InstanceState
    pool: Pool
    wanted: Callable[[Session | None], str]
    """Digest of the options that a client of the session would be started with now; of a spare for None."""
    max_sessions: int
    """Turns in parallel, at most."""
    ready: Iterable[Session]
    """Sessions with a turn waiting and none running."""
    now: float = 0.0
    """Steady seconds."""
    is_recording: bool = True
    """The journal can be written: what cannot be recorded is not begun."""
    may_open: bool = True
    """Its own memory budget, and the host's count and bytes, allow one more client."""
    frees_by_sleep: bool = True
    """Where there is no room for one more client, memory is what is short, and putting idle ones to sleep helps."""
    find_wake_shortage: Callable[[Slot], WhyWaiting | None] = lambda slot: None
    """What keeps a client asleep, its turn waiting; None when it may be woken."""
    find_sleeper: Callable[[], Slot | None] = lambda: None
    """The idle client to put to sleep where memory is short; None where there is none, or that brings none back."""
    is_over_budget: bool = False
    """Its clients have grown above its memory budget."""
    spares_wanted: int = 0
    may_roll: bool = False
    """The client that was rolled last has gone, and the one in its place is ready: the next idle one may follow."""
    successor: Session | None = None
    """The session whose idle client was rolled, until it has the next one. Nothing waits in it."""
    is_held: Callable[[Session], bool] | None = None
    """Whether the session's next turn waits for its provider, which takes none now. None where a parked instance holds
    all of them, and no other provider is parked."""
    last_served: Mapping[str, int] | None = None
    """User → number of the instance's latest start that was theirs; absent: never."""


KEPT_FOR = 5.0
"""Seconds from the start of a client during which a turn is kept for the session that it was started for, when others
are warm but come after it. A start takes half a second to seconds; one that hangs does not hold up all others."""

_ON_DUTY = (SlotState.RESERVED, SlotState.STARTING, SlotState.WAKING, SlotState.BUSY, SlotState.ASKING)
_STARTING_ALLOWED = (InstanceState.RUNNING, InstanceState.DRAINING)


def decide(scene: Scene) -> Decision | None:
    """The next step, or None when there is nothing to do until something happens."""
    pool = scene.pool
    # 1. A pool over its cap (it was scaled down) or over its memory budget gives up what is idle.
    is_over_cap = len(pool) - pool.closing > pool.max_clients
    if is_over_cap and (victim := pool.find_victim()):
        return Evict(victim)
    if scene.is_over_budget and (step := _free_memory(scene)):
        return step
    # 2. A client above its hard ceiling is ended when its turn is over, whether or not a turn waits for its place.
    if overdue := pool.find_overdue():
        return Recycle(overdue)
    may_go_on = scene.state in _STARTING_ALLOWED or (scene.state is InstanceState.PARKED and scene.is_held is not None)
    if not may_go_on or not scene.is_recording:
        return None
    waiting_for_room = 0
    is_one_kept_asleep = False
    kept_turns = 0
    if pool.running < scene.max_sessions:
        order = _may_begin(scene, in_fair_order(scene))
        for position, session in enumerate(order):
            slot = session.slot
            # Turns that are kept for those before whose client is on its way: nothing that is warm overtakes them.
            is_kept_for_others = pool.running + kept_turns >= scene.max_sessions
            if slot is not None:
                # 3. Its own client, warm or on its way, has options that are not wanted any more: no turn begins there.
                is_idle = slot.is_coming or slot.is_dormant or slot.takes_prompts
                if is_idle and slot.digest != scene.wanted(session):
                    return Roll(slot)
                if slot.is_coming and scene.now - slot.opened_at < KEPT_FOR:
                    kept_turns += 1
                if slot.is_dormant and not is_one_kept_asleep and not is_kept_for_others:
                    # Its own client sleeps: one signal and one write. None is woken before one that waits longer.
                    if (why := scene.find_wake_shortage(slot)) is None:
                        return Wake(session, slot)
                    is_one_kept_asleep = True
                    if why is WhyWaiting.MEMORY:
                        waiting_for_room += 1
                        step = _make_room(scene, waiting_for_room, order[position + 1 :], frees_by_sleep=True)
                        if step is not None:
                            return step
                if not slot.takes_prompts or is_kept_for_others:
                    continue
                # 4. Its own client is warm, and has outgrown its soft ceiling: a fresh one goes on.
                if slot.is_outgrown:
                    return Recycle(slot)
                # 5. Its own client is warm: one write.
                return Begin(session, slot)
            if session.backoff.holds(scene.now):
                continue
            # 6. It has no conversation yet: any spare will do, adopted with its id and workspace.
            if not session.has_history and (spare := pool.find_spare(scene.wanted(session))):
                return Adopt(session, spare)
            # Clients on their way to a waiting session will run as well: no more are started than may.
            if not has_free_turn(pool, scene.max_sessions):
                continue
            # 7. There is room for one more client.
            if pool.has_room and scene.may_open:
                return Open(session)
            # 8. Room must be made. Clients already leaving make room for the first who wait.
            waiting_for_room += 1
            later = order[position + 1 :]
            if step := _make_room(scene, waiting_for_room, later, frees_by_sleep=scene.frees_by_sleep):
                return step
            if _is_room_coming(scene, waiting_for_room, frees_by_sleep=scene.frees_by_sleep):
                kept_turns += 1
    # What follows is for turns that are still to come: it waits until none waits for room.
    if waiting_for_room > 0 or scene.state is not InstanceState.RUNNING:
        return None
    has_room = pool.has_room and scene.may_open
    # 9. Whose idle client was rolled gets the next one, as warm as the last; not in the place of one that waits.
    heir = scene.successor
    may_follow = heir is not None and has_room and not heir.backoff.holds(scene.now)
    if heir is not None and may_follow and pool.free_places > sum(1 for _ in _without_client(scene)):
        return Open(heir)
    # 10. Keep spares warm for the next ones; not while one waits that a spare does not serve.
    if has_room and pool.spares < scene.spares_wanted and next(_without_client(scene), None) is None:
        return OpenSpare()
    # 11. Idle clients with options that are not wanted any more are replaced, one after the other.
    if scene.may_roll and (stale := pool.find_stale()) is not None:
        return Roll(stale)
    return None


def _make_room(scene: Scene, waiting: int, later: list[Session], *, frees_by_sleep: bool) -> Evict | Sleep | None:
    """For the last of so many sessions that wait for room; `later` are those whose turn comes after. Clients that leave
    already, or fall asleep, make room for the first of them."""
    pool = scene.pool
    if _is_room_coming(scene, waiting, frees_by_sleep=frees_by_sleep):
        return None
    step = _free_memory(scene) if frees_by_sleep else _free_place(pool)
    # Also a warm client whose session has more to say, when that session's turn is later than this one: otherwise one
    # session's queue would keep its place for ever. A client that was started for a turn runs that turn first: ended
    # before, its start would have been for nothing.
    if step is None and (last := _last_ready(later)) is not None:
        return Evict(last)
    return step


def _is_room_coming(scene: Scene, waiting: int, *, frees_by_sleep: bool) -> bool:
    """Whether room is coming for the last of these sessions that wait for it."""
    pool = scene.pool
    return waiting <= pool.closing + (pool.falling_asleep if frees_by_sleep else 0)


def _may_begin(scene: Scene, sessions: Iterable[Session]) -> list[Session]:
    """Sessions whose provider takes turns."""
    is_held = scene.is_held
    return [session for session in sessions if is_held is None or not is_held(session)]


def _without_client(scene: Scene) -> Iterator[Session]:
    """Sessions that wait for a client of their own, now or as soon as a turn is free; not those that a spare serves."""
    for session in _may_begin(scene, scene.ready):
        lacks_client = session.slot is None and not session.backoff.holds(scene.now)
        if lacks_client and (session.has_history or scene.wanted(session) != scene.wanted(None)):
            yield session


def _free_place(pool: Pool) -> Evict | Sleep | None:
    victim = pool.find_victim()
    return Evict(victim) if victim is not None else None


def _free_memory(scene: Scene) -> Evict | Sleep | None:
    found = find_memory([scene.pool], [scene.find_sleeper])
    if found is None:
        return None
    return Sleep(found.slot) if found.may_sleep else Evict(found.slot)


def in_fair_order(scene: Scene) -> list[Session]:
    """Ready sessions, whose turn it is first.

    The operator, who came to help, goes before callers. Among those the user with fewest running turns is first, then
    the one served longest ago, then the oldest turn.

    Inside an employee's queue the mailbox has its own order; among sessions, urgency goes before fairness.
    """
    ready = list(scene.ready)
    if len(ready) < 2:
        return ready
    running: dict[str, int] = {}
    for slot in scene.pool.in_state(*_ON_DUTY):
        if slot.session is not None and (slot.has_turn or not slot.is_waking):
            user = slot.session.key.user
            running[user] = running.get(user, 0) + 1
    served = scene.last_served or {}

    def rank(session: Session) -> tuple[int, bool, int, int, float]:
        user = session.key.user
        head = session.mailbox.head
        assert head is not None, "a ready session has a head"
        own = 1 if session.slot is not None and session.slot.is_coming else 0
        return (
            int(head.prompt.priority),
            head.prompt.source is not Source.OPERATOR,
            running.get(user, 0) - own,
            served.get(user, -1),
            head.queued_steady,
        )

    return sorted(ready, key=rank)


class Outlook(NamedTuple):
    """The reasons outside a session that may keep its turn waiting."""

    state: InstanceState
    now: float
    """Steady seconds."""
    parked_for: FailureKind | None = None
    """Why the pool has stopped itself, or why it lets only some turns go first."""
    is_recording: bool = True
    """The journal can be written."""
    shortage: WhyWaiting | None = None
    """What keeps the instance from one more client (`admission.Shortage`)."""
    kept_asleep: WhyWaiting | None = None
    """What keeps the first of its clients asleep that has a turn waiting."""
    held_for: Callable[[Session], FailureKind | None] | None = None
    """Why the provider of a session's next turn takes none; None where the state of the instance says it of all."""


def explain(session: Session, outlook: Outlook) -> WhyWaiting | None:
    """Why the session's next turn waits; None when none does. The same answer for every reader."""
    state = outlook.state
    mailbox = session.mailbox
    if not len(mailbox):
        return None
    slot = session.slot
    if mailbox.head is not None and mailbox.head.is_detached:
        return WhyWaiting.QUESTION
    if mailbox.head is not None and mailbox.head.is_held and session.running is None:
        return WhyWaiting.BUDGET
    if session.running is not None:
        if slot is not None and slot.state is SlotState.ASKING:
            return WhyWaiting.QUESTION
        return WhyWaiting.SESSION_BUSY if session.own is None else WhyWaiting.SELF_BEGUN
    if slot is not None and slot.is_resting:
        return WhyWaiting.SESSION_BUSY
    if state is InstanceState.PAUSED:
        return WhyWaiting.PAUSED
    parked = WhyWaiting.RATE_LIMIT if outlook.parked_for is FailureKind.RATE_LIMIT else WhyWaiting.PARKED
    if outlook.held_for is not None:
        if (kind := outlook.held_for(session)) is not None:
            return WhyWaiting.RATE_LIMIT if kind is FailureKind.RATE_LIMIT else WhyWaiting.PARKED
    elif state is InstanceState.PARKED:
        return parked
    if not outlook.is_recording:
        return WhyWaiting.DISK
    if slot is not None and (slot.is_coming or slot.is_leaving):
        return WhyWaiting.STARTING
    if slot is None and mailbox.is_ready and session.backoff.holds(outlook.now):
        return WhyWaiting.BACKING_OFF
    if state not in (InstanceState.RUNNING, InstanceState.PARKED):
        return WhyWaiting.DRAINING
    if outlook.parked_for is not None and state is InstanceState.RUNNING:
        return parked
    if slot is not None and slot.is_dormant:
        return outlook.kept_asleep or WhyWaiting.NO_SLOT
    return outlook.shortage or WhyWaiting.NO_SLOT


def has_free_turn(pool: Pool, max_sessions: int) -> bool:
    """Whether one more turn may run, besides those that run and those whose client is being started or woken."""
    return pool.running + pool.expected < max_sessions


def _last_ready(later: list[Session]) -> Slot | None:
    """The warm client of the session that is furthest from its turn, among those that have had one."""
    slots = (session.slot for session in reversed(later))
    return next((slot for slot in slots if slot is not None and slot.is_ready and slot.turns > 0), None)
