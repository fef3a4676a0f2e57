"""What is gained by preparing once: the first preparation of an agent against later ones, and how often what was
prepared is used again while templates are edited.

    python -m benchmarks.contexts           # half a minute; writes its part of docs/benchmarks.md

Each measure is a function in `MEASURES` that gives its rows of the table; another one is added there.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import anyio
import psutil

from benchmarks.sections import PAGE, write_section
from supervisor.api.caches import CacheStatistics
from supervisor.api.outcomes import Done
from supervisor.api.prompts import Prompt
from supervisor.claude.connector import MakeConnector, bundled_cli
from supervisor.claude.contexts import ContextStore
from supervisor.claude.sdk_connection import SdkConnector
from supervisor.config.settings import Settings
from supervisor.config.template import Template
from supervisor.engine.supervisor import Supervisor
from supervisor.process.connection import Connector, Launch
from supervisor.testing import FakeConnection, FakeWorld
from supervisor.tools.registry import Tools

SLOWEST_LATER = 0.020
"""Seconds that a later preparation may take (S4.27)."""
AIM_LATER = 0.001
MOST_OF_FIRST = 0.05
"""Share of the first that a later one may take."""
LEAST_HITS, AIM_HITS = 0.90, 0.95

Row = tuple[str, str, str, str]
"""What was measured, the figure, the target, and whether that is met."""


@dataclass(frozen=True)
class Plan:
    """The defaults are what is published."""

    versions: int = 40
    """Of a template, each prepared for the first time once."""
    looks: int = 20_000
    """Later preparations."""
    skills: int = 4
    files: int = 12
    """Of each skill."""
    sessions: int = 50
    turns: int = 20
    """Of each session."""
    clients: int = 12
    """Fewer than sessions: these are resumed all the time."""
    edits: int = 20
    """Of the template, spread over the load."""


QUICK = Plan(versions=3, looks=100, sessions=6, turns=3, clients=2, edits=2)


def make_template(folder: Path, plan: Plan, version: int = 0) -> Template:
    """An agent as people have them: a long prompt, tools with brackets, servers, skills."""
    return Template.model_validate(
        {
            "name": "desk",
            "description": "answers what people ask about their computers",
            "system_prompt": f"You answer in version {version}.\n" + "Be kind, be short, name the source.\n" * 200,
            "path": folder / "templates" / "desk.md",
            "tools": ["Read", "Grep", "Glob", "Bash(git:*)", "mcp__tickets", "mcp__wiki"],
            "skills": [f"skill-{number}" for number in range(plan.skills)],
            "mcpServers": {name: {"command": name, "args": ["--stdio"]} for name in ("tickets", "wiki")},
            "triggers": ["printer", "password", "vpn"],
            "concurrency": {"maxSessions": plan.clients},
            "pool": {"maxClients": plan.clients, "spares": 0},
            "queue": {"maxWait": "none", "maxWaiting": plan.sessions, "maxPerUser": plan.sessions},
        }
    )


def write_skills(folder: Path, plan: Plan) -> None:
    for number in range(plan.skills):
        place = folder / "templates" / ".claude" / "skills" / f"skill-{number}"
        place.mkdir(parents=True)
        (place / "SKILL.md").write_text(f"---\nname: skill-{number}\ndescription: x\n---\nDo it.\n", "utf-8")
        for file in range(plan.files - 1):
            (place / f"page-{file}.md").write_text(f"page {file} of {number}\n" * 200, "utf-8")


async def measure_preparation(plan: Plan, folder: Path) -> list[Row]:
    """Without the imports, which the first client of a process pays for: what a version of a template costs."""
    store, settings = ContextStore(), Settings(state_dir=folder / "state")
    make = bundled_cli(settings, {}, Tools(), store)
    first: list[float] = []
    connector: Connector | None = None
    for version in range(plan.versions):
        # Else the copies of the skills would be there already.
        skill = folder / "templates" / ".claude" / "skills" / "skill-0" / "SKILL.md"
        skill.write_text(f"---\nname: skill-0\ndescription: version {version}\n---\nDo it.\n", "utf-8")
        template = make_template(folder, plan, version)
        began = time.perf_counter()
        connector = make(template)
        store.hold(template.name, connector.digest)
        first.append(time.perf_counter() - began)
    assert isinstance(connector, SdkConnector)
    use = connector._use
    assert use is not None
    later: list[float] = []
    for _ in range(plan.looks):
        began = time.perf_counter()
        await use()
        later.append(time.perf_counter() - began)
    before, after = statistics.median(first), statistics.median(later)
    worst = sorted(later)[int(len(later) * 0.99)]
    target = f"< {SLOWEST_LATER * 1e3:g} ms (aim < {AIM_LATER * 1e3:g} ms)"
    share = after / before
    return [
        (f"first preparation of an agent with {plan.skills} skills, p50 of {plan.versions}", _ms(before), "", ""),
        (f"later ones, p50 of {plan.looks:,}", _ms(after), target, _met(after < SLOWEST_LATER)),
        ("&nbsp;&nbsp;p99", _ms(worst), target, _met(worst < SLOWEST_LATER)),
        ("&nbsp;&nbsp;of the first", f"{share:.3%}", f"< {MOST_OF_FIRST:.0%}", _met(share < MOST_OF_FIRST)),
    ]


class PreparingWorld(FakeWorld):
    """Clients without a process that look their context up as real ones do."""

    def __init__(self, make: MakeConnector) -> None:
        """`make`: of the bundled CLI."""
        super().__init__()
        self._make = make
        self.overtaken: list[FakeConnection] = []
        """Clients that were on their way while the template changed: no turn may begin on them."""

    def connect(self, template: Template) -> Connector:
        made = self._make(template)
        assert isinstance(made, SdkConnector)
        return _PreparingConnector(self, made)


class _PreparingConnector:
    def __init__(self, world: PreparingWorld, made: SdkConnector) -> None:
        self._world, self._made = world, made

    @property
    def digest(self) -> str:
        return self._made.digest

    @property
    def expected_bytes(self) -> int:
        return self._world.expected_bytes

    def variant(self, provider: str, model: str) -> Connector:
        return self

    def open(self, launch: Launch) -> FakeConnection:
        connection = _PreparingConnection(self._world, launch)
        connection.made = self._made
        self._world.connections.append(connection)
        return connection


class _PreparingConnection(FakeConnection):
    world: PreparingWorld
    made: SdkConnector

    async def connect(self) -> None:
        assert self.made._use is not None
        context = await self.made._use()
        if context is None or context.version != self.made.digest:
            self.world.overtaken.append(self)
        await super().connect()


async def measure_hits(plan: Plan, folder: Path) -> list[Row]:
    """More sessions than clients, so that clients are started all the time; and a template that is edited meanwhile."""
    settings = Settings(state_dir=folder / "bullpen", cleanup_interval=5, max_agents=plan.clients, connect_limit=4)
    store, dice = ContextStore(), random.Random(1)
    world = PreparingWorld(bundled_cli(settings, {}, Tools(), store))
    template = make_template(folder, plan)
    async with Supervisor([template], settings, connect=world.connect, contexts=store) as supervisor:
        edits = 0

        async def talk(number: int) -> None:
            for turn in range(plan.turns):
                await anyio.sleep(dice.uniform(0.0, 0.2))
                ticket = await supervisor.submit(Prompt("desk", f"turn {turn}", user=f"user-{number}"))
                if not isinstance(outcome := await ticket.outcome(), Done):
                    raise RuntimeError(f"user-{number}: {outcome}")

        async def edit() -> None:
            nonlocal edits
            while True:
                await anyio.sleep(0.1)
                done = sum(row.turns for row in supervisor.view.snapshot().sessions)
                if edits < plan.edits and done >= (edits + 1) * plan.sessions * plan.turns / (plan.edits + 1):
                    edits += 1
                    await supervisor.replace_template(make_template(folder, plan, edits))

        async with anyio.create_task_group() as load:
            load.start_soon(edit)
            async with anyio.create_task_group() as sessions:
                for number in range(plan.sessions):
                    sessions.start_soon(talk, number)
            load.cancel_scope.cancel()
        idle = sum(not one.prompts for one in world.overtaken)
        told: CacheStatistics = next(one for one in store.statistics() if one.name == "contexts")
    rate = told.hit_rate or 0.0
    what = f"{plan.sessions} sessions × {plan.turns} turns on {plan.clients} clients, {edits} edits: hit rate"
    return [
        (what, f"{rate:.1%}", f"> {LEAST_HITS:.0%} (aim {AIM_HITS:.0%})", _met(rate > LEAST_HITS)),
        ("&nbsp;&nbsp;clients started", f"{len(world.connections):,}", "", ""),
        ("&nbsp;&nbsp;preparations", f"{told.misses}, {told.build_seconds:.2f} s in all", "", ""),
        (
            "&nbsp;&nbsp;clients on their way at an edit, which ran no turn",
            f"{idle} of {len(world.overtaken)}",
            "all",
            _met(idle == len(world.overtaken)),
        ),
    ]


Measure = Callable[[Plan, Path], Awaitable[list[Row]]]

MEASURES: list[Measure] = [measure_preparation, measure_hits]
"""In the order of the table."""


async def run(plan: Plan, page: Path) -> None:
    rows: list[Row] = []
    for measure in MEASURES:
        with tempfile.TemporaryDirectory(prefix="bullpen-contexts-") as name:
            folder = Path(name)
            write_skills(folder, plan)
            rows += await measure(plan, folder)
    facts = f"{time.strftime('%Y-%m-%d')} · {os.cpu_count()} cores · load {psutil.getloadavg()[0]:.1f} at the end"
    table = "\n".join(f"| {' | '.join(row)} |" for row in [("figure", "measured", "target", ""), ("---",) * 4, *rows])
    text = f"""## Prepared once

Made by `make bench-contexts`: {facts}. A preparation is everything that all clients
of a version of a template have in common: options, prompt, servers, tools, and copies of the skills. Under load the
clients are without processes and look their context up as real ones do.

{table}
"""
    write_section("contexts", text, page)
    print(text)


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.3f} ms"


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
