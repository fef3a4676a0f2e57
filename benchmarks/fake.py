"""The engine alone: the real supervisor on the shipped fake client, under loads that real processes cannot reach.

`python -m benchmarks.fake PART SIZE` prints one object of JSON. Each part gets a process of its own, so that memory and
processor time are its own.
"""

from __future__ import annotations

import gc
import importlib
import importlib.util
import json
import random
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import psutil

from supervisor import (
    Done,
    FeedReader,
    Prompt,
    SessionKey,
    Settings,
    Source,
    Supervisor,
    Template,
    TurnQueued,
    pace_interpreter,
)
from supervisor.clock import Clock
from supervisor.feed import Feed
from supervisor.testing import FakeConnection, FakeWorld

AGENT = "desk"
RATE = 200
"""Prompts in a second, over all sessions, while `written` measures a steady load."""
SECONDS = 5.0
HERTZ = 10
"""How often a screen takes what changed."""
READERS = 3
BURST = 100
"""Events published in one go, before any other task runs."""


@asynccontextmanager
async def running(world: FakeWorld, clients: int, *agents: str) -> AsyncIterator[Supervisor]:
    """`clients` for each agent; `AGENT` alone by default."""
    with tempfile.TemporaryDirectory() as folder:
        templates = [
            Template.model_validate(
                {
                    "name": name,
                    "description": "a benchmark's agent",
                    "system_prompt": "You help.",
                    "path": Path(folder) / f"{name}.md",
                    "concurrency": {"maxSessions": clients},
                    "pool": {"spares": 0, "idleTtl": "1d"},
                    "queue": {"maxWaiting": 100_000, "maxWait": "none"},
                }
            )
            for name in agents or (AGENT,)
        ]
        settings = Settings(state_dir=Path(folder) / "state", max_agents=clients * len(templates))
        async with Supervisor(templates, settings, connect=world.connect) as supervisor:
            yield supervisor


async def open_sessions(supervisor: Supervisor, first: int, last: int, at_once: int) -> None:
    """One turn in each session, of about a hundred characters each way; agents take turns."""
    agents = [row.name for row in (await supervisor.snapshot()).instances]
    text = "x" * 80
    for start in range(first, last, at_once):
        numbers = range(start, min(start + at_once, last))
        prompts = [Prompt(agents[n % len(agents)], f"{n} {text}", user=f"user-{n}") for n in numbers]
        tickets = [await supervisor.submit(prompt) for prompt in prompts]
        for ticket in tickets:
            await ticket.outcome()


async def measure_written(sessions: int) -> dict[str, Any]:
    """Seconds from `submit` to the write of the prompt, every session being warm.

    `steady`: prompts at random times, the sessions in random order; `late`: the same counted from the moment the prompt
    was due, so that a caller who found the loop busy is not forgotten; `burst`: all sessions in the same moment.
    """
    written: dict[str, float] = {}

    def note(connection: FakeConnection, text: str) -> None:
        written[text] = time.perf_counter()
        connection.reply("x" * 100)

    world = FakeWorld(on_prompt=note)
    chance = random.Random(1)
    async with running(world, sessions) as supervisor:
        await open_sessions(supervisor, 0, sessions, sessions)
        due = sorted(chance.uniform(0, SECONDS) for _ in range(int(RATE * SECONDS)))
        who = chance.sample(range(sessions), sessions)
        began = time.perf_counter()
        tickets, submitted, late = [], {}, {}
        for number, offset in enumerate(due):
            await anyio.sleep(max(0, began + offset - time.perf_counter()))
            text = f"steady {number}"
            late[text] = began + offset
            submitted[text] = time.perf_counter()
            tickets.append(await supervisor.submit(Prompt(AGENT, text, user=f"user-{who[number % sessions]}")))
        for ticket in tickets:
            await ticket.outcome()
        burst = {}
        tickets = []
        burst_began = time.perf_counter()
        for number in range(sessions):
            text = f"burst {number}"
            burst[text] = time.perf_counter()
            tickets.append(await supervisor.submit(Prompt(AGENT, text, user=f"user-{number}")))
        for ticket in tickets:
            await ticket.outcome()
        burst_seconds = time.perf_counter() - burst_began
    return {
        "sessions": sessions,
        "rate": RATE,
        "steady": [written[text] - at for text, at in submitted.items()],
        "late": [written[text] - at for text, at in late.items()],
        "burst": [written[text] - at for text, at in burst.items()],
        "burst_seconds": burst_seconds,
    }


async def measure_feed(events: int) -> dict[str, Any]:
    """Events that reached all three readers, and the processor time of the whole process meanwhile.

    `screen`, `woken`: events published in bursts with the rows they change, to readers that take at 10 Hz or as soon as
    they are woken; `single`: the latter, one event at a time, so that every event is taken alone by every reader;
    `told`: fragments of text that fake clients tell the real engine, with readers at 10 Hz and nothing left out.
    """
    sessions = 100
    world = FakeWorld()
    async with running(world, sessions) as supervisor:
        await open_sessions(supervisor, 0, sessions, sessions)
        return {
            "readers": READERS,
            "burst": BURST,
            "screen": await _publish(supervisor, events, _take_at_10_hz, BURST),
            "woken": await _publish(supervisor, events, _take_when_woken, BURST),
            "single": await _publish(supervisor, events // 10, _take_when_woken, 1),
            "told": await _tell(supervisor, world, events),
        }


Taking = Callable[[FeedReader], Any]


async def _take_when_woken(subscription: FeedReader) -> None:
    await subscription.wait()


async def _take_at_10_hz(_: FeedReader) -> None:
    await anyio.sleep(1 / HERTZ)


async def _publish(supervisor: Supervisor, events: int, pause: Taking, burst: int) -> dict[str, Any]:
    rows = (await supervisor.snapshot()).sessions
    feed = Feed(supervisor.view)
    taken = [0] * READERS
    cuts = 0

    async def read(index: int, subscription: FeedReader) -> None:
        nonlocal cuts
        with subscription:
            while taken[index] < events:
                await pause(subscription)
                changes = subscription.take()
                cuts += changes.snapshot is not None
                taken[index] += len(changes.events)

    async def publish() -> None:
        for number in range(events):
            row = rows[number % len(rows)]
            key = row.key
            event = TurnQueued(at=time.time(), instance=AGENT, user=key.user, turn=str(number), source=Source.CALLER)
            feed.publish(event)
            feed.touch_instance(AGENT)
            feed.touch_session(key)
            feed.touch_client(row.client_id)
            # A reader at 10 Hz holds 5,000 events: faster than that it is cut, which would be another measurement.
            if number % burst == burst - 1:
                await anyio.sleep(0.004 if pause is _take_at_10_hz else 0)

    began, cpu = time.perf_counter(), time.process_time()
    async with anyio.create_task_group() as group:
        for index in range(READERS):
            group.start_soon(read, index, feed.watch())
        group.start_soon(publish)
    cpu = time.process_time() - cpu
    return {"events": min(taken), "cuts": cuts, "cpu": cpu, "seconds": time.perf_counter() - began}


async def _tell(supervisor: Supervisor, world: FakeWorld, events: int) -> dict[str, Any]:
    told = 0

    def hold(connection: FakeConnection, text: str) -> None:
        pass

    world.on_prompt = hold
    users = [row.key.user for row in (await supervisor.snapshot()).sessions]
    tickets = [await supervisor.submit(Prompt(AGENT, f"tell {user}", user=user)) for user in users]
    while not all(connection.is_in_turn for connection in world.connections):  # noqa: ASYNC110 - bounded by our caller
        await anyio.sleep(0.001)

    async def screen(subscription: FeedReader) -> None:
        with subscription:
            while told < events:
                await anyio.sleep(1 / HERTZ)
                subscription.take()

    began, cpu = time.perf_counter(), time.process_time()
    async with anyio.create_task_group() as group:
        for _ in range(READERS):
            group.start_soon(screen, await supervisor.watch())
        while told < events:
            for connection in world.connections:
                connection.say("word ")
                told += 1
            await anyio.lowlevel.checkpoint()
    cpu = time.process_time() - cpu
    seconds = time.perf_counter() - began
    for connection in world.connections:
        connection.reply()
    for ticket in tickets:
        await ticket.outcome()
    return {"events": told, "cuts": 0, "cpu": cpu, "seconds": seconds}


async def measure_memory(sessions: int) -> dict[str, Any]:
    """Resident memory after so many sessions with one turn each, all but the last few of them hibernated."""
    world = FakeWorld()
    points: list[tuple[int, int]] = []
    process = psutil.Process()
    async with running(world, 2, *(f"{AGENT}-{number}" for number in range(10))) as supervisor:
        for begin, end in pairwise(sessions * share // 20 for share in range(21)):
            await open_sessions(supervisor, begin, end, at_once=20)
            # What the fake keeps stands for processes and files: it is not the supervisor's.
            world.connections[:] = world.live
            world.transcripts.clear()
            gc.collect()
            points.append((end, process.memory_info().rss))
        hibernated = sum(not row.client_id for row in (await supervisor.snapshot()).sessions)
    return {"points": points, "hibernated": hibernated}


async def measure_journal(sessions: int) -> dict[str, Any]:
    """Seconds to load that many sessions from the journal, the file being in the cache; None without a journal."""
    if importlib.util.find_spec("supervisor.journal") is None:
        return {"sessions": sessions, "seconds": None}
    journals = importlib.import_module("supervisor.journal")
    with tempfile.TemporaryDirectory() as folder:
        async with journals.Journal.open(Path(folder), clock=Clock()) as journal:
            for number in range(sessions):
                key = SessionKey(AGENT, f"user-{number}", "default")
                prompt = Prompt(AGENT, "x" * 80, user=key.user)
                turn = journals.TurnRecord(f"turn-{number}", f"uuid-{number}", key, prompt, queued_at=time.time())
                now = time.time()
                journal.sessions.keep(journals.SessionRecord(key, now, now, uuid=str(number), has_history=True))
                journal.turns.accept(turn, lambda error: None)
                journal.turns.end(turn.id, time.time(), Done("x" * 100))
            await journal.flush()
        async with journals.Journal.open(Path(folder), clock=Clock()) as journal:
            began = time.perf_counter()
            loaded = await journal.load()
            seconds = time.perf_counter() - began
    return {"sessions": len(loaded.sessions), "seconds": seconds}


PARTS = {
    "written": measure_written,
    "feed": measure_feed,
    "memory": measure_memory,
    "journal": measure_journal,
}

if __name__ == "__main__":
    pace_interpreter()  # as the program does
    print(json.dumps(anyio.run(PARTS[sys.argv[1]], int(sys.argv[2]))))
