"""OpenAI's chat API over agents: for the many clients and front ends that speak nothing else.

`model` is an agent. Clients send the whole history with each request: only the newest message of the user becomes a
prompt, in the session that the history belongs to. A history that is not what the session holds is never mixed into it.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

import anyio
from fastapi import APIRouter, Request, Response
from msgspec.structs import replace

from supervisor.api.actor import acting
from supervisor.api.engine import Engine, Ticket
from supervisor.api.entries import StartsAgain
from supervisor.api.errors import BullpenError, InvalidPrompt, RequestConflict
from supervisor.api.ids import new_id
from supervisor.api.keys import SessionKey
from supervisor.api.outcomes import Done, Expired, Failed, Outcome, Usage
from supervisor.api.prompts import AUTO, Prompt
from supervisor.gateway.access import AnyCaller, Caller
from supervisor.gateway.callers import engine_of, mirror_of
from supervisor.gateway.documents import ACCEPTING, ANYTHING, either, like_openai, problems
from supervisor.gateway.histories import EARLIER, Histories, digest, digest_all
from supervisor.gateway.json_answers import JsonAnswer
from supervisor.gateway.live_response import Emit, LiveResponse
from supervisor.gateway.openai_bodies import ChatCompletion, Message, fingerprint
from supervisor.gateway.problems import NotAllowed, openai_error
from supervisor.gateway.tokens import Role

router = APIRouter(prefix="/v1")

SESSION_HEADERS = ("x-session-id", "x-openwebui-chat-id", "x-librechat-conversation-id")
USER_HEADERS = ("x-openwebui-user-id",)
"""Believed of a token that may name users."""
RETRY_COUNT = "x-stainless-retry-count"
"""OpenAI's own clients count their retries in it."""
OWN = "oa-"
"""How the name of a session begins that was made for a history."""
ASIDE = "aside-"
STATUS_WAIT = 10.0
"""Seconds a stream waits for its first word before it says 200: what is refused until then is refused by its status."""
MOST_RECENT = 1_000
MOST_LOOKED_AT = 50
"""Sessions of one user that are searched for a history."""
AGAIN = "\n\n[the reply begins again]\n\n"


class Recent:
    """First messages that were sent a moment ago, for retries that carry no name."""

    def __init__(self) -> None:
        self._turns: OrderedDict[tuple[str, str, str], str] = OrderedDict()

    def note(self, user: str, agent: str, text: str, turn_id: str) -> None:
        self._turns[user, agent, text] = turn_id
        self._turns.move_to_end((user, agent, text))
        while len(self._turns) > MOST_RECENT:
            self._turns.popitem(last=False)

    def find(self, user: str, agent: str, text: str) -> str:
        return self._turns.get((user, agent, text), "")


@router.get("/models", summary="The agents.", responses=like_openai(problems()))
async def models(request: Request, caller: AnyCaller) -> dict[str, Any]:
    names = [row.name for row in mirror_of(request).snapshot().instances]
    shown = [name for name in names if caller.agent in ("", name)]
    if len(shown) > 1 and AUTO not in shown:
        shown.append(AUTO)
    return {
        "object": "list",
        "data": [{"id": name, "object": "model", "created": 0, "owned_by": "bullpen"} for name in shown],
    }


@router.post(
    "/chat/completions",
    summary="A prompt, as OpenAI's API takes it.",
    response_class=LiveResponse,
    responses=either({"application/json": ANYTHING}) | like_openai(ACCEPTING),
)
async def complete(request: Request, caller: AnyCaller, body: ChatCompletion) -> Response:
    """Errors are in that API's form too. Agents' tool calls stay inside: text is all that is answered."""
    user = caller.check_user(_user_of(request, caller, body))
    agent = caller.agent_for(body.model)
    caller.check_agent(agent)
    with acting(caller.actor):
        ticket, is_aside = await _hand_in(request, user, agent, body)
    headers = {"X-Turn-Id": ticket.turn_id, "X-Session-Id": ticket.key.session}
    if body.stream:
        return await _stream(engine_of(request), ticket, body, headers, is_aside)
    outcome = await ticket.outcome()
    await _tidy(engine_of(request), ticket.key, is_aside)
    if (failure := _tell_failure(outcome)) is not None:
        return failure
    return JsonAnswer(_whole(ticket, outcome), headers=headers)


def _user_of(request: Request, caller: Caller, body: ChatCompletion) -> str:
    if caller.role is Role.USER:
        return caller.user
    given = body.user or next((request.headers[name] for name in USER_HEADERS if name in request.headers), "")
    if not given:
        raise NotAllowed("user is missing: say for whom the prompt is")
    return given


async def _hand_in(request: Request, user: str, agent: str, body: ChatCompletion) -> tuple[Ticket, bool]:
    """The ticket, and whether it is for a session of its own that is closed afterwards. Raises what `submit` does."""
    engine = engine_of(request)
    if body.is_aside:
        text = "\n\n".join(one.text for one in body.messages)
        return await _submit(engine, Prompt(agent, text, user, f"{ASIDE}{new_id()}", **body.choice)), True
    if not body.prompt.strip():
        raise InvalidPrompt("messages: the last one must be the user's, with text")
    retries = request.headers.get(RETRY_COUNT, "0")
    is_retry = retries.isdigit() and int(retries) > 0
    if named := _session_of(request, body):
        prompt = Prompt(agent, body.prompt, user, named, **body.choice)
        if _is_open(request, agent) and (known := _latest(request, user, named)):
            prompt = replace(prompt, agent=known)
        return await _in_named(engine, histories_of(request), prompt, body, is_retry), False
    return await _by_history(request, user, agent, body, is_retry), False


def _latest(request: Request, user: str, session: str) -> str:
    """The agent that has the user's session of that name, of several the one that was spoken to last."""
    rows = [row for row in mirror_of(request).sessions() if row.key[1:] == (user, session)]
    return max(rows, key=lambda row: (row.last_activity_at, row.key)).key.instance if rows else ""


def _session_of(request: Request, body: ChatCompletion) -> str:
    given = (body.metadata or {}).get("session")
    if isinstance(given, str) and given:
        return given
    return next((request.headers[name] for name in SESSION_HEADERS if request.headers.get(name)), "")


def histories_of(request: Request) -> Histories:
    histories: Histories = request.app.state.histories
    return histories


async def _in_named(
    engine: Engine, histories: Histories, prompt: Prompt, body: ChatCompletion, is_retry: bool
) -> Ticket:
    """Submits in the session that the client has named. Raises `RequestConflict` for a history that is not the
    session's."""
    key = SessionKey(prompt.agent, prompt.user, prompt.session)
    known = await histories.of(key)
    history = [one.text for one in body.history if one.role == "user"]
    is_last = known.last_turn != "" and known.last_asked == digest(prompt.text)
    if is_retry and is_last and len(history) in (0, known.turns - 1):
        return await engine.ticket(known.last_turn)
    if history and digest_all(history) != known.asked:
        raise RequestConflict(
            f"the history is not the one of session {key}: send it as it was answered, or begin another session"
        )
    return await _submit(engine, prompt)


async def _by_history(request: Request, user: str, agent: str, body: ChatCompletion, is_retry: bool) -> Ticket:
    """Submits in the session that the history belongs to. A history that no session has begins one."""
    engine = engine_of(request)
    recent: Recent = request.app.state.recent
    mark = fingerprint(body.messages)
    if is_retry and (turn_id := recent.find(user, agent, mark)):
        return await engine.ticket(turn_id)
    text, session = body.prompt, f"{OWN}{new_id()}"
    if body.history:
        found = await _find_session(request, SessionKey(agent, user, ""), body.history)
        if found is not None:
            agent, session = found.instance, found.session
        else:
            told = "\n\n".join(f"{one.role}: {one.text}" for one in body.history)
            text = EARLIER.format(told=told, prompt=body.prompt)
    ticket = await _submit(engine, Prompt(agent, text, user, session, **body.choice))
    recent.note(user, agent, mark, ticket.turn_id)
    return ticket


def _is_open(request: Request, agent: str) -> bool:
    """Whether the agent is to be chosen."""
    return agent in ("", AUTO) and agent not in {row.name for row in mirror_of(request).snapshot().instances}


async def _submit(engine: Engine, prompt: Prompt) -> Ticket:
    ticket = await engine.submit(prompt)
    await ticket.accepted()
    return ticket


async def _find_session(request: Request, whose: SessionKey, history: Iterable[Message]) -> SessionKey | None:
    """The session of one agent with that history, or of any agent where the request leaves the choice to bullpen."""
    is_open = _is_open(request, whose.instance)
    rows = [
        row
        for row in mirror_of(request).sessions()
        if row.key.user == whose.user
        and row.key.session.startswith(OWN)
        and (is_open or row.key.instance == whose.instance)
    ]
    rows = sorted(rows, key=lambda row: -row.last_activity_at)[:MOST_LOOKED_AT]
    return await histories_of(request).find(rows, (one.text for one in history))


async def _tidy(engine: Engine, key: SessionKey, is_aside: bool) -> None:
    if is_aside:
        try:
            await engine.close_session(key)
        except BullpenError:
            pass  # it is gone, or closed when it expires


# Answers


def _envelope(ticket: Ticket, kind: str) -> dict[str, Any]:
    created = int(time.time())
    return {"id": f"chatcmpl-{ticket.turn_id}", "object": kind, "created": created, "model": ticket.key.instance}


def _whole(ticket: Ticket, outcome: Outcome) -> dict[str, Any]:
    message = {"role": "assistant", "content": getattr(outcome, "text", "")}
    choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
    usage = _usage(getattr(outcome, "usage", Usage()))
    return _envelope(ticket, "chat.completion") | {"choices": [choice], "usage": usage}


def _usage(usage: Usage) -> dict[str, int]:
    sent = usage.input_tokens + usage.cache_tokens
    return {
        "prompt_tokens": sent,
        "completion_tokens": usage.output_tokens,
        "total_tokens": sent + usage.output_tokens,
    }


def _tell_failure(outcome: Outcome) -> JsonAnswer | None:
    """The error answer for an outcome; None when the turn was done."""
    if isinstance(outcome, Done):
        return None
    if isinstance(outcome, Expired):
        headers = {"Retry-After": str(max(1, round(outcome.retry_after)))}
        return openai_error(503, "saturated", outcome.message, headers)
    if isinstance(outcome, Failed):
        return openai_error(502, outcome.kind.value, outcome.message, {"X-Should-Retry": "false"})
    return openai_error(409, "stopped", outcome.reason, {"X-Should-Retry": "false"})


async def _stream(
    engine: Engine, ticket: Ticket, body: ChatCompletion, headers: dict[str, str], is_aside: bool
) -> Response:
    if (failure := await _fails_soon(ticket)) is not None:
        await _tidy(engine, ticket.key, is_aside)
        return failure
    envelope = _envelope(ticket, "chat.completion.chunk")

    async def tell(emit: Emit) -> None:
        async def give(delta: dict[str, str], finish: str | None = None) -> None:
            choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
            await emit("", envelope | {"choices": [choice]})

        await give({"role": "assistant", "content": ""})
        held = ""
        async for word in ticket.stream():
            # The line break behind the last block is no part of the reply.
            text, held = (held + AGAIN, "") if isinstance(word, StartsAgain) else (held + word, "")
            if text.endswith("\n"):
                text, held = text[:-1], "\n"
            if text:
                await give({"content": text})
        outcome = await ticket.outcome()
        await _tidy(engine, ticket.key, is_aside)
        if (failure := _tell_failure(outcome)) is not None:
            await emit("", packed=bytes(failure.body).decode())
        else:
            await give({}, "stop")
            if body.stream_options is not None and body.stream_options.include_usage:
                usage = _usage(getattr(outcome, "usage", Usage()))
                await emit("", envelope | {"choices": [], "usage": usage})
        await emit("", packed="[DONE]")

    return LiveResponse(tell, headers=headers)


async def _fails_soon(ticket: Ticket) -> JsonAnswer | None:
    """Waits until it is said or decided that it goes well, for a while at most."""
    with anyio.move_on_after(STATUS_WAIT):
        async for _ in ticket.stream():
            return None
        return _tell_failure(await ticket.outcome())
    return None
