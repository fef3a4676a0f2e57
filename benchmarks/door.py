"""What the door costs: over the engine's own time for a turn, for many streams at once, and for many short turns.

    python -m benchmarks.door               # one minute, on the fake client

The house runs in a process of its own, so that its memory is its own. Every reply carries the key of its prompt: what
is lost or crossed is counted.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import psutil

PAIRS, STREAMS, TURNS, WORKERS = 200, 500, 2_000, 50
AIM = 5.0
"""Milliseconds over the engine's own, at the median."""
HOLD, RELEASE, TIME = "[hold]", "[release]", "[time]"
MOST = 1_000


def house(folder: Path) -> None:
    """Runs the engine on fake clients, with its door open, until its input ends."""
    from supervisor.config.settings import Settings
    from supervisor.config.templates import Template
    from supervisor.engine.supervisor import Supervisor
    from supervisor.gateway.door import Door
    from supervisor.gateway.tokens import TokenFile
    from supervisor.testing import FakeConnection, FakeWorld

    held: list[FakeConnection] = []

    def reply(connection: FakeConnection, text: str) -> None:
        if text.startswith(HOLD):
            connection.say(text)
            held.append(connection)
            return
        if text == RELEASE:
            while held:
                held.pop().reply(" and the rest")
        connection.reply(f"You said: {text}")

    async def run() -> None:
        world = FakeWorld()
        world.on_prompt = reply
        template = Template.model_validate(
            {
                "name": "desk",
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
        async with Supervisor([template], settings, connect=world.connect) as supervisor:
            door = Door(supervisor, folder, tokens=TokenFile(folder), version="0", leave=lambda: None)
            serving = asyncio.create_task(door.run())
            print("open", flush=True)
            line = await asyncio.to_thread(sys.stdin.readline)
            while line:
                print(json.dumps(await own_times(supervisor, int(line))), flush=True)
                line = await asyncio.to_thread(sys.stdin.readline)
            serving.cancel()

    asyncio.run(run())


async def own_times(supervisor: object, count: int) -> list[float]:
    """Seconds from submit to outcome of turns that a caller in the process sends."""
    from supervisor import Prompt

    found = []
    for number in range(count):
        begun = time.perf_counter()
        ticket = await supervisor.submit(Prompt("desk", f"{TIME} {number}", user="inside"))  # type: ignore[attr-defined]
        await ticket.outcome()
        found.append(time.perf_counter() - begun)
    return found


async def read_stream(client: httpx.AsyncClient, user: str, text: str) -> AsyncIterator[tuple[str, dict[str, object]]]:
    body = {"userId": user, "agentId": "desk", "message": text}
    async with client.stream("POST", "/chat", json=body) as stream:
        name = ""
        async for line in stream.aiter_lines():
            if line.startswith("event: "):
                name = line[7:]
            elif line.startswith("data: "):
                yield name, json.loads(line[6:])


async def measure(folder: Path, process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    memory = psutil.Process(process.pid)
    transport = httpx.AsyncHTTPTransport(
        uds=str(folder / "bullpen.sock"), limits=httpx.Limits(max_connections=None, max_keepalive_connections=100)
    )
    async with httpx.AsyncClient(transport=transport, base_url="http://bullpen", timeout=120) as client:
        ask = {"headers": {"Accept": "application/json"}}
        over: list[float] = []
        own: list[float] = []
        for _ in range(PAIRS // 20):  # in turn, so that what else the machine does falls on both
            for number in range(20):
                begun = time.perf_counter()
                body = {"userId": "outside", "agentId": "desk", "message": f"{TIME} {number}"}
                (await client.post("/chat", json=body, **ask)).raise_for_status()  # type: ignore[arg-type]
                over.append(time.perf_counter() - begun)
            process.stdin.write("20\n")
            process.stdin.flush()
            own += json.loads(await asyncio.to_thread(process.stdout.readline))
        cost = (statistics.median(over) - statistics.median(own)) * 1e3
        print(
            f"a turn over HTTP: {statistics.median(over) * 1e3:.2f} ms at the median, "
            f"inside {statistics.median(own) * 1e3:.2f}"
        )
        print(f"  the door's own: {cost:.2f} ms (aim < {AIM:g}): {'met' if cost < AIM else 'missed'}")

        wrong = 0

        async def work(worker: int) -> None:
            nonlocal wrong
            for number in range(TURNS // WORKERS):
                key = f"key-{worker}-{number}"
                body = {"userId": f"user-{worker}", "agentId": "desk", "message": key}
                told = (await client.post("/chat", json=body, **ask)).json()  # type: ignore[arg-type]
                wrong += told.get("text") != f"You said: {key}"

        begun = time.perf_counter()
        await asyncio.gather(*map(work, range(WORKERS)))
        took = time.perf_counter() - begun
        print(f"{TURNS:,} short turns, {WORKERS} at once: {TURNS / took:.0f} a second; lost or crossed: {wrong}")

        before, opened, right, all_open = memory.memory_info().rss, 0, 0, asyncio.Event()

        async def stream(number: int) -> None:
            nonlocal opened, right
            text = ""
            async for name, data in read_stream(client, f"stream-{number}", f"{HOLD} {number}"):
                if name == "text":
                    opened += not text
                    if opened == STREAMS:
                        all_open.set()
                    text = text[: int(str(data["at"]))] + str(data["text"])
            right += text == f"{HOLD} {number} and the rest"

        streams = [asyncio.create_task(stream(number)) for number in range(STREAMS)]
        await all_open.wait()
        each = (memory.memory_info().rss - before) / STREAMS / 1024
        print(f"{STREAMS} streams open at once: {each:.0f} KiB each (their sessions and fake clients included)")
        async for _ in read_stream(client, "operator", RELEASE):
            pass
        await asyncio.gather(*streams)
        print(f"  told to their end, each with its own words: {right}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--house", type=Path, help=argparse.SUPPRESS)
    if (folder := parser.parse_args().house) is not None:
        house(folder)
        return
    with tempfile.TemporaryDirectory(prefix="bullpen-door-") as name:
        command = [sys.executable, "-m", "benchmarks.door", "--house", name]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            process.stdout.readline()
            asyncio.run(measure(Path(name), process))
            assert process.stdin is not None
            process.stdin.close()


if __name__ == "__main__":
    main()
