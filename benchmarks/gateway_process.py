"""A running engine with its door open, in a process of its own: on fake clients, or on real ones.

    python -m benchmarks.gateway_process fake FOLDER
    python -m benchmarks.gateway_process real FOLDER URL USERS BUDGET WAIT

It serves on FOLDER/bullpen.sock until its input ends, and answers a line of JSON that asks for turns with what they
took a caller inside.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import anyio
import anyio.to_thread

from benchmarks.contenders import AGENT, Stage
from supervisor import Door, Prompt, Settings, Supervisor, Template, TokenFile, pace_interpreter
from supervisor.testing import FakeConnection, FakeWorld

HOLD, RELEASE = "[hold]", "[release]"
"""How a prompt begins whose reply stays open, and the prompt that ends all of these replies."""
MOST = 1_000


def reply_of(text: str) -> str:
    """What a fake client says: the prompt's own words, so that a reply that was crossed is seen."""
    return f"You said: {text}"


def make_fake(folder: Path) -> Supervisor:
    held: list[FakeConnection] = []

    def reply(connection: FakeConnection, text: str) -> None:
        if text.startswith(HOLD):
            connection.say(text)
            held.append(connection)
            return
        if text == RELEASE:
            while held:
                held.pop().reply(" and the rest")
        connection.reply(reply_of(text))

    template = Template.model_validate(
        {
            "name": AGENT,
            "description": "a desk",
            "system_prompt": "Help.",
            "path": folder / "desk.md",
            "concurrency": {"maxSessions": MOST},
            "queue": {"maxWaiting": MOST, "maxPerUser": MOST},
            "pool": {"spares": 0},
        }
    )
    settings = Settings.model_validate(
        {"state_dir": folder, "max_agents": MOST, "connect_limit": 50, "memory_budget": "900GiB"}
    )
    return Supervisor([template], settings, connect=FakeWorld(reply).connect)


def make_real(folder: Path, url: str, users: int, budget: str, wait: str) -> Supervisor:
    """`wait`: how long a turn may wait for a client, as a template has it."""
    stage = Stage(url, folder, users)
    template = stage.make_template()
    queue = {"maxWaiting": MOST, "maxWait": wait}
    template = Template.model_validate(template.model_dump(by_alias=True, exclude_unset=True) | {"queue": queue})
    settings = Settings.model_validate(
        {"state_dir": folder / "state", "rehearsal": True, "memory_budget": budget, "max_agents": users}
    )
    return Supervisor([template], settings, environment=stage.environment)


async def take_turns(supervisor: Supervisor, count: int, at_once: int) -> list[float]:
    """Seconds from submit to outcome, of turns that callers in this process send, each of them one after the other."""
    found = []

    async def take(user: str) -> None:
        for number in range(count // at_once):
            begun = time.perf_counter()
            ticket = await supervisor.submit(Prompt(AGENT, f"{user} {number}", user=user))
            await ticket.outcome()
            found.append(time.perf_counter() - begun)

    async with anyio.create_task_group() as group:
        for number in range(at_once):
            group.start_soon(take, f"inside-{number}")
    return found


async def serve(kind: str, folder: Path, more: Sequence[str]) -> None:
    supervisor = make_fake(folder) if kind == "fake" else make_real(folder, more[0], int(more[1]), *more[2:])
    async with supervisor:
        door = Door(supervisor, folder, tokens=TokenFile(folder), version="0", leave=lambda: None)
        async with anyio.create_task_group() as group:
            await group.start(door.run)
            print("open", flush=True)
            while line := await anyio.to_thread.run_sync(sys.stdin.readline):
                print(json.dumps(await take_turns(supervisor, **json.loads(line))), flush=True)
            group.cancel_scope.cancel()


if __name__ == "__main__":
    pace_interpreter()  # as the program does
    anyio.run(serve, sys.argv[1], Path(sys.argv[2]), sys.argv[3:])
