"""Measures what the clients use, at intervals, without holding up the loop."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import anyio
import psutil

from supervisor.api.states import SlotState
from supervisor.clock import Clock
from supervisor.config.settings import Settings
from supervisor.in_thread import run_in_thread
from supervisor.process.client import Client
from supervisor.process.host_memory import read_swap
from supervisor.process.process_tree import LOST, ProcessTable, TreeUsage
from supervisor.scheduling.swap import SwapUse, measure_swap
from supervisor.sessions.slot import Slot

SHARE = 50
"""Clients that are measured in one go: a thousand fake ones took a thread 20 to 28 ms and the loop about 11."""

_log = logging.getLogger(__name__)


@contextmanager
def _where_it_can_be_seen() -> Iterator[None]:
    try:
        yield
    except LOST as error:
        _log.warning("what clients use cannot be measured: %s", error)


class Census:
    """Writes memory, processes and CPU of each client's whole tree into its slot (S2.29–31)."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._cpu_seen: dict[str, tuple[float, float]] = {}
        """Slot → when it was measured last (steady seconds), and the seconds of a processor that it had used."""
        self.supervisor_bytes = psutil.Process().memory_info().rss
        self.memory_available = psutil.virtual_memory().available
        self.swap_total, self.swap_free = read_swap()
        self._swap_room = self.swap_free
        """Bytes of swap that are free or filled by clients."""

    async def take(self, slots: Sequence[Slot], *, over: float, heed: Callable[[Sequence[Slot]], None]) -> float:
        """Measures them a share at a time, with pauses in between that last `over` seconds together with one at the
        end, which is left to the caller: returned in seconds. All at once, a thousand clients kept the loop from its
        prompts for a tenth of a second. `heed` is called with each share, in the step of the loop in which its figures
        and those of the host's memory change. What cannot be measured now, because every descriptor is in use, say,
        stays as it was."""
        shares = [slots[start : start + SHARE] for start in range(0, len(slots), SHARE)] or [slots]
        pause, table = over / len(shares), _Table()
        swapped = 0
        for number, share in enumerate(shares):
            if number:
                await anyio.sleep(pause)
            there = [slot for slot in share if slot.state is not SlotState.GONE]
            with _where_it_can_be_seen():
                await self._measure(there, table)
            swapped += sum(slot.swap_bytes for slot in there)
            heed(there)
        self._cpu_seen = {slot.id: self._cpu_seen[slot.id] for slot in slots if slot.id in self._cpu_seen}
        if table.swap is not None:
            self.swap_total, self.swap_free = table.swap
            self._swap_room = self.swap_free + swapped if self.swap_total else 0
        return pause

    async def _measure(self, slots: Sequence[Slot], table: _Table) -> None:
        """Raises `LOST`."""
        clients = {slot.id: slot.client for slot in slots if slot.client is not None}
        began = self._clock.steady()
        measures, host = await run_in_thread(table.measure_clients, clients)
        # From here to the end of `heed` nothing else runs: what is unused belongs to what these clients use now.
        self.supervisor_bytes, self.memory_available = host
        now = self._clock.steady()
        for slot in slots:
            measure = measures.get(slot.id)
            if measure is None or not measure.processes:
                continue
            slot.note_measure(measure, began)
            then, cpu = self._cpu_seen.get(slot.id, (now, measure.cpu_seconds))
            # One that has ended and was not waited for takes its seconds out of the sum: never below zero.
            slot.cpu_percent = max(0.0, measure.cpu_seconds - cpu) / (now - then) * 100 if now > then else 0.0
            slot.cpu_since, self._cpu_seen[slot.id] = then, (now, measure.cpu_seconds)

    def swap_use(self, used: int, settings: Settings) -> SwapUse:
        """How much of swap and of its budget is used, as of the last measurement. `used`: bytes that clients have in
        swap."""
        return measure_swap(used, self._swap_room, settings.dormant_budget)


class _Table:
    """Every process's parent, and what is in swap, for all shares of one round: read with the first of them."""

    def __init__(self) -> None:
        self.swap: tuple[int, int] | None = None
        """Before the clients: who falls asleep meanwhile must not make it seem smaller than it is."""
        self._processes: ProcessTable | None = None

    def measure_clients(self, clients: Mapping[str, Client[Slot]]) -> tuple[dict[str, TreeUsage], tuple[int, int]]:
        """And then the bytes of this process, and those that nothing uses. Blocking: call it in a thread. Raises
        `LOST`."""
        if self.swap is None:
            self.swap = read_swap()
        if self._processes is None:
            self._processes = ProcessTable()
        measures = {name: client.measure(self._processes) for name, client in clients.items()}
        return measures, (psutil.Process().memory_info().rss, psutil.virtual_memory().available)
