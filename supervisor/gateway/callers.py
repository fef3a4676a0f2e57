"""Prompts of programs on behalf of their users: in, followed, looked at and taken back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import anyio
from fastapi import APIRouter, Header, Query, Request, Response
from msgspec.structs import replace
from starlette.datastructures import Headers

from supervisor.api.actor import acting
from supervisor.api.engine import ConversationReader, Engine, Ticket
from supervisor.api.errors import BullpenError, InvalidPrompt, RequestConflict, UnknownTarget
from supervisor.api.keys import SessionKey
from supervisor.api.outcomes import Done, Expired, Failed, Outcome
from supervisor.api.prompts import Prompt
from supervisor.api.turns import TurnState, TurnView
from supervisor.gateway.access import AnyCaller, Caller
from supervisor.gateway.bodies import AnswerBody, Json, PromptBody, RouteBody
from supervisor.gateway.documents import ACCEPTING, EVENTS, PACKED, TOLD, either, problems, turn_at
from supervisor.gateway.json_answers import JsonAnswer
from supervisor.gateway.live_response import LiveResponse
from supervisor.gateway.mirror import Mirror
from supervisor.gateway.names import Name
from supervisor.gateway.packed import Packed
from supervisor.gateway.problems import NotAllowed, problem
from supervisor.gateway.turn_events import Mark, TurnEvents, describe_outcome, describe_route, read_mark

router = APIRouter()

LONGEST_QUERY = 4_000
"""Characters: with each written as up to twelve, what the server takes as one line of a request."""

DEPTH = "X-Bullpen-Depth"
"""A header of requests that hooks send."""

IdempotencyKey = Annotated[
    str, Header(alias="Idempotency-Key", description="The request's name: sent again, it is the same turn.")
]
LastEventId = Annotated[str, Header(alias="Last-Event-ID", description="The id of the last event that arrived.")]


def engine_of(request: Request) -> Engine:
    engine: Engine = request.app.state.engine
    return engine


def mirror_of(request: Request) -> Mirror:
    mirror: Mirror = request.app.state.mirror
    return mirror


async def hand_in(request: Request, caller: Caller, body: PromptBody, key: str) -> Ticket:
    """Returns when the prompt is recorded. Raises what `Engine.submit` does."""
    engine = engine_of(request)
    user = caller.check_user(body.user_id)
    agent = caller.agent_for(body.agent_id)
    caller.check_agent(agent)
    prompt = replace(body.prompt(user, agent, key), depth=_depth_of(request))
    return await submit_for(caller, engine, prompt)


def _depth_of(request: Request) -> int:
    """How many hooks away from a caller a prompt is: what a hook has called, and prompts in turn, sends it back."""
    told = request.headers.get(DEPTH, "0")
    if not (told.isascii() and told.isdigit() and len(told) < 4):
        raise InvalidPrompt(f"{DEPTH} must be the number that a hook has sent")
    return int(told)


async def submit_for(caller: Caller, engine: Engine, prompt: Prompt) -> Ticket:
    """Returns when the prompt is recorded. Raises what `Engine.submit` does."""
    with acting(caller.actor):
        try:
            ticket = await engine.submit(prompt)
        except RequestConflict:
            if not caller.agent:
                raise
            # The other prompt may be one to another agent, of which this caller is told nothing.
            words = f"request {prompt.request!r} is another prompt already: give this one a name of its own"
            raise RequestConflict(words) from None
    await ticket.accepted()
    return ticket


@router.get(
    "/route",
    summary="Which agent a text is for, and why.",
    response_class=Packed,
    responses=PACKED | problems(409, 422, 500, 503),
)
async def route(
    request: Request,
    caller: AnyCaller,
    text: Annotated[str, Query(min_length=1, max_length=LONGEST_QUERY, description="What a prompt would say.")],
) -> Response:
    """Sends nothing. A token that is for one agent is told of no other."""
    return await _route(request, caller, text, ())


@router.post(
    "/route",
    summary="The same for a long text, or for some agents only.",
    response_class=Packed,
    responses=PACKED | problems(409, 413, 422, 500, 503),
)
async def route_long(request: Request, caller: AnyCaller, body: RouteBody) -> Response:
    return await _route(request, caller, body.text, body.agents)


async def _route(request: Request, caller: Caller, text: str, agents: tuple[str, ...]) -> Response:
    for agent in agents:
        caller.check_agent(agent)
    return Packed(await engine_of(request).route(text, agents or (caller.agent,) if caller.agent else agents))


@router.post(
    "/chat",
    summary="Send a prompt and follow it to its end.",
    response_class=LiveResponse,
    responses=either(turn_at(200)[200]["content"]) | ACCEPTING,
)
async def chat(request: Request, caller: AnyCaller, body: PromptBody, idempotency_key: IdempotencyKey = "") -> Response:
    """Answers with server-sent events: `queued`, `started`, `text`, `tool`, `question`, `notice`, and one `done` or
    `failed`. With `Accept: application/json` it waits, and answers whole."""
    ticket = await hand_in(request, caller, body, idempotency_key)
    leave = _leave(request, caller, body, ticket)
    if wants_json(request.headers):
        return await _wait_whole(request, ticket, leave)
    return await follow(request, ticket, on_gone=leave)


@router.post(
    "/turns",
    status_code=202,
    summary="Send a prompt and come back for the answer.",
    responses=turn_at(202) | ACCEPTING,
)
async def submit(
    request: Request, caller: AnyCaller, body: PromptBody, idempotency_key: IdempotencyKey = ""
) -> JsonAnswer:
    ticket = await hand_in(request, caller, body, idempotency_key)
    turn = await engine_of(request).turn(ticket.turn_id)
    return JsonAnswer(describe_turn(turn), 202, {"Location": f"/turns/{turn.id}"})


@router.get(
    "/turns/{turn_id}",
    summary="How far a turn is, or how it ended.",
    responses=turn_at(200) | problems(404, 422, 503),
)
async def look_at_turn(request: Request, caller: AnyCaller, turn_id: Name) -> Json:
    return describe_turn(await _own_turn(request, caller, turn_id))


@router.get(
    "/turns/{turn_id}/events",
    summary="Everything a turn tells, from its beginning, to its end.",
    response_class=LiveResponse,
    responses=EVENTS | TOLD | problems(404, 422, 503),
)
async def turn_events(request: Request, caller: AnyCaller, turn_id: Name, last_event_id: LastEventId = "") -> Response:
    """Server-sent events as of `POST /chat`, also long after its end. With `Last-Event-ID` it goes on from there."""
    await _own_turn(request, caller, turn_id)
    mark = read_mark(last_event_id)
    if mark.is_end:
        return Response(status_code=204)
    return await follow(request, await engine_of(request).ticket(turn_id), mark)


@router.delete(
    "/turns/{turn_id}",
    status_code=202,
    summary="Withdraw a turn that waits, interrupt it when it runs.",
    responses=turn_at(202) | problems(404, 409, 422, 503),
)
async def withdraw(request: Request, caller: AnyCaller, turn_id: Name) -> Json:
    caller.check_prompts()
    turn = await _own_turn(request, caller, turn_id)
    if turn.state is not TurnState.ENDED:
        with acting(caller.actor):
            await engine_of(request).withdraw(turn_id)
    return describe_turn(await engine_of(request).turn(turn_id))


@router.post(
    "/questions/{question_id}/answer",
    status_code=204,
    summary="Answer a question of an agent.",
    responses=problems(404, 409, 422, 503),
)
async def answer(request: Request, caller: AnyCaller, question_id: Name, body: AnswerBody) -> None:
    caller.check_prompts()
    engine = engine_of(request)
    if not caller.may_spend and mirror_of(request).is_about_budget(question_id):
        raise NotAllowed("whether a turn may run beyond the budget is an operator's to say")
    if not caller.reaches_all:
        # A closed question is as little another's to know of as an open one.
        key = mirror_of(request).session_of(question_id)
        if key is None or not caller.may_reach(key.user, key.instance):
            raise UnknownTarget(f"no question {question_id}; the inbox lists the open ones")
    with acting(caller.actor):
        await engine.answer(question_id, body.read(), by=caller.name)


async def _own_turn(request: Request, caller: Caller, turn_id: str) -> TurnView:
    turn = await engine_of(request).turn(turn_id)
    caller.check_turn(turn)
    return turn


async def follow(
    request: Request,
    ticket: Ticket,
    mark: Mark = Mark(),
    *,
    on_gone: Callable[[], Awaitable[object]] | None = None,
) -> LiveResponse:
    """The turn's events from `mark` on."""
    engine = engine_of(request)
    view = await engine.turn(ticket.turn_id)
    events = TurnEvents(ticket, view, await _open(engine, ticket.key), mirror_of(request), mark)
    return LiveResponse(events.run, on_gone=on_gone, headers={"X-Turn-Id": ticket.turn_id})


async def _open(engine: Engine, key: SessionKey) -> ConversationReader | None:
    try:
        return await engine.conversation(key)
    except UnknownTarget:
        return None  # a call that leaves nothing behind, or a session that was closed


def _leave(
    request: Request, caller: Caller, body: PromptBody, ticket: Ticket
) -> Callable[[], Awaitable[object]] | None:
    if body.on_disconnect == "detach":
        return None

    async def cancel() -> None:
        with acting(caller.actor):
            try:
                await engine_of(request).withdraw(ticket.turn_id)
            except BullpenError:
                pass  # it has ended in the meantime

    return cancel


async def _wait_whole(request: Request, ticket: Ticket, leave: Callable[[], Awaitable[object]] | None) -> Response:
    """Waits for the end, for as long as the caller does."""
    missing: BullpenError | None = None
    async with anyio.create_task_group() as group:

        async def watch_the_line() -> None:
            while (await request.receive())["type"] != "http.disconnect":
                pass
            if leave is not None:
                await leave()
            group.cancel_scope.cancel()

        group.start_soon(watch_the_line)
        try:
            await ticket.outcome()
        except BullpenError as error:
            missing = error
        group.cancel_scope.cancel()
    if missing is not None:
        raise missing  # not out of the group, which would make it one of several
    return answer_whole(await engine_of(request).turn(ticket.turn_id))


def wants_json(headers: Headers) -> bool:
    accepted = headers.get("accept", "")
    return "application/json" in accepted and "text/event-stream" not in accepted


def describe_turn(turn: TurnView) -> Json:
    told: dict[str, Any] = {
        "id": turn.id,
        "state": turn.state.value,
        "agentId": turn.key.instance,
        "userId": turn.prompt.user,
        "sessionId": turn.key.session,
        "queuedAt": turn.queued_at,
        "startedAt": turn.started_at,
        "endedAt": turn.ended_at,
    }
    if turn.prompt.route is not None:
        told |= {"route": describe_route(turn.prompt.route)}
    chosen = {"provider": turn.served or turn.prompt.provider, "model": turn.prompt.model}
    told |= {name: value for name, value in chosen.items() if value}
    if turn.state is TurnState.WAITING:
        told |= {"why": turn.why.value if turn.why is not None else None}
        told |= {"position": turn.position or None, "place": turn.place}
    if turn.outcome is not None:
        told |= describe_outcome(turn.outcome)
    return told


def answer_whole(turn: TurnView) -> JsonAnswer:
    """An ended turn as the one answer to a request that waited for it."""
    told, outcome = describe_turn(turn), turn.outcome
    return _failure(outcome, told) or JsonAnswer(told, headers={"X-Turn-Id": turn.id})


def _failure(outcome: Outcome | None, told: Json) -> JsonAnswer | None:
    if isinstance(outcome, Done):
        return None
    status, headers = 409, {"X-Turn-Id": told["id"], "X-Should-Retry": "false"}
    if isinstance(outcome, Expired):
        # It waited in vain, and nothing was said to the agent.
        status, headers = 503, {"X-Turn-Id": told["id"], "Retry-After": str(max(1, round(outcome.retry_after)))}
    elif isinstance(outcome, Failed):
        status = 502
    detail = told.get("message") or f"the turn ended as {told['outcome']}"
    return problem(status, f"turn-{told['outcome']}", detail, headers, turn=told)
