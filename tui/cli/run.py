"""The shape of the process: the engine in an outer task group, the screen inside it.

Signals and an engine's failure only ask the screen to leave. It restores the terminal; then the engine ends every
process; then the failure is told and the exit code set.
"""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

import anyio

from supervisor import bare_host, import_late, show_name
from tui.cli.embedded_engine import EmbeddedEngine
from tui.cli.exit_codes import INTERNAL_ERROR
from tui.cli.output import tell
from tui.cli.signals import SIGNALS
from tui.engine_link.opening_engine import OpeningEngine

if TYPE_CHECKING:
    from supervisor import Loaded, Settings, Supervisor, Template


@asynccontextmanager
async def prepare(
    templates: Sequence[Template],
    settings: Settings,
    *,
    name: str,
    keeps_queue: bool,
    left_out: Sequence[str] = (),
    is_live: bool = False,
    pace: float = 1.0,
) -> AsyncIterator[Supervisor]:
    """A supervisor that does not run yet, over the real API or, in rehearsal, over the embedded endpoint. With
    `is_live` it follows the folder of templates."""
    from supervisor import Supervisor

    own, endpoint = _settings_of_run(settings), _name_endpoint(settings)
    make = partial(
        Supervisor,
        templates,
        own,
        keeps_queue=keeps_queue,
        name=name,
        left_out=left_out,
        is_live=is_live,
        endpoint=endpoint,
    )
    if not settings.rehearsal:
        yield make()
        return
    from supervisor import Rehearsal

    async with Rehearsal(pace=pace, keep=0) as rehearsal:
        yield make(environment=rehearsal.environment(own.state_dir / "claude"))


async def run_dashboard(
    loaded: Loaded, settings: Settings, *, with_callers: bool = False, with_stand_in: bool = False
) -> int:
    """Runs until the operator leaves, with simulated callers and a stand-in who answers for the operator if so wanted.
    Returns the exit code; the terminal is as it was before. Raises what kept the engine from being opened."""
    from supervisor import BullpenError, expect_rows, pace_interpreter
    from tui.app import BullpenApp
    from tui.cli.open_door import keep_door_open
    from tui.kept.drafts import DraftFile
    from tui.kept.preferences import PreferenceFile
    from tui.terminal.clipboard import CopyFile
    from tui.terminal.driver import SafeDriver

    stand_for = OpeningEngine()
    app = BullpenApp(
        stand_for.as_engine,
        rehearsal=settings.rehearsal,
        driver_class=SafeDriver,
        copies=CopyFile(settings.state_dir / "copied.txt"),
        kept=PreferenceFile(settings.state_dir),
        drafts=DraftFile(settings.run_dir),  # sessions of a rehearsal have the names of others
        notices=settings.notices,
        expected=expect_rows(
            loaded.templates, _settings_of_run(settings), endpoint=_name_endpoint(settings), left_out=loaded.left_out
        ),
    )
    engine = EmbeddedEngine(
        partial(
            prepare,
            loaded.templates,
            settings,
            name="the dashboard",
            keeps_queue=True,
            left_out=loaded.left_out,
            is_live=True,
        ),
        on_failure=lambda: app.exit(return_code=INTERNAL_ERROR),
    )
    has_left, is_stopped = anyio.Event(), anyio.Event()

    async def begin_work(supervisor: Supervisor) -> None:
        stand_for.arrive(supervisor)
        await app.take_over()
        # Conversations are imported now: nothing of them is in the first frame.
        await import_late("tui.screens.chat.chat")
        pace_interpreter()
        app.call_later(app.prepare_help)
        group.start_soon(keep_door_open, supervisor, settings, stop, tell_of_the_door)
        if with_callers:
            from supervisor import play

            group.start_soon(play, supervisor)
        if with_stand_in:
            from supervisor import stand_in

            group.start_soon(stand_in, supervisor)

    def tell_of_the_door(line: str, is_bad: bool) -> None:
        app.notify(line, severity="error" if is_bad else "information", timeout=30, markup=False)

    def leave() -> None:
        if is_stopped.is_set():
            hurry()
        app.exit(return_code=SIGNALS.exit_code or 0)
        has_left.set()

    def hurry() -> None:
        engine.hurry(is_gentle=is_stopped.is_set())

    def stop() -> None:
        """Asked for through the door."""
        leave()
        is_stopped.set()

    async with SIGNALS.heeded(leave, hurry), anyio.create_task_group() as group:
        group.start_soon(engine.run, app.painted, begin_work)
        try:
            if not has_left.is_set():
                await app.run_async()
        finally:
            with anyio.CancelScope(shield=True):
                if is_stopped.is_set():
                    tell("asked to stop: what runs may end first; ctrl+c ends it now")
                    await engine.let_end(tell)
                if engine.opened is not None:
                    await _say_goodbye(engine.opened)
                await engine.stop()
            group.cancel_scope.cancel()
    if isinstance(engine.failure, BullpenError):
        raise engine.failure
    if engine.failure is not None:
        tell(f"the engine failed: {engine.failure!r}")
        tell(f"the details are in {show_name(settings.state_dir / 'logs' / 'bullpen.log')}")
    return app.return_code or 0


async def _say_goodbye(supervisor: Supervisor) -> None:
    clients = len((await supervisor.snapshot()).clients)
    if clients and sys.stderr.isatty():
        tell(f"ending {clients} client{'s' if clients > 1 else ''} …")


def _settings_of_run(settings: Settings) -> Settings:
    """A rehearsal keeps what it does beside what the real agents did."""
    return settings.model_copy(update={"state_dir": settings.run_dir}) if settings.rehearsal else settings


def _name_endpoint(settings: Settings) -> str:
    """What the header shows: `rehearsal`, or the host that prompts go to; never the user or password of its address."""
    if settings.rehearsal:
        return "rehearsal"
    base = os.environ.get("ANTHROPIC_BASE_URL", "")
    return bare_host(base) if base else "api.anthropic.com"
