"""A hundred users on one host: fewer clients than sessions, in a budget of memory, against a client for each user.

    python -m benchmarks.users               # ten minutes; writes its part of docs/benchmarks.md

Real Claude Code processes on the rehearsal endpoint. Users come at random (a Poisson process): each says a word, is
asked for it again after others have had the clients, and once more now and then. What a client for each user takes is
measured on as many bare clients as there are users, all alive at once; on a host that cannot hold them, the page says
how many there were.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import anyio.to_thread
import httpx
import psutil

from benchmarks.sections import PAGE, write_section
from benchmarks.worker import Child, Worker

BUDGET = "3GiB"
WAIT = 60
"""Seconds that a turn may wait for a client (`queue.maxWait`)."""
LEAST_FREE = 2 * 1024**3
"""Bytes of the host below which no more bare clients are started."""
AT_ONCE = 20
"""Bare clients of one process."""
SAMPLE_EVERY = 1.0
GiB = 1024**3


@dataclass
class Run:
    """What the hundred users got."""

    users: int
    turns: int
    rate: float
    """Arrivals in a second."""
    seconds: float = 0.0
    peak: int = 0
    """Bytes of all clients, at most."""
    most_clients: int = 0
    own: int = 0
    """Bytes of the supervisor, at most."""
    outcomes: Counter[str] = field(default_factory=Counter)
    early: int = 0
    """Refused before the wait was over."""
    forgotten: int = 0
    """Answers without the user's word."""
    crossed: int = 0
    """Answers with another's."""
    waits: list[float] = field(default_factory=list)
    answers: list[float] = field(default_factory=list)
    """Seconds from the request to the whole answer."""
    ways: dict[str, int] = field(default_factory=dict)
    """How many turns got a client how."""


def memory_of_children(pid: int) -> tuple[int, int]:
    """Bytes of everything that the process has started, shared pages counted in shares, and how many CLIs these are."""
    total, count = 0, 0
    try:
        children = psutil.Process(pid).children(recursive=True)
    except psutil.Error:
        return 0, 0
    for child in children:
        try:
            total += child.memory_full_info().pss
            count += Path(child.exe()).name == "claude"
        except (psutil.Error, OSError):
            continue
    return total, count


def word_of(number: int) -> str:
    return f"kiwi-{number:03}-"


async def measure(plan: Run, url: str, folder: Path) -> Run:
    chance = random.Random(1)
    users = range(plan.users)
    order = [*chance.sample(users, plan.users), *chance.sample(users, plan.users)]
    order += [chance.randrange(plan.users) for _ in range(plan.turns - len(order))]
    async with Child(
        "benchmarks.gateway_process", "real", str(folder), url, str(plan.users), BUDGET, f"{WAIT}s"
    ) as server:
        await server.read_line(within=60)
        pid = server._process.pid
        transport = httpx.AsyncHTTPTransport(
            uds=str(folder / "bullpen.sock"), limits=httpx.Limits(max_connections=None)
        )
        async with httpx.AsyncClient(transport=transport, base_url="http://bullpen", timeout=600) as client:
            seen: set[int] = set()

            async def turn(number: int) -> None:
                first = number not in seen
                seen.add(number)
                message = f"[[say: noted]] my word is {word_of(number)}" if first else "[[recall]]"
                body = {"userId": f"user-{number}", "agentId": "desk", "message": message}
                began = time.perf_counter()
                answer = await client.post("/chat", json=body, headers={"Accept": "application/json"})
                plan.answers.append(time.perf_counter() - began)
                told = answer.json()
                plan.outcomes[told["outcome"] if answer.is_success else str(answer.status_code)] += 1
                plan.early += not answer.is_success and plan.answers[-1] < WAIT
                if answer.is_success:
                    plan.waits.append(told["startedAt"] - told["queuedAt"])
                    plan.forgotten += not first and word_of(number) not in told["text"]
                    plan.crossed += any(word_of(other) in told["text"] for other in users if other != number)

            async def sample() -> None:
                while True:
                    used, count = await anyio.to_thread.run_sync(memory_of_children, pid)
                    plan.peak, plan.most_clients = max(plan.peak, used), max(plan.most_clients, count)
                    plan.own = max(plan.own, psutil.Process(pid).memory_info().rss)
                    await anyio.sleep(SAMPLE_EVERY)

            began = time.perf_counter()
            async with anyio.create_task_group() as group:
                group.start_soon(sample)
                async with anyio.create_task_group() as turns:
                    due = began
                    for number in order:
                        due += chance.expovariate(plan.rate)
                        await anyio.sleep(max(0.0, due - time.perf_counter()))
                        turns.start_soon(turn, number)
                group.cancel_scope.cancel()
            plan.seconds = time.perf_counter() - began
            text = (await client.get("/metrics")).text
            for line in text.splitlines():
                if line.startswith("bullpen_turn_starts_total{"):
                    plan.ways[line.split('how="')[1].split('"')[0]] = int(float(line.rpartition(" ")[2]))
    return plan


async def measure_bare(users: int, url: str, folder: Path) -> tuple[int, int]:
    """Bytes of a bare client for each user, after one turn each, and for how many users there was room."""
    started, used = 0, 0
    async with AsyncExitStack() as stack:
        pids = []
        while started < users and psutil.virtual_memory().available > LEAST_FREE + AT_ONCE * 300 * 1024**2:
            count = min(AT_ONCE, users - started)
            part = folder / f"bare-{started}"
            part.mkdir()
            worker = await stack.enter_async_context(Worker("floor", count, url, part))
            await worker.opened()
            pids.append(worker._process.pid)
            started += count
        await anyio.sleep(2)
        used = sum(memory_of_children(pid)[0] for pid in pids)
    return used, started


def percentile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else float("nan")


def describe(run: Run, bare: int, started: int) -> str:
    is_whole = started == run.users
    whole = bare if is_whole else round(bare / max(1, started) * run.users)
    how = "" if is_whole else f" (estimated from {started}: the host has no room for more)"
    ways = ", ".join(f"{count} {way}" for way, count in sorted(run.ways.items()))
    facts = f"{time.strftime('%Y-%m-%d')} · {psutil.cpu_count()} cores · load {psutil.getloadavg()[1]:.1f} at the end"
    has_kept_apart = not (run.forgotten or run.crossed)
    over = run.peak / (3 * GiB) - 1
    budget = f"{-over:.1%} below" if over <= 0 else f"{over:.1%} above"
    waits = [percentile(run.waits, share) for share in (0.5, 0.95, 1.0)]
    answers = [percentile(run.answers, share) for share in (0.5, 0.95, 1.0)]
    rows = (
        (f"{run.users} users", f"bullpen in {BUDGET}", "a bare client for each user", ""),
        ("---",) * 4,
        (
            "memory of all clients, at most (PSS)",
            f"{run.peak / GiB:.2f} GiB",
            f"{whole / GiB:.2f} GiB{how}",
            f"{run.peak / max(1, whole):.2f} ×",
        ),
        ("that, against the budget", budget, "", _verdict(over <= 0)),
        ("clients alive at once, at most", run.most_clients, run.users, f"{run.most_clients / run.users:.2f} ×"),
        ("refused before the wait was over", f"{run.early} of {run.turns}", "", _verdict(not run.early)),
        ("waited in vain", f"{run.turns - run.outcomes['done'] - run.early} of {run.turns}", "", ""),
        (
            "words forgotten, and words of another told",
            f"{run.forgotten}, {run.crossed}",
            "",
            _verdict(has_kept_apart),
        ),
        ("wait for a client, p50 / p95 / longest", _seconds(waits), "", ""),
        ("whole answer, p50 / p95 / longest", _seconds(answers), "", ""),
        ("how turns got a client", ways, "", ""),
        ("memory of the supervisor, at most (RSS)", f"{run.own / 1024**2:.0f} MiB", "", ""),
    )
    table = "\n".join(f"| {' | '.join(map(str, row))} |" for row in rows)
    return f"""## A hundred users on one host

Made by `make bench-users`: {facts}. Real Claude Code processes on the rehearsal endpoint; {run.users} users with a
session each, {run.turns} turns that arrive at random, {run.rate:g} a second on average, in a memory budget of {BUDGET}.
A turn may wait {WAIT} s. The first prompt of each user tells a word, all others ask for it.

{table}
"""


def _verdict(is_met: bool) -> str:
    return "met" if is_met else "**missed**"


def _seconds(values: list[float]) -> str:
    return " / ".join(f"{one:.2f}" for one in values) + " s"


async def run(plan: Run, page: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="bullpen-users-") as name:
        folder = Path(name)
        async with Child("benchmarks.endpoint") as endpoint:
            url = await endpoint.read_line(within=30)
            for part in ("bullpen", "bare"):
                (folder / part).mkdir()
            found = await measure(plan, url, folder / "bullpen")
            print(
                json.dumps(vars(found) | {"waits": sorted(found.waits)[-10:], "answers": sorted(found.answers)[-10:]}),
                flush=True,
            )
            bare, started = await measure_bare(plan.users, url, folder / "bare")
    text = describe(found, bare, started)
    print(text)
    write_section("users", text, page)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=100)
    parser.add_argument("--turns", type=int, default=200, help="at least two for each user")
    parser.add_argument("--rate", type=float, default=0.6, help="arrivals in a second")
    parser.add_argument("--page", type=Path, default=PAGE)
    given = parser.parse_args()
    anyio.run(run, Run(given.users, max(given.turns, 2 * given.users), given.rate), given.page)


if __name__ == "__main__":
    main()
