"""The door's application: routes, who may, and what every answer has in common."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from supervisor.api.answer_links import AnswerLinks
from supervisor.api.checks import MAX_PROMPT
from supervisor.api.engine import Engine
from supervisor.gateway import (
    answers,
    automation,
    callers,
    contract,
    monitoring,
    openai,
    operators,
    problems,
    servers,
)
from supervisor.gateway.access import Access
from supervisor.gateway.histories import Histories
from supervisor.gateway.json_answers import JsonAnswer
from supervisor.gateway.metrics import Metrics
from supervisor.gateway.mirror import Mirror

LARGEST_BODY = 4 * MAX_PROMPT + 64 * 1024
"""Bytes: the longest prompt in characters of four bytes, and what stands around it."""


def compose_app(
    engine: Engine,
    access: Access,
    *,
    version: str,
    leave: Callable[[], object],
    origins: tuple[str, ...] = (),
    answer_links: AnswerLinks | None = None,
) -> FastAPI:
    """`leave` begins the end of the program; `answer_links` are the addresses at which questions can be answered. The
    app's `mirror` and `metrics` have to be run beside it."""
    app = FastAPI(
        title="bullpen",
        version=version,
        summary="Pools of Claude agents: prompts in, answers out, and everything an operator may do.",
        docs_url=None,
        redoc_url=None,
        default_response_class=JsonAnswer,
        generate_unique_id_function=_name_of,
    )
    app.state.engine = engine
    app.state.access = access
    app.state.answer_links = answer_links
    app.state.metrics = Metrics()
    app.state.mirror = Mirror(engine, app.state.metrics.count)
    app.state.leave = leave
    app.state.histories = Histories(engine, app.state.mirror)
    app.state.recent = openai.Recent()
    problems.install(app)
    for room in (callers, openai, contract, operators, automation, servers, monitoring, answers):
        app.include_router(room.router)
    if origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_methods=["GET", "POST", "PUT", "DELETE"],
            allow_headers=["Authorization", "Content-Type", "Idempotency-Key", "Last-Event-ID"],
            expose_headers=["Location", "Retry-After", "X-Turn-Id"],
        )
    app.add_middleware(SmallBodies)
    return app


def _name_of(route: APIRoute) -> str:
    return route.name


class SmallBodies:
    """Refuses a body that is larger than any request may be, before it is read."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refusal = problems.problem(
            413, "too-large", f"the body holds more than {LARGEST_BODY:,} bytes", {"Connection": "close"}
        )
        told = dict(scope["headers"]).get(b"content-length", b"0")
        if told.isdigit() and int(told) > LARGEST_BODY:
            await refusal(scope, receive, send)
            return
        seen = 0
        has_answered = False

        async def count() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > LARGEST_BODY:
                raise problems.TooLarge(f"the body holds more than {LARGEST_BODY:,} bytes")
            return message

        async def answer(message: Message) -> None:
            # Whatever the app made of a body that could not be read to its end.
            nonlocal has_answered
            if seen <= LARGEST_BODY:
                await send(message)
            elif not has_answered:
                has_answered = True
                await refusal(scope, receive, send)

        await self._app(scope, count, answer)


class AtTheSocket:
    """The same app for connections to the socket in the state directory: they count as the operator's."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app({**scope, "bullpen.is_local": True}, receive, send)
