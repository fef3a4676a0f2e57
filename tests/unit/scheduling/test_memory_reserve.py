"""What clients are charged, and what the next one is expected to need."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import cast

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from supervisor.api.states import SlotState
from supervisor.claude.sdk_connection import PLANNING_FIGURE
from supervisor.config.limits import PoolLimits
from supervisor.instance.clients import Clients
from supervisor.instance.core import InstanceCore
from supervisor.instance.memory_ceilings import MemoryCeilings
from supervisor.scheduling.memory_reserve import ENOUGH, WINDOW, Ledger, Reserve, RunningLedger, count_one, count_up
from supervisor.sessions.pool import Pool
from supervisor.sessions.slot import Slot
from tests.unit.scheduling.slots import PATHS, MiB, add_slot


def charged(slot: Slot, reserve: int) -> int:
    return count_up([slot], reserve).used


def test_before_enough_were_measured_the_planning_figure_counts() -> None:
    """S2.29–31: far below the 1 GiB of the plan, above what was measured."""
    reserve = Reserve(PLANNING_FIGURE)
    reserve.take([100 * MiB] * (ENOUGH - 1))
    assert reserve.bytes == PLANNING_FIGURE
    assert 250_000_000 < PLANNING_FIGURE < 1024**3
    reserve.take([100 * MiB])
    assert reserve.bytes == 100 * MiB


def test_the_reserve_is_the_95th_percentile() -> None:
    reserve = Reserve(PLANNING_FIGURE)
    reserve.take(range(1, 101))
    assert reserve.bytes == 95


def test_one_giant_among_many_does_not_set_the_reserve() -> None:
    reserve = Reserve(PLANNING_FIGURE)
    reserve.take([120 * MiB] * 99 + [4096 * MiB])
    assert reserve.bytes == 120 * MiB


def test_what_was_long_ago_is_forgotten() -> None:
    reserve = Reserve(PLANNING_FIGURE)
    reserve.take([900 * MiB] * WINDOW)
    reserve.take([100 * MiB] * WINDOW)
    assert reserve.bytes == 100 * MiB


@given(st.lists(st.integers(1, 10**10), min_size=ENOUGH, max_size=WINDOW))
def test_at_least_nineteen_of_twenty_need_no_more_than_the_reserve(samples: list[int]) -> None:
    reserve = Reserve(PLANNING_FIGURE)
    reserve.take(samples)
    assert reserve.bytes in samples
    assert sum(sample <= reserve.bytes for sample in samples) >= 0.95 * len(samples)


@pytest.mark.parametrize("state", list(PATHS))
def test_a_client_that_was_never_measured_is_charged_the_reserve_until_it_is_gone(state: SlotState) -> None:
    assert charged(add_slot(Pool(1), state), 200) == 200


@pytest.mark.parametrize("state", [state for state in PATHS if state is not SlotState.DORMANT])
def test_a_client_is_charged_the_reserve_until_its_first_turn_is_over_although_it_measures_less(
    state: SlotState,
) -> None:
    """A spare that measures little grows in the turn that it is taken for, and nothing is asked again before that."""
    pool = Pool(2)
    assert charged(add_slot(pool, state, 20), 200) == 200
    assert charged(add_slot(pool, state, 300), 200) == 300


@pytest.mark.parametrize("state", [SlotState.READY, SlotState.BUSY, SlotState.ASKING, SlotState.CLOSING])
def test_a_client_that_has_worked_is_charged_what_it_measures(state: SlotState) -> None:
    slot = add_slot(Pool(1), state, 20)
    slot.turns = 1
    assert charged(slot, 200) == 20


def test_the_ledger_says_what_is_used_coming_and_leaving() -> None:
    pool = Pool(4)
    add_slot(pool, SlotState.BUSY, 500).turns = 1
    add_slot(pool, SlotState.STARTING, 50)
    add_slot(pool, SlotState.RESERVED)
    add_slot(pool, SlotState.CLOSING, 300).turns = 1
    ledger = count_up(pool, 200)
    assert ledger == Ledger(used=500 + 200 + 200 + 300, coming=150 + 200, leaving=300)
    assert ledger + ledger == Ledger(2400, 700, 600)


CHANGES: dict[str, Callable[[Slot, int], object]] = {
    "measured": lambda slot, size: slot.note_memory(size, at=float(size)),
    "measured as nothing": lambda slot, size: slot.note_memory(0, at=float(size)),
    "in swap": lambda slot, size: setattr(slot, "swap_bytes", size),
    "a turn": lambda slot, size: setattr(slot, "turns", slot.turns + 1),
    "worked": lambda slot, size: slot.note_worked(float(size)),
    "thin": lambda slot, size: setattr(slot, "is_thin", not slot.is_thin),
    "measured awake": lambda slot, size: setattr(slot, "awake_bytes", size),
    "asleep": lambda slot, size: _sleep(slot, size),
    "has slept": lambda slot, size: setattr(slot, "is_falling_asleep", False),
    "woken": lambda slot, size: slot.is_dormant and slot.move(SlotState.WAKING),
    "closing": lambda slot, size: slot.is_leaving or slot.move(SlotState.CLOSING),
}
"""What happens to a slot that it is charged by."""


def _sleep(slot: Slot, size: int) -> None:
    if slot.is_ready:
        slot.awake_bytes, slot.is_thin, slot.is_falling_asleep = size, True, True
        slot.move(SlotState.DORMANT)


def _remove(pool: Pool, slot: Slot) -> None:
    if slot.is_leaving:
        slot.move(SlotState.GONE)
        pool.remove(slot)


Step = tuple[str, int, int]
"""What happens, to which slot, and a size or a time."""
STEPS = st.lists(
    st.tuples(
        st.sampled_from([*CHANGES, *PATHS, "removed", "reserve", "asked"]), st.integers(0, 4), st.integers(0, 300)
    ),
    max_size=40,
)


def _happens(pool: Pool, reserve: Reserve, step: Step) -> None:
    what, which, size = step
    slots = [*pool]
    if isinstance(what, SlotState):
        add_slot(pool, what, size)
    elif what == "reserve":
        reserve.take([size] * WINDOW)
    elif what == "removed" and slots:
        _remove(pool, slots[which % len(slots)])
    elif what in CHANGES and slots:
        CHANGES[what](slots[which % len(slots)], size)


@given(STEPS)
@example([(SlotState.BUSY, 0, 0), ("a turn", 1, 0), ("asked", 0, 0), ("reserve", 0, 70)])
@example(
    [(SlotState.READY, 0, 50), ("a turn", 1, 0), ("measured as nothing", 1, 0), ("asked", 0, 0), ("reserve", 0, 9)]
)
@example([(SlotState.CLOSING, 0, 0), ("asked", 0, 0), ("removed", 1, 0)])
def test_the_running_ledger_is_what_would_be_counted_from_the_beginning(steps: list[Step]) -> None:
    """S2.29–31: whatever happens, in whatever order, and whenever it is asked. It keeps nothing of what has gone."""
    pool, reserve = Pool(10), Reserve(200)
    add_slot(pool, SlotState.BUSY, 50)
    ledger = RunningLedger(pool, reserve)
    for step in [*steps, ("asked", 0, 0)]:
        _happens(pool, reserve, step)
        if step[0] == "asked":
            assert ledger.total == count_up(pool, reserve.bytes)
            names = {slot.id for slot in pool}
            assert set(ledger._charged) == names
            assert ledger._unproven <= names


@given(STEPS)
@example([("thin", 0, 0), ("measured awake", 0, 300)])
@example([("measured awake", 0, 300), ("thin", 0, 0)])
@example([("thin", 0, 0), ("measured awake", 0, 300), ("measured", 0, 100), ("worked", 0, 150)])
def test_what_a_slot_is_charged_by_is_told_once_it_is_so(steps: list[Step]) -> None:
    """S2.29–31: who counts at the very moment at which something is told counts what is so from then on."""
    pool, reserve = Pool(10), Reserve(200)
    told: dict[str, Ledger] = {}
    pool.on_change = lambda slot: told.update({slot.id: count_one(slot, 200)})
    add_slot(pool, SlotState.BUSY, 50).turns = 1
    for step in steps:
        _happens(pool, reserve, step)
        assert {slot.id: told[slot.id] for slot in pool} == {slot.id: count_one(slot, 200) for slot in pool}


def test_growth_is_told_in_bytes_a_minute() -> None:
    slot = add_slot(Pool(1), SlotState.READY)
    assert slot.memory_growth == 0
    for seconds in range(3):
        slot.note_memory(100 + 10 * seconds, at=float(seconds))
    assert slot.memory_growth == 600


def test_what_a_client_takes_back_after_it_was_woken_is_no_growth() -> None:
    slot = add_slot(Pool(1), SlotState.READY)
    for at, size in ((0.0, 120), (2.0, 9), (10.0, 9), (12.0, 70), (40.0, 100), (70.0, 100), (72.0, 104)):
        slot.note_memory(size, at)
    slot.woken_at = 10.0
    assert slot.memory_growth == 120, "from what was measured a minute after that"
    slot.move(SlotState.DORMANT)
    assert slot.memory_growth == 0


def test_what_has_slept_says_nothing_of_what_the_next_one_needs_until_it_has_worked_again() -> None:
    """S2.29-31: it is smaller for a while, and never quite what it was."""
    pool = Pool(4)
    for thin, awake in ((True, 0), (False, 300 * MiB), (False, 0)):
        slot = add_slot(pool, SlotState.READY, 100 * MiB)
        slot.turns, slot.is_thin, slot.awake_bytes = 1, thin, awake
    add_slot(pool, SlotState.READY, 50 * MiB)
    taken: list[int] = []
    reserve = cast(Reserve, SimpleNamespace(take=taken.extend))
    core = cast(InstanceCore, SimpleNamespace(pool=pool, template=SimpleNamespace(pool=PoolLimits())))
    MemoryCeilings(core, cast(Clients, None), reserve).judge([*pool])
    assert taken == [300 * MiB, 100 * MiB]
