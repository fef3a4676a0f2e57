"""Whatever hooks are declared: they begin in order, a failing one is in nobody's way, and all of it comes to an end."""

from __future__ import annotations

import tempfile
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import anyio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from supervisor.api.automation import MOST_DEPTH
from supervisor.api.hook_rows import HookRun, RunState
from supervisor.api.outcomes import Done
from supervisor.api.prompts import Prompt
from supervisor.config.settings import Settings
from supervisor.config.templates import Template
from supervisor.engine.supervisor import Supervisor
from supervisor.testing import FakeConnection, FakeWorld
from tests.waiting import until

AGENTS = ("ana", "ben", "cia")
ARCHETYPES = ("service", "employee", "tool")


@dataclass(frozen=True)
class Plan:
    """Of one hook."""

    on: str
    source: str
    """Whose events it hears; empty for everybody's."""
    targets: tuple[str, ...]
    """Who is prompted, one after the other. `none` is no agent: that action fails."""
    priority: int


PLANS = st.builds(
    Plan,
    on=st.sampled_from(["prompt:after", "prompt:queued", "prompt:before", "session:opened"]),
    source=st.sampled_from([*AGENTS, ""]),
    targets=st.lists(st.sampled_from([*AGENTS, "none"]), min_size=1, max_size=2).map(tuple),
    priority=st.integers(-2, 2),
)


@given(st.lists(PLANS, min_size=1, max_size=3), st.sets(st.sampled_from(AGENTS), max_size=2))
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_hooks_begin_in_order_fail_alone_and_come_to_an_end(plans: list[Plan], failing: set[str]) -> None:
    """S1.28"""
    plans = _without_doubling(plans)
    with tempfile.TemporaryDirectory(prefix="bullpen-any-hooks-") as folder:
        runs, ended, kept, prompts = anyio.run(_run, plans, failing, Path(folder))
    names = [f"h{number}" for number, _ in enumerate(plans)]
    rank = {name: (plan.priority, number) for number, (name, plan) in enumerate(zip(names, plans, strict=True))}
    by_event: dict[tuple[str, str], list[HookRun]] = {}
    for run in runs:
        assert run.depth <= MOST_DEPTH
        assert run.state is not RunState.RUNNING
        assert run.state is not RunState.DROPPED
        assert (run.state is RunState.SKIPPED) == (run.depth == MOST_DEPTH)
        assert run.state is not RunState.DONE or run.action.removeprefix("agent ") not in failing
        if run.depth < MOST_DEPTH and not run.id.endswith("-1"):
            by_event.setdefault((run.event, run.turn or f"{run.instance}/{run.user}/{run.session}"), []).append(run)
    for together in by_event.values():
        order = [rank[run.hook] for run in together]
        assert order == sorted(order), "they begin by priority, and then as declared"
    # Every firing that was begun has done all its actions, whatever became of those before.
    begun = Counter(run.id.partition("-")[0] for run in runs if run.state is not RunState.SKIPPED)
    size = {name: len(plan.targets) for name, plan in zip(names, plans, strict=True)}
    hook_of = {run.id.partition("-")[0]: run.hook for run in runs}
    assert all(count == size[hook_of[firing]] for firing, count in begun.items())
    assert kept == 0, "nothing is left to be done again"
    assert ended == prompts, "a turn ends, whatever hooks do"


def _without_doubling(plans: list[Plan]) -> list[Plan]:
    """Each prompt leads to one other at most: what doubles at each of eight steps takes long, and shows no more."""
    heard: set[str] = set()
    kept = []
    for plan in plans:
        sources = {plan.source} if plan.source else set(AGENTS)
        targets = []
        for target in plan.targets:
            targets.append("none" if heard & sources else target)
            heard |= sources if target != "none" else set()
        kept.append(replace(plan, targets=tuple(targets)))
    return kept


async def _run(plans: list[Plan], failing: set[str], folder: Path) -> tuple[list[HookRun], int, int, int]:
    """All runs in the order in which they began, the turns that ended, the rows left, and the prompts taken in."""

    def answer(connection: FakeConnection, text: str) -> None:
        if connection.launch.client_id.partition("-")[0] in failing:
            connection.fail(500)
        else:
            connection.reply("yes")

    hooks: list[dict[str, Any]] = [
        {
            "name": f"h{number}",
            "on": plan.on,
            "priority": plan.priority,
            "condition": {"instance": plan.source} if plan.source else {},
            "timeout": "20s",
            "actions": [{"type": "agent", "target": target, "text": "again"} for target in plan.targets],
        }
        for number, plan in enumerate(plans)
    ]
    templates = [
        Template.model_validate(
            {
                "name": name,
                "description": "d",
                "path": folder / f"{name}.md",
                "archetype": archetype,
                "pool": {"spares": 0},
                "queue": {"maxWait": "none"},
            }
        )
        for name, archetype in zip(AGENTS, ARCHETYPES, strict=True)
    ]
    world = FakeWorld(on_prompt=answer)
    state = Settings.model_validate({"state_dir": folder / "state", "hooks": hooks})
    async with Supervisor(templates, state, connect=world.connect) as supervisor:
        outcomes = []
        for name in AGENTS:
            outcomes.append(await (await supervisor.submit(Prompt(name, "go"))).outcome())
        assert [isinstance(one, Done) for one in outcomes] == [name not in failing for name in AGENTS]
        automation = supervisor.automation
        await until(lambda: not len(automation.runner) and not automation._heard and not len(supervisor._turns), 60)
        await anyio.wait_all_tasks_blocked()
        await until(lambda: not len(automation.runner) and not automation._heard and not len(supervisor._turns))
        events = supervisor._feed._recent
        ended = sum(type(event).__name__ == "TurnFinished" for event in events)
        queued = sum(type(event).__name__ == "TurnQueued" for event in events)
        await supervisor._host.journal.flush()
        left, _ = await supervisor._host.journal.runs.load()
        return list(automation.log.last(1_000))[::-1], ended, len(left), queued
