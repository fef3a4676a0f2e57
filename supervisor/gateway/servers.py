"""Shared MCP servers for operators."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from supervisor.gateway.access import Operator
from supervisor.gateway.callers import engine_of
from supervisor.gateway.documents import PACKED, problems
from supervisor.gateway.packed import Packed

router = APIRouter()


@router.get(
    "/servers",
    summary="How the MCP servers are that all clients share.",
    response_class=Packed,
    responses=PACKED | problems(500, 503),
)
async def servers(request: Request, caller: Operator) -> Response:
    return Packed(await engine_of(request).servers())
