"""The shape of the process: the engine in an outer task group, the screen inside it.

Signals and an engine's failure only ask the screen to leave. It restores the terminal; then the engine ends every
process; then the failure is told and the exit code set.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
from anyio.abc import TaskStatus

from supervisor import bare_host, import_late, show_name
from tui.cli.ending import GentleEnd
from tui.cli.exit_codes import INTERNAL_ERROR
from tui.cli.output import tell
from tui.cli.signals import SIGNALS

if TYPE_CHECKING:
    from supervisor import Loaded, Settings, Supervisor, Template

_log = logging.getLogger(__name__)


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

    make = partial(Supervisor, templates, keeps_queue=keeps_queue, name=name, left_out=left_out, is_live=is_live)
    if not settings.rehearsal:
        yield make(settings, endpoint=_name_endpoint())
        return
    from supervisor import Rehearsal

    settings = settings.model_copy(update={"state_dir": settings.run_dir})
    async with Rehearsal(pace=pace, keep=0) as rehearsal:
        environment = rehearsal.environment(settings.state_dir / "claude")
        yield make(settings, environment=environment, endpoint="rehearsal")


async def run_dashboard(
    loaded: Loaded, settings: Settings, *, with_callers: bool = False, with_stand_in: bool = False
) -> int:
    """Runs until the operator leaves, with simulated callers and a stand-in who answers for the operator if so wanted.
    Returns the exit code; the terminal is as it was before."""
    from supervisor import BullpenError, pace_interpreter
    from tui.app import BullpenApp
    from tui.cli.open_door import keep_door_open
    from tui.kept.drafts import DraftFile
    from tui.kept.preferences import PreferenceFile
    from tui.terminal.clipboard import CopyFile
    from tui.terminal.driver import SafeDriver

    opening = prepare(
        loaded.templates, settings, name="the dashboard", keeps_queue=True, left_out=loaded.left_out, is_live=True
    )
    async with opening as supervisor:
        copies, kept = CopyFile(settings.state_dir / "copied.txt"), PreferenceFile(settings.state_dir)
        drafts = DraftFile(settings.run_dir)  # sessions of a rehearsal have the names of others
        app = BullpenApp(
            supervisor,
            rehearsal=settings.rehearsal,
            driver_class=SafeDriver,
            copies=copies,
            kept=kept,
            drafts=drafts,
            notices=settings.notices,
        )
        failures: list[BaseException] = []

        async def run_engine(*, task_status: TaskStatus[None]) -> None:
            try:
                await supervisor.run(task_status=task_status)
            except BullpenError:
                raise  # before anything was started: one line, no screen
            except Exception as error:
                _log.critical("the engine failed", exc_info=error)
                failures.append(error)
                app.exit(return_code=INTERNAL_ERROR)

        start, ending, is_stopped = anyio.CancelScope(), GentleEnd(supervisor), anyio.Event()
        release_starts = supervisor.hold_starts()

        async def begin_work() -> None:
            # What the first client needs is imported in a thread, for as long as the first frame takes by itself.
            await app.painted.wait()
            # Conversations are imported now: nothing of them is in that frame.
            await import_late("tui.screens.chat.chat")
            pace_interpreter()
            app.call_later(app.prepare_help)
            release_starts()
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
                ending.hurry()
            app.exit(return_code=SIGNALS.exit_code or 0)
            start.cancel()

        def hurry() -> None:
            (ending if is_stopped.is_set() else supervisor).hurry()

        def stop() -> None:
            """Asked for through the door."""
            leave()
            is_stopped.set()

        async with SIGNALS.heeded(leave, hurry), anyio.create_task_group() as group:
            with start:
                await group.start(run_engine)
            try:
                if not start.cancel_called:
                    group.start_soon(begin_work)
                    await app.run_async()
            finally:
                with anyio.CancelScope(shield=True):
                    if is_stopped.is_set() and not failures:
                        tell("asked to stop: what runs may end first; ctrl+c ends it now")
                        await ending.let_end(tell)
                    await _say_goodbye(supervisor)
                    if not start.cancelled_caught:  # else the engine has ended, or never run
                        await supervisor.stop()
                group.cancel_scope.cancel()
    if failures:
        tell(f"the engine failed: {failures[0]!r}")
        tell(f"the details are in {show_name(settings.state_dir / 'logs' / 'bullpen.log')}")
    return app.return_code or 0


async def _say_goodbye(supervisor: Supervisor) -> None:
    clients = len((await supervisor.snapshot()).clients)
    if clients and sys.stderr.isatty():
        tell(f"ending {clients} client{'s' if clients > 1 else ''} …")


def _name_endpoint() -> str:
    """The host that prompts go to, as the header shows it; never the user or password of the address."""
    base = os.environ.get("ANTHROPIC_BASE_URL", "")
    return bare_host(base) if base else "api.anthropic.com"
