"""The places of one instance, and what may be asked about them. It decides nothing and awaits nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from supervisor.model import FailureKind, SlotState
from supervisor.slot import Slot
from supervisor.snapshot import PoolStatistics


class Pool:
    """State: the slots that are not GONE, the cap, and five counters that only grow."""

    def __init__(self, max_clients: int) -> None:
        self.max_clients = max_clients
        self.hot = 0
        self.adopted = 0
        self.cold = 0
        self.evictions = 0
        self.failures: Counter[FailureKind] = Counter()
        self._slots: dict[str, Slot] = {}

    def __iter__(self) -> Iterator[Slot]:
        return iter(tuple(self._slots.values()))

    def __len__(self) -> int:
        """Every place that counts against the cap, those on the way in and out included."""
        return len(self._slots)

    def __repr__(self) -> str:
        counts = self.statistics()
        return (
            f"<Pool {len(self)}/{self.max_clients}: {counts.spare} spare, {counts.idle} idle, {counts.busy} busy, "
            f"{counts.asking} asking, {counts.reserved + counts.starting} coming, {counts.closing} closing>"
        )

    def get(self, slot_id: str) -> Slot | None:
        return self._slots.get(slot_id)

    def add(self, slot: Slot) -> None:
        self._slots[slot.id] = slot

    def remove(self, slot: Slot) -> None:
        if slot.state is not SlotState.GONE:
            raise AssertionError(f"{slot!r} is not gone")
        del self._slots[slot.id]

    @property
    def has_room(self) -> bool:
        return len(self._slots) < self.max_clients

    @property
    def closing(self) -> int:
        return sum(slot.is_leaving for slot in self._slots.values())

    @property
    def spares(self) -> int:
        """Spares that are connected or coming."""
        return sum(slot.is_spare and not slot.is_leaving for slot in self._slots.values())

    @property
    def memory_bytes(self) -> int:
        return sum(slot.memory_bytes for slot in self._slots.values())

    def find_spare(self, digest: str) -> Slot | None:
        """A spare of the same options: a connected one if there is one, else the first that is coming."""
        fitting = [slot for slot in self._slots.values() if slot.is_spare and slot.digest == digest]
        return next((slot for slot in fitting if slot.is_ready), None) or next(
            (slot for slot in fitting if slot.is_coming), None
        )

    def find_victim(self) -> Slot | None:
        """The idle client to give up first (`Slot.value`)."""
        victims = [slot for slot in self._slots.values() if slot.is_evictable]
        return min(victims, key=lambda slot: slot.value, default=None)

    def find_overdue(self) -> Slot | None:
        """A client that is free and above its hard ceiling."""
        return next((slot for slot in self._slots.values() if slot.is_ready and slot.is_overdue), None)

    def statistics(self) -> PoolStatistics:
        count = dict.fromkeys(SlotState, 0)
        spare = 0
        for slot in self._slots.values():
            if slot.is_ready and slot.is_spare:
                spare += 1
            else:
                count[slot.state] += 1
        return PoolStatistics(
            reserved=count[SlotState.RESERVED],
            starting=count[SlotState.STARTING],
            spare=spare,
            idle=count[SlotState.READY],
            busy=count[SlotState.BUSY],
            asking=count[SlotState.ASKING],
            closing=count[SlotState.CLOSING],
            max_clients=self.max_clients,
            hot=self.hot,
            adopted=self.adopted,
            cold=self.cold,
            evictions=self.evictions,
            crashes=sum(number for kind, number in self.failures.items() if kind is not FailureKind.KILLED),
            failures=tuple(self.failures.most_common()),
        )
