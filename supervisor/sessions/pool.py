"""The places of one instance, and what may be asked about them. It decides nothing and awaits nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from itertools import chain

from supervisor.api.outcomes import FailureKind
from supervisor.api.snapshot import PoolStatistics
from supervisor.api.states import MemoryLevel, SlotState
from supervisor.sessions.slot import Slot

_READINESS = {SlotState.READY: 0, SlotState.DORMANT: 1, SlotState.RESERVED: 2, SlotState.STARTING: 2}
"""How soon a spare can take a prompt."""


class Pool:
    """State: the slots that are not GONE, the cap, and five counters that only grow.

    The slots are also kept by state, and the spares, the outgrown, the stale and those falling asleep apart, because
    every prompt asks for them: what it costs does not grow with the pool.
    """

    def __init__(self, max_clients: int) -> None:
        self.max_clients = max_clients
        self.on_change: Callable[[Slot], object] | None = None
        """Told of each slot that is added, removed, or not what it was."""
        self.hot = 0
        self.adopted = 0
        self.cold = 0
        self.woken = 0
        self.evictions = 0
        self.failures: Counter[FailureKind] = Counter()
        self._slots: dict[str, Slot] = {}
        self._by_state: dict[SlotState, dict[str, Slot]] = {state: {} for state in SlotState}
        self._filed: dict[str, SlotState] = {}
        """Slot → where it stands in `_by_state`."""
        self._spares: dict[str, Slot] = {}
        """Slots that belong to no session, those on their way out included."""
        self._outgrown: dict[str, Slot] = {}
        """Slots above a memory ceiling."""
        self._stale: dict[str, Slot] = {}
        """Slots started with options that are not wanted any more, except those on their way out."""
        self._falling_asleep: dict[str, Slot] = {}

    def __iter__(self) -> Iterator[Slot]:
        return iter(tuple(self._slots.values()))

    def __len__(self) -> int:
        """Every place that counts against the cap, those on the way in and out included."""
        return len(self._slots)

    def __repr__(self) -> str:
        counts = self.statistics()
        return (
            f"<Pool {len(self)}/{self.max_clients}: {counts.spare} spare, {counts.idle} idle, {counts.busy} busy, "
            f"{counts.asking} asking, {counts.dormant} dormant, {counts.waking} waking, "
            f"{counts.reserved + counts.starting} coming, {counts.closing} closing>"
        )

    def get(self, slot_id: str) -> Slot | None:
        return self._slots.get(slot_id)

    def add(self, slot: Slot) -> None:
        self._slots[slot.id] = slot
        slot.on_change = self._file
        self._file(slot)

    def remove(self, slot: Slot) -> None:
        if slot.state is not SlotState.GONE:
            raise AssertionError(f"{slot!r} is not gone")
        slot.on_change = None
        del self._slots[slot.id]
        del self._by_state[self._filed.pop(slot.id)][slot.id]
        self._spares.pop(slot.id, None)
        self._outgrown.pop(slot.id, None)
        self._stale.pop(slot.id, None)
        self._falling_asleep.pop(slot.id, None)
        if self.on_change is not None:
            self.on_change(slot)

    def _file(self, slot: Slot) -> None:
        before = self._filed.get(slot.id)
        if before is not slot.state:
            if before is not None:
                del self._by_state[before][slot.id]
            self._by_state[slot.state][slot.id] = slot
            self._filed[slot.id] = slot.state
        _keep(self._spares, slot, slot.is_spare)
        _keep(self._outgrown, slot, slot.memory_level is not MemoryLevel.NORMAL)
        _keep(self._stale, slot, slot.is_stale and not slot.is_leaving)
        _keep(self._falling_asleep, slot, slot.is_dormant and slot.is_falling_asleep)
        if self.on_change is not None:
            self.on_change(slot)

    def in_state(self, *states: SlotState) -> Iterator[Slot]:
        """Slots in any of these states, grouped by state; within one, in the order in which they got there."""
        return chain.from_iterable(self._by_state[state].values() for state in states)

    @property
    def has_room(self) -> bool:
        return len(self._slots) < self.max_clients

    @property
    def free_places(self) -> int:
        return max(0, self.max_clients - len(self._slots))

    @property
    def closing(self) -> int:
        return len(self._by_state[SlotState.CLOSING]) + len(self._by_state[SlotState.GONE])

    @property
    def running(self) -> int:
        """Turns that run, those on clients that are being ended included."""
        filed = self._by_state
        running = len(filed[SlotState.BUSY]) + len(filed[SlotState.ASKING])
        # Each prompt asks several times, and mostly there are none of these.
        if filed[SlotState.WAKING]:
            running += sum(slot.has_turn for slot in self.in_state(SlotState.WAKING))
        if filed[SlotState.CLOSING] or filed[SlotState.GONE]:
            running += sum(slot.has_turn_to_end for slot in self.in_state(SlotState.CLOSING, SlotState.GONE))
        return running

    @property
    def dormant(self) -> int:
        return len(self._by_state[SlotState.DORMANT])

    @property
    def waking(self) -> int:
        return len(self._by_state[SlotState.WAKING])

    @property
    def falling_asleep(self) -> int:
        """How many clients are handing their memory back just now."""
        return len(self._falling_asleep)

    @property
    def expected(self) -> int:
        """Clients on their way in to a session with a turn waiting."""
        coming = self.in_state(SlotState.RESERVED, SlotState.STARTING)
        return sum(slot.session is not None and len(slot.session.mailbox) > 0 for slot in coming)

    @property
    def spares(self) -> int:
        """Spares that are connected or coming."""
        return sum(not slot.is_leaving for slot in self._spares.values()) if self._spares else 0

    @property
    def has_spare_leaving(self) -> bool:
        """How it ends is not known yet: whether another one is worth starting shows when it has gone."""
        return any(slot.is_leaving for slot in self._spares.values())

    def find_spare(self, digest: str) -> Slot | None:
        """A spare of the same options: one that is awake, else one that sleeps, else the first that is coming."""
        fitting = (slot for slot in self._spares.values() if slot.digest == digest and slot.state in _READINESS)
        return min(fitting, key=lambda slot: _READINESS[slot.state], default=None)

    def find_victim(self, *, is_awake: bool = False) -> Slot | None:
        """The idle client to give up first (`Slot.value`); only among those that do not sleep, if so wanted."""
        states = (SlotState.READY,) if is_awake else (SlotState.READY, SlotState.DORMANT)
        victims = (slot for slot in self.in_state(*states) if slot.is_evictable)
        return min(victims, key=lambda slot: slot.value, default=None)

    def find_overdue(self) -> Slot | None:
        """A client that is free and above its hard ceiling."""
        return next((slot for slot in self._outgrown.values() if slot.is_ready and slot.is_overdue), None)

    @property
    def stale(self) -> int:
        """Clients with options that are not wanted any more, but for those on their way out."""
        return len(self._stale)

    def find_stale(self) -> Slot | None:
        """The idle client to replace first among those with old options: a spare, else the one that has been unused
        longest; None without one."""
        idle = (slot for slot in self._stale.values() if (slot.is_ready or slot.is_dormant) and slot.is_evictable)
        return min(idle, key=lambda slot: (not slot.is_spare, slot.unused_since), default=None)

    def statistics(self) -> PoolStatistics:
        count = {state: len(slots) for state, slots in self._by_state.items()}
        spare = sum(slot.is_ready for slot in self._spares.values())
        return PoolStatistics(
            reserved=count[SlotState.RESERVED],
            starting=count[SlotState.STARTING],
            spare=spare,
            idle=count[SlotState.READY] - spare,
            busy=count[SlotState.BUSY],
            asking=count[SlotState.ASKING],
            closing=count[SlotState.CLOSING],
            dormant=count[SlotState.DORMANT],
            waking=count[SlotState.WAKING],
            max_clients=self.max_clients,
            hot=self.hot,
            adopted=self.adopted,
            cold=self.cold,
            woken=self.woken,
            evictions=self.evictions,
            crashes=sum(number for kind, number in self.failures.items() if kind is not FailureKind.KILLED),
            failures=tuple(self.failures.most_common()),
        )


def _keep(slots: dict[str, Slot], slot: Slot, belongs: bool) -> None:
    if belongs:
        slots[slot.id] = slot
    else:
        slots.pop(slot.id, None)
