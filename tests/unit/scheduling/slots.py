"""Slots in any state of their life, put together without a client."""

from __future__ import annotations

from pathlib import Path

from supervisor.api.keys import SessionKey
from supervisor.api.states import MemoryLevel, SlotState
from supervisor.clock import Clock
from supervisor.sessions.pool import Pool
from supervisor.sessions.session import Session
from supervisor.sessions.slot import Slot

MiB = 1024**2

PATHS = {
    SlotState.RESERVED: [],
    SlotState.STARTING: [SlotState.STARTING],
    SlotState.READY: [SlotState.STARTING, SlotState.READY],
    SlotState.BUSY: [SlotState.STARTING, SlotState.READY, SlotState.BUSY],
    SlotState.ASKING: [SlotState.STARTING, SlotState.READY, SlotState.BUSY, SlotState.ASKING],
    SlotState.DORMANT: [SlotState.STARTING, SlotState.READY, SlotState.DORMANT],
    SlotState.WAKING: [SlotState.STARTING, SlotState.READY, SlotState.DORMANT, SlotState.WAKING],
    SlotState.CLOSING: [SlotState.CLOSING],
}
"""The steps to every state a slot of a pool may be in."""


def add_slot(
    pool: Pool,
    state: SlotState,
    memory: int = 0,
    *,
    session: Session | None = None,
    is_spare: bool = False,
    digest: str = "same",
    idle_since: float = 0.0,
    level: MemoryLevel = MemoryLevel.NORMAL,
) -> Slot:
    """One more slot; `memory` in bytes, 0 for one that was never measured. Outside `NORMAL` it has had a turn."""
    number = len(pool) + 1
    while pool.get(f"desk-{number}"):
        number += 1
    slot = Slot(f"desk-{number}", f"uuid-{number}", Path(), digest, resume=False, at=0.0)
    if session is None and not is_spare:
        session = Session(SessionKey("desk", "ana", str(number)), Clock())
    if session is not None:
        session.adopt(slot)
    for step in PATHS[state]:
        slot.move(step)
    if memory:
        slot.note_memory(memory, 0.0)
    slot.memory_level = level
    slot.turns = int(level is not MemoryLevel.NORMAL)
    slot.idle_since = idle_since
    pool.add(slot)
    return slot
