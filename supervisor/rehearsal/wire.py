"""The shapes of the Messages API: server-sent events, whole messages, errors, models, token counts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from supervisor.rehearsal.reply import Charge, Reply, Say, Use, fragments, stop_reason
from supervisor.rehearsal.request import MessagesRequest

CHARACTERS_PER_TOKEN = 4
"""The usual rule of thumb for English text."""

MODELS = ("claude-opus-4-5", "claude-sonnet-4-5", "claude-haiku-4-5")

ERROR_TYPES = {
    400: ("invalid_request_error", "The request is not valid."),
    401: ("authentication_error", "invalid x-api-key"),
    403: ("permission_error", "This key may not use the resource."),
    404: ("not_found_error", "Not found."),
    413: ("request_too_large", "The request is too large."),
    429: ("rate_limit_error", "This request would exceed your rate limit."),
    500: ("api_error", "Internal server error"),
    503: ("api_error", "Service unavailable"),
    529: ("overloaded_error", "Overloaded"),
}

JSON_FRAGMENT = 24
"""Characters of tool input in one event."""


def tokens(text: str) -> int:
    """A plausible token count of a text."""
    return max(1, len(text) // CHARACTERS_PER_TOKEN)


def error_body(status: int, message: str = "") -> dict[str, Any]:
    kind, usual = ERROR_TYPES.get(status, ("api_error", f"HTTP {status}"))
    return {"type": "error", "error": {"type": kind, "message": message or usual}}


def models_body() -> dict[str, Any]:
    data = [
        {"type": "model", "id": name, "display_name": name.replace("-", " ").title(), "created_at": _CREATED}
        for name in MODELS
    ]
    return {"data": data, "has_more": False, "first_id": MODELS[0], "last_id": MODELS[-1]}


_CREATED = "2025-01-01T00:00:00Z"


@dataclass(frozen=True, slots=True)
class Envelope:
    """Id, model and usage that a message tells of itself."""

    id: str
    model: str
    input_tokens: int
    cache_read: int
    cache_creation: int

    def usage(self, output_tokens: int) -> dict[str, int]:
        return {
            "input_tokens": self.input_tokens,
            "cache_creation_input_tokens": self.cache_creation,
            "cache_read_input_tokens": self.cache_read,
            "output_tokens": output_tokens,
        }

    def message(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "type": "message",
            "role": "assistant",
            "model": self.model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": self.usage(1),
        }


def envelope(request: MessagesRequest, salt: str) -> Envelope:
    """Counts as prompt caching would: what an earlier request already carried is read from the cache."""
    total = tokens(request.text)
    last = tokens(request.prompt) + sum(tokens(result.text) for result in request.tool_results[-1:])
    before = max(0, total - last)
    has_history = len(request.messages) > 1
    return Envelope(
        id=f"msg_{salt}",
        model=request.model,
        input_tokens=last,
        cache_read=before if has_history else 0,
        cache_creation=0 if has_history else before,
    )


def whole_message(opening: Envelope, reply: Reply, salt: str) -> dict[str, Any]:
    """The reply to a request that does not stream."""
    content: list[dict[str, Any]] = []
    for step in reply:
        if isinstance(step, Say):
            content.append({"type": "text", "text": step.text})
        elif isinstance(step, Use):
            content.append(_tool_block(salt, len(content), step, dict(step.input)))
    message = opening.message()
    return {**message, "content": content, "stop_reason": stop_reason(reply), "usage": usage_of(opening, reply)}


def usage_of(opening: Envelope, reply: Reply) -> dict[str, int]:
    """The usage that the whole reply reports."""
    usage = opening.usage(output_tokens(reply))
    for step in reply:
        if isinstance(step, Charge):
            usage |= {"input_tokens": step.input_tokens, "output_tokens": step.output_tokens}
    return usage


def output_tokens(reply: Reply) -> int:
    spoken = [step.text if isinstance(step, Say) else json.dumps(dict(step.input)) for step in _spoken(reply)]
    return sum(tokens(text) for text in spoken) or 1


def _spoken(reply: Reply) -> Iterator[Say | Use]:
    for step in reply:
        if isinstance(step, Say | Use):
            yield step


def unended_block_events(text: str, index: int, salt: str) -> list[bytes]:
    """A text block without its end."""
    return list(block_events(Say(fragments(text)), index, salt))[:-1]


def event(kind: str, **fields: Any) -> bytes:
    """One server-sent event of that kind."""
    data = json.dumps({"type": kind, **fields}, ensure_ascii=False)
    return f"event: {kind}\ndata: {data}\n\n".encode()


def opening_events(opening: Envelope) -> bytes:
    return event("message_start", message=opening.message()) + event("ping")


def block_events(step: Say | Use, index: int, salt: str) -> Iterator[bytes]:
    """The events of one content block: its start, one event for each fragment, its end."""
    if isinstance(step, Say):
        yield event("content_block_start", index=index, content_block={"type": "text", "text": ""})
        for fragment in step.fragments:
            yield event("content_block_delta", index=index, delta={"type": "text_delta", "text": fragment})
    else:
        yield event("content_block_start", index=index, content_block=_tool_block(salt, index, step, {}))
        whole = json.dumps(dict(step.input), ensure_ascii=False)
        for start in range(0, len(whole), JSON_FRAGMENT):
            part = whole[start : start + JSON_FRAGMENT]
            yield event("content_block_delta", index=index, delta={"type": "input_json_delta", "partial_json": part})
    yield event("content_block_stop", index=index)


def closing_events(opening: Envelope, reply: Reply) -> bytes:
    delta = {"stop_reason": stop_reason(reply), "stop_sequence": None}
    usage = usage_of(opening, reply)
    return event("message_delta", delta=delta, usage=usage) + event("message_stop")


def _tool_block(salt: str, index: int, step: Use, given: dict[str, Any]) -> dict[str, Any]:
    return {"type": "tool_use", "id": f"toolu_{salt}{index:02d}", "name": step.tool, "input": given}
