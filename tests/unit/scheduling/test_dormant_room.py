"""When a client that sleeps may be woken, and who makes room for it: by count and by bytes, over all instances."""

from __future__ import annotations

import math
from typing import Any

from supervisor.api.states import SlotState, WhyWaiting
from supervisor.scheduling.admission import Victim, find_memory
from supervisor.scheduling.dispatcher import Evict, Open, Scene, Sleep, Wake, decide
from supervisor.scheduling.memory_reserve import charge
from supervisor.scheduling.pool_size import find_surplus
from supervisor.scheduling.swap import find_longest_asleep, measure_swap
from supervisor.sessions.slot import Slot
from tests.unit.scheduling.slots import add_slot
from tests.unit.scheduling.test_admission import Tenant, bullpen
from tests.unit.scheduling.test_dispatcher import Stage


def asleep(tenant: Tenant, awake: int = 100, now: int = 10) -> Slot:
    """One that had `awake` bytes, and has `now`."""
    slot = add_slot(tenant.pool, SlotState.DORMANT, now)
    slot.turns, slot.awake_bytes, slot.is_thin = 1, awake, True
    return slot


def test_one_that_sleeps_counts_for_what_it_uses_and_one_that_was_woken_for_what_it_will() -> None:
    """S2.29–31"""
    slot = asleep(Tenant())
    assert charge(slot, slot.memory_bytes, 50) == 10
    slot.move(SlotState.WAKING)
    assert charge(slot, slot.memory_bytes, 50) == 100
    slot.move(SlotState.BUSY)
    assert charge(slot, slot.memory_bytes, 50) == 100
    slot.note_worked(5.0)
    assert charge(slot, slot.memory_bytes, 50) == 100, "that was measured while it slept"
    slot.note_memory(20, at=5.0)
    assert charge(slot, slot.memory_bytes, 50) == 100, "or while it worked"
    slot.note_memory(70, at=6.0)
    assert charge(slot, slot.memory_bytes, 50) == 70, "its turn is over: what it measures is what it needs"


def test_where_none_can_be_put_to_sleep_one_that_is_awake_gives_its_memory_before_one_that_sleeps() -> None:
    """What sleeps has hardly any to give."""
    tenant = Tenant()
    sleeper, idle = asleep(tenant), add_slot(tenant.pool, SlotState.READY, 100, idle_since=50.0)
    assert tenant.pool.find_victim() is sleeper, "where places are short"
    assert find_memory([tenant.pool], [lambda: None]) == Victim(idle)
    idle.move(SlotState.CLOSING)
    assert find_memory([tenant.pool], [lambda: None]) == Victim(sleeper)


def test_one_that_was_woken_ahead_is_not_the_next_to_go() -> None:
    """S2.26: who opens a chat uses its client, though nothing is written yet."""
    tenant = Tenant()
    woken, idle = asleep(tenant), add_slot(tenant.pool, SlotState.READY, 100, idle_since=50.0)
    woken.move(SlotState.WAKING)
    woken.woken_at = 90.0
    woken.move(SlotState.READY)
    assert tenant.pool.find_victim() is idle

    def surplus(now: float) -> Slot | None:
        return find_surplus(tenant.pool, now=now, idle_ttl=45.0, min_clients=0, spares=0, short_at=-math.inf)

    assert surplus(94.0) is None
    assert surplus(96.0) is idle
    assert surplus(136.0) is idle
    idle.idle_since = 136.0
    assert surplus(136.0) is woken


def test_no_more_are_ended_for_the_swap_than_bring_it_below_its_share() -> None:
    """What is free is measured now and then; what has been ended since has made room."""
    tenant = Tenant()
    slots = [asleep(tenant) for _ in range(4)]
    for at, slot in enumerate(slots):
        slot.slept_at, slot.swap_bytes = float(at), 100
    asleep(tenant).slept_at = -1.0  # it has nothing there
    ended = []
    while (
        found := find_longest_asleep([tenant.pool], measure_swap(tenant.ledger.total.swapped, 400, 0.5))
    ) is not None:
        found.move(SlotState.CLOSING)
        ended.append(found)
    assert ended == slots[:2]


def test_what_is_opened_leaves_room_for_those_that_may_wake_at_once() -> None:
    """The largest of them, and no more than may: 30 used, 100 for the new one, 290 + 90 to wake two."""
    tenant = Tenant()
    for awake in (100, 300, 50):
        asleep(tenant, awake)
    assert bullpen(tenant, memory_budget=510).find_shortage(tenant) is None
    assert bullpen(tenant, memory_budget=509).find_shortage(tenant) is WhyWaiting.MEMORY
    tenant.memory_budget = 510
    assert bullpen(tenant).find_shortage(tenant) is None
    tenant.memory_budget = 509
    assert bullpen(tenant).find_shortage(tenant) is WhyWaiting.MEMORY, "its own"


def test_no_more_wake_at_once_than_may_and_the_one_that_waits_longest_is_next() -> None:
    one, other = Tenant(), Tenant()
    mine, theirs = asleep(one), asleep(other)
    room = bullpen(one, other)
    room.most_waking = 1
    one.to_wake, other.to_wake = (5.0, mine), (3.0, theirs)
    assert room.find_wake_shortage(other, theirs) is None
    assert room.find_wake_shortage(one, mine) is WhyWaiting.WAKING, "the place is kept"
    theirs.move(SlotState.WAKING)
    other.to_wake = None
    assert room.find_wake_shortage(one, mine) is WhyWaiting.WAKING
    theirs.move(SlotState.READY)
    assert room.find_wake_shortage(one, mine) is None


def test_waking_breaks_no_budget_but_one_alone_may() -> None:
    tenant = Tenant()
    first, second = asleep(tenant), asleep(tenant)
    assert bullpen(tenant, memory_budget=110).find_wake_shortage(tenant, first) is None
    assert bullpen(tenant, memory_budget=109).find_wake_shortage(tenant, first) is None, "nothing else is awake"
    first.move(SlotState.WAKING)
    assert bullpen(tenant, memory_budget=199).find_wake_shortage(tenant, second) is WhyWaiting.MEMORY
    assert bullpen(tenant, memory_budget=200).find_wake_shortage(tenant, second) is None
    tenant.memory_budget = 199
    assert bullpen(tenant).find_wake_shortage(tenant, second) is WhyWaiting.MEMORY, "its own"


def test_for_the_memory_of_one_that_is_to_wake_anothers_idle_client_is_put_to_sleep() -> None:
    """It is evicted where it cannot be; one that sleeps would bring nothing."""
    rich, poor = Tenant(), Tenant()
    mine = asleep(poor)
    idle = add_slot(rich.pool, SlotState.READY, 100)
    asleep(rich)
    poor.to_wake = (1.0, mine)
    room = bullpen(rich, poor, memory_budget=150)
    rich.sleeper = idle
    assert room.find_victim() == Victim(idle, may_sleep=True)
    rich.sleeper = None
    assert room.find_victim() == Victim(idle)
    room.memory_budget = 210
    assert room.find_victim() is None, "it may wake by itself"


def test_for_a_place_one_is_ended_and_for_memory_one_is_put_to_sleep_while_enough_can_be_kept_to_wake() -> None:
    """S2.29–31: one more that sleeps gives back no place, and until as many sleep as may wake at once what is kept free
    for it is as much as it gives back."""
    rich, waiting = Tenant(), Tenant(lacks_client=True)
    idle = add_slot(rich.pool, SlotState.READY, 100, idle_since=50.0)
    rich.sleeper = idle
    room = bullpen(rich, waiting, memory_budget=150)
    assert room.find_victim() == Victim(idle)
    sleepers = [asleep(rich, awake=11) for _ in range(2)]
    assert room.find_victim() == Victim(idle, may_sleep=True)
    idle.move(SlotState.DORMANT)
    idle.is_falling_asleep = True
    assert room.find_victim() is None, "its memory is on the way"
    room.max_agents, room.memory_budget = 3, 1_000
    assert room.find_victim() == Victim(sleepers[0])


def test_a_dormant_client_is_woken_with_its_turn_and_no_later_one_overtakes_the_first() -> None:
    stage = Stage(cap=3)
    large, small = stage.session("ana", "first"), stage.session("boris", "second")
    slots = [stage.slot(SlotState.DORMANT, one) for one in (large, small)]
    scene = stage.scene
    assert decide(scene) == Wake(large, slots[0])
    for why in (WhyWaiting.MEMORY, WhyWaiting.WAKING):
        kept = _with(scene, find_wake_shortage=lambda slot, why=why: why if slot is slots[0] else None)
        assert decide(kept) is None, "the second would take what the first waits for"


def test_where_a_place_is_short_one_that_sleeps_is_ended_and_where_memory_is_one_is_put_to_sleep() -> None:
    stage = Stage(cap=3)
    sleeping = stage.slot(SlotState.DORMANT, stage.session("ana"), idle_since=5.0)
    idle = stage.slot(SlotState.READY, stage.session("boris"), idle_since=1.0)
    stage.session("chen", "hello")
    scene = stage.scene
    assert isinstance(decide(scene), Open)
    assert decide(_with(scene, may_open=False, frees_by_sleep=False)) == Evict(sleeping)
    short = _with(scene, may_open=False, frees_by_sleep=True, find_sleeper=lambda: idle)
    assert decide(short) == Sleep(idle)
    assert decide(_with(short, find_sleeper=lambda: None)) == Evict(idle)
    idle.move(SlotState.DORMANT)
    idle.is_falling_asleep = True
    assert decide(short) is None, "its memory is on the way"


def test_room_is_made_for_one_that_is_to_wake_as_for_one_that_is_to_start() -> None:
    stage = Stage(cap=3)
    stage.slot(SlotState.DORMANT, stage.session("ana", "hello"))
    idle = stage.slot(SlotState.READY, stage.session("boris"))
    short = _with(stage.scene, find_wake_shortage=lambda slot: WhyWaiting.MEMORY)
    assert decide(_with(short, find_sleeper=lambda: idle)) == Sleep(idle)
    assert decide(_with(short, find_sleeper=lambda: None)) == Evict(idle)
    idle.move(SlotState.CLOSING)
    assert decide(short) is None, "room is on the way"


def _with(scene: Scene, **changes: Any) -> Scene:
    return scene._replace(**changes)
