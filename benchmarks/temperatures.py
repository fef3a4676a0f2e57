"""What an idle client costs, and how soon it answers: hot, asleep with its memory in swap, and hibernated.

    python -m benchmarks.temperatures              # five minutes; docs/benchmarks.md and docs/memory.svg
    python -m benchmarks.temperatures --print      # only prints it
    python -m benchmarks.temperatures --swap DIR   # as root: with a file of swap in that folder while it runs

Real Claude Code processes on the rehearsal endpoint, each driven by its connection alone. All prompts of a round come
at once; as many sleeping clients as there are cores wake, or hibernated ones start, at the same time, and the others
wait. A time is that from the prompt to its first token, waiting included.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread

from benchmarks.agents import Agent, Agents, open_agents
from benchmarks.figures import percentile
from benchmarks.sections import write_section
from supervisor.process.host_memory import look_at_host
from supervisor.process.process_tree import ProcessTable, TreeUsage

COUNTS = {1: 4, 8: 2, 24: 1}
"""Clients at once, and rounds of so many."""
TURNS = 3
"""Of each conversation before anything is measured."""
IDLE = 3.0
"""Seconds over which processor time is counted."""
SWAP_FILE = 6 * 1024**3
_ZSWAP = Path("/sys/module/zswap/parameters/enabled")
_PICTURE = Path(__file__).parent.parent / "scripts" / "make_memory_picture.py"
_WAKING = max(1, os.cpu_count() or 1)
HOT, COLD = "hot", "hibernated: started with resume"


@dataclass
class State:
    """One temperature, over all rounds."""

    resident: list[float] = field(default_factory=list)
    """Bytes of each client's tree, shared pages counted in shares."""
    swapped: list[float] = field(default_factory=list)
    compressed: list[float] = field(default_factory=list)
    """Bytes that what is swapped takes in memory, for each client."""
    busy: list[float] = field(default_factory=list)
    """Share of a core that an idle client uses."""
    suspends: list[float] = field(default_factory=list)
    """Seconds."""
    firsts: dict[int, list[float]] = field(default_factory=dict)
    """Clients at once → seconds to the first token, of each."""


def measure(agents: list[Agent]) -> list[TreeUsage]:
    table = ProcessTable()
    return [agent.connection.measure(table) for agent in agents]


async def note_idle(state: State, agents: list[Agent]) -> None:
    before = await anyio.to_thread.run_sync(measure, agents)
    await anyio.sleep(IDLE)
    after = await anyio.to_thread.run_sync(measure, agents)
    state.resident += [one.memory_bytes for one in after]
    state.swapped += [one.swap_bytes for one in after]
    state.compressed.append(read_zswap() / len(agents))
    state.busy += [(late.cpu_seconds - early.cpu_seconds) / IDLE for early, late in zip(before, after, strict=True)]


async def ask_all(
    firsts: list[float], agents: list[Agent], prepare: Callable[[Agent], Awaitable[Agent]], limit: float = _WAKING
) -> None:
    """All are asked at once. `prepare` makes one ready to be asked: `limit` at once, each until it gives a sign."""
    places = anyio.CapacityLimiter(limit)
    began = time.perf_counter()

    async def ask(agent: Agent) -> None:
        await places.acquire_on_behalf_of(agent)
        ready = await prepare(agent)
        ready.on_sign = partial(places.release_on_behalf_of, agent)
        written = time.perf_counter() - began
        firsts.append(written + (await ready.turn("[[recall]]")).first_token)

    async with anyio.create_task_group() as group:
        for agent in agents:
            group.start_soon(ask, agent)


async def as_it_is(agent: Agent) -> Agent:
    return agent


async def woken(agent: Agent) -> Agent:
    agent.connection.wake()
    return agent


async def run_round(states: dict[str, State], count: int, zswap_too: bool) -> None:
    with tempfile.TemporaryDirectory(prefix="bullpen-temperatures-", ignore_cleanup_errors=True) as name:
        async with open_agents(Path(name)) as opened:
            agents = [await opened.start() for _ in range(count)]
            for agent in agents:
                for number in range(TURNS):
                    await agent.turn(f"[[echo]] my number is {4711 + number}")
            await note_idle(states[HOT], agents)
            await ask_all(states[HOT].firsts.setdefault(count, []), agents, as_it_is, math.inf)
            for is_compressed in (False, True) if zswap_too else (False,):
                with zswap(is_compressed) if zswap_too else contextlib.nullcontext():
                    state = states[asleep(is_compressed)]
                    for agent in agents:
                        began = time.perf_counter()
                        if not await agent.connection.suspend():
                            raise RuntimeError("a client could not be stopped")
                        state.suspends.append(time.perf_counter() - began)
                    await note_idle(state, agents)
                    await ask_all(state.firsts.setdefault(count, []), agents, woken)
            await resume_all(states[COLD].firsts.setdefault(count, []), opened)


async def resume_all(firsts: list[float], opened: Agents) -> None:
    agents = list(opened.running)
    for agent in agents:
        await opened.end(agent)

    async def resumed(agent: Agent) -> Agent:
        return await opened.start(agent.session_uuid)

    await ask_all(firsts, agents, resumed)


def asleep(is_compressed: bool) -> str:
    return "asleep, swap compressed in memory (zswap)" if is_compressed else "asleep, swap on disk"


@contextlib.contextmanager
def zswap(is_on: bool) -> Iterator[None]:
    before = _ZSWAP.read_text().strip()
    _ZSWAP.write_text("Y" if is_on else "N")
    try:
        yield
    finally:
        _ZSWAP.write_text(before)


def read_zswap() -> int:
    """Bytes of memory that hold what is compressed."""
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        if line.startswith("Zswap:"):
            return int(line.split()[1]) * 1024
    return 0


@contextlib.contextmanager
def swap_file(folder: Path, size: int = SWAP_FILE) -> Iterator[None]:
    with tempfile.NamedTemporaryFile(dir=folder, prefix="bullpen-swap-") as file:
        os.posix_fallocate(file.fileno(), 0, size)
        os.chmod(file.name, 0o600)
        subprocess.run(["mkswap", file.name], check=True, capture_output=True)
        subprocess.run(["swapon", file.name], check=True)
        try:
            yield
        finally:
            subprocess.run(["swapoff", file.name], check=True)


def describe(states: dict[str, State], counts: list[int], load: tuple[float, float]) -> str:
    """The part of the page."""
    middle = statistics.median
    rows = []
    for name, state in states.items():
        cells = ["0", "0", "0"]
        if state.resident:
            held = f"{middle(state.resident) / 1e6:.0f} MB"
            if compressed := middle(state.compressed) if "zswap" in name else 0:
                held += f" + {compressed / 1e6:.0f} MB compressed"
            cells = [held, f"{middle(state.swapped) / 1e6:.0f} MB", f"{statistics.mean(state.busy):.2%}"]
        for count in counts:
            times = state.firsts.get(count, [])
            cells.append(f"{percentile(times, 0.5) * 1000:.0f} / {percentile(times, 0.95) * 1000:.0f} ms")
        rows.append(f"| {name} | {' | '.join(cells)} |")
    suspends = [each for state in states.values() for each in state.suspends]
    many = max(counts)
    lines = [
        "## Hot, asleep, hibernated",
        "",
        f"What an idle client costs after {TURNS} turns, and the time to the first token of its next prompt, p50 / p95 "
        f"of all clients that are asked at once, where {_WAKING} at a time wake or start (`python -m "
        f"benchmarks.temperatures`; load {load[0]:.1f} before, {load[1]:.1f} after, on {_WAKING} cores). Memory is "
        "that of the whole process tree, its guard included; shared pages are counted in shares.",
        "",
        "| | resident | in swap | processor | " + " | ".join(f"{count} at once" for count in counts) + " |",
        "|---|---:|---:|---:|" + "---:|" * len(counts),
        *rows,
        "",
        f"Putting one to sleep took {percentile(suspends, 0.5) * 1000:.0f} ms p50, "
        f"{percentile(suspends, 0.95) * 1000:.0f} ms p95. "
        + " ".join(compare(name, state, states, many) for name, state in states.items() if state.suspends),
    ]
    return "\n".join(lines)


def compare(name: str, state: State, states: dict[str, State], count: int) -> str:
    middle = statistics.median
    held = middle(state.resident) + (middle(state.compressed) if "zswap" in name else 0)
    more = middle(states[HOT].resident) / held
    share = percentile(state.firsts[count], 0.5) / percentile(states[COLD].firsts[count], 0.5)
    return (
        f"{name[0].upper()}{name[1:]}: {more:.1f} × as many clients in the same memory as hot ones; with {count} at "
        f"once the first token takes {share:.2f} × as long as with a cold resume."
    )


async def run(counts: dict[int, int], zswap_too: bool) -> dict[str, State]:
    states = {name: State() for name in (HOT, asleep(False), *([asleep(True)] if zswap_too else []), COLD)}
    for count, rounds in counts.items():
        for number in range(rounds):
            print(f"{count} at once, round {number + 1} of {rounds}", file=sys.stderr, flush=True)
            await run_round(states, count, zswap_too)
    return states


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.temperatures", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--counts", default="1,8,24", help="clients at once; default: %(default)s")
    parser.add_argument("--rounds", type=int, help="of each; default: more of the small ones")
    parser.add_argument("--swap", type=Path, metavar="DIR", help="make swap in that folder while it runs (root)")
    parser.add_argument("--print", action="store_true", help="leave docs/benchmarks.md as it is")
    chosen = parser.parse_args()
    with swap_file(chosen.swap) if chosen.swap else contextlib.nullcontext():
        host = look_at_host()
        if not host.hands_back:
            print("clients are not paged out here: see `bullpen doctor`, and --swap", file=sys.stderr)
            return 1
        zswap_too = os.geteuid() == 0 and _ZSWAP.exists()
        counts = {count: chosen.rounds or COUNTS.get(count, 1) for count in map(int, chosen.counts.split(","))}
        before = os.getloadavg()[0]
        states = anyio.run(run, counts, zswap_too)
        text = describe(states, list(counts), (before, os.getloadavg()[0]))
    print(text)
    if not chosen.print:
        write_section("temperatures", text)
        subprocess.run([sys.executable, str(_PICTURE)], check=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
