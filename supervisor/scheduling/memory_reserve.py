"""What clients are charged in bytes: what they measure, and before that what one of them is expected to need."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

from supervisor.sessions.pool import Pool
from supervisor.sessions.slot import Slot

WINDOW = 300
"""Samples the reserve is taken from: ten minutes of one client, a minute of ten, measured every two seconds."""

ENOUGH = 10
"""Samples before they count for more than the expected figure."""

_PERCENTILE = 0.95


class Reserve:
    """What one more client of an instance is expected to need: the 95th percentile of those that have worked lately."""

    def __init__(self, expected: int) -> None:
        """`expected`: bytes, until there are enough samples."""
        self.bytes = expected
        self._samples: deque[int] = deque(maxlen=WINDOW)

    def __repr__(self) -> str:
        return f"<Reserve {self.bytes:,} bytes from {len(self._samples)} samples>"

    def take(self, samples: Iterable[int]) -> None:
        """Adds what clients measure now, in bytes."""
        self._samples.extend(samples)
        if len(self._samples) >= ENOUGH:
            rank = math.ceil(_PERCENTILE * len(self._samples))
            self.bytes = sorted(self._samples)[rank - 1]


class Ledger(NamedTuple):
    """Bytes charged for some slots."""

    used: int = 0
    """For all of them. A client that is ending counts until it is gone."""
    coming: int = 0
    """Of that, what has not been measured: expected of clients whose first turn is not over."""
    leaving: int = 0
    """Of that, what is charged for clients that are ending, or that hand their memory back just now."""
    swapped: int = 0
    """What they have in swap, but for those that are ending."""

    @property
    def measured(self) -> int:
        """Bytes that the slots use, as last measured."""
        return self.used - self.coming

    def __add__(self, other: tuple[int, ...]) -> Ledger:  # type: ignore[override]
        return Ledger(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))


def charge(slot: Slot, measured: int, reserve: int) -> int:
    """Bytes. Until its first turn is over a client counts for at least the reserve: it has not grown to its size yet,
    and nothing asks again before that turn begins. The same goes for one that was woken, and the size that it had. One
    that sleeps counts for what it uses: it is asked for more before it is woken (`HostRoom.find_wake_shortage`)."""
    if slot.is_dormant and measured:
        return measured
    needed = max(measured, slot.awake_bytes) if slot.measures_thin else measured
    return needed if needed and slot.turns > 0 else max(needed, reserve)


def growth(slot: Slot, reserve: int) -> int:
    """Bytes that one that sleeps is charged on top, from when it is woken."""
    target = max(slot.awake_bytes, 0 if slot.turns > 0 else reserve)
    return max(0, target - slot.memory_bytes)


class RunningLedger:
    """What the clients of one pool are charged, kept by what changes in it.

    The clock asks for it several times a second, and so does every prompt that needs a client: adding up a thousand
    clients each time made the loop stand for milliseconds.
    """

    def __init__(self, pool: Pool, reserve: Reserve) -> None:
        self._pool = pool
        self._reserve = reserve
        self._counted_for = reserve.bytes
        """The reserve when it was counted last."""
        self._total = Ledger()
        self._charged: dict[str, Ledger] = {}
        """Slot → what the total holds for it."""
        self._unproven: set[str] = set()
        """Slots that may be charged the reserve: all of them count anew when it has changed."""
        self._changed: dict[str, None] = dict.fromkeys(slot.id for slot in pool)
        pool.on_change = lambda slot: self._changed.setdefault(slot.id)

    @property
    def total(self) -> Ledger:
        """Bytes."""
        self.count()
        return self._total

    def count(self) -> None:
        """Takes in what has changed."""
        if self._reserve.bytes != self._counted_for:
            self._counted_for = self._reserve.bytes
            self._changed.update(dict.fromkeys(self._unproven))
        if not self._changed:
            return
        used, coming, leaving, swapped = self._total
        for name in self._changed:
            before, now = self._charged.pop(name, _NOTHING), self._charge(name)
            used += now.used - before.used
            coming += now.coming - before.coming
            leaving += now.leaving - before.leaving
            swapped += now.swapped - before.swapped
        self._changed.clear()
        self._total = Ledger(used, coming, leaving, swapped)

    def _charge(self, name: str) -> Ledger:
        slot = self._pool.get(name)
        if slot is None:
            self._unproven.discard(name)
            return _NOTHING
        if slot.turns > 0 and slot.memory_bytes:
            self._unproven.discard(name)
        else:
            self._unproven.add(name)
        charged = self._charged[name] = count_one(slot, self._counted_for)
        return charged


_NOTHING = Ledger()


def count_one(slot: Slot, reserve: int) -> Ledger:
    """The charge of one slot."""
    charged, measured = charge(slot, slot.memory_bytes, reserve), slot.memory_bytes
    is_passing = slot.is_leaving or slot.is_falling_asleep
    return Ledger(charged, charged - measured, charged if is_passing else 0, 0 if slot.is_leaving else slot.swap_bytes)


def count_up(slots: Iterable[Slot], reserve: int) -> Ledger:
    """The charges of these slots, added up from nothing."""
    return sum((count_one(slot, reserve) for slot in slots), Ledger())
