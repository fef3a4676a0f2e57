"""What the door costs: over the engine's own time for a turn, for many streams at once, and for many short turns; and
beside it the smallest web app that starts a client for each request.

    python -m benchmarks.door               # two minutes; writes its part of docs/benchmarks.md

What is measured has a process of its own. Every reply carries the key of its prompt, so that what is lost or crossed
is counted.
"""

from __future__ import annotations

import argparse
import json
import socket
import statistics
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import httpx
import psutil

from benchmarks.gateway_process import HOLD, RELEASE, reply_of
from benchmarks.sections import PAGE, write_section
from benchmarks.users import memory_of_children
from benchmarks.worker import Child

AIM = 5.0
"""Milliseconds over the engine's own, at the median."""
BLOCK = 20
"""Turns of one way of sending before the other ways have theirs: what else the machine does falls on all."""


@dataclass(frozen=True)
class Plan:
    """How much is measured. The defaults are what is published."""

    turns: int = 400
    """Of each way of sending, one after the other."""
    short: int = 2_000
    callers: int = 50
    """Who send them, at once."""
    streams: int = 500
    users: int = 6
    """With real clients, at once."""
    real_turns: int = 5
    """Of each of them."""


QUICK = Plan(turns=20, short=40, callers=4, streams=10, users=2, real_turns=1)


class RawClient:
    """The least that speaks HTTP: what it takes is the door's, and hardly the client's."""

    def __init__(self, path: Path) -> None:
        self._line = socket.socket(socket.AF_UNIX)
        self._line.connect(str(path))
        self._answers = self._line.makefile("rb")

    def chat(self, user: str, message: str) -> dict[str, Any]:
        body = json.dumps({"userId": user, "agentId": "desk", "message": message}).encode()
        head = (
            "POST /chat HTTP/1.1\r\nHost: bullpen\r\nAccept: application/json\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        self._line.sendall(head.encode() + body)
        status, length = self._answers.readline(), 0
        while (line := self._answers.readline()) != b"\r\n":
            name, _, value = line.partition(b":")
            length = int(value) if name.lower() == b"content-length" else length
        told = self._answers.read(length)
        if b" 200 " not in status:
            raise RuntimeError(f"{status!r}: {told!r}")
        return json.loads(told)  # type: ignore[no-any-return]

    def close(self) -> None:
        self._answers.close()
        self._line.close()


def open_client(folder: Path) -> httpx.AsyncClient:
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=100)
    transport = httpx.AsyncHTTPTransport(uds=str(folder / "bullpen.sock"), limits=limits)
    return httpx.AsyncClient(transport=transport, base_url="http://bullpen", timeout=120)


async def chat(client: httpx.AsyncClient, user: str, message: str) -> dict[str, Any]:
    body = {"userId": user, "agentId": "desk", "message": message}
    answer = await client.post("/chat", json=body, headers={"Accept": "application/json"})
    answer.raise_for_status()
    return answer.json()  # type: ignore[no-any-return]


async def read_stream(client: httpx.AsyncClient, user: str, text: str) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    body = {"userId": user, "agentId": "desk", "message": text}
    async with client.stream("POST", "/chat", json=body) as stream:
        name = ""
        async for line in stream.aiter_lines():
            if line.startswith("event: "):
                name = line[7:]
            elif line.startswith("data: "):
                yield name, json.loads(line[6:])


async def measure_overhead(plan: Plan, server: Child, client: httpx.AsyncClient, folder: Path) -> dict[str, float]:
    """Seconds of a turn at the median: inside, by the raw client, by httpx."""
    raw = RawClient(folder / "bullpen.sock")
    times: dict[str, list[float]] = {"inside": [], "raw": [], "httpx": []}

    def send_raw() -> None:
        for number in range(BLOCK):
            begun = time.perf_counter()
            raw.chat("raw", f"turn {number}")
            times["raw"].append(time.perf_counter() - begun)

    for _ in range(plan.turns // BLOCK):
        times["inside"] += await server.ask({"count": BLOCK, "at_once": 1}, within=60)
        await anyio.to_thread.run_sync(send_raw)
        for number in range(BLOCK):
            begun = time.perf_counter()
            await chat(client, "outside", f"turn {number}")
            times["httpx"].append(time.perf_counter() - begun)
    raw.close()
    return {name: statistics.median(found) for name, found in times.items()}


async def measure_short(plan: Plan, server: Child, folder: Path) -> dict[str, float]:
    """Turns in a second over HTTP, by raw clients, and inside; and how many replies were not their prompt's."""
    wrong: list[str] = []

    def work(worker: int) -> None:
        raw = RawClient(folder / "bullpen.sock")
        for number in range(plan.short // plan.callers):
            key = f"key-{worker}-{number}"
            if raw.chat(f"user-{worker}", key)["text"] != reply_of(key):
                wrong.append(key)
        raw.close()

    limiter = anyio.CapacityLimiter(plan.callers)
    begun = time.perf_counter()
    async with anyio.create_task_group() as group:
        for worker in range(plan.callers):
            group.start_soon(partial(anyio.to_thread.run_sync, work, worker, limiter=limiter))
    http = plan.short / (time.perf_counter() - begun)
    begun = time.perf_counter()
    await server.ask({"count": plan.short, "at_once": plan.callers}, within=300)
    return {"http": http, "inside": plan.short / (time.perf_counter() - begun), "wrong": len(wrong)}


async def measure_streams(plan: Plan, process: psutil.Process, client: httpx.AsyncClient) -> dict[str, float]:
    """KiB of each open stream, and how many were told to their end with their own words."""
    before, opened, right = process.memory_info().rss, 0, 0
    all_open = anyio.Event()

    async def stream(number: int) -> None:
        nonlocal opened, right
        text = ""
        async for name, data in read_stream(client, f"stream-{number}", f"{HOLD} {number}"):
            if name == "text":
                opened += not text
                if opened == plan.streams:
                    all_open.set()
                text = text[: data["at"]] + data["text"]
        right += text == f"{HOLD} {number} and the rest"

    async with anyio.create_task_group() as group:
        for number in range(plan.streams):
            group.start_soon(stream, number)
        await all_open.wait()
        each = (process.memory_info().rss - before) / plan.streams / 1024
        async for _ in read_stream(client, "operator", RELEASE):
            pass
    return {"each": each, "right": right}


async def measure_real(plan: Plan, module: str, arguments: list[str], folder: Path) -> dict[str, float]:
    """Users of real clients who ask one after the other: seconds of an answer at the median, answers in a second, and
    bytes of what was started. The first turn of each, which begins its session, is not counted."""
    times: list[float] = []
    peak = 0
    async with Child(module, *arguments) as server:
        pid = server._process.pid
        with anyio.fail_after(60):
            while not (folder / "bullpen.sock").exists():  # noqa: ASYNC110
                await anyio.sleep(0.05)
        async with open_client(folder) as client:

            async def take(user: int, count: int) -> None:
                for _ in range(count):
                    begun = time.perf_counter()
                    told = await chat(client, f"user-{user}", f"[[say: key-{user}]]")
                    times.append(time.perf_counter() - begun)
                    if f"key-{user}" not in told["text"]:
                        raise RuntimeError(f"not the answer to {user}: {told}")

            async def sample() -> None:
                nonlocal peak
                while True:
                    peak = max(peak, (await anyio.to_thread.run_sync(memory_of_children, pid))[0])
                    await anyio.sleep(0.5)

            async def all_users(count: int) -> float:
                begun = time.perf_counter()
                async with anyio.create_task_group() as group:
                    for user in range(plan.users):
                        group.start_soon(take, user, count)
                return time.perf_counter() - begun

            await all_users(1)
            times.clear()
            async with anyio.create_task_group() as group:
                group.start_soon(sample)
                took = await all_users(plan.real_turns)
                group.cancel_scope.cancel()
        await anyio.to_thread.run_sync(_end, pid)
    return {"p50": statistics.median(times), "rate": len(times) / took, "peak": peak}


def _end(pid: int) -> None:
    """The smallest app does not end with its input."""
    process = psutil.Process(pid)
    if "benchmarks.naive_app" in process.cmdline():
        process.terminate()


async def run(plan: Plan, page: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="bullpen-door-") as name:
        folders = [Path(name) / part for part in ("fake", "real", "naive")]
        for folder in folders:
            folder.mkdir()
        fake, real, naive = folders
        async with Child("benchmarks.gateway_process", "fake", str(fake)) as server:
            await server.read_line(within=60)
            async with open_client(fake) as client:
                turn = await measure_overhead(plan, server, client, fake)
                short = await measure_short(plan, server, fake)
                streams = await measure_streams(plan, psutil.Process(server._process.pid), client)
        async with Child("benchmarks.endpoint") as endpoint:
            url, users = await endpoint.read_line(within=30), str(plan.users)
            app = await measure_real(plan, "benchmarks.naive_app", [str(naive), url, users], naive)
            own = await measure_real(
                plan, "benchmarks.gateway_process", ["real", str(real), url, users, "90%", "none"], real
            )
    text = describe(plan, turn, short, streams, own, app)
    print(text)
    write_section("door", text, page)


def describe(
    plan: Plan,
    turn: dict[str, float],
    short: dict[str, float],
    streams: dict[str, float],
    own: dict[str, float],
    app: dict[str, float],
) -> str:
    cost = (turn["raw"] - turn["inside"]) * 1e3
    lost = plan.streams - streams["right"] + short["wrong"]
    rows = (
        ("on fake clients", "inside", "over HTTP", ""),
        _LINE,
        (
            "a turn, p50, by a raw client",
            _ms(turn["inside"]),
            _ms(turn["raw"]),
            f"{turn['raw'] / turn['inside']:.2f} ×",
        ),
        (f"&nbsp;&nbsp;the door's own (aim < {AIM:g} ms)", "", f"{cost:.2f} ms", "met" if cost < AIM else "**missed**"),
        ("&nbsp;&nbsp;by httpx", "", _ms(turn["httpx"]), f"{turn['httpx'] / turn['inside']:.2f} ×"),
        (
            f"{plan.short:,} short turns, {plan.callers} at once, in a second",
            f"{short['inside']:.0f}",
            f"{short['http']:.0f}",
            f"{short['http'] / short['inside']:.2f} ×",
        ),
        (f"memory of each of {plan.streams} open streams, its session included", "", f"{streams['each']:.0f} KiB", ""),
        ("replies lost or crossed", "", f"{lost:.0f}", "met" if not lost else "**missed**"),
    )
    against = (
        (f"on real clients, {plan.users} users at once", "bullpen", "a client for each request", ""),
        _LINE,
        ("an answer, p50", _ms(own["p50"]), _ms(app["p50"]), f"{app['p50'] / own['p50']:.1f} ×"),
        ("answers in a second", f"{own['rate']:.1f}", f"{app['rate']:.1f}", f"{own['rate'] / app['rate']:.1f} ×"),
        (
            "memory of all clients, at most (PSS)",
            f"{own['peak'] / 2**20:.0f} MiB",
            f"{app['peak'] / 2**20:.0f} MiB",
            f"{app['peak'] / own['peak']:.2f} ×",
        ),
    )
    facts = f"{time.strftime('%Y-%m-%d')} · {psutil.cpu_count()} cores · load {psutil.getloadavg()[0]:.1f} at the end"
    return f"""## The door

Made by `make bench-door`: {facts}. Over the socket of the state directory; who asks shares the cores with the server.
A fake client answers at once and has no process, so what is left is bullpen's own. The smallest web app that starts a
client for each request (`benchmarks/naive_app.py`) has real Claude Code processes on the rehearsal endpoint, and so has
bullpen beside it.

{_table(rows)}

{_table(against)}
"""


_LINE = ("---",) * 4


def _table(rows: tuple[tuple[str, ...], ...]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.2f} ms"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a little of everything")
    parser.add_argument("--page", type=Path, default=PAGE)
    given = parser.parse_args()
    anyio.run(run, QUICK if given.quick else Plan(), given.page)


if __name__ == "__main__":
    main()
