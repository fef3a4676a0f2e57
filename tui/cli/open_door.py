"""Opens the door of a running bullpen, as its settings say, and opens it again when it is lost."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio
from anyio.abc import TaskStatus

from supervisor import BullpenError
from tui.cli.errors import only

if TYPE_CHECKING:
    from supervisor import Door, Settings, Supervisor


AGAIN = 5.0
"""Seconds until a door that is closed is tried again."""

_log = logging.getLogger(__name__)


async def keep_door_open(
    supervisor: Supervisor,
    settings: Settings,
    leave: Callable[[], object],
    tell: Callable[[str, bool], object],
    *,
    task_status: TaskStatus[Door] = anyio.TASK_STATUS_IGNORED,
    must_open: bool = False,
) -> None:
    """Runs until it is cancelled. Whatever becomes of the door, the bullpen goes on: `tell` gets one line when it is
    closed and one when it is open again, each with whether that is bad news. With `must_open`, what keeps it from being
    opened at first is raised."""
    is_closed = False
    while True:
        try:
            async with open_door(supervisor, settings, leave) as door:
                if is_closed:
                    tell("the door is open again", False)
                is_closed, must_open = False, False
                supervisor.note_door(door.places)
                task_status.started(door)
                task_status = anyio.TASK_STATUS_IGNORED
                await anyio.sleep_forever()
        except Exception as raised:
            if must_open:
                raise
            error = only(raised)
            if not isinstance(error, BullpenError):
                _log.error("the door failed", exc_info=raised)
            why = str(error) if isinstance(error, BullpenError) else f"internal error {error!r:.200}"
            supervisor.note_door(f"closed: {why}; it is tried again every {AGAIN:g} s")
            if not is_closed:
                is_closed = True
                tell(f"the door is closed: {why}; all else goes on, and it is tried again", True)
        await anyio.sleep(AGAIN)


@asynccontextmanager
async def open_door(supervisor: Supervisor, settings: Settings, leave: Callable[[], object]) -> AsyncIterator[Door]:
    """The door is open inside the block; `leave` is called when a request from outside asks for the end.

    Raises `Refused` when it cannot be opened, and in a group what ends it later.
    """
    from supervisor import TokenFile, __version__, load

    make: type[Door] = await load("Door")
    gateway = settings.gateway
    tls = (gateway.tls_cert, gateway.tls_key) if gateway.tls_cert and gateway.tls_key else None
    door = make(
        supervisor,
        settings.run_dir,
        tokens=TokenFile(settings.state_dir),
        version=__version__,
        leave=leave,
        listen=gateway.address,
        tls=tls,
        hosts=gateway.hosts,
        origins=gateway.allowed_origins,
        answer_links=supervisor.answer_links,
        public_url=gateway.public_url,
    )
    async with anyio.create_task_group() as group:
        await group.start(door.run)
        yield door
        group.cancel_scope.cancel()
