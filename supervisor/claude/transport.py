"""The SDK's way to its process, with a reader of stderr that keeps nothing, a short way for what is said, and an end.

The SDK puts stderr together line by line, and a line may be as long as a message (`options.MAX_LINE`): a process that
writes 800 MB without a newline would cost as much memory, many times over. And it stops reading at the first byte that
is no UTF-8: a process that goes on writing would stand still as soon as the pipe is full.

And one whose output has ended counts as dead soon after, whether it ends or not.

Only what the SDK answers or waits for itself goes through its queue: requests and their answers. All other messages
that tell something go to `arrivals`.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any

import anyio
from claude_agent_sdk import ClaudeAgentOptions, CLIConnectionError
from claude_agent_sdk._internal.transport.subprocess_cli import SubprocessCLITransport

from supervisor.claude.arrivals import Arrivals, Pieces

CONTROL = ("control_response", "control_request", "control_cancel_request")
"""Types of messages that the SDK takes for itself."""
UNHEARD = "command_lifecycle"
"""The type of messages that tell the SDK and the connection nothing. Three come with every turn, each by itself: the
connection would be woken for them."""
DRAIN = 0.5
"""Seconds that the rest of a dead process's output is read and thrown away: a child of it may hold the pipe open."""
ENDS_WITHIN = 5.0
"""Seconds that a process may run on after the end of its output, as one does whose guard was stopped. The SDK would
wait for ever, and the turn with it."""


class QuietTransport(SubprocessCLITransport):
    """Hands stderr on in the pieces in which it comes: at most what one read of the pipe gives (64 KiB)."""

    def __init__(self, options: ClaudeAgentOptions, hear: Callable[[str], None]) -> None:
        """`options` as the client gets them."""
        own = dataclasses.replace(options, stderr=hear)
        if options.can_use_tool is not None:
            # As the SDK does for the transport that it makes itself: questions are asked over the pipes.
            own = dataclasses.replace(own, permission_prompt_tool_name="stdio")
        super().__init__(prompt=_nothing(), options=own)
        # A lock that is free is taken at once; the SDK's own takes a turn of the loop, before every prompt.
        self._write_lock = anyio.Lock(fast_acquire=True)
        self._hear = hear
        self.arrivals = Arrivals()
        self.is_connected = False
        """Set by the connection: an error that is told before is what the SDK says why it could not."""

    async def connect(self) -> None:
        # Cancelled half-way, asyncio gives process and pipes up before they are closed, and nothing else knows them.
        with anyio.CancelScope(shield=True):
            await super().connect()
        if self._process is not None:
            self._process.wait = partial(_wait, self._process.wait)  # type: ignore[method-assign]
        if self._stdout_stream is not None:
            self._stdout_stream = Pieces(self._stdout_stream, self.arrivals.hand_over)  # type: ignore[assignment]

    def write_at_once(self, line: str) -> bool:
        """Writes a line without waiting, as `write` does where it need not wait. False when it would have to, or when
        `write` has an error to raise. Raises `CLIConnectionError` when the process has closed its input."""
        # Neither the SDK nor anyio has a way to write that is no coroutine; the stream of asyncio below them has.
        writer = getattr(self._process.stdin, "_stream", None) if self._process is not None else None
        is_free = self._ready and self._exit_error is None and not self._write_lock.locked()
        if not is_free or not isinstance(writer, asyncio.StreamWriter):
            return False
        pipe = writer.transport
        if pipe.is_closing() or pipe.get_write_buffer_size():
            return False
        writer.write(line.encode())
        if pipe.is_closing():
            raise CLIConnectionError("its input is closed")
        return True

    def read_messages(self) -> AsyncIterator[dict[str, Any]]:
        return self._divide(super().read_messages())

    async def _divide(self, messages: AsyncIterator[dict[str, Any]]) -> AsyncIterator[dict[str, Any]]:
        arrivals = self.arrivals
        try:
            async for message in messages:
                kind = message.get("type")
                if kind in CONTROL:
                    yield message
                    continue
                if kind == UNHEARD:
                    continue
                if kind == "result" and not self.is_connected:
                    yield message
                # Of the state of the session it tells the SDK a second time.
                if message.get("sdk_host_only") is not True and not arrivals.put(message):
                    await arrivals.wait_for_room()
        except Exception as error:
            arrivals.close(error)
            raise
        finally:
            arrivals.close()

    @property
    def pid(self) -> int:
        """Pid of the process that was started; 0 while there is none. A pid that the process itself reports is not
        trusted."""
        return self._process.pid if self._process is not None else 0

    async def _handle_stderr(self) -> None:
        process = self._process
        if process is None or process.stderr is None:
            return
        try:
            async for piece in process.stderr:
                self._hear(piece.decode(errors="replace"))
        except (anyio.ClosedResourceError, anyio.BrokenResourceError):
            pass

    async def close(self) -> None:
        process = self._process
        await super().close()
        if process is not None and process.stdout is not None:
            # After a line that was too long, what is left unread would keep the pipe open as long as this program runs.
            with (
                anyio.move_on_after(DRAIN, shield=True),
                suppress(anyio.ClosedResourceError, anyio.BrokenResourceError),
            ):
                async for _ in process.stdout:
                    pass


async def _wait(wait: Callable[[], Awaitable[int]]) -> int:
    with anyio.fail_after(ENDS_WITHIN):
        return await wait()


async def _nothing() -> AsyncIterator[dict[str, Any]]:
    """No prompt: every one is written by the client."""
    return
    yield {}
