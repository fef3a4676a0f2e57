"""Whether one more client may be opened, by count and by bytes, over all instances (S2.29-32, S5.7). Pure.

A budget that is smaller than one client must not stop everything: who is alone gets a client in any case.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Protocol

from supervisor.api.types import WhyWaiting
from supervisor.config.byte_sizes import about, spell_memory
from supervisor.scheduling.memory_reserve import Ledger, Reserve, count_up
from supervisor.sessions.pool import Pool
from supervisor.sessions.slot import Slot


class Tenant(Protocol):
    """An instance, as far as room is concerned."""

    @property
    def pool(self) -> Pool: ...
    @property
    def reserve(self) -> Reserve: ...
    @property
    def memory_budget(self) -> int | None:
        """Bytes all its clients may use; None when only the host's budget counts."""

    @property
    def lacks_client(self) -> bool:
        """A session waits for a client, and the instance starts turns."""

    @property
    def waits_since(self) -> float | None:
        """Steady seconds: since when a session waits for a client that its own pool and budget would allow."""


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

    def __init__(self, max_agents: int, memory_budget: int) -> None:
        self.max_agents = max_agents
        self.memory_budget = memory_budget
        """Bytes."""
        self._capacity: float = math.inf
        """Bytes that clients could use at the last measurement: what was available, and what they had already."""
        self._tenants: list[Tenant] = []

    def add(self, tenant: Tenant) -> None:
        self._tenants.append(tenant)

    def remove(self, tenant: Tenant) -> None:
        """It has no client any more, and will have none."""
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
        return any(tenant.waits_since is not None for tenant in self._tenants)

    def find_shortage(self, tenant: Tenant) -> WhyWaiting | None:
        """What keeps the tenant from one more client: NO_SLOT, MEMORY, or None when it may have one."""
        return find_own_shortage(tenant) or self.find_house_shortage(tenant)

    def find_house_shortage(self, tenant: Tenant) -> WhyWaiting | None:
        """The same, as far as the other tenants or the host are to blame.

        A place is kept for each tenant that waits longer: one with a long queue would otherwise take every place that
        it gives up again, and starve the others.
        """
        earlier = self._waiting_before(tenant)
        used = self.used + len(earlier)
        if used >= self.max_agents:
            return WhyWaiting.NO_SLOT
        needed = tenant.reserve.bytes + sum(other.reserve.bytes for other in earlier)
        is_short = self.ledger.used + needed > min(self.memory_budget, self._capacity)
        return WhyWaiting.MEMORY if is_short and used > 0 else None

    def explain(self, tenant: Tenant, *, has_free_turn: bool) -> WhyWaiting | None:
        """Why the tenant's next session gets no client; None when none waits for one."""
        if not tenant.lacks_client:
            return None
        return self.find_shortage(tenant) if has_free_turn else WhyWaiting.NO_SLOT

    def find_victim(self) -> tuple[Tenant, Slot] | None:
        """When a session is kept out, or clients have grown above the budget: the one of all that is given up first.

        None when as many are leaving already as are wanted.
        """
        waiting = [tenant for tenant in self._tenants if tenant.waits_since is not None]
        kept_out = sum(self.find_house_shortage(tenant) is not None for tenant in waiting)
        leaving = sum(tenant.pool.closing for tenant in self._tenants)
        if kept_out <= leaving and not _is_over(self.ledger, self.memory_budget, self.used - leaving):
            return None
        return _first_to_go((tenant, tenant.pool.find_victim()) for tenant in self._tenants)

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

    def _waiting_before(self, tenant: Tenant) -> list[Tenant]:
        own = tenant.waits_since
        return [
            other
            for other in self._tenants
            if other is not tenant and (since := other.waits_since) is not None and (own is None or since < own)
        ]


def ledger_of(tenant: Tenant) -> Ledger:
    """Bytes."""
    return count_up(tenant.pool, tenant.reserve.bytes)


def find_own_shortage(tenant: Tenant) -> WhyWaiting | None:
    """What its own pool and budget keep it from one more client for."""
    if not tenant.pool.has_room:
        return WhyWaiting.NO_SLOT
    budget = tenant.memory_budget
    if budget is None or len(tenant.pool) == 0:
        return None
    return WhyWaiting.MEMORY if ledger_of(tenant).used + tenant.reserve.bytes > budget else None


def is_over_budget(tenant: Tenant) -> bool:
    """Its clients have grown above its own budget, and not all of that is on its way out. One alone may."""
    budget = tenant.memory_budget
    staying = len(tenant.pool) - tenant.pool.closing
    return budget is not None and _is_over(ledger_of(tenant), budget, staying)


def _is_over(ledger: Ledger, budget: int, staying: int) -> bool:
    return staying > 1 and ledger.used - ledger.leaving > budget


def _first_to_go(candidates: Iterable[tuple[Tenant, Slot | None]]) -> tuple[Tenant, Slot] | None:
    found = [(tenant, slot) for tenant, slot in candidates if slot is not None]
    return min(found, key=lambda pair: pair[1].value, default=None)
