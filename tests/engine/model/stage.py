"""The real supervisor on the fake world, in a loop of its own, driven from synchronous code; and then the next one."""

from __future__ import annotations

import asyncio
import inspect
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Coroutine
from contextlib import ExitStack, closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar
from unittest import mock

import anyio

from supervisor.clock import Clock
from supervisor.config.settings import Settings
from supervisor.config.templates import Template
from supervisor.engine.supervisor import Supervisor
from supervisor.instance import stimuli
from supervisor.process.connection import Connector, Launch
from supervisor.process.host_memory import HostMemory
from supervisor.scheduling.dispatcher import Decision, Scene, decide
from supervisor.testing import FakeConnection, FakeWorld, hold
from tests.engine.model.disk import Disk
from tests.engine.model.virtual_time import BEGINNING, VirtualTimeLoop

T = TypeVar("T")

UNIX_BEGINNING = 1_700_000_000.0
LONGEST_END = 60.0
"""Seconds of the loop that ending everything may take: every deadline of the ladder, one after the other."""
HOST_BYTES = 8 * 1024**3
"""Of the host as it is measured: nothing of the machine that runs the test has a say in an example."""
SWAP_BYTES = 400 * 1024**2
"""Of the same host; half of it is always free, so that a few clients fill what they may use."""


class Bullpen:
    """The configuration of one example."""

    def __init__(self, templates: tuple[Template, ...], limits: dict[str, object]) -> None:
        self.templates = templates
        self.limits = limits


class Stage:
    """One supervisor at a time (a life), on one state directory and in one world."""

    def __init__(
        self,
        bullpen: Bullpen,
        on_open: Callable[[str], None],
        on_step: Callable[[Scene, Decision | None], None],
    ) -> None:
        """`on_open` is told the instance of every client, before it is counted anywhere; `on_step` every decision,
        before it is acted on."""
        self.world = FakeWorld(on_prompt=hold)
        self.lives = 0
        self.wall_offset = 0.0
        """What somebody has turned the clock on the wall by."""
        self.is_at_rest = False
        """Nothing more can happen until somebody does something or time passes."""
        self.folder = Path(tempfile.mkdtemp(prefix="bullpen-model-"))
        self._bullpen = bullpen
        self._on_open = on_open
        self._on_step = on_step
        self.unrecorded: list[str] = []
        """Prompts that reached a process although a crash in that moment would have sent them again."""
        self._before = 0.0
        """Seconds of the lives before this one."""
        self._errands: set[asyncio.Task[Any]] = set()
        self.begin_life()

    @property
    def now(self) -> float:
        """Seconds since the first life began."""
        return self._before + self.loop.time() - BEGINNING

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
        self.is_at_rest = False
        task = self.loop.create_task(errand)
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)
        return task

    # Queries

    @property
    def is_running(self) -> bool:
        return not self.main.done()

    @property
    def thin(self) -> set[str]:
        """Ids of clients that have slept since they were measured after a turn."""
        slots = (slot for instance in self.supervisor._instances.values() for slot in instance.pool)
        return {slot.id for slot in slots if slot.measures_thin}

    @property
    def is_written(self) -> bool:
        """Everything that the engine has noted is durable."""
        journal = self.supervisor._host.log
        return journal is not None and not journal._writer.notes

    @property
    def clients_at_work(self) -> dict[str, asyncio.Task[Any]]:
        """Ids of the clients whose task lives."""
        tasks = {task.get_name(): task for task in asyncio.all_tasks(self.loop)}
        return {name.removeprefix("client "): task for name, task in tasks.items() if name.startswith("client ")}

    @property
    def begun(self) -> dict[str, asyncio.Task[Any]]:
        """Of those the ones that can be cancelled: a task that has not begun could not clean up."""
        return {name: task for name, task in sorted(self.clients_at_work.items()) if has_begun(task)}

    @property
    def live(self) -> list[FakeConnection]:
        """Agents of this life."""
        return [one for one in self.world.live if not one.is_orphan]

    @property
    def talking(self) -> list[FakeConnection]:
        """Agents that have a prompt, and could answer it."""
        awake = [one for one in self.live if not (one.is_hanging or one.is_asleep)]
        return [one for one in awake if one.is_in_turn and not one.questions]

    @property
    def asleep(self) -> list[FakeConnection]:
        return [one for one in self.live if one.is_asleep]

    # Life and death

    def begin_life(self) -> None:
        self.lives += 1
        self.world.gate = None  # it belonged to the last loop
        self.loop, self.disk, self._patches = VirtualTimeLoop(), Disk(), ExitStack()
        machine = SimpleNamespace(
            Process=lambda: SimpleNamespace(memory_info=lambda: SimpleNamespace(rss=HOST_BYTES // 100)),
            virtual_memory=lambda: SimpleNamespace(available=HOST_BYTES),
        )
        self._patches.enter_context(self.disk.instead_of_threads())
        self._patches.enter_context(mock.patch("supervisor.engine.memory_sampler.psutil", machine))
        swap = HostMemory(swap_total=SWAP_BYTES, swap_free=SWAP_BYTES // 2, pages_out=True)
        found = swap.swap_total, swap.swap_free
        self._patches.enter_context(mock.patch("supervisor.engine.runtime.look_at_host", return_value=swap))
        self._patches.enter_context(mock.patch("supervisor.engine.memory_sampler.read_swap", return_value=found))
        self._patches.enter_context(mock.patch("supervisor.instance.scheduler.decide", self._decide))
        self._patches.enter_context(mock.patch("supervisor.engine.runtime.end_orphans", self.world.end_orphans))
        self.supervisor = self.run(self._make)

    def wake(self) -> None:
        """Lets the supervisor of this life run; whoever wants to hear everything has called `watch` by now."""
        self.main = self.loop.create_task(self.supervisor.run(), name="main")
        self.settle()

    def _make(self) -> Supervisor:
        settings = Settings.model_validate({"state_dir": self.folder / "state"} | self._bullpen.limits)
        clock = Clock(wall=lambda: UNIX_BEGINNING + self.wall_offset + self.now, steady=self.loop.time)
        return Supervisor(self._bullpen.templates, settings, connect=self._connect, clock=clock)

    def _connect(self, template: Template) -> Connector:
        return _Watched(self.world.connect(template), lambda: self._on_open(template.name), self._note_sending)

    def edit(self, instance: str, changes: dict[str, object]) -> None:
        """Somebody has saved the instance's template. For inside the loop."""
        found = self.supervisor._instances[instance]
        template = found.template.model_copy(update=changes)
        found.handle(stimuli.ReplaceTemplate(template, self._connect(template)))

    def _decide(self, scene: Scene) -> Decision | None:
        step = decide(scene)
        self._on_step(scene, step)
        return step

    def _note_sending(self, client_id: str, text: str) -> None:
        """A prompt is about to be written: the file says by now that its turn has begun, and had to."""
        session = next(
            session
            for instance in self.supervisor._instances.values()
            for session in instance.sessions.values()
            if session.slot is not None and session.slot.id == client_id
        )
        turn = session.mailbox.current
        with closing(sqlite3.connect(self.folder / "state" / "journal.db")) as file:
            rows = file.execute("SELECT started_at, outcome FROM turns WHERE id = ?", (turn.id if turn else "",))
            kept = rows.fetchone()
        if kept is None or kept[0] is None:
            self.unrecorded.append(f"{text!r} was written to {client_id}, the journal has {kept}")

    def stop(self) -> None:
        self.loop.finish(self.supervisor.stop(), within=LONGEST_END)
        self.loop.finish(self.main)

    def cancel(self) -> None:
        """Ends it as a scope around it would."""
        self.main.cancel()
        self.loop.run_for(LONGEST_END)
        if not self.main.done():
            raise TimeoutError("a cancelled supervisor has not ended")

    def lose(self) -> None:
        """As `kill -9`: nothing more is written, nobody is told, and busy processes go on by themselves."""
        world = self.world
        self._end_errands()
        world.lose_parent()
        self.disk.cut()
        survivors, violations = world.live, list(world.violations)
        # The tasks of this life still have to be taken out of memory, and must not start anything on their way.
        world.gate = self.run(anyio.Event)
        self._drop_all_tasks()
        for connection in world.live:
            if connection not in survivors:
                connection.kill()
        world.gate, world.violations[:] = None, violations
        self._end_life()

    def close(self) -> list[str]:
        """Takes the life down that has ended; returns what was left lying around."""
        self._end_errands()
        self.loop.settle()
        left = [f"a task was left: {task!r}" for task in asyncio.all_tasks(self.loop)]
        self._drop_all_tasks()
        left += [f"nobody handled {problem}" for problem in self.loop.problems]
        self._end_life()
        return left

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def _end_life(self) -> None:
        self._before = self.now
        self.loop.finish(self.loop.shutdown_asyncgens())
        self.loop.close()
        self._patches.close()

    def _end_errands(self) -> None:
        for errand in tuple(self._errands):
            errand.cancel()

    def _drop_all_tasks(self) -> None:
        for _ in range(30):
            if not (tasks := asyncio.all_tasks(self.loop)):
                return
            for task in tasks:
                if has_begun(task):
                    task.cancel()
            self.loop.run_for(1)
        raise TimeoutError(f"tasks that do not end: {asyncio.all_tasks(self.loop)}")


def has_begun(task: asyncio.Task[Any]) -> bool:
    return inspect.getcoroutinestate(task.get_coro()) != inspect.CORO_CREATED  # type: ignore[arg-type]


class _Watched:
    """A connector that says when something is opened, and its connections when something is written."""

    def __init__(self, connector: Connector, on_open: Callable[[], None], on_send: Callable[[str, str], None]) -> None:
        self._connector = connector
        self._on_open = on_open
        self._on_send = on_send

    @property
    def digest(self) -> str:
        return self._connector.digest

    @property
    def expected_bytes(self) -> int:
        return self._connector.expected_bytes

    def open(self, launch: Launch) -> Any:
        self._on_open()
        connection: Any = self._connector.open(launch)
        send, send_at_once, on_send = connection.send, connection.send_at_once, self._on_send

        async def send_and_tell(text: str, uuid: str) -> None:
            on_send(launch.client_id, text)
            await send(text, uuid)

        def send_at_once_and_tell(text: str, uuid: str) -> bool:
            on_send(launch.client_id, text)
            return bool(send_at_once(text, uuid))

        connection.send, connection.send_at_once = send_and_tell, send_at_once_and_tell
        return connection
