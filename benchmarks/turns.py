"""Measures everything in one run, writes the raw results, and makes docs/benchmarks.md of them.

    python -m benchmarks.turns                     # what is published: half an hour on two cores
    python -m benchmarks.turns --quick             # a minute, to see that it works; the figures mean little
    python -m benchmarks.turns --render FILE       # the page again, from raw results

Every figure is a ratio of two things measured in turn, block by block, so that a noisy machine is noisy for both.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import json
import os
import platform
import sys
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import anyio
import psutil

from benchmarks.report import write_page
from benchmarks.worker import ROOT, Child, Worker

TEXT = "[[stream: 20 words, 0]]"
"""All prompts: a reply of twenty words, sent as fast as it can be."""
WARM = ("bullpen", "floor", "lock")
"""Keep their clients between two turns."""
REQUESTS = ("bullpen", "per-request", "generic-pool")
"""Start clients for a turn; bullpen, warm, is measured in turn with them once more."""


@dataclass(frozen=True)
class Plan:
    """How much is measured. The defaults are what is published."""

    users: tuple[int, ...] = (1, 6, 24)
    turns: int = 5
    """Of each user in one block."""
    warm_turns: int = 300
    """Of each warm contender for each number of users, at least."""
    request_turns: int = 60
    """The same of those that start clients for a turn."""
    blocks: int = 6
    """Of a warm contender, at least."""
    pairs: int = 300
    """Turns of bullpen and of a bare client in turn, at the quick endpoint."""
    cold: int = 15
    """Starts of each kind."""
    soak: int = 6_000
    """Turns. The database's caches and the conversations that are held at hand fill up for the first thousand or so."""
    sessions: int = 1_000
    """Live ones, on the fake client."""
    hibernated: int = 10_000
    events: int = 100_000
    journalled: int = 10_000


QUICK = Plan(
    users=(1, 2),
    turns=2,
    warm_turns=4,
    request_turns=2,
    blocks=2,
    pairs=4,
    cold=1,
    soak=40,
    sessions=50,
    hibernated=400,
    events=4_000,
    journalled=400,
)


class Run:
    """One run: its endpoint, its folder and what it has found."""

    def __init__(self, plan: Plan, url: str, folder: Path) -> None:
        self.plan = plan
        self.url = url
        self.folder = folder
        self.results: dict[str, Any] = {"facts": state_facts(), "plan": dataclasses.asdict(plan)}

    async def measure(self, wanted: Sequence[str]) -> dict[str, Any]:
        for name, phase in PHASES.items():
            if name in wanted:
                say(f"{name} ...")
                try:
                    self.results[name] = await phase(self)
                except Exception as error:
                    # The other figures are still worth having; this one is reported as failed.
                    say(f"{name} failed: {error!r}")
                    self.results[name] = {"error": f"{type(error).__name__}: {error}"}
        self.results["facts"]["load_after"] = os.getloadavg()[0]
        return self.results

    async def warm(self) -> dict[str, Any]:
        return {str(n): await self._blocks(WARM, n, self.plan.warm_turns, self.plan.blocks) for n in self.plan.users}

    async def requests(self) -> dict[str, Any]:
        least = min(2, self.plan.blocks)
        return {str(n): await self._blocks(REQUESTS, n, self.plan.request_turns, least) for n in self.plan.users}

    async def _blocks(self, names: Sequence[str], users: int, turns: int, least: int) -> dict[str, Any]:
        """Blocks of turns, the contenders in turn, each time beginning with another."""
        found: dict[str, list[Any]] = {name: [] for name in names}
        async with AsyncExitStack() as stack:
            workers = await self._enter(stack, names, users, "-".join(names))
            for worker in workers if names is WARM else ():
                # Not counted: a process that has just started is slower in its first turns.
                await worker.turns(2, TEXT)
            for number in range(max(least, -(-turns // (users * self.plan.turns)))):
                say(f"  {users} users, block {number + 1}")
                first = number % len(workers)
                for worker in workers[first:] + workers[:first]:
                    found[worker.contender].append(await worker.turns(self.plan.turns, TEXT))
        return found

    async def floor(self) -> Any:
        return await self._child(60 + self.plan.pairs, "benchmarks.floor", "--json", "--pairs", self.plan.pairs)

    async def cold(self) -> dict[str, Any]:
        """Starts of four kinds, in turn: a new session on a spare and without one; a session resumed by bullpen and by
        a bare client. One user, so nothing else runs."""
        found: dict[str, list[Any]] = {"spare": [], "new": [], "resume": [], "bare-resume": []}
        async with AsyncExitStack() as stack:
            spare, plain, bare = await self._enter(stack, ("bullpen-spare", "bullpen", "per-request"), 1, "cold")
            for number in range(self.plan.cold):
                say(f"  start {number + 1}")
                await spare.call("forget")
                found["spare"] += (await spare.turns(1, TEXT, [f"new-{number}"]))["timings"]
                # Its next spare is started now; the others are not measured beside that.
                await spare.call("forget")
                await plain.call("hibernate")
                found["resume"] += (await plain.turns(1, TEXT))["timings"]
                found["bare-resume"] += (await bare.turns(1, TEXT))["timings"]
                await plain.call("hibernate")
                found["new"] += (await plain.turns(1, TEXT, [f"new-{number}"]))["timings"]
                await plain.call("hibernate")
        return found

    async def _enter(self, stack: AsyncExitStack, names: Sequence[str], users: int, folder: str) -> list[Worker]:
        workers = [Worker(name, users, self.url, self.folder / folder) for name in names]
        for worker in workers:
            await stack.enter_async_context(worker)
        for worker in workers:
            await worker.opened()
        return workers

    async def written(self) -> Any:
        return await self._child(300, "benchmarks.fake", "written", self.plan.sessions)

    async def feed(self) -> Any:
        return await self._child(300, "benchmarks.fake", "feed", self.plan.events)

    async def memory(self) -> Any:
        return await self._child(600, "benchmarks.fake", "memory", self.plan.hibernated)

    async def journal(self) -> Any:
        return await self._child(300, "benchmarks.fake", "journal", self.plan.journalled)

    async def soak(self) -> Any:
        turns = self.plan.soak
        return await self._child(120 + turns, "benchmarks.soak", turns, self.url, self.folder / "soak")

    async def _child(self, limit: float, *command: object) -> Any:
        async with Child(*map(str, command)) as child:
            return json.loads(await child.read_line(limit))


PHASES: dict[str, Callable[[Run], Awaitable[Any]]] = {
    "warm": Run.warm,
    "requests": Run.requests,
    "floor": Run.floor,
    "cold": Run.cold,
    "written": Run.written,
    "feed": Run.feed,
    "memory": Run.memory,
    "journal": Run.journal,
    "soak": Run.soak,
}


def state_facts() -> dict[str, Any]:
    from claude_agent_sdk._cli_version import __cli_version__

    return {
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory": psutil.virtual_memory().total,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "bullpen": version("bullpen"),
        "sdk": version("claude-agent-sdk"),
        "cli": __cli_version__,
        "load_before": os.getloadavg()[0],
    }


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


async def measure(plan: Plan, wanted: Sequence[str]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="bullpen-bench-", ignore_cleanup_errors=True) as folder:
        async with Child("benchmarks.endpoint") as endpoint:
            return await Run(plan, await endpoint.read_line(60), Path(folder)).measure(wanted)


def read_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.turns", description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="as little as shows that it works")
    parser.add_argument("--only", default=",".join(PHASES), help="phases, with commas; default: %(default)s")
    parser.add_argument("--out", type=Path, default=ROOT / "build/benchmarks.json", help="where raw results go")
    parser.add_argument("--page", type=Path, default=ROOT / "docs/benchmarks.md", help="where the page goes")
    parser.add_argument("--render", type=Path, metavar="FILE", help="measure nothing, make the page of these results")
    for field in dataclasses.fields(Plan):
        kind = _counts if field.name == "users" else int
        parser.add_argument(f"--{field.name.replace('_', '-')}", type=kind, help=f"default: {field.default}")
    return parser.parse_args(arguments)


def _counts(text: str) -> tuple[int, ...]:
    return tuple(int(word) for word in text.split(","))


def main() -> int:
    chosen = read_arguments()
    if chosen.render:
        results = json.loads(chosen.render.read_text("utf-8"))
    else:
        named = {field.name: getattr(chosen, field.name) for field in dataclasses.fields(Plan)}
        plan = dataclasses.replace(
            QUICK if chosen.quick else Plan(), **{name: value for name, value in named.items() if value is not None}
        )
        results = anyio.run(measure, plan, chosen.only.split(","))
        chosen.out.parent.mkdir(parents=True, exist_ok=True)
        chosen.out.write_text(json.dumps(results), "utf-8")
    print(write_page(results, chosen.page))
    return int(any(isinstance(found, dict) and "error" in found for found in results.values()))


if __name__ == "__main__":
    sys.exit(main())
