"""Blocking work in a thread of anyio's, also where the system gives no further thread at the moment.

A limit of processes counts threads too (`TasksMax=` of systemd, `pids.max` of a container), and what clients start
counts there as well: one that starts processes without end would take the supervisor's threads, and end it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar, TypeVarTuple

import anyio
import anyio.to_thread

Result = TypeVar("Result")
Given = TypeVarTuple("Given")

PAUSE = 0.1
"""Seconds from one try to the next."""

_NONE_LEFT = "can't start new thread"
"""What Python says then."""

_log = logging.getLogger(__name__)


async def run_in_thread(
    work: Callable[[*Given], Result],
    *given: *Given,
    abandon_on_cancel: bool = False,
    limiter: anyio.CapacityLimiter | None = None,
) -> Result:
    """What `work` returns or raises, once there is a thread for it. The rest is as of `anyio.to_thread.run_sync`."""
    is_told = False
    while True:
        try:
            return await anyio.to_thread.run_sync(work, *given, abandon_on_cancel=abandon_on_cancel, limiter=limiter)
        except RuntimeError as error:
            if str(error) != _NONE_LEFT:
                raise
            if not is_told:
                _log.warning("the system gives no further thread now: what needs one waits")
            is_told = True
        await anyio.sleep(PAUSE)
