"""The real supervisor, the bundled CLI, and the rehearsal endpoint on loopback. Nothing here talks to anything else."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from itertools import count
from pathlib import Path

import psutil
import pytest

from supervisor.config.settings import Settings
from supervisor.config.templates import Template
from supervisor.engine.supervisor import Supervisor
from supervisor.process.process_tree import LOST, MARK, iter_processes
from supervisor.rehearsal import Rehearsal

PACE = 0.25
"""Of scripted delays: a scripted second takes a quarter of one."""


class Bullpen:
    """A supervisor on rehearsal, and what its endpoint has seen."""

    def __init__(self, supervisor: Supervisor, rehearsal: Rehearsal) -> None:
        self.supervisor = supervisor
        self.rehearsal = rehearsal

    def requests_of(self, phrase: str) -> list[str]:
        """The whole text of every request whose own prompt contains the phrase."""
        return [request.text for request in self.rehearsal.record if phrase in request.prompt]

    @property
    def pids(self) -> set[int]:
        return {row.pid for row in self.supervisor.view.snapshot().clients if row.pid}


Open = Callable[..., AbstractAsyncContextManager[Bullpen]]


@pytest.fixture
def open_bullpen(tmp_path: Path) -> Open:
    """`async with open_bullpen(maxSessions=2, ...)`: a service `desk` with all its tools asking by default."""

    numbers = count(1)

    @asynccontextmanager
    async def begin(
        max_sessions: int = 2,
        *,
        spares: int = 0,
        keys: dict[str, object] | None = None,
        pace: float = PACE,
        state: str = "",
        variables: Mapping[str, str] | None = None,
        **host: object,
    ) -> AsyncIterator[Bullpen]:
        """Every bullpen has a state directory of its own, unless `state` names one. `variables` go to the CLI."""
        template = Template.model_validate(
            {
                "name": "desk",
                "description": "a test agent",
                "system_prompt": "You help.",
                "path": tmp_path / "desk.md",
                "tools": ["Read", "Write", "Bash", "AskUserQuestion"],
                "concurrency": {"maxSessions": max_sessions},
                "pool": {"spares": spares},
            }
            | (keys or {})
        )
        folder = tmp_path / (state or f"state-{next(numbers)}")
        settings = Settings.model_validate({"state_dir": folder, "rehearsal": True, "memory_interval": 0.2} | host)
        async with Rehearsal(pace=pace, keep=10_000) as rehearsal:
            environment = {**rehearsal.environment(tmp_path / "claude"), **(variables or {})}
            async with Supervisor([template], settings, environment=environment) as supervisor:
                yield Bullpen(supervisor, rehearsal)

    return begin


@pytest.fixture(autouse=True)
def _nothing_is_left_over(tmp_path: Path) -> Iterator[None]:
    """Every test of this folder ends with no process of a client it started (R3)."""
    yield
    left = find_clients(tmp_path)
    for process in left:
        process.kill()
    assert not left, f"left over: {left}"


def find_clients(folder: Path) -> list[psutil.Process]:
    """Every process that carries a client's mark and whose configuration lies in the folder, re-parented or not."""
    found = []
    for process in iter_processes():
        try:
            environ = process.environ()
            is_ours = MARK in environ and Path(environ.get("CLAUDE_CONFIG_DIR", "/")).is_relative_to(folder)
            if is_ours and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except LOST:
            continue
    return found
