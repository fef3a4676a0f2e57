"""Scenes of a bad day: after a crash of bullpen, parked pools, a turn that stands still, a full disk."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from supervisor import (
    FailureKind,
    InstanceState,
    MemoryLevel,
    Offer,
    SessionKey,
    SessionState,
    SlotState,
    Source,
    WhyWaiting,
)
from tests.tui.stage import ANA, BEN, CARO, LOOKUP, MIRA, ROOT, asking, busy, waiting
from tests.tui.stage_engine import MB, NOW, StageEngine

LIMITS = {
    "concurrency.maxSessions": "5",
    "pool.maxClients": "5",
    "pool.spares": "1",
    "pool.idleTtl": "10m",
    "queue.maxWait": "30s",
    "questionTtl": "5m",
    "turnTimeout": "none",
}
HOST_LIMITS = {"max_agents": "20", "memory_budget": "8.0G", "cleanup_interval": "5s"}


def offer(key: SessionKey, text: str, **changes: Any) -> Offer:
    made = Offer(
        turn_id=f"t-{key.user}",
        key=key,
        text=text,
        source=Source.CALLER,
        started_at=NOW - 200,
        made_at=NOW - 120,
        expires_at=NOW + 3480,
    )
    return replace(made, **changes)


def aftermath() -> StageEngine:
    """bullpen was killed and started again: three turns were running, and wait for a decision."""
    stage = asking()
    for key, text in ((ANA, "Can you do it for me?"), (CARO, "The printer on floor 3 blinks red")):
        stage.put(replace(stage.sessions[key], state=SessionState.INTERRUPTED, offer=offer(key, text), turn_id="",
                          turn_started_at=None, client_id="", memory_bytes=0, waiting=(), why=None))  # fmt: skip
    late = offer(MIRA, "Check last night's backup", source=Source.OPERATOR, made_at=NOW - 60)
    stage.put(replace(stage.sessions[MIRA], state=SessionState.INTERRUPTED, offer=late))
    stage.put(replace(stage.instances["helpdesk"], offers=2), replace(stage.instances["admin"], offers=1))
    return stage


def stalled() -> StageEngine:
    """Ben's turn has been silent; two clients are above a ceiling and one more grows."""
    stage = busy()
    stage.put(
        replace(stage.sessions[BEN], state=SessionState.STALLED, silent_since=NOW - 130, turn_started_at=NOW - 240),
        replace(stage.clients["helpdesk-4"], tool="Bash", tool_started_at=NOW - 110, last_event_at=NOW - 130,
                cpu_percent=0, memory_bytes=912 * MB, memory_level=MemoryLevel.HARD),
        replace(stage.clients["helpdesk-3"], memory_level=MemoryLevel.SOFT, memory_growth=61 * MB),
        replace(stage.clients["admin-2"], memory_level=MemoryLevel.PANIC, memory_bytes=2_400 * MB,
                state=SlotState.CLOSING, note="kill: above the panic ceiling"),
        replace(stage.instances["helpdesk"], stalled=1),
    )  # fmt: skip
    return stage


def parked() -> StageEngine:
    """The helpdesk waits for the rate limit to pass, the lookup for better credentials."""
    stage = busy()
    stage.put(
        replace(stage.instances["helpdesk"], state=InstanceState.PARKED, parked_for=FailureKind.RATE_LIMIT,
                parked_until=NOW + 42, note="429 three times in a row",
                pool=replace(stage.instances["helpdesk"].pool, evictions=4, crashes=3,
                             failures=((FailureKind.RATE_LIMIT, 3), (FailureKind.CRASHED_IDLE, 1)),
                             wait_p50=0.2, wait_p95=9.4, start_p50=1.1, start_p95=2.6),
                memory_budget=4_000 * MB, memory_reserve=420 * MB),
        replace(stage.instances["lookup"], state=InstanceState.PARKED, parked_for=FailureKind.AUTHENTICATION,
                note="401: the key was refused"),
        replace(stage.sessions[CARO], why=WhyWaiting.RATE_LIMIT, waiting=(
            replace(waiting(1, WhyWaiting.RATE_LIMIT, 42, "The printer on floor 3 blinks red"), place=2),)),
        replace(stage.sessions[LOOKUP], state=SessionState.WAITING, why=WhyWaiting.PARKED,
                waiting=(waiting(1, WhyWaiting.PARKED, 31, "Who has extension 88?"),)),
    )  # fmt: skip
    stage.live_limits = {"helpdesk": dict(LIMITS), "": dict(HOST_LIMITS)}
    return stage


def full_disk() -> StageEngine:
    """Nothing can be recorded, so nothing is begun."""
    stage = aftermath()
    stage.put_host(journal_failing="disk full", memory_reserved=640 * MB)
    stage.put(replace(stage.sessions[ROOT], why=WhyWaiting.DISK,
                      waiting=(waiting(1, WhyWaiting.DISK, 12, "And the second vault?"),)))  # fmt: skip
    stage.live_limits = {"": dict(HOST_LIMITS)}
    return stage
