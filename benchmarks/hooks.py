"""What hooks cost a turn, and how many firings get done: over the engine without processes, so that nothing hides it.

    python -m benchmarks.hooks             # a minute; writes its part of docs/benchmarks.md

Two engines stand side by side, one without hooks, and take turns in small blocks: what else the machine does falls on
both. The ratio is that of turns that were measured one right after the other.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import psutil

from benchmarks.figures import paired_ratio, percentile
from benchmarks.sections import PAGE, write_section
from supervisor.api.prompts import Prompt
from supervisor.config.settings import Settings
from supervisor.config.template import Template
from supervisor.engine.supervisor import Supervisor
from supervisor.testing import FakeConnection, FakeWorld

AIM = 1.05
"""Of a turn with 100 hooks on over one without, at the median."""
REPLY_AFTER = 0.02
"""Seconds that the fake agent takes: a real one takes longer, and hides more."""


@dataclass(frozen=True)
class Plan:
    """How much is measured. The defaults are what is published."""

    hooks: int = 100
    blocks: int = 40
    turns: int = 10
    """Of one engine before the other has its own."""
    firings: int = 2_000


QUICK = Plan(blocks=3, turns=3, firings=60)
Row = tuple[str, str, str, str]
SHELL: dict[str, Any] = {"type": "shell", "command": ["true"]}


def make_hooks(count: int) -> list[dict[str, Any]]:
    """On the events of every turn, as an operator of several agents has them: of other agents, for failures, for
    certain words, for certain users. None fires for what is measured."""
    conditions: list[dict[str, Any]] = [
        {"instance": "another"},
        {"outcome": ["failed", "expired"]},
        {"text": {"regex": "(?i)\\b(refund|chargeback)\\b"}},
        {"user": {"glob": "vip-*"}},
    ]
    events = ("prompt:queued", "prompt:started", "prompt:after")
    hooks = []
    for number in range(count):
        condition, on = conditions[number % len(conditions)], events[number % len(events)]
        hooks.append(
            {"on": "prompt:after" if "outcome" in condition else on, "condition": condition, "actions": [SHELL]}
        )
    return hooks


@asynccontextmanager
async def an_engine(folder: Path, hooks: list[dict[str, Any]], reply_after: float) -> AsyncIterator[Supervisor]:
    await anyio.Path(folder).mkdir(parents=True)
    template = Template.model_validate(
        {"name": "desk", "description": "d", "path": folder / "desk.md", "pool": {"spares": 0}}
    )
    settings = Settings.model_validate({"state_dir": folder / "state", "hooks": hooks})
    async with anyio.create_task_group() as group:

        def answer(connection: FakeConnection, text: str) -> None:
            async def reply() -> None:
                await anyio.sleep(reply_after)
                connection.reply("yes")

            group.start_soon(reply)

        world = FakeWorld(on_prompt=answer)
        async with Supervisor([template], settings, connect=world.connect) as supervisor:
            yield supervisor
        group.cancel_scope.cancel()


async def take_turns(supervisor: Supervisor, count: int) -> list[float]:
    """Seconds of each, from the prompt to its outcome."""
    taken = []
    for _ in range(count):
        began = time.perf_counter()
        await (await supervisor.submit(Prompt("desk", "a word about the printer", user="ana"))).outcome()
        taken.append(time.perf_counter() - began)
    return taken


async def compare(plan: Plan, folder: Path, hooks: list[dict[str, Any]], reply_after: float) -> tuple[float, ...]:
    """The ratio with its bounds, and the two medians."""
    async with AsyncExitStack() as stack:
        engines = [
            await stack.enter_async_context(an_engine(folder / name, own, reply_after))
            for name, own in (("bare", []), ("hooked", hooks))
        ]
        for one in engines:
            await take_turns(one, 5)
        taken: list[list[float]] = [[], []]
        for block in range(plan.blocks):
            for side in (0, 1) if block % 2 else (1, 0):
                taken[side] += await take_turns(engines[side], plan.turns)
    ratio, low, high = paired_ratio(taken[1], taken[0])
    return ratio, low, high, statistics.median(taken[0]), statistics.median(taken[1])


async def measure_turns(plan: Plan, folder: Path) -> list[Row]:
    rows = []
    for name, reply_after, aim in (("20 ms", REPLY_AFTER, AIM), ("no time at all", 0.0, 0.0)):
        found = await compare(plan, folder / f"turns-{reply_after}", make_hooks(plan.hooks), reply_after)
        ratio, low, high, bare, hooked = found
        rows.append(
            (
                f"a turn with {plan.hooks} hooks on, agent takes {name}",
                f"{ratio:.3f} × ({low:.3f}–{high:.3f}); {bare * 1e3:.2f} → {hooked * 1e3:.2f} ms",
                f"≤ {aim:.2f} ×" if aim else "",
                _met(ratio <= aim) if aim else "",
            )
        )
    return rows


async def measure_comparing(plan: Plan, folder: Path) -> list[Row]:
    """Of the event of a turn's end with all hooks, whatever becomes of it."""
    async with an_engine(folder / "comparing", make_hooks(plan.hooks), 0.0) as supervisor:
        await take_turns(supervisor, 1)
        automation = supervisor.automation
        event = next(one for one in supervisor._feed._recent if type(one).__name__ == "TurnFinished")
        heard, compared = [], []
        for _ in range(plan.firings // 4):
            began = time.perf_counter()
            automation.hear(event)
            heard.append(time.perf_counter() - began)
            began = time.perf_counter()
            automation._compare_all()
            compared.append(time.perf_counter() - began)
    return [
        (
            "one event of a turn: heard, and compared beside the turn",
            f"{statistics.median(heard) * 1e6:.0f} µs, {statistics.median(compared) * 1e6:.0f} µs",
            "",
            "",
        )
    ]


async def measure_firings(plan: Plan, folder: Path) -> list[Row]:
    """Firings that call an address on loopback, from the event to the end of the last one."""
    rows = []
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, _answer_ok)
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
        for delivery in ("at-least-once", "best-effort"):
            action = {"type": "http", "url": f"http://127.0.0.1:{port}/hook"}
            hooks = [{"name": "all", "on": "prompt:after", "delivery": delivery, "actions": [action]}]
            async with an_engine(folder / delivery, hooks, 0.0) as supervisor:
                await take_turns(supervisor, 1)
                event = next(one for one in supervisor._feed._recent if type(one).__name__ == "TurnFinished")
                tally, runner = supervisor.automation.log.tally("all"), supervisor.automation.runner
                while len(runner):  # noqa: ASYNC110 - it does not tell
                    await anyio.sleep(0.001)
                before, began, waits = tally.fired, time.perf_counter(), []
                while tally.fired - before < plan.firings or len(runner):
                    if tally.fired - before < plan.firings and len(runner) < 200:
                        supervisor.automation.hear(event)
                    asked = time.perf_counter()
                    await anyio.lowlevel.checkpoint()
                    waits.append(time.perf_counter() - asked)
                seconds = time.perf_counter() - began
                longest = percentile(sorted(waits), 0.99) * 1e3
            rows.append(
                (
                    f"HTTP firings, {delivery}",
                    f"{plan.firings / seconds:,.0f} a second; a step of the loop took {longest:.1f} ms (p99); "
                    f"{tally.failed} failed",
                    "",
                    "",
                )
            )
        group.cancel_scope.cancel()
    return rows


async def _answer_ok(stream: anyio.abc.SocketStream) -> None:
    async with stream:
        data = b""
        try:
            while True:
                while b"\r\n\r\n" not in data:
                    data += await stream.receive()
                head, _, data = data.partition(b"\r\n\r\n")
                lines = head.lower().split(b"\r\n")
                length = next(int(line[15:]) for line in lines if line.startswith(b"content-length:"))
                while len(data) < length:
                    data += await stream.receive()
                data = data[length:]
                await stream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            return


Measure = Callable[[Plan, Path], Awaitable[list[Row]]]
MEASURES: list[Measure] = [measure_turns, measure_comparing, measure_firings]
"""In the order of the table."""


async def run(plan: Plan, page: Path) -> None:
    rows: list[Row] = []
    for measure in MEASURES:
        with tempfile.TemporaryDirectory(prefix="bullpen-hooks-") as name:
            rows += await measure(plan, Path(name))
    facts = f"{time.strftime('%Y-%m-%d')} · {os.cpu_count()} cores · load {psutil.getloadavg()[0]:.1f} at the end"
    table = "\n".join(f"| {' | '.join(row)} |" for row in [("figure", "measured", "target", ""), ("---",) * 4, *rows])
    text = f"""## Hooks

Made by `make bench-hooks`: {facts}. The engine is real, its agents are without
processes: one that takes 20 ms to answer, and one that takes none, where nothing hides what hooks cost. None of the
hooks of the first rows fires; each is compared at the events of the turn.

{table}
"""
    write_section("hooks", text, page)
    print(text)


def _met(is_met: bool) -> str:
    return "met" if is_met else "**missed**"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a little of everything")
    parser.add_argument("--page", type=Path, default=PAGE)
    given = parser.parse_args()
    anyio.run(partial(run, QUICK if given.quick else Plan(), given.page))


if __name__ == "__main__":
    main()
