"""The dashboard over a thousand canned sessions, in the terminal it is started in: what `benchmarks.ui` measures.

python -m benchmarks.dashboard_process idle|busy [EVENTS_PER_SECOND]
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from typing import Any

from msgspec.structs import replace

from supervisor import (
    Done,
    InstanceRow,
    SessionKey,
    SessionRow,
    SessionState,
    SlotState,
    TurnFinished,
    TurnStarted,
    Usage,
)
from tests.tui import stage
from tests.tui.stage_engine import MB, StageEngine
from tui.app import BullpenApp
from tui.terminal.driver import SafeDriver

SESSIONS, INSTANCES, CLIENTS = 1_000, 10, 40
CENSUS_SECONDS = 2.0
"""Between two measurements of all clients, as in the engine."""
TICK = 0.01
"""Seconds between two bundles of events."""


def build(now: float, *, is_busy: bool) -> StageEngine:
    engine = StageEngine()
    engine.put_host(started_at=now)
    for number in range(INSTANCES):
        engine.put(stage.instance(f"agent-{number}", sessions=SESSIONS // INSTANCES))
    dice = random.Random(1)
    for number in range(SESSIONS):
        key = SessionKey(f"agent-{number % INSTANCES}", f"user-{number // 7}", f"ticket-{4000 + number}")
        state = SessionState.WORKING if is_busy and number < CLIENTS else SessionState.IDLE
        row = stage.session(
            key, state=state, created_at=now - 9_000, last_activity_at=now - dice.uniform(0, 3_000),
            about="The printer on floor 3 blinks red", latest="Open the tray, and take the paper out",
        )  # fmt: skip
        if number < CLIENTS:
            row = replace(row, client_id=f"agent-{number % INSTANCES}-{number}", memory_bytes=210 * MB)
            if is_busy:
                row = replace(row, turn_id=f"t-{number}", turn_started_at=now - number)
            slot = SlotState.BUSY if is_busy else SlotState.READY
            engine.put(stage.client(row.client_id, key, state=slot, started_at=now - 600, last_event_at=now))
        engine.put(row)
    return engine


async def take_census(engine: StageEngine) -> None:
    """What the engine does to every client whether or not anything happens."""
    dice = random.Random(2)
    while True:
        await asyncio.sleep(CENSUS_SECONDS)
        for client in list(engine.clients.values()):
            engine.put(replace(client, memory_bytes=client.memory_bytes + dice.randrange(-50_000, 50_000)))
        engine.feed.touch_host()


async def make_events(engine: StageEngine, rate: float) -> None:
    """As many events a second, each about a session that is at work."""
    dice = random.Random(3)
    working = [row.key for row in engine.sessions.values() if row.turn_id]
    made, began = 0, time.monotonic()
    while True:
        await asyncio.sleep(TICK)
        due = int((time.monotonic() - began) * rate)
        for _ in range(due - made):
            key, now = dice.choice(working), time.time()
            row: SessionRow = engine.sessions[key]
            words = f"word {made} of the reply that is being written"
            row = replace(row, last_activity_at=now, latest=words)
            if dice.random() < 0.05:
                row = replace(row, turns=row.turns + 1, turn_started_at=now, turn_id=f"t-{made}")
                ids: Any = {"instance": key.instance, "user": key.user, "session": key.session, "turn": row.turn_id}
                engine.happen(TurnFinished(at=now, outcome=Done("", Usage(10, 10), 1.0), **ids))
                engine.happen(TurnStarted(at=now, waited=0.1, acquisition="hot", **ids))
                instance: InstanceRow = engine.instances[key.instance]
                engine.put(replace(instance, active_sessions=4))
            engine.put(row)
            made += 1


async def main(mode: str, rate: float) -> int:
    engine = build(time.time(), is_busy=mode == "busy")
    app = BullpenApp(engine, rehearsal=True, driver_class=SafeDriver)
    chores = [asyncio.create_task(take_census(engine))]
    if mode == "busy":
        chores.append(asyncio.create_task(make_events(engine, rate)))
    try:
        await app.run_async()
    finally:
        for chore in chores:
            chore.cancel()
    return app.return_code or 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else 2_000.0)))
