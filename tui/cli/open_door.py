"""Opens the door of a running house, as its settings say."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio

if TYPE_CHECKING:
    from supervisor import Door, Settings, Supervisor


@asynccontextmanager
async def open_door(supervisor: Supervisor, settings: Settings, leave: Callable[[], object]) -> AsyncIterator[Door]:
    """The door is open inside the block; `leave` is called when somebody outside asks for the end.

    Raises `Refused` when it cannot be opened.
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
    )
    async with anyio.create_task_group() as group:
        await group.start(door.run)
        yield door
        group.cancel_scope.cancel()
