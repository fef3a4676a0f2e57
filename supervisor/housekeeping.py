"""What has to be done because time passes: deadlines, drains, idle clients, measurements."""

from __future__ import annotations

from collections.abc import Mapping

import anyio

from supervisor import operations
from supervisor.census import Census
from supervisor.client import EndReason
from supervisor.house import House
from supervisor.instance import Instance
from supervisor.settings import Settings

TICK = 0.2
"""Seconds between two looks at what time has made due."""


class Housekeeping:
    """Two loops that run as long as the supervisor does."""

    def __init__(self, instances: Mapping[str, Instance], *, house: House, census: Census, settings: Settings) -> None:
        self._instances = instances
        self._house = house
        self._census = census
        self._settings = settings

    async def watch_the_clock(self) -> None:
        tidied = sampled = self._house.clock.steady()
        while True:
            now = self._house.clock.steady()
            if now - sampled >= 1:
                sampled = now
                self._sample_queues()
            for instance in self._instances.values():
                operations.advance(instance, now)
            if now - tidied >= self._settings.cleanup_interval:
                tidied = now
                for instance in self._instances.values():
                    operations.tidy(instance, now)
            self._share_the_host()
            await anyio.sleep(TICK)

    async def take_census(self) -> None:
        feed = self._house.feed
        while True:
            slots = [slot for instance in self._instances.values() for slot in instance.pool]
            await self._census.take(slots)
            for slot in slots:
                feed.touch_client(slot.id)
                if slot.session is not None:
                    feed.touch_session(slot.session.key)
            feed.touch_host()
            await anyio.sleep(self._settings.memory_interval)

    def _sample_queues(self) -> None:
        for instance in self._instances.values():
            instance.waiting_trend.append(instance.waiting)
            self._house.feed.touch_instance(instance.name)

    def _share_the_host(self) -> None:
        """An instance kept out by `max_agents` gets the place of another's idle client, or one that has become free."""
        if (found := self._house.room.find_victim()) is not None:
            tenant, slot = found
            tenant.pool.evictions += 1
            self._instances[slot.instance].end_client(slot, EndReason.EVICTED)
        for instance in self._instances.values():
            if self._house.room.is_left and (instance.wants_room or instance.wants_spare):
                instance.kick()
