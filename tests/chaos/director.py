"""One run: endpoint, child, callers and faults, then quiet, then the end. `audit` says what became of it."""

from __future__ import annotations

import random
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio

from supervisor.rehearsal import MessagesRequest, Rehearsal
from tests.chaos.callers import Callers, make_places
from tests.chaos.faults import Faults
from tests.chaos.ledger import Ledger
from tests.chaos.stage import Stage
from tests.chaos.template_file import TemplateFile

SERVER = Path(__file__).parents[1] / "engine" / "mcp_server.py"
"""Of all clients, and killed again and again."""
TEMPLATE: dict[str, Any] = {
    "name": "desk",
    "description": "a desk in a storm",
    "tools": ["Read", "Bash", "mcp__words"],
    "mcpServers": {"words": {"command": sys.executable, "args": [str(SERVER)], "shared": True, "alwaysLoad": True}},
    "concurrency": {"maxSessions": 3},
    "pool": {"maxClients": 6, "spares": 1, "dormantAfter": "300ms"},
    "queue": {"maxWait": "none"},
    "stallTimeout": "6s",
}
"""Fewer clients than sessions, so that sessions are evicted and resumed all the time."""
SETTINGS: dict[str, Any] = {
    "max_retries": 2,
    "control_timeout": 2,
    "kill_grace": 3,
    "stream_idle_timeout": 4,
    "memory_interval": 0.3,
    "connect_timeout": 10,
}
"""Short deadlines: a short run shall see what follows from each of them."""


HOOK: dict[str, Any] = {"name": "note", "on": "prompt:after", "retry": {"attempts": 3, "backoff": "100ms"}}


def note_into(path: Path) -> dict[str, Any]:
    """A program that appends what it is told, in one write; nothing, where it has not been told all of it."""
    return {"type": "shell", "command": ["sh", "-c", 'read -r line && printf "%s\\n" "$line" >> "$0"', str(path)]}


@dataclass(frozen=True)
class Plan:
    """The defaults are the short form that CI runs."""

    folder: Path
    """Empty; the run keeps everything in it."""
    seed: int = 1
    sessions: int = 8
    seconds: float = 10.0
    """Of callers and faults. A calm beginning, draining and the audit come on top: 20 to 50 s."""
    kills: int = 2
    """Ends of the supervisor, by SIGKILL or by signals that it heeds."""
    quiet_within: float = 120.0
    """Seconds that the accepted turns get to end once the faults have stopped."""


@dataclass
class Run:
    """What a run leaves behind."""

    plan: Plan
    ledger: Ledger = field(default_factory=Ledger)
    faults: Counter[str] = field(default_factory=Counter)
    record: list[MessagesRequest] = field(default_factory=list)
    """Every request that reached the endpoint."""
    overtime: list[str] = field(default_factory=list)
    """What had not ended when its time was up."""

    @property
    def config_dir(self) -> Path:
        return self.plan.folder / "claude"

    @property
    def state_dir(self) -> Path:
        return self.plan.folder / "state"

    @property
    def hooked(self) -> Path:
        """What the hook has been told, a line for each time."""
        return self.plan.folder / "hooked"

    @property
    def journal(self) -> Path:
        return self.state_dir / "journal.db"


async def direct(plan: Plan) -> Run:
    """Ends by itself; whatever ends it, the child is dead when it returns."""
    run = Run(plan)
    template = TemplateFile(plan.folder / "templates", TEMPLATE)
    async with Rehearsal(plan.seed, keep=100_000) as rehearsal, anyio.create_task_group() as tasks:
        order = {
            "state": str(run.state_dir),
            # Tasks may run in the background: the CLI begins turns by itself then.
            "environment": {
                **rehearsal.environment(run.config_dir),
                "CLAUDE_CODE_DISABLE_BACKGROUND_TASKS": "",
            },
            "templates": str(template.folder),
            "settings": SETTINGS | {"hooks": [HOOK | {"actions": [note_into(run.hooked)]}]},
        }
        stage = Stage(plan.folder, order, run.ledger, random.Random(plan.seed), tasks)
        try:
            await stage.begin()
            await _storm(run, stage, rehearsal, template)
            template.mend()
            await _wait_for_quiet(run, stage)
            with anyio.move_on_after(plan.quiet_within) as patience:
                await stage.finish()
            if patience.cancelled_caught:
                run.overtime.append("the supervisor did not drain and stop")
        finally:
            with anyio.CancelScope(shield=True):
                await stage.kill()
        run.record = rehearsal.record
    return run


async def _storm(run: Run, stage: Stage, rehearsal: Rehearsal, template: TemplateFile) -> None:
    dice = random.Random(run.plan.seed)
    callers = Callers(stage, run.ledger, random.Random(dice.random()))
    places = make_places(run.plan.sessions)
    with anyio.move_on_after(run.plan.quiet_within) as calm:
        async with anyio.create_task_group() as group:
            for place in places:
                group.start_soon(callers.ask_once, place)
    if calm.cancelled_caught:
        run.overtime.append("a first prompt was not answered although nothing had gone wrong yet")
    async with anyio.create_task_group() as storm:
        faults = Faults(stage, rehearsal, run.ledger, random.Random(dice.random()), storm, template)
        run.faults = faults.counts
        for place in places:
            storm.start_soon(callers.ask_on, place)
        storm.start_soon(callers.decide_on)
        storm.start_soon(callers.operate)
        storm.start_soon(faults.happen)
        async with anyio.create_task_group() as lives:
            lives.start_soon(faults.end_supervisors, run.plan.kills, run.plan.seconds)
            await anyio.sleep(run.plan.seconds)
        storm.cancel_scope.cancel()


async def _wait_for_quiet(run: Run, stage: Stage) -> None:
    """Every accepted turn ends by itself or is withdrawn: some prompts ask for what never ends."""
    ledger = run.ledger
    with anyio.move_on_after(run.plan.quiet_within):
        while ledger.open_turns():
            for account in ledger.open_turns():
                if "[[stall]]" in account.handed.text or "sleep 600" in account.handed.text:
                    await stage.order("withdraw", turn=account.turn)
            await stage.order("resume")
            await ledger.changed(1.0)
    run.overtime += [f"{account.turn} of {account.handed.place} had not ended" for account in ledger.open_turns()]
