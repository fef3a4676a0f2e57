"""What the dispatcher should have said, worked out from scratch: who is next, who is given up, and why turns wait.

The engine keeps its lists up to date with every event. Here everything is counted again from what the feed has told
and from what is shown: a list that was not brought up to date is a breach.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from supervisor.api.keys import SessionKey
from supervisor.api.outcomes import FailureKind
from supervisor.api.prompts import Source
from supervisor.api.snapshot import SessionRow, Snapshot
from supervisor.api.states import InstanceState, MemoryLevel, SlotState, WhyWaiting
from supervisor.instance.instance import Instance
from supervisor.instance.scheduler import MOST_PLACED
from supervisor.process.end_reason import EndReason
from supervisor.scheduling.dispatcher import (
    KEPT_FOR,
    Adopt,
    Begin,
    Decision,
    Evict,
    Open,
    OpenSpare,
    Recycle,
    Roll,
    Scene,
    Sleep,
    Wake,
    decide,
)
from supervisor.sessions.session import Session
from supervisor.sessions.slot import Slot
from tests.engine.model.book import Book
from tests.engine.model.stage import Stage

_COMING = (SlotState.RESERVED, SlotState.STARTING)
_WITH_TURN = (SlotState.RESERVED, SlotState.STARTING, SlotState.WAKING, SlotState.BUSY, SlotState.ASKING)


def find_steps_left(stage: Stage, patience: float) -> tuple[list[str], list[str]]:
    """What the dispatcher would do now if it were asked: what should have been done at once, and what may wait for the
    next look around, because another instance has made room for it, or because time has passed within `patience`."""
    at_once, late = [], []
    for name, instance in stage.supervisor._instances.items():
        step = decide(instance.scheduler.scene())
        if step is None:
            continue
        words = f"{name} has a step left that nobody takes: {step}"
        (late if _may_wait(step, instance, patience) else at_once).append(words)
    return at_once, late


def _may_wait(step: Decision, instance: Instance, patience: float) -> bool:
    now = instance.core.clock.steady()
    backoffs = [instance.core.spare_backoff, *(session.backoff for session in instance.sessions.values())]
    if any(now - patience <= backoff.until <= now for backoff in backoffs):
        return True
    # A turn was kept for a session whose client takes long to start: now others may have it.
    kept = [slot.opened_at + KEPT_FOR for slot in instance.pool if slot.state in _COMING and _is_needed(slot)]
    if isinstance(step, Begin | Wake) and any(now - patience <= until <= now for until in kept):
        return True
    match step:
        case Open(session):
            return instance.scheduler.shortage.why is not None or session is instance.rollout.successor
        case Wake():
            return instance.scheduler.kept_asleep.why is not None
        case OpenSpare() | Roll() | Sleep():
            return True
        case Evict():
            return instance.scheduler.kept_asleep.why is not None or instance.scheduler.shortage.why is not None
        case _:
            return False


def breaches_of_a_step(scene: Scene, step: Decision | None) -> Iterator[str]:
    """What may be given up, and what may be used, whatever the dispatcher looked at before it said so."""
    match step:
        case Evict(slot):
            yield from _breaches_of_eviction(scene, slot)
        case Recycle(slot):
            if slot.state is not SlotState.READY or slot.turns == 0 or slot.memory_level is MemoryLevel.NORMAL:
                yield f"{slot!r} is recycled: {slot.memory_level}, {slot.turns} turns"
        case Roll(slot):
            if slot.state not in (
                SlotState.READY,
                SlotState.DORMANT,
                SlotState.WAKING,
                *_COMING,
            ) or slot.digest == scene.wanted(slot.session):
                yield f"{slot!r} is rolled: it has {slot.digest}, wanted is {scene.wanted(slot.session)}"
            elif slot.state is not SlotState.DORMANT and not _is_needed(slot):
                yield from _breaches_of_rolling(scene, slot)
        case Begin(session, slot):
            if slot.digest != scene.wanted(session):
                yield f"{session!r} begins on {slot!r}, which has options that are not wanted any more"
            may_begin = slot.state in (SlotState.READY, SlotState.WAKING)
            if not may_begin or slot.session is not session or session.running is not None:
                yield f"{session!r} begins on {slot!r}"
            yield from _breaches_of_start(scene, session)
        case Wake(session, slot):
            if slot.digest != scene.wanted(session):
                yield f"{session!r} wakes {slot!r}, which has options that are not wanted any more"
            if slot.state is not SlotState.DORMANT or slot.session is not session or session.running is not None:
                yield f"{session!r} wakes {slot!r}"
            yield from _breaches_of_start(scene, session)
        case Sleep(slot):
            if slot.state is not SlotState.READY or _is_needed(slot):
                yield f"{slot!r} is put to sleep"
        case Adopt(session, slot):
            if slot.session is not None or session.slot is not None or session.has_history:
                yield f"{session!r} adopts {slot!r}"
            if slot.digest != scene.wanted(session):
                yield f"{session!r} adopts {slot!r}, which has options that are not wanted any more"
            yield from _breaches_of_start(scene, session)
        case Open(session):
            if session.slot is not None:
                yield f"{session!r} has {session.slot!r} and gets another client"
            yield from _breaches_of_start(scene, session)
        case _:
            pass


def _breaches_of_rolling(scene: Scene, slot: Slot) -> Iterator[str]:
    """One idle client at a time, and not while turns wait for a place."""
    leaving = [one for one in scene.pool if one.client is not None and one.client.reason is EndReason.ROLLED]
    rolled = [one for one in leaving if not one.is_thin]  # one that slept has no successor to wait for
    if idle := [one for one in rolled if not _is_needed(one)]:
        yield f"{slot!r} is rolled before {idle} have gone"
    if scene.state is not InstanceState.RUNNING:
        yield f"{slot!r} is rolled, its instance is {scene.state}"


def _breaches_of_start(scene: Scene, session: Session) -> Iterator[str]:
    if not scene.is_recording or scene.state not in (InstanceState.RUNNING, InstanceState.DRAINING):
        yield f"{session!r} goes on, its instance is {scene.state}, recording: {scene.is_recording}"
    if session.slot is None and session.backoff.until > scene.now:
        yield f"{session!r} goes on and should back off until {session.backoff.until}, it is {scene.now}"


def _breaches_of_eviction(scene: Scene, victim: Slot) -> Iterator[str]:
    """What is outgrown goes first, then what nobody uses, then what was used longest ago; what somebody needs goes last
    of all, and only for a turn that is earlier."""
    is_needed_awake = victim.state is SlotState.READY  # where memory is short, one that sleeps would bring none
    states = (SlotState.READY,) if is_needed_awake else (SlotState.READY, SlotState.DORMANT)
    idle = [slot for slot in scene.pool if slot.state in states and not _is_needed(slot)]
    if victim.state not in states:
        yield f"{victim!r} is evicted"
    elif not idle:
        if scene.is_over_budget or victim.session is None:
            yield f"{victim!r} is evicted, and is needed"
        elif victim.turns == 0:
            yield f"{victim!r} is evicted before the turn that it was started for"
    elif victim not in idle:
        yield f"{victim!r} is evicted, and is needed; {idle} are not"
    else:
        worth_least = min(idle, key=lambda slot: _worth(scene, slot))
        if _worth(scene, victim) > _worth(scene, worth_least):
            yield f"{victim!r} is evicted before {worth_least!r}"


def _is_needed(slot: Slot) -> bool:
    return slot.session is not None and len(slot.session.mailbox) > 0


def _worth(scene: Scene, slot: Slot) -> tuple[bool, bool, bool, float]:
    has_outgrown = slot.turns > 0 and slot.memory_level is not MemoryLevel.NORMAL
    is_stale = slot.digest != scene.wanted(slot.session)
    is_asleep = slot.state is SlotState.DORMANT
    return not (has_outgrown or is_stale), slot.session is not None, not is_asleep, slot.unused_since


def breaches_of_order(stage: Stage, book: Book, picture: Snapshot) -> Iterator[str]:
    """When all is at rest: the places that are shown, when clients were used last, and why turns wait."""
    rows = {row.key: row for row in picture.sessions}
    for instance in stage.supervisor._instances.values():
        yield from _breaches_of_places(instance, book, rows, picture)
        yield from _breaches_of_idleness(instance, book)
        for session in instance.sessions.values():
            why, expected = rows[session.key].why, _why(session, instance, rows[session.key], picture)
            if why is not expected:
                yield f"{session.key} waits because of {why}, it should be {expected}"


def find_stale_shortages(stage: Stage) -> list[str]:
    """Reasons that were right at the last look around."""
    found = []
    for instance in stage.supervisor._instances.values():
        if not any(session.slot is None for session in instance.turns.ready):
            continue
        now = instance.core.host.room.explain(instance.scheduler, has_free_turn=_has_free_turn(instance))
        if now is not instance.scheduler.shortage.why:
            found.append(f"{instance.name} is short of {now}, it says {instance.scheduler.shortage.why}")
    return found


def _has_free_turn(instance: Instance) -> bool:
    """One more turn may run besides those that do and those whose client is on its way."""
    coming = [slot for slot in instance.pool if slot.state in (SlotState.RESERVED, SlotState.STARTING)]
    expected = sum(_is_needed(slot) for slot in coming)
    running = (SlotState.BUSY, SlotState.ASKING)
    at_work = sum(
        slot.state in running or slot.has_turn_to_end or (slot.state is SlotState.WAKING and slot.has_turn)
        for slot in instance.pool
    )
    return at_work + expected < instance.scheduler.turn_limit


def _breaches_of_places(
    instance: Instance, book: Book, rows: dict[SessionKey, SessionRow], picture: Snapshot
) -> Iterator[str]:
    mine = {key: row for key, row in rows.items() if key.instance == instance.name}
    ready = [key for key in mine if key not in book.running and _is_ready(instance.sessions[key])]
    placed = {key: row.waiting[0].place for key, row in mine.items() if row.waiting and row.waiting[0].place}
    wanted = set(ready) if len(ready) <= MOST_PLACED else set()
    if placed.keys() != wanted:
        yield f"{instance.name}: places are shown for {placed}, {wanted} could begin"
        return
    if sorted(placed.values()) != list(range(1, len(placed) + 1)):
        yield f"{instance.name}: the places are {placed}"
    order = sorted(placed, key=lambda key: placed[key] or 0)
    ranks = {key: _rank(instance, instance.sessions[key], book, picture) for key in order}
    for before, after in pairwise(order):
        if ranks[before] > ranks[after]:
            yield f"{before} {ranks[before]} stands before {after} {ranks[after]}"


def _is_ready(session: Session) -> bool:
    """Its head is recorded and does not wait for a human."""
    head = next(iter(session.mailbox), None)
    return head is not None and head.is_recorded and not head.is_detached and session.mailbox.current is None


def _rank(instance: Instance, session: Session, book: Book, picture: Snapshot) -> tuple[int, bool, int, int, float]:
    head = next(iter(session.mailbox))
    user, name = session.key.user, session.key.instance
    at_work = [
        client
        for client in picture.clients
        if client.instance == name and client.state in _WITH_TURN and client.key and client.key.user == user
        if client.state is not SlotState.WAKING or client.key in book.running
    ]
    others = sum(client.key != session.key or client.state not in _COMING for client in at_work)
    last = max(book.starts_of_user.get((name, user), [-1]))
    if last >= 0 and user not in instance.turns.last_served and (name, user) in book.left:
        last = -1  # who had no session left when it was tidied up is new again
    return int(head.prompt.priority), head.prompt.source is not Source.OPERATOR, others, last, head.queued_steady


def _breaches_of_idleness(instance: Instance, book: Book) -> Iterator[str]:
    """Clients were used last in the order in which the feed has told the ends of their turns, or their starts."""
    states = (SlotState.READY, SlotState.DORMANT)
    idle = [slot for slot in instance.pool if slot.state in states and slot.id in book.last_used]
    order = sorted(idle, key=lambda slot: book.last_used[slot.id])
    for before, after in pairwise(order):
        if before.idle_since > after.idle_since:
            yield f"{before!r} was used before {after!r}, and is idle since {before.idle_since}, {after.idle_since}"


def _why(session: Session, instance: Instance, row: SessionRow, picture: Snapshot) -> WhyWaiting | None:
    """Reasons in the order in which they count, from the rows as far as they say so."""
    if not row.waiting:
        return None
    client = next((one for one in picture.clients if one.id == row.client_id), None)
    state = client.state if client is not None else None
    parked_for = instance.core.park.kind or instance.core.park.tries
    parked = WhyWaiting.RATE_LIMIT if parked_for is FailureKind.RATE_LIMIT else WhyWaiting.PARKED
    backs_off = client is None and _is_ready(session) and session.backoff.until > instance.core.clock.steady()
    reasons = (
        (next(iter(session.mailbox)).is_detached, WhyWaiting.QUESTION),
        (bool(row.turn_id) and state is SlotState.ASKING, WhyWaiting.QUESTION),
        (bool(row.turn_id), WhyWaiting.SELF_BEGUN if row.is_self_begun else WhyWaiting.SESSION_BUSY),
        (state is SlotState.BUSY, WhyWaiting.SESSION_BUSY),
        (instance.state is InstanceState.PAUSED, WhyWaiting.PAUSED),
        (instance.state is InstanceState.PARKED, parked),
        (bool(instance.core.host.recording_fails), WhyWaiting.DISK),
        (state in (SlotState.RESERVED, SlotState.STARTING, SlotState.CLOSING), WhyWaiting.STARTING),
        (backs_off, WhyWaiting.BACKING_OFF),
        (instance.state is not InstanceState.RUNNING, WhyWaiting.DRAINING),
        (parked_for is not None, parked),
        (state is SlotState.DORMANT, instance.scheduler.kept_asleep.why or WhyWaiting.NO_SLOT),
        (instance.scheduler.shortage.why is WhyWaiting.MEMORY, WhyWaiting.MEMORY),
    )
    return next((why for holds, why in reasons if holds), WhyWaiting.NO_SLOT)
