"""Many turns through one supervisor with real clients: does it grow? Prints one object of JSON.

`python -m benchmarks.soak TURNS URL FOLDER`. After each fifty turns no turn runs and a sample is taken; then one
session is hibernated, so that processes end and start all along.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
from pathlib import Path
from typing import Any

import anyio
import psutil

from benchmarks.contenders import AGENT, Stage
from supervisor import Done, Prompt, Supervisor, pace_interpreter

USERS = 4
BLOCK = 50
"""Turns between two samples."""
SETTLE = 1.2
"""Seconds before a sample: a client waits up to one second for the idle sign after a result, in a task of its own."""
TURN_LIMIT = 60.0
"""Seconds one turn may take before the soak gives up."""


async def soak(turns: int, url: str, folder: Path) -> dict[str, Any]:
    stage = Stage(url, folder, USERS)
    samples: list[dict[str, float]] = []
    block = min(BLOCK, max(turns // 4, USERS))
    async with Supervisor([stage.make_template()], stage.make_settings(), environment=stage.environment) as supervisor:

        async def talk(user: int, done: int) -> None:
            for number in range(done, done + block):
                if number % USERS == user:
                    prompt = Prompt(AGENT, f"[[stream: 20 words, 0]] Turn {number}.", user=f"user-{user}")
                    with anyio.fail_after(TURN_LIMIT):
                        outcome = await (await supervisor.submit(prompt)).outcome()
                    if not isinstance(outcome, Done):
                        raise RuntimeError(f"turn {number} ended as {outcome!r}")

        done = 0
        while done < turns:
            async with anyio.create_task_group() as group:
                for user in range(USERS):
                    group.start_soon(talk, user, done)
            done += block
            await anyio.sleep(SETTLE)
            samples.append({"turns": done, **_sample()})
            await _restart_one(supervisor, len(samples))
        restarts = (await supervisor.snapshot()).instances[0].pool.cold - USERS
    return {"turns": done, "users": USERS, "block": block, "restarts": restarts, "samples": samples}


def _sample() -> dict[str, float]:
    # Garbage that waits for the collector is not growth.
    gc.collect()
    process = psutil.Process()
    return {"rss": process.memory_info().rss, "fds": process.num_fds(), "tasks": len(asyncio.all_tasks())}


async def _restart_one(supervisor: Supervisor, number: int) -> None:
    """Ends one client and begins a turn, so that the next sample finds as many clients as this one."""
    rows = (await supervisor.snapshot()).sessions
    row = rows[number % len(rows)]
    await supervisor.hibernate(row.key)
    with anyio.fail_after(TURN_LIMIT):
        await (await supervisor.submit(Prompt(AGENT, "[[say: Back.]]", user=row.key.user))).outcome()


if __name__ == "__main__":
    pace_interpreter()  # as the program does
    print(json.dumps(anyio.run(soak, int(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))))
