"""What MCP servers cost when bullpen runs them once for all clients, beside one of each for every client.

    python -m benchmarks.servers                 # two minutes; writes its part of docs/benchmarks.md
    python -m benchmarks.servers --print         # only prints it

Real Claude Code processes on the rehearsal endpoint, and two public MCP servers (`benchmarks.public_servers`). The two
ways take turns, so that each pair is measured under the same moment's load.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import psutil

from benchmarks.public_servers import NotInstalled, install
from benchmarks.sections import write_section
from supervisor import Prompt, Rehearsal, Settings, Supervisor, Template

CLIENTS, ROUNDS = 4, 3
SETTLED = 2.0
"""Seconds after the last turn, before memory is read."""


@dataclass
class Way:
    """One of the two ways, over all rounds."""

    starts: list[float] = field(default_factory=list)
    """Seconds until a client was connected."""
    turns: list[float] = field(default_factory=list)
    """Seconds of the first turn, which waits for servers of the client's own."""
    processes: list[int] = field(default_factory=list)
    """Of servers, once all clients run."""
    memory: list[int] = field(default_factory=list)
    """Bytes of these, shared pages counted in shares."""


def server_processes() -> list[psutil.Process]:
    """Below this process, without the CLIs, their guards and those of shared servers."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if Path(process.exe()).name != "claude" and process.name() != "claude-guard":
                found.append(process)
        except psutil.Error:
            continue
    return found


def memory_of(processes: list[psutil.Process]) -> int:
    total = 0
    for process in processes:
        try:
            total += process.memory_full_info().pss
        except psutil.Error:
            continue
    return total


async def measure(rounds: int, clients: int) -> dict[str, Way]:
    """`shared` and `own`. Raises `NotInstalled`."""
    time_server, everything = await anyio.to_thread.run_sync(install)
    definitions: dict[str, dict[str, Any]] = {
        "time": {"command": str(time_server)},
        "everything": {"command": str(everything), "args": ["stdio"]},
    }
    ways = {"shared": Way(), "own": Way()}
    async with Rehearsal(pace=0.0) as rehearsal:
        for number in range(rounds):
            for name in ("shared", "own") if number % 2 else ("own", "shared"):
                await _run(ways[name], definitions, name == "shared", rehearsal, clients)
    return ways


async def _run(
    way: Way, definitions: dict[str, dict[str, Any]], is_shared: bool, rehearsal: Rehearsal, clients: int
) -> None:
    with tempfile.TemporaryDirectory(prefix="bullpen-servers-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        keys = {
            "name": "desk",
            "description": "measured",
            "path": folder / "desk.md",
            "tools": ["Read", "mcp__time", "mcp__everything"],
            "mcpServers": {name: {**one, "shared": is_shared} for name, one in definitions.items()},
            "concurrency": {"maxSessions": clients},
            "pool": {"spares": 0},
        }
        settings = Settings(state_dir=folder / "state", rehearsal=True)
        environment = rehearsal.environment(folder / "claude")
        async with Supervisor([Template.model_validate(keys)], settings, environment=environment) as supervisor:
            for number in range(clients):
                began = time.perf_counter()
                ticket = await supervisor.submit(Prompt("desk", "[[say: hello]]", user=f"user{number}"))
                await ticket.outcome()
                way.turns.append(time.perf_counter() - began)
            for row in (await supervisor.snapshot()).instances:
                way.starts.append(row.pool.start_p50 or 0.0)
            await anyio.sleep(SETTLED)
            processes = await anyio.to_thread.run_sync(server_processes)
            way.processes.append(len(processes))
            way.memory.append(await anyio.to_thread.run_sync(memory_of, processes))


def describe(ways: dict[str, Way], clients: int) -> str:
    """The part of the page."""
    shared, own = ways["shared"], ways["own"]
    middle = statistics.median
    saved = middle(own.memory) - middle(shared.memory)
    rows = [
        ("processes of servers", *(f"{middle(way.processes):.0f}" for way in (own, shared))),
        ("their memory (PSS)", *(f"{middle(way.memory) / 1e6:.0f} MB" for way in (own, shared))),
        ("a client's start, p50", *(f"{middle(way.starts) * 1000:.0f} ms" for way in (own, shared))),
        ("prompt to answer, first turn, p50", *(f"{middle(way.turns) * 1000:.0f} ms" for way in (own, shared))),
    ]
    ratio = middle(shared.turns) / middle(own.turns)
    lines = [
        "## Shared MCP servers",
        "",
        f"{clients} clients, each with the public servers `mcp-server-time` (Python) and `server-everything` (Node), "
        f"{len(own.processes)} rounds of each way in turns (`python -m benchmarks.servers`). Guards and CLIs are not "
        "counted.",
        "",
        "| | a server for each client | `shared: true` |",
        "|---|---:|---:|",
        *(f"| {name} | {one} | {other} |" for name, one, other in rows),
        "",
        f"Saved: {saved / 1e6:.0f} MB for {clients} clients, {saved / 1e6 / max(1, clients - 1):.0f} MB with each "
        f"further client. A first turn takes {ratio:.2f} × as long as with servers of the client's own.",
    ]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.servers", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="of each way; default: %(default)s")
    parser.add_argument("--clients", type=int, default=CLIENTS, help="default: %(default)s")
    parser.add_argument("--print", action="store_true", help="leave docs/benchmarks.md as it is")
    chosen = parser.parse_args()
    try:
        ways = anyio.run(measure, chosen.rounds, chosen.clients)
    except NotInstalled as error:
        print(f"the public MCP servers cannot be installed: {error}", file=sys.stderr)
        return 1
    text = describe(ways, chosen.clients)
    print(text)
    if not chosen.print:
        write_section("servers", text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
