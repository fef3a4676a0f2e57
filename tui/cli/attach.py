"""`bullpen attach`: the same dashboard over a bullpen that runs already. Leaving it ends nothing."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from supervisor import show_name
from tui.cli.exit_codes import FAILED, NOT_RUNNING, REFUSED
from tui.cli.output import tell
from tui.cli.running_engine import Where, reach
from tui.cli.signals import SIGNALS
from tui.cli.threads import leave

if TYPE_CHECKING:
    from supervisor import RemoteEngine, Settings

LOG = "attach.log"
"""Beside the log of the bullpen itself, which another process writes."""


def attach_from_terminal(where: Where, settings: Settings) -> int:
    """Runs until the operator leaves. Returns the exit code; the terminal is as it was before, below one line that
    stands there until the dashboard is drawn."""
    tell(f"connecting to {where.url or f'the bullpen over {show_name(settings.state_dir)}'} …")
    code = SIGNALS.run(partial(_attach, where, settings))
    leave(code)
    return code


async def _attach(where: Where, settings: Settings) -> int:
    from supervisor import BullpenError, NotReached, Refused

    try:
        async with reach(where, via="screen") as engine:
            return await _show(engine, settings)
    except NotReached as error:
        tell(str(error))
        return NOT_RUNNING
    except BullpenError as error:
        tell(str(error))
        return REFUSED if isinstance(error, Refused) else FAILED


async def _show(engine: RemoteEngine, settings: Settings) -> int:
    from tui.app import BullpenApp
    from tui.kept.drafts import attached_drafts
    from tui.kept.preferences import PreferenceFile
    from tui.terminal.clipboard import CopyFile
    from tui.terminal.driver import SafeDriver

    host = (await engine.snapshot()).host
    app = BullpenApp(
        engine,
        rehearsal=host.rehearsal,
        driver_class=SafeDriver,
        copies=CopyFile(settings.state_dir / "copied-attached.txt"),
        kept=PreferenceFile(settings.state_dir),
        drafts=attached_drafts(settings.state_dir, engine.name),
        notices=settings.notices,
        attached_to=engine.name,
    )

    def end() -> None:
        app.exit(return_code=SIGNALS.exit_code or 0)

    async with SIGNALS.heeded(end, end):
        await app.run_async()
    return app.return_code or 0
