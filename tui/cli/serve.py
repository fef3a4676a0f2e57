"""`bullpen serve`: the same bullpen without a screen, and what it says to systemd and to its log."""

from __future__ import annotations

import json
import logging
import os
import socket
import sys
import time
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import anyio

from supervisor import BullpenError, clean, pace_interpreter
from tui.cli.ending import GentleEnd
from tui.cli.exit_codes import INTERNAL_ERROR
from tui.cli.open_door import keep_door_open
from tui.cli.output import tell
from tui.cli.run import prepare
from tui.cli.signals import SIGNALS

if TYPE_CHECKING:
    from supervisor import Loaded, Settings

_log = logging.getLogger(__name__)


class JsonFormatter(logging.Formatter):
    """A record as one JSON object on one line, for a log that programs read."""

    def format(self, record: logging.LogRecord) -> str:
        told = {
            "at": round(record.created, 3),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": clean(record.getMessage()),
        }
        if record.exc_info:
            told["error"] = clean(self.formatException(record.exc_info))
        return json.dumps(told, ensure_ascii=False)


def log_to_stderr() -> None:
    """Beside the log's file, where standard error is no terminal: one JSON object a line."""
    if not sys.stderr.isatty():
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(JsonFormatter())
        logging.getLogger().addHandler(handler)


async def serve(loaded: Loaded, settings: Settings, *, with_callers: bool = False) -> int:
    """Runs until a signal, or until it is stopped through the door: the first wish drains, for `drain_deadline` at
    most; each further one shortens the end. Returns the exit code."""
    from supervisor import play

    opening = prepare(
        loaded.templates, settings, name="bullpen serve", keeps_queue=True, left_out=loaded.left_out, is_live=True
    )
    async with opening as supervisor:
        end = anyio.Event()
        failures: list[BaseException] = []

        async def run_engine(*, task_status: anyio.abc.TaskStatus[None]) -> None:
            try:
                await supervisor.run(task_status=task_status)
            except BullpenError:
                raise  # before anything was started: one line
            except Exception as error:
                _log.critical("the engine failed", exc_info=error)
                failures.append(error)
            finally:
                end.set()

        start, ending = anyio.CancelScope(), GentleEnd(supervisor)

        def leave() -> None:
            """Asked for by a signal, or through the door; after the first time, shortens it."""
            if end.is_set():
                ending.hurry()
            start.cancel()
            end.set()

        async with SIGNALS.heeded(leave, leave), anyio.create_task_group() as group:
            with start:
                await group.start(run_engine)
            try:
                if not start.cancel_called:
                    pace_interpreter()
                    async with anyio.create_task_group() as doors:
                        keep = partial(keep_door_open, must_open=True)
                        door = await doors.start(keep, supervisor, settings, leave, _tell_of_the_door)
                        _say_open(settings, door.url)
                        group.start_soon(_feed_the_watchdog)
                        if with_callers:
                            group.start_soon(play, supervisor)
                        await end.wait()
                        notify("STOPPING=1")
                        if not failures:
                            await ending.let_end(_tell_progress)
                        doors.cancel_scope.cancel()
            finally:
                with anyio.CancelScope(shield=True):
                    if not start.cancelled_caught:
                        await supervisor.stop()
                group.cancel_scope.cancel()
    if failures:
        tell(f"the engine failed: {failures[0]!r}")
        return INTERNAL_ERROR
    SIGNALS.obey_term()
    return SIGNALS.exit_code or 0


def _say_open(settings: Settings, url: str) -> None:
    at = f" and {url}" if url else ""
    if sys.stderr.isatty():
        tell(f"open at {settings.run_dir / 'bullpen.sock'}{at}; ctrl+c drains, twice ends at once")
    _log.info("open at the socket%s", at)
    notify(f"READY=1\nSTATUS=open at the socket{at}")


def _tell_of_the_door(line: str, is_bad: bool) -> None:
    _log.log(logging.ERROR if is_bad else logging.INFO, "%s", line)
    if sys.stderr.isatty():
        tell(line)


def _tell_progress(line: str) -> None:
    notify(f"STATUS={line}")
    if sys.stderr.isatty():
        tell(line)


async def _feed_the_watchdog() -> None:
    """Pings systemd's watchdog from the loop itself, as often as it wants: a loop that stands still is restarted."""
    try:
        interval = int(os.environ.get("WATCHDOG_USEC", "")) / 1e6 / 2
    except ValueError:
        return
    while True:
        notify("WATCHDOG=1")
        await anyio.sleep(interval)


def notify(state: str) -> None:
    """Tells systemd, where it has started this process (`Type=notify`). Nothing happens elsewhere."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address[0] == "@":
        address = "\0" + address[1:]
    told = f"{state}\nMONOTONIC_USEC={time.monotonic_ns() // 1000}"
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as line:
        line.setblocking(False)  # nothing waits for a listener that does not listen
        line.sendto(told.encode(), address)
