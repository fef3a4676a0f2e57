"""How bullpen is doing: for monitors, load balancers and scrapers, and the clean-up that can be asked for."""

from __future__ import annotations

from collections import Counter
from typing import Any

from fastapi import APIRouter, Request, Response

from supervisor.api.actor import acting
from supervisor.api.errors import BullpenError, UnknownTarget
from supervisor.api.keys import SessionKey
from supervisor.api.snapshot import SessionRow, Snapshot
from supervisor.api.states import SessionState, SlotState
from supervisor.gateway.access import AnyCaller, Operator
from supervisor.gateway.callers import engine_of, mirror_of
from supervisor.gateway.documents import STATS, problems
from supervisor.gateway.json_answers import JsonAnswer
from supervisor.gateway.metrics import Metrics

router = APIRouter()

_ACTIVE = (SlotState.BUSY, SlotState.ASKING, SlotState.WAKING)


@router.get("/healthz", summary="Whether the process answers.")
async def healthz() -> dict[str, str]:
    return {"status": "ok"}


@router.get("/readyz", summary="Whether prompts are taken in.", responses={503: {"description": "Not now; why."}})
async def readyz(request: Request) -> Response:
    """No token is needed, so nothing but yes or no is told."""
    snapshot = mirror_of(request).snapshot()
    is_ready = not snapshot.host.journal_failing and any(
        row.state.value in ("running", "paused", "parked") for row in snapshot.instances
    )
    return JsonAnswer({"status": "ready" if is_ready else "not ready"}, 200 if is_ready else 503)


@router.get("/metrics", summary="For Prometheus.", response_class=Response, responses=problems())
async def metrics(request: Request, caller: Operator) -> Response:
    """No user and no session is a label."""
    found: Metrics = request.app.state.metrics
    budgets, shared = await engine_of(request).budgets(), await engine_of(request).servers()
    snapshot = mirror_of(request).snapshot()  # which has every event until now counted
    body, media_type = found.expose(snapshot, budgets, shared)
    return Response(body, media_type=media_type)


@router.get(
    "/agent-stats",
    summary="Live clients by what they do (S5.27).",
    responses=problems() | STATS,
)
async def agent_stats(request: Request, caller: Operator) -> dict[str, Any]:
    return count_agents(mirror_of(request).snapshot())


def count_agents(snapshot: Snapshot) -> dict[str, Any]:
    """Active and idle are all there are; dormant ones are among the idle, waking ones among the active."""
    states = Counter(client.state for client in snapshot.clients)
    active = sum(states[state] for state in _ACTIVE)
    total = len(snapshot.clients)
    return {
        "total_agents": total,
        "active_agents": active,
        "idle_agents": total - active,
        "dormant_agents": states[SlotState.DORMANT],
        "waking_agents": states[SlotState.WAKING],
        "max_agents": snapshot.host.max_agents,
        "agent_ttl": snapshot.host.agent_ttl,
        "sessions": len(snapshot.sessions),
        "waiting": sum(row.waiting for row in snapshot.instances),
        "questions": len(snapshot.questions),
        "memory_bytes": snapshot.host.memory_bytes,
        "memory_budget": snapshot.host.memory_budget,
        "swap_bytes": snapshot.host.swap_bytes,
        "swap_budget": snapshot.host.swap_budget,
        "version": snapshot.host.version,
    }


@router.get("/agent-sessions", summary="Every session and its client (S5.28).", responses=problems())
async def agent_sessions(request: Request, caller: Operator) -> list[dict[str, Any]]:
    return [describe_session(row) for row in mirror_of(request).sessions()]


def describe_session(row: SessionRow) -> dict[str, Any]:
    return {
        "session_id": str(row.key),
        "agent_id": row.key.instance,
        "user_id": row.key.user,
        "session": row.key.session,
        "state": row.state.value,
        "waiting": len(row.waiting),
        "turns": row.turns,
        "client_id": row.client_id or None,
        "memory_bytes": row.memory_bytes,
        "created_at": row.created_at,
        "last_activity_at": row.last_activity_at,
    }


@router.delete(
    "/agent-sessions/{session_id:path}",
    summary="End a session's process and keep its conversation (S5.29).",
    responses=problems(404, 409, 422, 503),
)
async def end_agent(request: Request, caller: Operator, session_id: str) -> dict[str, Any]:
    """`session_id` is `agent/user/session`, as it is listed. A busy or asking one is not ended: 409 (S5.17–23)."""
    parts = session_id.split("/")
    if len(parts) != 3:
        raise UnknownTarget(f"no session {session_id}; a session is named agent/user/session")
    key = SessionKey(*parts)
    engine = engine_of(request)
    (await engine.conversation(key)).close()  # says that there is none
    row = mirror_of(request).session(key)
    if row is None or row.state is not SessionState.HIBERNATED:
        with acting(caller.actor):
            await engine.hibernate(key)
    return {"session_id": session_id, "removed": True}


@router.get(
    "/agent-health", summary="Whether something is wrong (S5.30). An idle bullpen is healthy.", responses=problems()
)
async def agent_health(request: Request, caller: Operator) -> dict[str, Any]:
    snapshot = mirror_of(request).snapshot()
    troubles = [f"{row.name} is {row.state.value}: {row.note}" for row in snapshot.instances if row.parked_for]
    troubles += [f"{row.name} has {row.stalled} stalled" for row in snapshot.instances if row.stalled]
    if snapshot.host.journal_failing:
        troubles.append(f"the journal cannot be written: {snapshot.host.journal_failing}")
    return {"status": "healthy" if not troubles else "unhealthy", "troubles": troubles}


@router.post("/agent-cleanup", summary="End clients that have nothing to do (S5.31).", responses=problems(503))
async def agent_cleanup(request: Request, caller: Operator) -> dict[str, int]:
    """Hibernates every idle session; conversations stay. Never a busy or asking one."""
    engine, count = engine_of(request), 0
    with acting(caller.actor):
        for row in mirror_of(request).sessions():
            if row.state in (SessionState.IDLE, SessionState.DORMANT):
                try:
                    await engine.hibernate(row.key)
                    count += 1
                except BullpenError:
                    pass  # it has begun something in the meantime
    return {"cleaned": count}


@router.get("/whoami", summary="Which token this is.", responses=problems())
async def whoami(caller: AnyCaller) -> dict[str, str]:
    return {"name": caller.name, "role": caller.role.value, "user": caller.user, "agent": caller.agent}
