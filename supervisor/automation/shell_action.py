"""Starts a program and gives it what happened as JSON on its standard input.

Nothing of what happened is ever put in its command line. It runs in a session and a process group of its own, with few
variables, and everything that it has started ends with it.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

import anyio
import anyio.abc

from supervisor.api.automation import Action, Payload
from supervisor.automation.attempt import ActionFailed, Attempt
from supervisor.automation.ports import Resolve
from supervisor.text.cleaning import one_line

TIMEOUT = 30.0
"""Seconds that a program may run unless told otherwise."""
GRACE = 2.0
"""Seconds between TERM and KILL."""
MOST_OUTPUT = 64 * 1024
"""Bytes of each of its outputs that are kept; the rest is read and thrown away."""
INHERITED = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR")
"""Variables of bullpen that it gets."""
END_NOW = signal.SIGUSR1
"""To the guard: end everything (`process.guard`)."""


class Ended(NamedTuple):
    code: int
    output: str
    errors: str


async def start_program(
    action: Action, attempt: Attempt, payload: Payload, *, resolve: Resolve, guard: Sequence[str], mark: str = ""
) -> Ended:
    """Returns when it, and all that it has started, has ended. Raises `ActionFailed` when it cannot be started or takes
    too long."""
    values, wrong = resolve(action.env, attempt.folder)
    if wrong:
        name, why = next(iter(wrong.items()))
        raise ActionFailed(f"env.{name} {why}")
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    environment = {**inherited, **values, "BULLPEN_HOOK_ID": attempt.id, "BULLPEN_HOOK_DEPTH": str(attempt.depth)}
    program = _find(action.command[0], environment.get("PATH"))
    if program is None:
        raise ActionFailed(f"{action.command[0]} is no program that can be found or started")
    command = [*guard, program, *action.command[1:]]
    if guard:
        environment["BULLPEN_SUPERVISOR"] = str(os.getpid())
    if mark:
        environment["BULLPEN_CLIENT"] = mark
    limit = (attempt.timeout if attempt.has_timeout else TIMEOUT) or None
    try:
        # Cancelled half-way, asyncio gives process and pipes up before they are closed, and nothing else knows them.
        with anyio.CancelScope(shield=True):
            process = await anyio.open_process(command, env=environment, start_new_session=True)
    except (OSError, ValueError) as error:
        reason = (isinstance(error, OSError) and error.strerror) or error
        raise ActionFailed(f"{action.command[0]} cannot be started: {reason}") from error
    try:
        with anyio.fail_after(limit):
            return await _attend(process, json.dumps({**payload}).encode() + b"\n")
    except TimeoutError:
        raise ActionFailed(f"{action.command[0]} had not ended after {limit:g} s: it was ended") from None
    finally:
        with anyio.CancelScope(shield=True):
            await _end(process, is_guarded=bool(guard))


def _find(name: str, path: str | None) -> str | None:
    """The whole path of a program."""
    found = shutil.which(name, path=path)
    return os.path.abspath(found) if found is not None else None


async def _attend(process: anyio.abc.Process, told: bytes) -> Ended:
    output, errors = bytearray(), bytearray()
    is_read = [anyio.Event(), anyio.Event()]

    async def tell(stream: anyio.abc.ByteSendStream) -> None:
        with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError, OSError):
            await stream.send(told)
        with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError, OSError):
            await stream.aclose()

    async def read(stream: anyio.abc.ByteReceiveStream, into: bytearray, end: anyio.Event) -> None:
        with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
            async for piece in stream:
                into += piece[: MOST_OUTPUT - len(into)]
        end.set()

    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    async with anyio.create_task_group() as group:
        group.start_soon(tell, process.stdin)
        group.start_soon(read, process.stdout, output, is_read[0])
        group.start_soon(read, process.stderr, errors, is_read[1])
        code = await process.wait()
        _signal(process.pid, signal.SIGKILL)  # what it has left running holds its outputs open
        with anyio.move_on_after(GRACE):
            for end in is_read:
                await end.wait()
        group.cancel_scope.cancel()
    return Ended(code, output.decode(errors="replace"), errors.decode(errors="replace"))


async def _end(process: anyio.abc.Process, *, is_guarded: bool) -> None:
    """Ends it and its group, however it is; returns when it has been reaped."""
    if process.returncode is None:
        _signal(process.pid, signal.SIGTERM)
        with anyio.move_on_after(GRACE):
            await process.wait()
    if process.returncode is None and is_guarded:
        with suppress(ProcessLookupError):
            process.send_signal(END_NOW)
        with anyio.move_on_after(GRACE):
            await process.wait()
    _signal(process.pid, signal.SIGKILL)
    await process.aclose()


def _signal(group: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def tell_code(ended: Ended, command: str) -> str:
    """How a program ended that did not end well, on one line."""
    how = f"was ended by signal {-ended.code}" if ended.code < 0 else f"ended with code {ended.code}"
    words = next((line for line in reversed(ended.errors.splitlines()) if line.strip()), "")
    return f"{command} {how}" + (f": {one_line(words, 200)}" if words else "")
