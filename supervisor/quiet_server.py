"""uvicorn inside another program: it leaves that program's signals and logging alone. Imported late: it is heavy."""

from __future__ import annotations

import asyncio
import math
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

BACKLOG = 2_048


class QuietServer(uvicorn.Server):
    """Serves one ASGI application on sockets that are bound already, until `should_exit` is set."""

    def __init__(self, app: Any, *, most: float = math.inf, **options: Any) -> None:
        """`most`: connections at once. One more takes the place of the one that has been without a request for longest;
        where each has one, it is refused. So connections that ask for nothing keep no others
        out, and do not take every descriptor of this process."""

        class Connection(_Connection):
            limit = most

        super().__init__(
            uvicorn.Config(
                app,
                log_config=None,
                lifespan="off",
                access_log=False,
                log_level="error",  # not what strangers say wrongly
                ws="none",
                http=Connection,
                server_header=False,
                # A client that comes back after a pause shall not find its connection just being closed.
                timeout_keep_alive=3_600,
                timeout_graceful_shutdown=1,
                # So many are let in before any that is one too many is given up.
                backlog=int(min(BACKLOG, max(16, most // 4))),
                **options,
            )
        )

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

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


class _Connection(H11Protocol):
    """Knows since when it has no request."""

    limit = math.inf
    rests_since = 0.0
    """Seconds of the loop's clock."""

    @property
    def is_resting(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        _send_at_once(transport)
        self.rests_since = self.loop.time()
        if len(self.connections) > self.limit:
            resting = (one for one in self.connections if isinstance(one, _Connection) and one.is_resting)
            first = min(resting, key=lambda one: one.rests_since)  # this one, if no other
            first.connections.discard(first)  # it is lost a turn of the loop later
            first.transport.abort()

    def on_response_complete(self) -> None:
        self.rests_since = self.loop.time()
        super().on_response_complete()


def _send_at_once(transport: asyncio.BaseTransport) -> None:
    """Each part of an answer leaves at once. asyncio sees to that only where the listening socket names TCP: elsewhere
    the end of an answer would wait 40 ms for the reader to acknowledge its beginning. On the connection, as it may have
    come before anything could be said about the listening socket."""
    connection: socket.socket | None = transport.get_extra_info("socket")
    if connection is not None and connection.family != socket.AF_UNIX:
        with suppress(OSError):  # it may be broken already
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
