"""How a client's process tree stands to the ceilings of its pool, and what becomes of one that has outgrown them."""

from __future__ import annotations

from collections.abc import Sequence

from supervisor.api.outcomes import FailureKind
from supervisor.api.states import MemoryLevel
from supervisor.config.byte_sizes import about, spell_memory
from supervisor.config.limits import PoolLimits
from supervisor.instance.clients import Clients
from supervisor.instance.core import InstanceCore
from supervisor.process.end_reason import EndReason
from supervisor.scheduling.memory_reserve import Reserve
from supervisor.sessions.slot import Slot


def find_level(memory_bytes: int, limits: PoolLimits) -> MemoryLevel:
    """The highest ceiling that it is above."""
    ceilings = (
        (MemoryLevel.PANIC, limits.panic_memory),
        (MemoryLevel.HARD, limits.hard_memory),
        (MemoryLevel.SOFT, limits.soft_memory),
    )
    return next(
        (level for level, ceiling in ceilings if ceiling is not None and memory_bytes > ceiling), MemoryLevel.NORMAL
    )


class MemoryCeilings:
    """Judges one instance's clients by the memory ceilings of its template."""

    def __init__(self, core: InstanceCore, clients: Clients, reserve: Reserve) -> None:
        self._core = core
        self._clients = clients
        self._reserve = reserve

    def judge(self, slots: Sequence[Slot]) -> None:
        """What a new measurement of these clients means: their level, the end of those that panic, and what the next
        client is expected to need."""
        limits = self._core.template.pool
        for slot in slots:
            if slot.is_leaving:
                continue
            slot.memory_level = find_level(slot.memory_bytes, limits)
            if slot.memory_level is MemoryLevel.PANIC:
                self._end_at_once(slot)
        # One that has slept is smaller for a while, and never quite what it was: the next one will not have slept.
        grown = (slot for slot in slots if slot.has_worked and slot.memory_bytes and not slot.is_thin)
        self._reserve.take(max(slot.memory_bytes, slot.awake_bytes) for slot in grown)

    def _end_at_once(self, slot: Slot) -> None:
        turn = slot.session.running if slot.session is not None else None
        if turn is not None:
            ceiling = spell_memory(self._core.template.pool.panic_memory)
            words = (
                f"the client's processes used {about(slot.memory_bytes)}, more than panicMemory "
                f"({ceiling}); they were ended, the session can go on"
            )
            turn.ask_to_stop(words, fails_as=FailureKind.OUT_OF_MEMORY)
        self._clients.end(slot, EndReason.PANIC)
