"""Turns in the contract's own JSON (`api.codec`): all that an engine at the far end of a line needs of them.

`callers` tells the same for programs that know nothing of the contract. Who may do what is the same here.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Query, Request, Response
from msgspec.structs import replace

from supervisor.api.actor import acting
from supervisor.api.codec import pack, pack_error, pack_fragment, reader_of
from supervisor.api.errors import BullpenError, InvalidPrompt
from supervisor.api.prompts import Prompt, Source
from supervisor.gateway.access import AnyCaller
from supervisor.gateway.callers import engine_of, submit_for
from supervisor.gateway.documents import ACCEPTING, ANYTHING, EVENTS, problems
from supervisor.gateway.live_response import Emit, LiveResponse
from supervisor.gateway.names import Name
from supervisor.gateway.packed import Packed
from supervisor.gateway.tokens import Role

router = APIRouter()

SEEN: dict[str, Any] = {"content": {"application/json": ANYTHING}}
PROMPT_EXAMPLE = {"agent": "helpdesk", "text": "The printer is on fire.", "user": "ana"}


@router.post(
    "/prompts",
    status_code=202,
    summary="Send a prompt, as `Engine.submit` takes it.",
    response_class=Packed,
    responses={202: SEEN, **ACCEPTING},
)
async def submit_prompt(
    request: Request,
    caller: AnyCaller,
    body: Annotated[dict[str, Any], Body(examples=[PROMPT_EXAMPLE])],
) -> Response:
    """Answers with the turn once the prompt is recorded. `request` is the name by which it can be sent again."""
    engine = engine_of(request)
    try:
        prompt: Prompt = reader_of(Prompt)(body)
    except ValueError as error:
        raise InvalidPrompt(str(error)) from None
    caller.check_prompts()
    if prompt.user or caller.role is Role.USER:  # without any, the engine says so in the contract's words
        prompt = replace(prompt, user=caller.check_user(prompt.user))
    prompt = replace(prompt, agent=caller.agent_for(prompt.agent))
    if caller.role is not Role.OPERATOR:
        prompt = replace(prompt, source=Source.CALLER)
    caller.check_agent(prompt.agent)
    ticket = await submit_for(caller, engine, prompt)
    return Packed(await engine.turn(ticket.turn_id), 202)


@router.get(
    "/turns/{turn_id}/view",
    summary="How far a turn is, as `Engine.turn` tells it.",
    response_class=Packed,
    responses={200: SEEN, **problems(404, 422, 500, 503)},
)
async def view_turn(request: Request, caller: AnyCaller, turn_id: Name) -> Response:
    turn = await engine_of(request).turn(turn_id)
    caller.check_turn(turn)
    return Packed(turn)


@router.post(
    "/turns/{turn_id}/withdraw",
    status_code=204,
    summary="Withdraw a turn, as `Engine.withdraw` does: one that has ended is refused.",
    responses=problems(404, 409, 422, 500, 503),
)
async def withdraw_turn(request: Request, caller: AnyCaller, turn_id: Name) -> Response:
    caller.check_prompts()
    engine = engine_of(request)
    caller.check_turn(await engine.turn(turn_id))
    with acting(caller.actor):
        await engine.withdraw(turn_id)
    return Response(status_code=204)


@router.get(
    "/turns/{turn_id}/stream",
    summary="The reply's text as it arrives, and the outcome.",
    response_class=LiveResponse,
    responses=EVENTS | problems(404, 422, 500, 503),
)
async def stream_turn(
    request: Request,
    caller: AnyCaller,
    turn_id: Name,
    text: Annotated[bool, Query(description="Whether the text is told, or the outcome alone.")] = True,
    whole: Annotated[bool, Query(description="Tell a block when it is finished: nothing told is ever void.")] = False,
) -> Response:
    """Server-sent events: `text` (null when what was told of the last block is void), then `outcome` or `error`."""
    engine = engine_of(request)
    caller.check_turn(await engine.turn(turn_id))
    ticket = await engine.ticket(turn_id)

    async def tell(emit: Emit) -> None:
        try:
            if text:
                async for fragment in ticket.stream(whole=whole):
                    await emit("text", packed=pack_fragment(fragment))
            outcome = await ticket.outcome()
        except BullpenError as error:
            await emit("error", packed=pack_error(error))
        else:
            await emit("outcome", packed=pack(outcome))

    return LiveResponse(tell)
