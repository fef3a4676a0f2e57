"""Between a prompt taken in and a prompt recorded: until the journal has it, it may still be refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from textual.app import App

from supervisor import BullpenError, Refused, Ticket
from tui.terminal.input_queue import ENGINE_WORK
from tui.terminal.workers import start_worker


def follow(app: App[Any], ticket: Ticket, on_refused: Callable[[], object] | None = None) -> None:
    """Waits until a prompt is recorded, in a worker of the app: the screen that sent it may be left meanwhile.

    A refusal is told in one line, after `on_refused` has done what it has to. A prompt of which it is not known whether
    it was recorded is told as well, and is not handed back: sent again, it might run twice.
    """

    async def wait() -> None:
        try:
            await ticket.accepted()
        except Refused as error:
            if on_refused is not None:
                on_refused()
            app.notify(str(error), severity="error", timeout=10, markup=False)
        except BullpenError as error:
            app.notify(str(error), severity="error", timeout=10, markup=False)

    start_worker(app, wait, group=ENGINE_WORK)
