"""Whether one more client may be opened, by count and by bytes, without a loop."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.api.states import MemoryLevel, SlotState, WhyWaiting
from supervisor.config.limits import PoolLimits as Limits
from supervisor.instance.memory_ceilings import find_level
from supervisor.scheduling.admission import HostRoom, Shortage, Victim, find_own_shortage, is_over_budget, ledger_of
from supervisor.scheduling.memory_reserve import Reserve, RunningLedger
from supervisor.scheduling.pool_size import CALM, count_spares_wanted, find_surplus
from supervisor.sessions.pool import Pool
from supervisor.sessions.slot import Slot
from tests.unit.scheduling.slots import PATHS, add_slot

BUSY = (SlotState.BUSY, SlotState.ASKING)


@dataclass
class Tenant:
    """An instance of which only the room matters. Its clients are expected to need 100 bytes."""

    pool: Pool = field(default_factory=lambda: Pool(100))
    reserve: Reserve = field(default_factory=lambda: Reserve(100))
    memory_budget: int | None = None
    lacks_client: bool = False

    since: float = 0.0

    def __post_init__(self) -> None:
        self.ledger = RunningLedger(self.pool, self.reserve)

    @property
    def waits_since(self) -> float | None:
        return self.since if self.lacks_client and find_own_shortage(self, 2) is None else None

    to_wake: tuple[float, Slot] | None = None
    sleeper: Slot | None = None

    @property
    def waits_to_wake(self) -> tuple[float, Slot] | None:
        return self.to_wake

    def find_sleeper(self) -> Slot | None:
        return self.sleeper


def bullpen(*tenants: Tenant, max_agents: int = 100, memory_budget: int = 1000) -> HostRoom:
    room = HostRoom(max_agents, memory_budget)
    for tenant in tenants:
        room.add(tenant)
    return room


def test_the_count_and_the_bytes_of_the_host_are_told_apart() -> None:
    """S5.7, S2.29–31"""
    tenant = Tenant()
    for _ in range(3):
        add_slot(tenant.pool, SlotState.BUSY, 250)
    assert bullpen(tenant).find_shortage(tenant) is None
    assert bullpen(tenant, max_agents=3).find_shortage(tenant) is WhyWaiting.NO_SLOT
    assert bullpen(tenant, memory_budget=849).find_shortage(tenant) is WhyWaiting.MEMORY
    assert bullpen(tenant, memory_budget=850).find_shortage(tenant) is None


def test_an_instance_has_a_count_and_bytes_of_its_own() -> None:
    tenant = Tenant(Pool(1), memory_budget=300)
    room = bullpen(tenant)
    add_slot(tenant.pool, SlotState.BUSY, 150)
    assert room.find_shortage(tenant) is WhyWaiting.NO_SLOT
    tenant.pool.max_clients = 5
    assert room.find_shortage(tenant) is None
    add_slot(tenant.pool, SlotState.RESERVED)
    assert room.find_shortage(tenant) is WhyWaiting.MEMORY


def test_a_client_that_is_ending_counts_until_it_is_gone() -> None:
    """R3"""
    tenant = Tenant()
    slot = add_slot(tenant.pool, SlotState.CLOSING, 950)
    room = bullpen(tenant)
    assert room.find_shortage(tenant) is WhyWaiting.MEMORY
    slot.move(SlotState.GONE)
    tenant.pool.remove(slot)
    assert room.find_shortage(tenant) is None


def test_whoever_is_alone_gets_a_client_whatever_the_budget_says() -> None:
    """A budget smaller than one client must not stop everything; the operator is told."""
    tenant = Tenant(memory_budget=60)
    room = bullpen(tenant, memory_budget=50)
    room.note_available(0)
    assert room.find_shortage(tenant) is None
    assert room.remark(tenant).startswith("pool.memoryBudget (60) is less than one client is expected to need")
    tenant.memory_budget = None
    assert room.remark(tenant).startswith("memory_budget (50)")
    add_slot(tenant.pool, SlotState.READY, 10)
    assert room.find_shortage(tenant) is WhyWaiting.MEMORY


def test_memory_that_others_on_the_host_have_taken_is_not_given_away() -> None:
    tenant = Tenant()
    add_slot(tenant.pool, SlotState.BUSY, 100)
    room = bullpen(tenant, memory_budget=10_000)
    room.note_available(99)
    assert room.find_shortage(tenant) is WhyWaiting.MEMORY
    room.note_available(250)
    assert room.find_shortage(tenant) is None
    add_slot(tenant.pool, SlotState.RESERVED)
    assert room.find_shortage(tenant) is None
    add_slot(tenant.pool, SlotState.RESERVED)
    assert room.find_shortage(tenant) is WhyWaiting.MEMORY, "what is promised already is not promised twice"


def test_what_is_promised_at_a_measurement_is_not_counted_as_there() -> None:
    tenant = Tenant()
    add_slot(tenant.pool, SlotState.BUSY, 100)
    add_slot(tenant.pool, SlotState.RESERVED)
    room = bullpen(tenant, memory_budget=10_000)
    room.note_available(150)
    assert room.find_shortage(tenant) is WhyWaiting.MEMORY
    room.note_available(200)
    assert room.find_shortage(tenant) is None


def test_what_an_evicted_client_had_is_free_before_the_next_measurement() -> None:
    """Otherwise one who waits would evict every idle client in the meantime."""
    tenant = Tenant()
    add_slot(tenant.pool, SlotState.BUSY, 100)
    idle = add_slot(tenant.pool, SlotState.READY, 120)
    room = bullpen(tenant, memory_budget=10_000)
    room.note_available(0)
    assert room.find_shortage(tenant) is WhyWaiting.MEMORY
    idle.move(SlotState.CLOSING)
    idle.move(SlotState.GONE)
    tenant.pool.remove(idle)
    assert room.find_shortage(tenant) is None


def test_one_kept_out_for_bytes_gets_the_place_of_anothers_idle_client() -> None:
    """S1.14: what is outgrown first, then a spare, then the least recently used conversation."""
    rich, poor = Tenant(), Tenant(lacks_client=True)
    add_slot(rich.pool, SlotState.BUSY, 400)
    old = add_slot(rich.pool, SlotState.READY, 200, idle_since=1.0)
    spare = add_slot(rich.pool, SlotState.READY, 200, is_spare=True, idle_since=9.0)
    outgrown = add_slot(rich.pool, SlotState.READY, 150, idle_since=5.0, level=MemoryLevel.SOFT)
    room = bullpen(rich, poor)
    for expected in (outgrown, spare, old):
        add_slot(rich.pool, SlotState.BUSY, expected.memory_bytes)  # as much is taken again at once
        assert room.find_victim() == Victim(expected)
        expected.move(SlotState.CLOSING)
        assert room.find_victim() is None, "as many leave as are wanted"
        expected.move(SlotState.GONE)
        rich.pool.remove(expected)
    assert room.find_victim() is None, "busy ones stay"


def test_a_place_goes_to_the_instance_that_waits_longest() -> None:
    """S5.7: a long queue does not take every place again that it gives up."""
    crowd, single = Tenant(lacks_client=True, since=5.0), Tenant(lacks_client=True, since=3.0)
    add_slot(crowd.pool, SlotState.BUSY, 100)
    room = bullpen(crowd, single, max_agents=2)
    assert room.find_shortage(single) is None
    assert room.find_shortage(crowd) is WhyWaiting.NO_SLOT
    room.max_agents = 3
    assert room.find_shortage(crowd) is None, "there is room for both"
    room.memory_budget = 299
    assert room.find_shortage(single) is None
    assert room.find_shortage(crowd) is WhyWaiting.MEMORY
    single.memory_budget = 0
    add_slot(single.pool, SlotState.BUSY, 1)
    assert room.find_shortage(single) is WhyWaiting.MEMORY
    room.memory_budget = 300
    assert room.find_shortage(crowd) is None, "no place is kept for one whose own budget forbids it"


def test_two_that_wait_since_the_same_moment_do_not_keep_each_other_out() -> None:
    first, second = Tenant(lacks_client=True, since=3.0), Tenant(lacks_client=True, since=3.0)
    room = bullpen(first, second, max_agents=1)
    assert room.find_shortage(first) is None
    assert room.find_shortage(second) is None
    assert room.is_wanted


def test_nobody_is_evicted_for_one_that_may_have_a_client() -> None:
    """It gets one by itself."""
    rich, waiting = Tenant(), Tenant(lacks_client=True)
    idle = add_slot(rich.pool, SlotState.READY, 100)
    room = bullpen(rich, waiting, max_agents=2)
    assert room.find_victim() is None
    room.max_agents = 1
    assert room.find_victim() == Victim(idle)
    waiting.lacks_client = False
    assert room.find_victim() is None
    assert not room.is_wanted


def test_why_a_session_waits_is_told_only_where_one_does() -> None:
    tenant = Tenant()
    room = bullpen(tenant, max_agents=0)
    assert room.explain(tenant, has_free_turn=True) is None
    assert room.explain(tenant, has_free_turn=False) is None
    tenant.lacks_client = True
    assert room.explain(tenant, has_free_turn=True) is WhyWaiting.NO_SLOT
    room.max_agents = 1
    assert room.explain(tenant, has_free_turn=True) is None, "it may have a client"
    assert room.explain(tenant, has_free_turn=False) is WhyWaiting.NO_SLOT, "its turns are all in use"
    add_slot(tenant.pool, SlotState.BUSY, 950)
    room.max_agents = 2
    assert room.explain(tenant, has_free_turn=True) is WhyWaiting.MEMORY


def test_a_shortage_remembers_when_somebody_was_kept_out_last() -> None:
    """Seconds of calm are counted from there."""
    shortage = Shortage()
    assert not shortage.note(None, 1.0), "nothing has changed"
    assert shortage.seen_at < 0
    assert shortage.note(WhyWaiting.NO_SLOT, 2.0)
    assert not shortage.note(WhyWaiting.NO_SLOT, 3.0)
    assert shortage.note(WhyWaiting.MEMORY, 4.0), "another reason is a change"
    assert (shortage.why, shortage.seen_at) == (WhyWaiting.MEMORY, 4.0)
    assert shortage.note(None, 5.0)
    assert (shortage.why, shortage.seen_at) == (None, 4.0)


def test_a_budget_below_one_client_is_remarked_on_and_one_that_just_holds_it_is_not() -> None:
    tenant = Tenant(memory_budget=100)
    assert bullpen(tenant, memory_budget=100).remark(tenant) == ""
    assert bullpen(tenant, memory_budget=99).remark(tenant).startswith("memory_budget (99")
    tenant.memory_budget = 99
    assert bullpen(tenant, memory_budget=99).remark(tenant).startswith("pool.memoryBudget (99")
    assert bullpen(Tenant()).remark(Tenant()) == ""


def test_a_budget_that_is_just_filled_is_not_exceeded() -> None:
    tenant = Tenant(memory_budget=200)
    add_slot(tenant.pool, SlotState.BUSY, 100)
    room = bullpen(tenant, memory_budget=200)
    assert room.find_shortage(tenant) is None
    add_slot(tenant.pool, SlotState.READY, 100)
    assert not is_over_budget(tenant)
    assert room.find_victim() is None
    add_slot(tenant.pool, SlotState.READY, 1)
    assert is_over_budget(tenant)
    assert room.find_victim() is not None


def test_nobody_is_evicted_from_other_instances_for_a_budget_of_ones_own() -> None:
    rich, poor = Tenant(), Tenant(memory_budget=150, lacks_client=True)
    add_slot(rich.pool, SlotState.READY, 100)
    add_slot(poor.pool, SlotState.BUSY, 100)
    room = bullpen(rich, poor)
    assert room.find_shortage(poor) is WhyWaiting.MEMORY
    assert room.find_victim() is None
    assert not room.is_wanted


def test_clients_that_grow_above_a_budget_give_up_what_is_idle_but_one_alone_may() -> None:
    tenant = Tenant(memory_budget=500)
    add_slot(tenant.pool, SlotState.READY, 600)
    assert not is_over_budget(tenant)
    room = bullpen(tenant, memory_budget=500)
    assert room.find_victim() is None
    second = add_slot(tenant.pool, SlotState.READY, 200)
    assert is_over_budget(tenant)
    assert room.find_victim() is not None
    second.move(SlotState.CLOSING)
    assert not is_over_budget(tenant)
    assert room.find_victim() is None


@pytest.mark.parametrize(
    ("memory", "level"),
    [(1, MemoryLevel.NORMAL), (11, MemoryLevel.SOFT), (21, MemoryLevel.HARD), (31, MemoryLevel.PANIC)],
)
def test_a_level_is_the_highest_ceiling_that_a_client_is_above(memory: int, level: MemoryLevel) -> None:
    limits = Limits.model_construct(soft_memory=10, hard_memory=20, panic_memory=30)
    assert find_level(memory, limits) is level
    assert find_level(memory - 1, limits) is not level or level is MemoryLevel.NORMAL


def test_a_ceiling_of_none_is_no_ceiling() -> None:
    limits = Limits.model_construct(soft_memory=10, hard_memory=None, panic_memory=None)
    assert find_level(10**12, limits) is MemoryLevel.SOFT


def surplus(pool: Pool, **changes: float) -> object:
    given_ = {"now": 1000.0, "idle_ttl": 60.0, "min_clients": 0, "spares": 0, "short_at": -1e9} | changes
    return find_surplus(pool, **given_)  # type: ignore[arg-type]


def test_idle_clients_are_given_up_one_at_a_time_the_longest_idle_first() -> None:
    """S1.14, S2.32"""
    pool = Pool(5)
    young = add_slot(pool, SlotState.READY, idle_since=100.0)
    old = add_slot(pool, SlotState.READY, idle_since=50.0)
    add_slot(pool, SlotState.READY, idle_since=950.0)
    assert surplus(pool) is old
    old.move(SlotState.CLOSING)
    assert surplus(pool) is None
    old.move(SlotState.GONE)
    assert surplus(pool) is None, "its place is not free yet"
    pool.remove(old)
    assert surplus(pool) is young


def test_no_client_is_given_up_below_the_least_there_should_be() -> None:
    """S2.32: it would be opened again at once."""
    pool = Pool(5)
    add_slot(pool, SlotState.BUSY)
    idle = add_slot(pool, SlotState.READY)
    assert surplus(pool, min_clients=2) is None
    assert surplus(pool, min_clients=1) is idle


def test_no_client_is_given_up_soon_after_somebody_was_kept_out() -> None:
    """S2.32: hysteresis."""
    pool = Pool(5)
    idle = add_slot(pool, SlotState.READY)
    assert surplus(pool, short_at=1000.0 - CALM + 1) is None
    assert surplus(pool, short_at=1000.0 - CALM) is idle


def test_a_spare_is_given_up_only_when_there_are_more_than_wanted() -> None:
    pool = Pool(5)
    first = add_slot(pool, SlotState.READY, is_spare=True, idle_since=1.0)
    add_slot(pool, SlotState.READY, is_spare=True, idle_since=2.0)
    assert surplus(pool, spares=2) is None
    assert surplus(pool, min_clients=2) is None
    assert surplus(pool, spares=1) is first


def test_spares_fill_the_pool_up_to_the_least_there_should_be() -> None:
    """S2.32: a client that is ending is no longer one of them."""
    pool = Pool(5)
    add_slot(pool, SlotState.BUSY)
    add_slot(pool, SlotState.CLOSING)
    assert count_spares_wanted(pool, 0, 3) == 2
    assert count_spares_wanted(pool, 3, 3) == 3
    add_slot(pool, SlotState.STARTING, is_spare=True)
    assert count_spares_wanted(pool, 0, 3) == 2
    assert count_spares_wanted(pool, 0, 0) <= 0


STATES = st.sampled_from(list(PATHS))
SLOTS = st.lists(st.tuples(STATES, st.integers(0, 500), st.booleans(), st.sampled_from(list(MemoryLevel))), max_size=8)


def fill(slots: list[tuple[SlotState, int, bool, MemoryLevel]]) -> Pool:
    pool = Pool(100)
    for number, (state, memory, is_spare, level) in enumerate(slots):
        may_be_spare = state not in BUSY and level is MemoryLevel.NORMAL
        add_slot(pool, state, memory, is_spare=is_spare and may_be_spare, level=level, idle_since=float(number * 7 % 5))
    return pool


@given(SLOTS, SLOTS, st.integers(0, 2000), st.integers(0, 9), st.integers(0, 9), st.integers(0, 9))
def test_only_idle_clients_are_ever_chosen(
    one: list[tuple[SlotState, int, bool, MemoryLevel]],
    two: list[tuple[SlotState, int, bool, MemoryLevel]],
    budget: int,
    max_agents: int,
    min_clients: int,
    spares: int,
) -> None:
    """S1.14: busy and asking ones never are, whatever is short."""
    tenants = Tenant(fill(one)), Tenant(fill(two), lacks_client=True)
    found = bullpen(*tenants, max_agents=max_agents, memory_budget=budget).find_victim()
    assert found is None or found.slot.is_evictable
    for tenant in tenants:
        victim, overdue = tenant.pool.find_victim(), tenant.pool.find_overdue()
        assert victim is None or victim.is_evictable
        assert overdue is None or overdue.is_ready
        chosen = surplus(tenant.pool, min_clients=min_clients, spares=spares)
        assert chosen is None or chosen.is_evictable  # type: ignore[attr-defined]


@given(SLOTS, st.integers(0, 5), st.integers(0, 5))
def test_what_is_given_up_is_not_opened_again(
    slots: list[tuple[SlotState, int, bool, MemoryLevel]], min_clients: int, spares: int
) -> None:
    """S2.32: no churn of spares."""
    pool = fill(slots)
    wanted_before = pool.spares < count_spares_wanted(pool, spares, min_clients)
    chosen = find_surplus(pool, now=1e6, idle_ttl=0, min_clients=min_clients, spares=spares, short_at=-1e9)
    if chosen is not None and not wanted_before:
        chosen.move(SlotState.CLOSING)
        assert pool.spares >= count_spares_wanted(pool, spares, min_clients)
        chosen.move(SlotState.GONE)
        pool.remove(chosen)
        assert pool.spares >= count_spares_wanted(pool, spares, min_clients)


STEPS = st.lists(
    st.tuples(st.sampled_from(["open", "ready", "measure", "close", "gone"]), st.integers(0, 9), st.integers(1, 400)),
    max_size=60,
)


@given(STEPS, st.integers(0, 1500), st.one_of(st.none(), st.integers(0, 1500)), st.integers(0, 3000))
def test_nobody_is_admitted_past_a_budget_except_who_is_alone(
    steps: list[tuple[str, int, int]], host: int, own: int | None, available: int
) -> None:
    """S2.29–32: whatever clients do in between; and whoever is alone is always admitted."""
    tenants = (Tenant(memory_budget=own), Tenant())
    room = bullpen(*tenants, memory_budget=host)
    room.note_available(available)
    assert any(room.find_shortage(tenant) is None for tenant in tenants), "the bullpen is empty"
    free = available
    for step, which, amount in steps:
        tenant = tenants[which % 2]
        slots = list(tenant.pool)
        slot = slots[which % len(slots)] if slots else None
        is_alone_here, is_alone = not slots, room.used == 0
        shortage = room.find_shortage(tenant)
        assert shortage is None or not is_alone
        if step == "open" and shortage is None:
            add_slot(tenant.pool, SlotState.RESERVED)
            assert is_alone or room.ledger.used <= host
            assert is_alone_here or tenant.memory_budget is None or ledger_of(tenant).used <= tenant.memory_budget
            assert is_alone or room.ledger.coming <= free, "no byte of the host is promised twice"
        elif slot is None:
            continue
        elif step == "ready" and slot.is_coming:
            for state in PATHS[SlotState.READY][slot.state is SlotState.STARTING :]:
                slot.move(state)
        elif step == "measure" and not slot.is_leaving:
            slot.note_memory(amount, 0.0)
            room.note_available(available)
            free = available
        elif step == "close" and not slot.is_leaving:
            slot.move(SlotState.CLOSING)
        elif step == "gone" and slot.is_leaving:
            free += slot.memory_bytes
            slot.move(SlotState.GONE)
            tenant.pool.remove(slot)
        assert room.ledger.used >= sum(slot.memory_bytes for one in tenants for slot in one.pool)
