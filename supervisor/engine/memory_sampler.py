"""Measures what the clients use, at intervals, without holding up the loop."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping

import psutil

from supervisor.clock import Clock
from supervisor.config.settings import Settings
from supervisor.in_thread import run_in_thread
from supervisor.process.client import Client
from supervisor.process.host_memory import read_swap
from supervisor.process.process_tree import LOST, Measure, ProcessTable
from supervisor.scheduling.swap import SwapUse, measure_swap
from supervisor.sessions.slot import Slot
from supervisor.slices import in_slices

_log = logging.getLogger(__name__)


class Census:
    """Writes memory, processes and CPU of each client's whole tree into its slot (S2.29–31)."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._cpu_seen: dict[str, tuple[float, float]] = {}
        self._self = psutil.Process()
        self.supervisor_bytes = self._self.memory_info().rss
        self.memory_available = psutil.virtual_memory().available
        self.swap_total, self.swap_free = read_swap()
        self._swap_room = self.swap_free
        """Bytes of swap that are free or filled by clients."""

    async def take(self, slots: Iterable[Slot]) -> None:
        """What cannot be measured now, because every descriptor is in use, say, stays as it was."""
        try:
            await self._take(slots)
        except LOST as error:
            _log.warning("what clients use cannot be measured: %s", error)

    async def _take(self, slots: Iterable[Slot]) -> None:
        by_id = {slot.id: slot for slot in slots}
        clients = {name: slot.client for name, slot in by_id.items() if slot.client is not None}
        began = self._clock.steady()
        swap, measures = await run_in_thread(_measure, clients)
        now = self._clock.steady()
        seen: dict[str, tuple[float, float]] = {}
        async for name, measure in in_slices(measures.items()):
            slot = by_id[name]
            if not measure.processes:
                continue
            slot.note_measure(measure, began)
            then, cpu = self._cpu_seen.get(name, (now, measure.cpu_seconds))
            # One that has ended and was not waited for takes its seconds out of the sum: never below zero.
            slot.cpu_percent = max(0.0, measure.cpu_seconds - cpu) / (now - then) * 100 if now > then else 0.0
            slot.cpu_since, seen[name] = then, (now, measure.cpu_seconds)
        self._cpu_seen = seen
        self.swap_total, self.swap_free = swap
        theirs = sum(slot.swap_bytes for slot in by_id.values())
        self._swap_room = self.swap_free + theirs if self.swap_total else 0
        self.supervisor_bytes = self._self.memory_info().rss
        self.memory_available = psutil.virtual_memory().available

    def swap_use(self, used: int, settings: Settings) -> SwapUse:
        """As of the last measurement. `used`: bytes that clients have there."""
        return measure_swap(used, self._swap_room, settings.dormant_budget)


def _measure(clients: Mapping[str, Client[Slot]]) -> tuple[tuple[int, int], dict[str, Measure]]:
    swap = read_swap()  # before them: who falls asleep meanwhile must not make it seem smaller than it is
    table = ProcessTable()
    return swap, {name: client.measure(table) for name, client in clients.items()}
