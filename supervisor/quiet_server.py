"""uvicorn inside another program: it leaves that program's signals and logging alone. Imported late: it is heavy."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn


class QuietServer(uvicorn.Server):
    """Serves one ASGI application on sockets that are bound already, until `should_exit` is set."""

    def __init__(self, app: Any, **options: Any) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                log_config=None,
                lifespan="off",
                access_log=False,
                log_level="warning",
                ws="none",
                http="h11",
                server_header=False,
                # A client that comes back after a pause shall not find its connection just being closed.
                timeout_keep_alive=3_600,
                timeout_graceful_shutdown=1,
                **options,
            )
        )

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Each part of an answer leaves at once. asyncio sees to that for sockets of its own alone: on one that was
        bound before, the end of an answer would wait 40 ms for the reader to acknowledge its beginning."""
        for one in sockets or ():
            if one.family != socket.AF_UNIX:
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # those that are accepted inherit it
        await super().startup(sockets)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Open streams would delay the end: they are aborted once the port is closed."""
        for server in self.servers:
            server.close()
        self.hang_up()
        await super().shutdown(sockets)

    def hang_up(self, address: Any = None) -> None:
        """Breaks the connection of one client address, or every connection."""
        for connection in list(self.server_state.connections):
            if address is None or getattr(connection, "client", None) == address:
                connection.transport.abort()
