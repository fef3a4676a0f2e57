"""What operators see and do, as routes: one for each method of `Engine`. What is told is the contract's own JSON."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated

import anyio
from fastapi import APIRouter, Body, Depends, Query, Request, Response
from msgspec.structs import replace
from starlette.exceptions import HTTPException

from supervisor.api.actor import acting
from supervisor.api.changes import Changes
from supervisor.api.checks import MOST_ACTIONS, MOST_ENTRIES, MOST_RECENT
from supervisor.api.codec import pack
from supervisor.api.entries import Cursor
from supervisor.api.keys import SessionKey
from supervisor.gateway.access import AnyCaller, Caller, Operator
from supervisor.gateway.bodies import DrainBody, InterruptBody, LimitBody, ScaleBody
from supervisor.gateway.callers import describe_turn, engine_of, mirror_of
from supervisor.gateway.documents import EVENTS, PACKED, problems
from supervisor.gateway.json_answers import JsonAnswer
from supervisor.gateway.live_response import Emit, LiveResponse
from supervisor.gateway.names import AgentName, Name
from supervisor.gateway.packed import Packed
from supervisor.gateway.problems import problem

router = APIRouter()

SESSION = "/sessions/{instance:path}/{user}/{session}"
"""The name of an agent may hold slashes; no id of a user or a session does."""
SESSION_VERBS = ("conversation", "glimpse", "interrupt", "warm", "hibernate", "drop", "replay", "compact", "close")
"""What may follow a session in a path."""
FEED_PAUSE = 0.05
"""Seconds between two tellings of the feed: what changed in between is told once."""


SEEN = problems(404, 422, 500, 503)
DONE = problems(404, 409, 422, 500, 503)


# Queries


@router.get("/snapshot", summary="The state now.", response_class=Packed, responses=PACKED | SEEN)
async def snapshot(request: Request, caller: Operator) -> Response:
    return Packed(await engine_of(request).snapshot())


@router.get(
    "/feed", summary="The state, then everything that changes.", response_class=LiveResponse, responses=EVENTS | SEEN
)
async def feed(
    request: Request,
    caller: Operator,
    recent: Annotated[int, Query(ge=0, le=MOST_RECENT, description="Events of before to begin with.")] = 0,
) -> Response:
    """Server-sent events: `changes`, the first with a whole snapshot, and with the events that were asked for. A reader
    that was cut gets a fresh one."""
    engine = engine_of(request)

    async def tell(emit: Emit) -> None:
        with await engine.watch(recent) as reader:
            events = reader.take().events if recent else ()
            await emit("changes", packed=pack(Changes(snapshot=reader.snapshot, events=events)))
            while True:
                await reader.wait()
                await emit("changes", packed=pack(reader.take()))
                await anyio.sleep(FEED_PAUSE)

    return LiveResponse(tell)


@router.get("/events", summary="What earlier runs did.", response_class=Packed, responses=PACKED | SEEN)
async def past(request: Request, caller: Operator) -> Response:
    return Packed(await engine_of(request).past())


@router.get(
    "/contexts",
    summary="What is prepared once for all clients of an agent, and how its caches do.",
    response_class=Packed,
    responses=PACKED | SEEN,
)
async def contexts(request: Request, caller: Operator) -> Response:
    return Packed(await engine_of(request).contexts())


@router.get(
    "/audit",
    summary="What operators did: who, from where, when and to what.",
    response_class=Packed,
    responses=PACKED | problems(409, 422, 500, 503),
)
async def audit(
    request: Request, caller: Operator, count: Annotated[int, Query(ge=1, le=MOST_ACTIONS)] = 100
) -> Response:
    return Packed(await engine_of(request).audit(count))


@router.get(
    "/budgets", summary="What may be spent in a day, and what has been.", response_class=Packed, responses=PACKED | SEEN
)
async def budgets(request: Request, caller: Operator) -> Response:
    return Packed(await engine_of(request).budgets())


@router.get("/providers", summary="Providers, and how they stand.", response_class=Packed, responses=PACKED | SEEN)
async def providers(request: Request, caller: Operator) -> Response:
    """Every provider, with its references of secrets and never a secret itself."""
    return Packed(await engine_of(request).providers())


@router.get("/instances", summary="The instances.", response_class=Packed, responses=PACKED | SEEN)
async def instances(request: Request, caller: Operator) -> Response:
    return Packed(mirror_of(request).snapshot().instances)


@router.get("/clients", summary="The clients.", response_class=Packed, responses=PACKED | SEEN)
async def clients(request: Request, caller: Operator) -> Response:
    return Packed(mirror_of(request).snapshot().clients)


@router.get(
    "/sessions", summary="The sessions that the caller may see.", response_class=Packed, responses=PACKED | SEEN
)
async def sessions(request: Request, caller: AnyCaller) -> Response:
    rows = [row for row in mirror_of(request).sessions() if caller.may_reach(row.key.user, row.key.instance)]
    return Packed(rows if caller.sees_host else [replace(row, workspace="") for row in rows])


@router.get(
    "/questions", summary="Open questions that the caller may see.", response_class=Packed, responses=PACKED | SEEN
)
async def questions(request: Request, caller: AnyCaller) -> Response:
    found = mirror_of(request).snapshot().questions
    return Packed([one for one in found if caller.may_reach(one.key.user, one.key.instance)])


@router.get("/offers", summary="Turns that a restart interrupted.", response_class=Packed, responses=PACKED | SEEN)
async def offers(request: Request, caller: Operator) -> Response:
    return Packed([row.offer for row in mirror_of(request).sessions() if row.offer is not None])


# One session


def _key(caller: Caller, instance: str, user: str, session: str) -> SessionKey:
    """Raises `UnknownTarget` for what is not the caller's."""
    key = SessionKey(instance, user, session)
    caller.check_session(key)
    return key


@router.get(
    f"{SESSION}/conversation",
    summary="What is said in a session, as it is said.",
    response_class=LiveResponse,
    responses=EVENTS | SEEN,
)
async def conversation(
    request: Request,
    caller: AnyCaller,
    instance: AgentName,
    user: Name,
    session: Name,
    cursor: Annotated[str, Query(description="The id of the last reading.")] = "",
) -> Response:
    """Server-sent events: `reading`, each with the cursor from which the next goes on. Its id is that cursor, and then
    it the name of what it counts in: a reader that comes back and is given another name has been told everything from
    the beginning, and replaces what it has."""
    reader = await engine_of(request).conversation(_key(caller, instance, user, session))
    last = cursor or request.headers.get("last-event-id", "")

    async def tell(emit: Emit) -> None:
        place, is_first = read_cursor(last, reader.name), True
        try:
            while True:
                reading = reader.read(place)
                if is_first or reading.cursor != place:
                    place, is_first = reading.cursor, False
                    await emit("reading", packed=pack(reading), id=".".join([*map(str, place), reader.name]))
                    continue
                await reader.next_change()
        finally:
            reader.close()

    return LiveResponse(tell)


def read_cursor(text: str, name: str) -> Cursor:
    """What is none, or counts in another conversation than the one of that name, counts as the beginning."""
    *parts, whose = text.split(".")
    if (
        whose != name
        or len(parts) != 3
        or not all(part.isascii() and part.isdigit() and len(part) < 16 for part in parts)
    ):
        return Cursor()
    return Cursor(*map(int, parts))


@router.get(f"{SESSION}/glimpse", summary="The end of a conversation.", response_class=Packed, responses=PACKED | SEEN)
async def glimpse(
    request: Request,
    caller: AnyCaller,
    instance: AgentName,
    user: Name,
    session: Name,
    count: Annotated[int, Query(ge=1, le=MOST_ENTRIES)] = 20,
) -> Response:
    return Packed(await engine_of(request).glimpse(_key(caller, instance, user, session), count))


@router.post(f"{SESSION}/interrupt", summary="Stop the running turn of a session.", responses=DONE)
async def interrupt(
    request: Request,
    caller: AnyCaller,
    instance: AgentName,
    user: Name,
    session: Name,
    body: Annotated[InterruptBody, Body()] = InterruptBody(),
) -> dict[str, bool]:
    caller.check_prompts()
    key = _key(caller, instance, user, session)
    with acting(caller.actor):
        return {"interrupted": await engine_of(request).interrupt(key, body.turn_id)}


@router.post(f"{SESSION}/warm", summary="The user is about to write: get its process ready.", responses=DONE)
async def warm(request: Request, caller: AnyCaller, instance: AgentName, user: Name, session: Name) -> dict[str, bool]:
    """Resumes a hibernated session, when there is room and no turn waits; else it changes nothing."""
    caller.check_prompts()
    return {"warms": await engine_of(request).warm(_key(caller, instance, user, session))}


async def _for_session(
    request: Request, caller: Caller, key: SessionKey, verb: Callable[[SessionKey], Awaitable[None]]
) -> Response:
    caller.check_session(key)
    with acting(caller.actor):
        await verb(key)
    return Response(status_code=204)


@router.post(f"{SESSION}/hibernate", status_code=204, summary="End an idle session's process.", responses=DONE)
async def hibernate(request: Request, caller: Operator, instance: AgentName, user: Name, session: Name) -> Response:
    return await _for_session(request, caller, SessionKey(instance, user, session), engine_of(request).hibernate)


@router.post(f"{SESSION}/drop", status_code=204, summary="Leave the interrupted turn as it is.", responses=DONE)
async def drop(request: Request, caller: Operator, instance: AgentName, user: Name, session: Name) -> Response:
    return await _for_session(request, caller, SessionKey(instance, user, session), engine_of(request).drop_offer)


async def _is_a_session(instance: AgentName, session: Name) -> None:
    """Where a verb follows a session, and the method is another than the verb's, no session of an agent with slashes is
    meant. That is said before it is looked at who calls, as for any other route."""
    if "/" in instance and session in SESSION_VERBS:
        raise HTTPException(405, "a route of another method")


@router.delete(
    SESSION,
    status_code=204,
    summary="Remove a session from the books.",
    responses=DONE,
    dependencies=[Depends(_is_a_session)],
)
async def close(request: Request, caller: Operator, instance: AgentName, user: Name, session: Name) -> Response:
    return await _for_session(request, caller, SessionKey(instance, user, session), engine_of(request).close_session)


@router.post(
    f"{SESSION}/close",
    status_code=204,
    summary="The same, also of a session that has the name of a verb.",
    responses=DONE,
)
async def close_by_name(request: Request, caller: Operator, instance: AgentName, user: Name, session: Name) -> Response:
    return await _for_session(request, caller, SessionKey(instance, user, session), engine_of(request).close_session)


@router.post(f"{SESSION}/replay", status_code=202, summary="Send the interrupted turn again.", responses=DONE)
async def replay(request: Request, caller: Operator, instance: AgentName, user: Name, session: Name) -> JsonAnswer:
    return await _begin(request, caller, SessionKey(instance, user, session), "replay")


@router.post(f"{SESSION}/compact", status_code=202, summary="Shorten a conversation.", responses=DONE)
async def compact(request: Request, caller: Operator, instance: AgentName, user: Name, session: Name) -> JsonAnswer:
    return await _begin(request, caller, SessionKey(instance, user, session), "compact")


async def _begin(request: Request, caller: Caller, key: SessionKey, verb: str) -> JsonAnswer:
    engine = engine_of(request)
    with acting(caller.actor):
        ticket = await (engine.replay(key) if verb == "replay" else engine.compact(key))
    await ticket.accepted()
    return JsonAnswer(describe_turn(await engine.turn(ticket.turn_id)), 202)


# Instances


async def _for_instance(caller: Caller, verb: Awaitable[None]) -> Response:
    with acting(caller.actor):
        await verb
    return Response(status_code=204)


INSTANCE = "/instances/{instance:path}"


@router.post(f"{INSTANCE}/pause", status_code=204, summary="New prompts queue; what runs goes on.", responses=DONE)
async def pause(request: Request, caller: Operator, instance: AgentName) -> Response:
    return await _for_instance(caller, engine_of(request).pause(instance))


@router.post(f"{INSTANCE}/resume", status_code=204, summary="Take back pause, drain and stop.", responses=DONE)
async def resume(request: Request, caller: Operator, instance: AgentName) -> Response:
    return await _for_instance(caller, engine_of(request).resume(instance))


@router.post(f"{INSTANCE}/drain", status_code=204, summary="Empty an instance gently.", responses=DONE)
async def drain(
    request: Request, caller: Operator, instance: AgentName, body: Annotated[DrainBody, Body()] = DrainBody()
) -> Response:
    verb = engine_of(request).drain(instance, deadline=body.deadline, before_end=body.before_end)
    return await _for_instance(caller, verb)


@router.post(f"{INSTANCE}/kill", status_code=204, summary="End everything of an instance now.", responses=DONE)
async def kill(request: Request, caller: Operator, instance: AgentName) -> Response:
    return await _for_instance(caller, engine_of(request).kill(instance))


@router.post(f"{INSTANCE}/scale", status_code=204, summary="Change how many turns may run.", responses=DONE)
async def scale(request: Request, caller: Operator, instance: AgentName, body: ScaleBody) -> Response:
    return await _for_instance(caller, engine_of(request).scale(instance, body.max_sessions))


@router.delete(f"{INSTANCE}/queue", summary="Cancel what waits in an instance or a session.", responses=DONE)
async def clear_queue(
    request: Request,
    caller: Operator,
    instance: AgentName,
    user: Annotated[str, Query(description="With `session`: only what waits there.")] = "",
    session: str = "",
) -> dict[str, int]:
    key = SessionKey(instance, user, session) if user or session else None
    with acting(caller.actor):
        return {"cancelled": await engine_of(request).clear_queue(instance, key)}


# Limits


@router.get("/limits", summary="The limits that can be changed now.", responses=DONE)
async def limits(request: Request, caller: Operator, instance: str = "") -> dict[str, str]:
    return dict(await engine_of(request).limits(instance))


@router.put("/limits/{limit:path}", status_code=204, summary="Change one limit until the next restart.", responses=DONE)
async def adjust(request: Request, caller: Operator, limit: AgentName, body: LimitBody) -> Response:
    return await _for_instance(caller, engine_of(request).adjust(body.instance, limit, body.value))


# Single things


@router.delete("/clients/{client:path}", status_code=204, summary="End one client; its session stays.", responses=DONE)
async def kill_client(request: Request, caller: Operator, client: AgentName) -> Response:
    return await _for_instance(caller, engine_of(request).kill_client(client))


@router.delete("/users/{user}", summary="Remove a person: sessions, words and files.", responses=DONE)
async def forget(request: Request, caller: Operator, user: Name) -> dict[str, int]:
    with acting(caller.actor):
        return {"sessions": await engine_of(request).forget_user(user)}


@router.get("/drained", status_code=204, summary="Wait until an instance, or every one, is empty.", responses=DONE)
async def drained(
    request: Request,
    caller: Operator,
    instance: Annotated[str | None, Query()] = None,
    timeout: Annotated[float, Query(ge=0, le=3600, description="Seconds.")] = 30.0,
) -> Response:
    """409 when it is not empty after `timeout`."""
    engine = engine_of(request)
    with anyio.move_on_after(timeout) as scope:
        await engine.drained(instance)
    if scope.cancelled_caught:
        return problem(409, "not-drained", f"{instance or 'an instance'} is not empty yet")
    return Response(status_code=204)


@router.post("/stop", status_code=202, summary="End everything, in order.", responses=problems(503))
async def stop(request: Request, caller: Operator) -> Response:
    """Answers when the end has begun. What runs may end first, for `drain_deadline` at most; asked again, it ends now.
    What waits runs at the next start."""
    with acting(caller.actor):
        request.app.state.leave()
    return Response(status_code=202)
