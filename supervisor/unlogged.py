"""Keeps what libraries log of requests out of the log: addresses may be secrets, servers' words private.

httpx logs each address whole, with its path, at the level that is usual; mcp's client logs whole messages that it does
not know. Only their use by bullpen is concerned: of a host program's own requests nothing is kept out.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

LOGGERS = (
    "",  # mcp logs what it cannot read with the logger of the program
    "client",
    "httpx",
    "httpcore.connection",
    "httpcore.http11",
    "httpcore.http2",
    "httpcore.proxy",
    "mcp.client.streamable_http",
)

_IS_KEPT_OUT: ContextVar[bool] = ContextVar("unlogged", default=False)


@contextmanager
def unlogged() -> Iterator[None]:
    """Keeps what is done in the block, and in tasks started in it, out of the logs in `LOGGERS`."""
    for name in LOGGERS:
        logging.getLogger(name).addFilter(_may_be_logged)  # once, however often
    token = _IS_KEPT_OUT.set(True)
    try:
        yield
    finally:
        _IS_KEPT_OUT.reset(token)


def _may_be_logged(record: logging.LogRecord) -> bool:
    return not _IS_KEPT_OUT.get()
