"""How much of the host's swap clients may fill while they sleep, and who is ended when it is more. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from supervisor.api.states import SlotState
from supervisor.sessions.pool import Pool
from supervisor.sessions.slot import Slot


class SwapUse(NamedTuple):
    used: int
    """Bytes that clients have in swap, but for those that end."""
    budget: int
    """Bytes that they may have there: a share of what is free and what they have already; 0 without swap."""


def measure_swap(used: int, room: int, share: float | None) -> SwapUse:
    """`used`: as the ledger has it (`Ledger.swapped`). `room`: bytes of swap that were free or theirs when both were
    measured last. Who has ended or fallen asleep since does not change it. Without a share all of it is theirs."""
    return SwapUse(used, int(room * (1.0 if share is None else share)))


def find_longest_asleep(pools: Iterable[Pool], use: SwapUse) -> Slot | None:
    """The client that has slept longest of those with something in swap, when they have more there than they may."""
    if use.used <= use.budget:
        return None
    asleep = (slot for pool in pools for slot in pool.in_state(SlotState.DORMANT))
    return min(
        (slot for slot in asleep if slot.is_evictable and slot.swap_bytes), key=lambda slot: slot.slept_at, default=None
    )
