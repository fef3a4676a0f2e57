"""The real supervisor on the fake world, in a loop of its own, driven from synchronous code."""

from __future__ import annotations

import asyncio
import gc
import shutil
import tempfile
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import anyio.to_thread

from supervisor.clock import Clock
from supervisor.settings import Settings
from supervisor.supervisor import Supervisor
from supervisor.templates import Template
from supervisor.testing import FakeConnection, FakeWorld, hold
from tests.engine.model.virtual_time import VirtualTimeLoop

T = TypeVar("T")

UNIX_BEGINNING = 1_700_000_000.0
LONGEST_END = 60.0
"""Seconds of the loop that ending everything may take: every deadline of the ladder, one after the other."""


@dataclass(frozen=True)
class House:
    """The configuration of one example."""

    templates: tuple[Template, ...]
    limits: dict[str, object]


class Stage:
    def __init__(self, house: House) -> None:
        self.loop = VirtualTimeLoop()
        self.world = FakeWorld(on_prompt=hold)
        self.wall_offset = 0.0
        """What somebody has turned the clock on the wall by."""
        self._folder = Path(tempfile.mkdtemp(prefix="bullpen-model-"))
        self.is_at_rest = False
        """Nothing more can happen until somebody does something or time passes."""
        self._house = house
        self._errands: set[asyncio.Task[Any]] = set()
        self.supervisor = self.run(self._open)

    @property
    def now(self) -> float:
        return self.loop.time()

    # Driving

    def run(self, call: Callable[[], T]) -> T:
        """Makes the call inside the loop; what follows from it has hardly begun when this returns."""

        async def work() -> T:
            return call()

        self.is_at_rest = False
        return self.loop.finish(work())

    def settle(self) -> None:
        self.loop.settle()
        self.is_at_rest = True

    def step(self, count: int) -> None:
        self.is_at_rest = False
        self.loop.step(count)

    def pass_time(self, seconds: float) -> None:
        """Timer by timer."""
        self.loop.run_for(seconds)
        self.is_at_rest = True

    def suspend(self, seconds: float) -> None:
        """As a machine that sleeps: everything that fell due meanwhile is due at once."""
        self.loop.settle()  # an interrupt that has not been sent yet would find its deadlines gone
        self.loop.jump(seconds)
        self.loop.settle()
        self.is_at_rest = True

    def start(self, errand: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Something that somebody outside of the engine does: an agent that asks, a caller that waits."""
        task = self.loop.create_task(errand)
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)
        return task

    # Looking

    @property
    def is_running(self) -> bool:
        return not self.main.done()

    @property
    def clients_at_work(self) -> set[str]:
        """Ids of the clients whose task lives."""
        names = (task.get_name() for task in asyncio.all_tasks(self.loop))
        return {name.removeprefix("client ") for name in names if name.startswith("client ")}

    @property
    def talking(self) -> list[FakeConnection]:
        """Agents that have a prompt, and could answer it."""
        return [one for one in self.world.live if one.is_in_turn and not (one.is_hanging or one.questions)]

    # Life and death

    def _open(self) -> Supervisor:
        settings = Settings.model_validate({"state_dir": self._folder / "state"} | self._house.limits)
        clock = Clock(wall=lambda: UNIX_BEGINNING + self.wall_offset + self.loop.time(), steady=self.loop.time)
        supervisor = Supervisor(self._house.templates, settings, connect=self.world.connect, clock=clock)
        threads = anyio.to_thread.current_default_thread_limiter()
        self.loop.outside.append(lambda: threads.borrowed_tokens > 0)
        self.main = self.loop.create_task(supervisor.run(), name="main")
        return supervisor

    def stop(self) -> None:
        self.loop.finish(self.supervisor.stop(), within=LONGEST_END)
        self.loop.finish(self.main)

    def cancel(self) -> None:
        """Ends it as a scope around it would."""
        self.main.cancel()
        self.loop.run_for(LONGEST_END)
        if not self.main.done():
            raise TimeoutError("a cancelled supervisor has not ended")

    def close(self) -> list[str]:
        """Takes the stage down; returns what was left lying around."""
        for errand in tuple(self._errands):
            errand.cancel()
        self.loop.settle()
        left = [f"a task was left: {task!r}" for task in asyncio.all_tasks(self.loop)]
        self._drop_all_tasks()
        left += [f"nobody handled {problem}" for problem in self.loop.problems]
        self.loop.finish(self.loop.shutdown_asyncgens())
        self.loop.close()
        shutil.rmtree(self._folder, ignore_errors=True)
        return left

    def _drop_all_tasks(self) -> None:
        for _ in range(20):
            if not (tasks := asyncio.all_tasks(self.loop)):
                return
            for task in tasks:
                task.cancel()
            self.loop.run_for(1)
        gc.collect()
