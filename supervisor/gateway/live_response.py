"""Server-sent events that are written as they happen, for as long as the reader stays."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from supervisor.gateway.json_answers import on_one_line, write_json

HEARTBEAT = 15.0
"""Seconds without an event after which a comment is sent, so that nothing between the two ends takes the line for
dead."""

Emit = Callable[..., Awaitable[None]]
"""`await emit(event, data, id="")`: returns when the line has taken it, so a slow reader slows nothing but itself."""


class LiveResponse(StreamingResponse):
    """Runs `work(emit)` until it returns or the reader leaves; then `on_gone` is awaited.

    FastAPI's own class wants a generator for a route: what is refused would be refused after the status has been sent.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        work: Callable[[Emit], Awaitable[None]],
        *,
        on_gone: Callable[[], Awaitable[object]] | None = None,
        headers: dict[str, str] | None = None,
        status_code: int = 200,
    ) -> None:
        # Proxies are told to pass on what they get at once.
        told = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"} | (headers or {})
        super().__init__((), status_code, told)
        self._work = work
        self._on_gone = on_gone

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_gone = False
        line = anyio.Lock()
        sent = 0

        async def write(part: bytes) -> None:
            nonlocal sent
            async with line:
                sent += 1
                await send({"type": "http.response.body", "body": part, "more_body": True})

        async def emit(event: str, data: Any = None, id: str = "", *, packed: str = "") -> None:
            text = on_one_line(packed or write_json(data))
            await write(format_sse_event(event=event or None, data_str=text, id=id or None))

        async def keep_alive() -> None:
            while True:
                before = sent
                await anyio.sleep(HEARTBEAT)
                if sent == before:
                    await write(KEEPALIVE_COMMENT)

        async def leave_with_the_reader() -> None:
            nonlocal is_gone
            while (await receive())["type"] != "http.disconnect":
                pass
            is_gone = True
            group.cancel_scope.cancel()

        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        async with anyio.create_task_group() as group:
            group.start_soon(leave_with_the_reader)
            group.start_soon(keep_alive)
            await write(b"")  # makes the server write the headers out
            await self._work(emit)
            group.cancel_scope.cancel()
        if is_gone:
            if self._on_gone is not None:
                await self._on_gone()
            return
        await send({"type": "http.response.body", "body": b"", "more_body": False})
