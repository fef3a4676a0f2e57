"""What `/openapi.json` says of the answers, in one place: examples, and what each status means."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]
Answers = dict[int | str, Json]

TURN_EXAMPLE = {
    "id": "1m8dp0w9j21k",
    "state": "ended",
    "agentId": "helpdesk",
    "userId": "ana",
    "sessionId": "default",
    "queuedAt": 1795754096.1,
    "startedAt": 1795754096.2,
    "endedAt": 1795754099.8,
    "outcome": "done",
    "text": "Unplug it, and step back.",
}
STATS_EXAMPLE = {
    "total_agents": 9,
    "active_agents": 2,
    "idle_agents": 7,
    "dormant_agents": 5,
    "waking_agents": 0,
    "max_agents": 100,
    "agent_ttl": 14400.0,
    "sessions": 31,
    "waiting": 0,
    "questions": 1,
    "memory_bytes": 1_210_000_000,
    "memory_budget": 8_000_000_000,
    "swap_bytes": 160_000_000,
    "swap_budget": 4_000_000_000,
    "version": "0.1.0",
}
"""Of the idle ones, five sleep."""
STATS: Answers = {200: {"content": {"application/json": {"example": STATS_EXAMPLE}}}}
PROBLEM: Json = {
    "content": {
        "application/problem+json": {
            "schema": {
                "type": "object",
                "required": ["type", "title", "status", "detail"],
                "properties": {
                    "type": {"type": "string"},
                    "title": {"type": "string"},
                    "status": {"type": "integer"},
                    "detail": {"type": "string"},
                },
            }
        }
    }
}


def problems(*statuses: int) -> Answers:
    """Descriptions of a route's error answers."""
    words = {
        401: "No token, or none that is known.",
        403: "The token may not do that.",
        404: "It is not there, or not yours.",
        409: "It cannot be done as things stand; nothing was changed.",
        413: "The body is too large.",
        422: "A field is not what it should be; it is named.",
        429: "The caller has its share; Retry-After says when to come again.",
        500: "Not known whether it happened, or an internal error: not to be repeated blindly.",
        502: "The work failed.",
        503: "No room, or not now; Retry-After says when to come again.",
    }
    return {status: {"description": words[status]} | PROBLEM for status in (401, 403, *statuses)}


ACCEPTING = problems(404, 409, 413, 422, 429, 500, 502, 503)
ANYTHING: Json = {"schema": {"type": ["object", "array", "string", "number", "boolean", "null"]}}
"""Where the contract's own types say what there is."""
STREAM: Json = {
    "text/event-stream": {
        "schema": {
            "type": "object",
            "properties": {"event": {"type": "string"}, "data": {"type": "string"}, "id": {"type": "string"}},
        }
    }
}
EVENTS: Answers = {200: {"description": "Server-sent events.", "content": STREAM}}
PACKED: Answers = {200: {"content": {"application/json": ANYTHING}}}
TOLD: Answers = {204: {"description": "Everything was told before."}}


def either(content: Json) -> Answers:
    """A stream, or a whole answer."""
    return {200: {"content": STREAM | content}}


def turn_at(status: int) -> Answers:
    """A turn, answered with that status."""
    return {status: {"content": {"application/json": {"example": TURN_EXAMPLE}}}}


def like_openai(answers: Answers) -> Answers:
    """The described answers with error bodies in the form of OpenAI's API."""
    content = {"application/json": {"schema": {"type": "object", "required": ["error"]}}}
    return {status: {**told, "content": content} for status, told in answers.items()}
