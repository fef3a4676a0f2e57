"""Whether one more client may be opened, by count and by bytes, over all instances (S2.29-32, S5.7). Pure.

With no client running, one is always admitted: a budget smaller than one client must not stop everything.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterable
from typing import NamedTuple, Protocol

from supervisor.api.states import SlotState, WhyWaiting
from supervisor.config.byte_sizes import about, spell_memory
from supervisor.scheduling.memory_reserve import Ledger, Reserve, RunningLedger, growth
from supervisor.sessions.pool import Pool
from supervisor.sessions.slot import Slot


class Tenant(Protocol):
    """An instance, as far as room is concerned."""

    @property
    def pool(self) -> Pool: ...
    @property
    def reserve(self) -> Reserve: ...
    @property
    def ledger(self) -> RunningLedger: ...
    @property
    def memory_budget(self) -> int | None:
        """Bytes all its clients may use; None when only the host's budget counts."""

    @property
    def lacks_client(self) -> bool:
        """A session waits for a client, and the instance starts turns."""

    @property
    def waits_since(self) -> float | None:
        """Steady seconds: since when a session waits for a client that its own pool and budget would allow."""

    @property
    def waits_to_wake(self) -> tuple[float, Slot] | None:
        """Since when (steady seconds) a session with a turn waits for its own client, which sleeps, to be woken, though
        its own budget would allow it; None when none does."""

    def find_sleeper(self) -> Slot | None:
        """The idle client of this tenant to put to sleep when memory is short; None when that would free nothing."""


class Victim(NamedTuple):
    """An idle client that makes room."""

    slot: Slot
    may_sleep: bool = False
    """It is put to sleep, and gives back only its memory."""


class Shortage:
    """Why the sessions of an instance find no room, and when that was so last."""

    def __init__(self) -> None:
        self.why: WhyWaiting | None = None
        """NO_SLOT or MEMORY; None when no session is kept out."""
        self.seen_at = -math.inf
        """Steady seconds."""

    def note(self, why: WhyWaiting | None, now: float) -> bool:
        """True when the reason has changed. `now` in steady seconds."""
        if why is not None:
            self.seen_at = now
        has_changed, self.why = why is not self.why, why
        return has_changed


class HostRoom:
    """Counts the clients of all tenants against `max_agents`, and their bytes against the host's memory."""

    def __init__(self, max_agents: int, memory_budget: int, most_waking: int = 2) -> None:
        self.max_agents = max_agents
        self.most_waking = most_waking
        """Clients that may wake at once: reading their memory back keeps about a core each busy."""
        self.memory_budget = memory_budget
        """Bytes."""
        self._capacity: float = math.inf
        """Bytes that clients could use at the last measurement: what was available, and what they had already."""
        self._tenants: list[Tenant] = []

    def add(self, tenant: Tenant) -> None:
        self._tenants.append(tenant)

    def remove(self, tenant: Tenant) -> None:
        """Removes a tenant that has no client and will have none."""
        self._tenants.remove(tenant)

    def note_available(self, available: int) -> None:
        """`available`: unused bytes of the host, measured together with the clients."""
        ledger = self.ledger
        self._capacity = available + ledger.used - ledger.coming

    @property
    def used(self) -> int:
        """Clients, those on their way in and out included."""
        return sum(len(tenant.pool) for tenant in self._tenants)

    @property
    def ledger(self) -> Ledger:
        """Bytes of all tenants."""
        return sum((ledger_of(tenant) for tenant in self._tenants), Ledger())

    @property
    def is_wanted(self) -> bool:
        """A session waits for a client: not the time to start spares."""
        return any(tenant.waits_since is not None or tenant.waits_to_wake is not None for tenant in self._tenants)

    def find_shortage(self, tenant: Tenant) -> WhyWaiting | None:
        """What keeps the tenant from one more client: NO_SLOT, MEMORY, or None when it may have one."""
        return find_own_shortage(tenant, self.most_waking) or self.find_host_shortage(tenant)

    def find_host_shortage(self, tenant: Tenant) -> WhyWaiting | None:
        """Why the host, or other tenants, keep this tenant from one more client; None when they do not.

        A place is kept for each tenant that waits longer: one with a long queue would otherwise take every place that
        it gives up again, and starve the others.
        """
        earlier = self._waiting_before(tenant, tenant.waits_since)
        used = self.used + len(earlier)
        if used >= self.max_agents:
            return WhyWaiting.NO_SLOT
        needed = tenant.reserve.bytes + sum(other.reserve.bytes for other in earlier) + self._kept_to_wake
        is_short = self.ledger.used + needed > min(self.memory_budget, self._capacity)
        return WhyWaiting.MEMORY if is_short and used > 0 else None

    @property
    def _kept_to_wake(self) -> int:
        """Bytes that clients which sleep take back when as many wake as may at once, the largest first: what is opened
        leaves them free."""
        return find_kept(self._tenants, self.most_waking)

    @property
    def waking(self) -> int:
        return sum(tenant.pool.waking for tenant in self._tenants)

    @property
    def keeps_enough(self) -> bool:
        """Whether as many clients sleep as may wake at once. One more sleeper then needs no more memory kept free."""
        return sum(tenant.pool.dormant for tenant in self._tenants) >= self.most_waking

    def find_wake_shortage(self, tenant: Tenant, slot: Slot) -> WhyWaiting | None:
        """What keeps the tenant's client asleep: WAKING, MEMORY, or None when it may be woken.

        One alone may always wake. What is kept for tenants that wait longer is theirs, as with clients that are opened.
        """
        own = tenant.waits_to_wake
        since = own[0] if own is not None else None
        earlier = [
            (other, found[1])
            for other in self._tenants
            if other is not tenant
            and (found := other.waits_to_wake) is not None
            and (since is None or found[0] < since)
        ]
        if self.waking + len(earlier) >= self.most_waking:
            return WhyWaiting.WAKING
        needed = growth(slot, tenant.reserve.bytes)
        if find_own_wake_shortage(tenant, slot) is not None:
            return WhyWaiting.MEMORY
        needed += sum(growth(one, other.reserve.bytes) for other, one in earlier)
        needed += sum(other.reserve.bytes for other in self._waiting_before(tenant, since))
        if self.ledger.used + needed <= min(self.memory_budget, self._capacity):
            return None
        return WhyWaiting.MEMORY if any(_has_awake(other.pool) for other in self._tenants) else None

    def explain(self, tenant: Tenant, *, has_free_turn: bool) -> WhyWaiting | None:
        """Why the tenant's next session gets no client; None when none waits for one."""
        if not tenant.lacks_client:
            return None
        return self.find_shortage(tenant) if has_free_turn else WhyWaiting.NO_SLOT

    def find_victim(self) -> Victim | None:
        """The client to give up first when a session is kept out, or clients have grown above the budget.

        None when enough clients are leaving or falling asleep already.
        """
        opening = [
            why
            for tenant in self._tenants
            if tenant.waits_since is not None and (why := self.find_host_shortage(tenant))
        ]
        waking = sum(self._is_kept_asleep(tenant) for tenant in self._tenants)
        closing = sum(tenant.pool.closing for tenant in self._tenants)
        is_over = _is_over(self.ledger, self.memory_budget, self.used - closing)
        wants_place = WhyWaiting.NO_SLOT in opening or (bool(opening) and not self.keeps_enough)
        falling_asleep = 0 if wants_place else sum(tenant.pool.falling_asleep for tenant in self._tenants)
        if len(opening) + waking <= closing + falling_asleep and not is_over:
            return None
        if wants_place:
            first = _first_to_go(tenant.pool.find_victim() for tenant in self._tenants)
            return Victim(first) if first is not None else None
        return find_memory((tenant.pool for tenant in self._tenants), (tenant.find_sleeper for tenant in self._tenants))

    def _is_kept_asleep(self, tenant: Tenant) -> bool:
        """Whether the tenant's sleeper cannot be woken because of what others use."""
        found = tenant.waits_to_wake
        return found is not None and self.find_wake_shortage(tenant, found[1]) is WhyWaiting.MEMORY

    def remark(self, tenant: Tenant) -> str:
        """What an operator should know about the budgets of this tenant; mostly empty."""
        needed = tenant.reserve.bytes
        for name, budget in (("pool.memoryBudget", tenant.memory_budget), ("memory_budget", self.memory_budget)):
            if budget is not None and needed > budget:
                return (
                    f"{name} ({spell_memory(budget)}) is less than one client is expected to need ({about(needed)}): "
                    "one at a time is admitted"
                )
        return ""

    def _waiting_before(self, tenant: Tenant, own: float | None) -> list[Tenant]:
        """Tenants that have waited for a place since before `own`; all that wait where `own` is None."""
        return [
            other
            for other in self._tenants
            if other is not tenant and (since := other.waits_since) is not None and (own is None or since < own)
        ]


def ledger_of(tenant: Tenant) -> Ledger:
    """Bytes."""
    return tenant.ledger.total


def find_own_shortage(tenant: Tenant, most_waking: int) -> WhyWaiting | None:
    """Why the tenant's own pool or memory budget keeps it from one more client; None when neither does."""
    if not tenant.pool.has_room:
        return WhyWaiting.NO_SLOT
    budget = tenant.memory_budget
    if budget is None or len(tenant.pool) == 0:
        return None
    needed = tenant.reserve.bytes + find_kept([tenant], most_waking)
    return WhyWaiting.MEMORY if ledger_of(tenant).used + needed > budget else None


def find_own_wake_shortage(tenant: Tenant, slot: Slot) -> WhyWaiting | None:
    """MEMORY where its own budget keeps its client asleep. One alone may wake."""
    budget = tenant.memory_budget
    if budget is None or ledger_of(tenant).used + growth(slot, tenant.reserve.bytes) <= budget:
        return None
    return WhyWaiting.MEMORY if _has_awake(tenant.pool) else None


def find_kept(tenants: Iterable[Tenant], most_waking: int) -> int:
    """Bytes that the largest of the tenants' clients that sleep take back, when so many wake at once."""
    growths = (growth(slot, one.reserve.bytes) for one in tenants for slot in one.pool.in_state(SlotState.DORMANT))
    return sum(heapq.nlargest(most_waking, growths))


def is_over_budget(tenant: Tenant) -> bool:
    """Whether the tenant's clients have grown above its own memory budget, not counting those that are leaving. A
    single client may be above it."""
    budget = tenant.memory_budget
    if budget is None:
        return False
    return _is_over(ledger_of(tenant), budget, len(tenant.pool) - tenant.pool.closing)


def _is_over(ledger: Ledger, budget: int, staying: int) -> bool:
    return staying > 1 and ledger.used - ledger.leaving > budget


def _has_awake(pool: Pool) -> bool:
    """Also on their way in or out."""
    return len(pool) > pool.dormant


def find_memory(pools: Iterable[Pool], find_sleepers: Iterable[Callable[[], Slot | None]]) -> Victim | None:
    """The client to take memory from. Preferred in this order: one that gets no further turn; one to put to sleep,
    which keeps its place; one that is awake; one that sleeps, which frees least."""
    pools = tuple(pools)
    first = _first_to_go(pool.find_victim() for pool in pools)
    if first is not None and first.is_worthless:
        return Victim(first)
    if (sleeper := _first_to_go(find() for find in find_sleepers)) is not None:
        return Victim(sleeper, may_sleep=True)
    awake = _first_to_go(pool.find_victim(is_awake=True) for pool in pools)
    return Victim(awake or first) if first is not None else None


def _first_to_go(candidates: Iterable[Slot | None]) -> Slot | None:
    return min((slot for slot in candidates if slot is not None), key=lambda slot: slot.value, default=None)
