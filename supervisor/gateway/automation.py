"""Hooks and schedules for operators: what is declared, what became of it, and a try."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from supervisor.api.actor import acting
from supervisor.api.checks import MOST_RUNS
from supervisor.gateway.access import Operator
from supervisor.gateway.callers import engine_of
from supervisor.gateway.documents import PACKED, problems
from supervisor.gateway.names import AgentName
from supervisor.gateway.packed import Packed

router = APIRouter()


@router.get(
    "/hooks",
    summary="What is done when something happens.",
    response_class=Packed,
    responses=PACKED | problems(422, 500, 503),
)
async def hooks(request: Request, caller: Operator) -> Response:
    return Packed(await engine_of(request).hooks())


@router.get(
    "/hooks/runs",
    summary="What hooks did last.",
    response_class=Packed,
    responses=PACKED | problems(409, 422, 500, 503),
)
async def hook_runs(
    request: Request, caller: Operator, count: Annotated[int, Query(ge=1, le=MOST_RUNS)] = 50
) -> Response:
    return Packed(await engine_of(request).hook_runs(count))


@router.post(
    "/hooks/test/{event:path}",
    summary="Do what hooks do on an event, with a sample.",
    response_class=Packed,
    responses=PACKED | problems(404, 409, 422, 500, 503),
)
async def test_hook(request: Request, caller: Operator, event: AgentName) -> Response:
    """Answers when all has ended, after 30 s at the latest."""
    with acting(caller.actor):
        return Packed(await engine_of(request).test_hook(event))


@router.get(
    "/schedules",
    summary="What is done at certain times.",
    response_class=Packed,
    responses=PACKED | problems(422, 500, 503),
)
async def schedules(request: Request, caller: Operator) -> Response:
    return Packed(await engine_of(request).schedules())
