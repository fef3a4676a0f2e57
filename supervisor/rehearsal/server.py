"""HTTP for the rehearsal endpoint. Imported when a rehearsal begins: Starlette and uvicorn are heavy."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Protocol

import anyio
from starlette.applications import Starlette
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from supervisor.quiet_server import QuietServer
from supervisor.rehearsal import wire
from supervisor.rehearsal.reply import Charge, Cut, Refuse, Reply, Say, Stall, Use, Wait
from supervisor.rehearsal.request import MessagesRequest, parse_request

FLUSHED = 0.1
"""Seconds after which what was written has left: a connection that breaks at once takes it along."""


class RehearsalServer(QuietServer):
    """The embedded endpoint's; its app can hang up on a client."""

    def __init__(self, app: Starlette) -> None:
        super().__init__(app)
        app.state.server = self


class Answerer(Protocol):
    """Decides the replies of the rehearsal endpoint."""

    pace: float
    """Multiplies every scripted delay."""

    def reply_to(self, request: MessagesRequest) -> tuple[Reply, str]:
        """The reply, and a text for the ids in it."""


def compose_app(rehearsal: Answerer) -> Starlette:
    async def messages(http: HttpRequest) -> Response:
        try:
            request = await _read(http)
        except ValueError as error:
            return JSONResponse(wire.error_body(400, str(error)), 400)
        reply, salt = rehearsal.reply_to(request)
        return Performance(rehearsal, request, reply, salt)

    async def count_tokens(http: HttpRequest) -> Response:
        try:
            request = await _read(http)
        except ValueError as error:
            return JSONResponse(wire.error_body(400, str(error)), 400)
        return JSONResponse({"input_tokens": wire.tokens(request.text)})

    async def models(http: HttpRequest) -> Response:
        return JSONResponse(wire.models_body())

    async def root(http: HttpRequest) -> Response:
        return JSONResponse({"service": "bullpen rehearsal"})

    async def missing(http: HttpRequest, error: Exception) -> Response:
        return JSONResponse(wire.error_body(404, f"{http.method} {http.url.path} is not rehearsed."), 404)

    return Starlette(
        routes=[
            Route("/", root, methods=["GET", "HEAD"]),
            Route("/v1/messages", messages, methods=["POST"]),
            Route("/v1/messages/count_tokens", count_tokens, methods=["POST"]),
            Route("/v1/models", models, methods=["GET"]),
        ],
        exception_handlers={404: missing, 405: missing},
    )


async def _read(http: HttpRequest) -> MessagesRequest:
    body = await http.json()
    if not isinstance(body, dict):
        raise ValueError("the body must be a JSON object")
    credential = http.headers.get("x-api-key") or http.headers.get("authorization", "")
    return parse_request(body, at=time.time(), credential=credential)


class Performance(Response):
    """Plays one reply. It ends early, and quietly, when the client goes away."""

    def __init__(self, rehearsal: Answerer, request: MessagesRequest, reply: Reply, salt: str) -> None:
        super().__init__()
        self._rehearsal = rehearsal
        self._reply = reply
        self._salt = salt
        self._opening = wire.envelope(request, salt)
        self._is_streamed = request.is_streamed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with anyio.create_task_group() as group:

            async def leave_with_the_client() -> None:
                while (await receive())["type"] != "http.disconnect":
                    pass
                group.cancel_scope.cancel()

            group.start_soon(leave_with_the_client)
            refusal = self._refusal()
            if refusal is not None:
                await self._refuse(refusal, scope, receive, send)
            elif self._is_streamed:
                await self._stream(scope, send)
            else:
                await self._answer(scope, receive, send)
            group.cancel_scope.cancel()

    def _refusal(self) -> Refuse | None:
        first = next((step for step in self._reply if not isinstance(step, Wait | Charge)), None)
        return first if isinstance(first, Refuse) else None

    async def _refuse(self, refusal: Refuse, scope: Scope, receive: Receive, send: Send) -> None:
        await self._pause(sum(step.seconds for step in self._reply if isinstance(step, Wait)))
        headers = {"request-id": f"req_{self._salt}"}
        if refusal.retry_after is not None:
            headers["retry-after"] = f"{refusal.retry_after:g}"
        await JSONResponse(wire.error_body(refusal.status, refusal.message), refusal.status, headers)(
            scope, receive, send
        )

    async def _stream(self, scope: Scope, send: Send) -> None:
        headers = [
            (b"content-type", b"text/event-stream; charset=utf-8"),
            (b"cache-control", b"no-cache"),
            (b"request-id", f"req_{self._salt}".encode()),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        # An empty part makes the server write the headers out.
        await send({"type": "http.response.body", "body": b"", "more_body": True})
        async for part in self._events(scope):
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _events(self, scope: Scope) -> AsyncIterator[bytes]:
        index = 0
        is_open = False
        for step in self._reply:
            if isinstance(step, Stall):
                await anyio.sleep_forever()
            if isinstance(step, Cut):
                if step.text:
                    yield b"" if is_open else wire.opening_events(self._opening)
                    for part in wire.unended_block_events(step.text, index, self._salt):
                        yield part
                    await anyio.sleep(FLUSHED)
                self._hang_up(scope)
                await anyio.sleep_forever()
            if not is_open:
                yield wire.opening_events(self._opening)
                is_open = True
            if isinstance(step, Wait):
                await self._pause(step.seconds)
            elif isinstance(step, Refuse):
                yield wire.event("error", error=wire.error_body(step.status, step.message)["error"])
                return
            elif isinstance(step, Say | Use):
                gap = step.gap if isinstance(step, Say) else 0.0
                for part in wire.block_events(step, index, self._salt):
                    yield part
                    await self._pause(gap)
                index += 1
        yield wire.closing_events(self._opening, self._reply)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        for step in self._reply:
            if isinstance(step, Stall):
                await anyio.sleep_forever()
            if isinstance(step, Cut):
                self._hang_up(scope)
                await anyio.sleep_forever()
            if isinstance(step, Wait):
                await self._pause(step.seconds)
            if isinstance(step, Say):
                await self._pause(step.gap * len(step.fragments))
        await JSONResponse(wire.whole_message(self._opening, self._reply, self._salt))(scope, receive, send)

    def _hang_up(self, scope: Scope) -> None:
        scope["app"].state.server.hang_up(scope["client"])

    async def _pause(self, seconds: float) -> None:
        if seconds > 0:
            await anyio.sleep(seconds * self._rehearsal.pace)
