"""How a client's process tree stands to the ceilings of its pool, and what becomes of one that has outgrown them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from supervisor.api.types import FailureKind, MemoryLevel
from supervisor.config.byte_sizes import about, spell_memory
from supervisor.config.limits import PoolLimits
from supervisor.process.client import EndReason
from supervisor.sessions.slot import Slot

if TYPE_CHECKING:
    from supervisor.instance.instance import Instance


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


def judge(instance: Instance) -> None:
    """What a new measurement means for an instance: the level of every client, the end of those that panic, and what
    the next client is expected to need."""
    limits = instance.template.pool
    for slot in instance.pool:
        if slot.is_leaving:
            continue
        slot.memory_level = find_level(slot.memory_bytes, limits)
        if slot.memory_level is MemoryLevel.PANIC:
            _end_at_once(instance, slot)
    instance.reserve.take(slot.memory_bytes for slot in instance.pool if slot.has_worked and slot.memory_bytes)


def _end_at_once(instance: Instance, slot: Slot) -> None:
    turn = slot.session.running if slot.session is not None else None
    if turn is not None and not turn.stop_reason:
        turn.fails_as = FailureKind.OUT_OF_MEMORY
        turn.stop_reason = (
            f"the client's processes used {about(slot.memory_bytes)}, more than panicMemory "
            f"({spell_memory(instance.template.pool.panic_memory)}); they were ended, the session can go on"
        )
    instance.clients.end(slot, EndReason.PANIC)
