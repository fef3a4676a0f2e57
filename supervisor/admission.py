"""Whether this host may hold one more client, over all instances (S5.7)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from supervisor.pool import Pool
from supervisor.slot import Slot


class Tenant(Protocol):
    """An instance, as far as room is concerned."""

    @property
    def pool(self) -> Pool: ...
    @property
    def wants_room(self) -> bool:
        """A session waits for a client that its own pool would allow."""


class HostRoom:
    """Counts the clients of all tenants against `max_agents`."""

    def __init__(self, max_agents: int) -> None:
        self.max_agents = max_agents
        self._tenants: list[Tenant] = []

    def add(self, tenant: Tenant) -> None:
        self._tenants.append(tenant)

    @property
    def used(self) -> int:
        return sum(len(tenant.pool) for tenant in self._tenants)

    @property
    def is_wanted(self) -> bool:
        """Somebody waits for a client: not the time to start spares."""
        return any(tenant.wants_room for tenant in self._tenants)

    @property
    def is_left(self) -> bool:
        return self.used < self.max_agents

    def find_victim(self) -> tuple[Tenant, Slot] | None:
        """When somebody is kept out: the least recently used idle client of all, a spare before a conversation.

        None when there is room, when nobody wants it, or when as many are leaving already as are wanted.
        """
        wanting = sum(tenant.wants_room for tenant in self._tenants)
        leaving = sum(tenant.pool.closing for tenant in self._tenants)
        if self.is_left or wanting <= leaving:
            return None
        return _least_recent((tenant, tenant.pool.find_victim()) for tenant in self._tenants)


def _least_recent(candidates: Iterable[tuple[Tenant, Slot | None]]) -> tuple[Tenant, Slot] | None:
    found = [(tenant, slot) for tenant, slot in candidates if slot is not None]
    return min(found, key=lambda pair: (not pair[1].is_spare, pair[1].idle_since), default=None)
