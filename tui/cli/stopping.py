"""`bullpen stop`: ends the bullpen that runs, and says what it waits for."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import anyio
import typer

from supervisor import BullpenError
from tui.cli.ending import LOOK_SECONDS, describe_drain
from tui.cli.exit_codes import FAILED, SIGNAL
from tui.cli.output import say, tell
from tui.cli.running_engine import YesOption, command, is_agreed
from tui.cli.signals import SIGNALS
from tui.wording.format import some

if TYPE_CHECKING:
    from supervisor import Engine

app = typer.Typer(rich_markup_mode=None)

INTERRUPTED = SIGNAL + 2
"""Exit code of a wait that is left by ctrl+c."""


@command(app)
async def stop(engine: Engine, yes: YesOption = False) -> int:
    """Ends the bullpen that runs. Turns that run may end first; what waits is kept and runs at the next start. ctrl+c
    meanwhile ends them now."""
    snapshot = await engine.snapshot()
    running = sum(row.active_sessions for row in snapshot.instances)
    gently = f"what runs may end first: after {snapshot.host.drain_deadline:.0f} s at most it is interrupted"
    ends = [f"{some(len(snapshot.clients), 'client')}, {some(running, 'turn')} running", gently if running else ""]
    ends.append("what waits then is kept, and runs at the next start")
    if not await is_agreed("End this bullpen?", ends, is_sure=yes):
        return FAILED
    presses = 0
    async with anyio.create_task_group() as group:

        def press() -> None:
            """ctrl+c: the first one ends it now, the second one leaves it to end by itself."""
            nonlocal presses
            presses += 1
            if presses == 1:
                group.start_soon(_end_now, engine)
            else:
                group.cancel_scope.cancel()

        with SIGNALS.interrupts_call(press):
            group.start_soon(_show_end, engine)
            await engine.stop()
        group.cancel_scope.cancel()
    if presses > 1:
        tell("it goes on ending")
        return INTERRUPTED
    say("it has ended")
    return 0


async def _end_now(engine: Engine) -> None:
    """Asked again, the other side waits for nothing any more."""
    tell("ending it now; ctrl+c again leaves it to end by itself")
    with suppress(BullpenError):
        await engine.stop()


async def _show_end(engine: Engine) -> None:
    """What is waited for and until when, then how many clients are left, as long as it answers."""
    last = ""
    while True:
        with suppress(BullpenError):
            snapshot = await engine.snapshot()
            clients = snapshot.clients
            slowest = f" · {clients[0].id} pid {clients[0].pid}" if len(clients) == 1 else ""
            line = f"ending: {some(len(clients), 'client')} left{slowest}" if clients else ""
            if any(row.active_sessions or row.waiting for row in snapshot.instances):
                line = f"{describe_drain(snapshot.instances)} · ctrl+c ends it now"
            if line and line != last:
                last = line
                tell(line)
        await anyio.sleep(LOOK_SECONDS)
