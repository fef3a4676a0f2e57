"""A hundred live sessions on one host: how soon each answers when idle clients sleep, and when they do not.

    python -m benchmarks.live_sessions               # ten minutes; writes its part of docs/benchmarks.md
    python -m benchmarks.live_sessions --swap DIR    # as root: with a file of swap in that folder while it runs

The whole engine with real Claude Code processes on the rehearsal endpoint, twice under the same memory budget. Each
session says something first; then prompts come at random (a Poisson process, the same both times), each to a session
drawn at random. What does not fit into the budget awake sleeps, or is hibernated where sleeping is switched off.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import random
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import anyio

from benchmarks.figures import percentile
from benchmarks.sections import write_section
from benchmarks.temperatures import swap_file
from supervisor import Prompt, Rehearsal, Settings, Supervisor, Template
from supervisor.api.outcomes import Done
from supervisor.process.host_memory import look_at_host

SESSIONS, PROMPTS, RATE = 100, 60, 0.5
BUDGET = "2GiB"
DORMANT_AFTER = 2.0
"""Seconds."""
SWAP_FILE = 24 * 1024**3


@dataclass
class Way:
    firsts: list[float] = field(default_factory=list)
    """Seconds from a prompt to its first token."""
    peak: int = 0
    """Bytes of all clients, at most."""
    alive: int = 0
    """Sessions with a process at the end."""
    swapped: int = 0
    """Bytes, at most."""
    failed: Counter[str] = field(default_factory=Counter)
    load: float = 0.0


async def measure(sessions: int, prompts: int, rate: float) -> dict[str, Way]:
    ways = {"clients sleep": Way(), "sleeping switched off": Way()}
    for name, way in ways.items():
        after = DORMANT_AFTER if name == "clients sleep" else "none"
        await _run(way, after, sessions, prompts, rate)
        way.load = os.getloadavg()[0]
        print(f"{name}: done, load {way.load:.1f}", file=sys.stderr, flush=True)
    return ways


async def _run(way: Way, dormant_after: float | str, sessions: int, prompts: int, rate: float) -> None:
    chance = random.Random(1)
    with tempfile.TemporaryDirectory(prefix="bullpen-live-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        keys = {
            "name": "desk",
            "description": "measured",
            "system_prompt": "You help.",
            "path": folder / "desk.md",
            "tools": ["Read"],
            "concurrency": {"maxSessions": sessions},
            "queue": {"maxWait": 300},
            "pool": {"spares": 0, "dormantAfter": dormant_after, "idleTtl": "4h", "memoryBudget": BUDGET},
        }
        settings = Settings.model_validate(
            {"state_dir": folder / "state", "rehearsal": True, "agent_ttl": "4h", "dormant_budget": 1.0}
        )
        async with contextlib.AsyncExitStack() as stack:
            rehearsal = await stack.enter_async_context(Rehearsal(pace=0.0))
            environment = rehearsal.environment(folder / "claude")
            supervisor = await stack.enter_async_context(
                Supervisor([Template.model_validate(keys)], settings, environment=environment)
            )
            async with anyio.create_task_group() as group:
                group.start_soon(_sample, way, supervisor)
                await _begin_all(supervisor, sessions)
                async with anyio.create_task_group() as turns:
                    due = time.perf_counter()
                    for _ in range(prompts):
                        due += chance.expovariate(rate)
                        await anyio.sleep(max(0.0, due - time.perf_counter()))
                        turns.start_soon(_ask, way, supervisor, chance.randrange(sessions))
                way.alive = len((await supervisor.snapshot()).clients)
                group.cancel_scope.cancel()


async def _begin_all(supervisor: Supervisor, sessions: int) -> None:
    limit = anyio.CapacityLimiter(os.cpu_count() or 1)
    async with anyio.create_task_group() as group:
        for number in range(sessions):
            group.start_soon(_begin, supervisor, number, limit)
    print(f"{sessions} sessions have begun", file=sys.stderr, flush=True)


async def _begin(supervisor: Supervisor, number: int, limit: anyio.CapacityLimiter) -> None:
    async with limit:
        ticket = await supervisor.submit(Prompt("desk", f"[[say: noted]] my word is kiwi-{number}", user=f"u{number}"))
        await ticket.outcome()


async def _ask(way: Way, supervisor: Supervisor, number: int) -> None:
    began = time.perf_counter()
    ticket = await supervisor.submit(Prompt("desk", "[[recall]]", user=f"u{number}"))
    async for _ in ticket.stream():
        way.firsts.append(time.perf_counter() - began)
        break
    outcome = await ticket.outcome()
    if not isinstance(outcome, Done):
        way.failed[type(outcome).__name__] += 1
    elif f"kiwi-{number}" not in outcome.text:
        way.failed["forgotten"] += 1


async def _sample(way: Way, supervisor: Supervisor) -> None:
    while True:
        rows = (await supervisor.snapshot()).clients
        way.peak = max(way.peak, sum(row.memory_bytes for row in rows))
        way.swapped = max(way.swapped, sum(row.swap_bytes for row in rows))
        await anyio.sleep(1)


def describe(ways: dict[str, Way], sessions: int, prompts: int, rate: float) -> str:
    asleep, awake = ways.values()
    p50, p95 = (percentile(asleep.firsts, share) / percentile(awake.firsts, share) for share in (0.5, 0.95))
    rows = [
        ("first token, p50 / p95", *(_times(way.firsts) for way in ways.values())),
        ("memory of all clients, at most (PSS)", *(f"{way.peak / 2**30:.2f} GiB" for way in ways.values())),
        ("in swap, at most", *(f"{way.swapped / 2**30:.2f} GiB" for way in ways.values())),
        ("sessions with a process, at the end", *(str(way.alive) for way in ways.values())),
        ("turns that failed, or forgot", *(str(way.failed.total()) for way in ways.values())),
        ("load at the end", *(f"{way.load:.1f}" for way in ways.values())),
    ]
    lines = [
        "## A hundred live sessions" if sessions == SESSIONS else f"## {sessions} live sessions",
        "",
        f"{sessions} sessions in a budget of {BUDGET}, {prompts} prompts at random, {rate:g} a second (`python -m "
        f"benchmarks.live_sessions`), on {os.cpu_count()} cores; clients sleep after {DORMANT_AFTER:g} s.",
        "",
        "| | " + " | ".join(ways) + " |",
        "|---|---:|---:|",
        *(f"| {name} | {one} | {other} |" for name, one, other in rows),
        "",
        f"Where clients sleep the first token takes {p50:.2f} × as long as without (p50; p95 {p95:.2f} ×), and a GiB "
        f"holds {_in_a_gib(asleep):.0f} sessions with a process instead of {_in_a_gib(awake):.0f}.",
    ]
    return "\n".join(lines)


def _in_a_gib(way: Way) -> float:
    return way.alive / (way.peak / 2**30)


def _times(seconds: list[float]) -> str:
    return f"{percentile(seconds, 0.5) * 1000:.0f} / {percentile(seconds, 0.95) * 1000:.0f} ms"


def main() -> int:
    about = (__doc__ or "").split("\n")[0]
    parser = argparse.ArgumentParser(prog="python -m benchmarks.live_sessions", description=about)
    parser.add_argument("--sessions", type=int, default=SESSIONS, help="default: %(default)s")
    parser.add_argument("--prompts", type=int, default=PROMPTS, help="default: %(default)s")
    parser.add_argument("--rate", type=float, default=RATE, help="prompts in a second; default: %(default)s")
    parser.add_argument("--swap", type=Path, metavar="DIR", help="make swap in that folder while it runs (root)")
    parser.add_argument("--print", action="store_true", help="leave docs/benchmarks.md as it is")
    chosen = parser.parse_args()
    logging.disable(logging.CRITICAL)  # the SDK says of each client that was killed asleep that it was
    with swap_file(chosen.swap, SWAP_FILE) if chosen.swap else contextlib.nullcontext():
        if not look_at_host().hands_back:
            print("clients are not paged out here: see `bullpen doctor`, and --swap", file=sys.stderr)
            return 1
        ways = anyio.run(measure, chosen.sessions, chosen.prompts, chosen.rate)
    text = describe(ways, chosen.sessions, chosen.prompts, chosen.rate)
    print(text)
    if not chosen.print:
        write_section("live", text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
