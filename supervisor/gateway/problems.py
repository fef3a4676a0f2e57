"""What went wrong, as HTTP says it: `application/problem+json` (RFC 9457), one sentence, and when to come again.

No traceback and no word of another caller is sent. A prompt of which it is not known whether it was taken in
is never called refused.
"""

from __future__ import annotations

import json
import logging
import math
import re
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from supervisor.api import errors
from supervisor.api.errors import BullpenError
from supervisor.gateway.json_answers import JsonAnswer
from supervisor.text.values import in_words

MEDIA_TYPE = "application/problem+json"
STALE_RETRY = 5
"""Seconds after which a caller may come again where nothing better is known: bullpen drains or starts."""

NO_RETRY = {"X-Should-Retry": "false"}
OPENAI = "/v1/"
_KEPT = ("allow", "retry-after", "x-should-retry", "www-authenticate")

_KINDS = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "an object",
    "model_attributes_type": "an object",
}
"""Pydantic's name of a mistake → what the value must be."""

_log = logging.getLogger(__name__)


class NotIdentified(BullpenError):
    """Raised when a request carries no token, or none that is known."""


class NotAllowed(BullpenError):
    """Raised when the token is known and may not do that."""


class TooLarge(BullpenError):
    """Raised when a body holds more than is accepted."""


_STATUSES: dict[type[BullpenError], int] = {
    NotIdentified: 401,
    NotAllowed: 403,
    errors.UnknownAgent: 404,
    errors.UnknownTarget: 404,
    errors.GateRefused: 403,
    errors.AlreadyAnswered: 409,
    errors.RequestConflict: 409,
    TooLarge: 413,
    errors.InvalidId: 422,
    errors.InvalidPrompt: 422,
    errors.NoAgentMatches: 422,
    errors.OverShare: 429,
    errors.OverBudget: 429,
    errors.Saturated: 503,
    errors.NotAccepting: 503,
    errors.NotRecorded: 503,
    errors.Suspended: 503,
    errors.AcceptanceUnknown: 500,
    errors.OutcomeUnknown: 500,
    errors.JournalFailed: 500,
    errors.Refused: 409,
}
"""By kind; of a kind that is not named, that of the nearest class above it."""

_NOT_AGAIN = (
    errors.GateRefused,
    errors.RequestConflict,
    errors.AlreadyAnswered,
    errors.AcceptanceUnknown,
    errors.OutcomeUnknown,
    errors.Suspended,
)
"""Sent again as it is, it would come to nothing, or run twice."""


def status_of(error: BullpenError) -> int:
    return next((_STATUSES[kind] for kind in type(error).__mro__ if kind in _STATUSES), 500)


def kind_of(error: BullpenError) -> str:
    """`not-accepting`: the error's class, as a word."""
    name = type(error).__name__
    return "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("-")


def problem(status: int, kind: str, detail: str, headers: dict[str, str] | None = None, **more: Any) -> JsonAnswer:
    """`kind` names the sort of problem in one word, `detail` says it in one sentence."""
    body = {"type": f"urn:bullpen:{kind}", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    return JsonAnswer(body | more, status, headers, media_type=MEDIA_TYPE)


def tell(error: BullpenError) -> JsonAnswer:
    """The answer to a request that raised that."""
    status, headers = status_of(error), {}
    if isinstance(error, NotIdentified):
        headers["WWW-Authenticate"] = 'Bearer realm="bullpen"'
    if isinstance(error, errors.Saturated | errors.OverShare | errors.OverBudget):
        headers["Retry-After"] = str(math.ceil(error.retry_after))
    elif status == 503 and not isinstance(error, _NOT_AGAIN):
        headers["Retry-After"] = str(STALE_RETRY)
    if isinstance(error, (*_NOT_AGAIN, errors.OverBudget)):
        headers["X-Should-Retry"] = "false"
    fields = {name: value for name, value in vars(error).items() if not name.startswith("_")}
    return problem(status, kind_of(error), str(error), headers, **({"fields": fields} if fields else {}))


def openai_error(status: int, kind: str, message: str, headers: dict[str, str] | None = None) -> JsonAnswer:
    """An error response in the form that clients of OpenAI's API read."""
    told = {"message": message, "type": kind, "param": None, "code": kind}
    return JsonAnswer({"error": told}, status, headers)


def _like_openai(request: Request, answer: JsonAnswer) -> JsonAnswer:
    if not request.url.path.startswith(OPENAI):
        return answer
    told = json.loads(bytes(answer.body))
    kept = {name: answer.headers[name] for name in _KEPT if name in answer.headers}
    return openai_error(answer.status_code, told["type"].removeprefix("urn:bullpen:"), told["detail"], kept)


def install(app: FastAPI) -> None:
    """Every answer that is no success is a problem; in the routes of OpenAI's API it is told as that API does."""

    @app.exception_handler(BullpenError)
    async def refused(request: Request, error: BullpenError) -> JsonAnswer:
        return _like_openai(request, tell(error))

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JsonAnswer:
        found = [_tell_mistake(one, request) for one in error.errors()[:20]]
        detail = "; ".join(f"{one['field']}: {one['message']}" for one in found)
        return _like_openai(request, problem(422, "invalid-request", detail, errors=found))

    @app.exception_handler(HTTPException)
    async def missing(request: Request, error: HTTPException) -> JsonAnswer:
        status, headers = error.status_code, dict(error.headers or {})
        if status == 400:
            status = 422  # the body is no JSON
        if status == 405:
            headers["Allow"] = ", ".join(_allowed(app, request.url.path))
        kind = HTTPStatus(status).phrase.lower().replace(" ", "-")
        detail = f"{request.method} {request.url.path}: {str(error.detail).lower()}; /openapi.json says what there is"
        return _like_openai(request, problem(status, kind, detail, headers))

    @app.exception_handler(Exception)
    async def failed(request: Request, error: Exception) -> JsonAnswer:
        _log.error("a request failed", exc_info=error)
        answer = problem(500, "internal-error", "an internal error of bullpen; its log has the details", NO_RETRY)
        return _like_openai(request, answer)


def _allowed(app: FastAPI, path: str) -> list[str]:
    """The methods that the path takes, of all routes that share it."""
    found: set[str] = set()
    for template, methods in app.openapi()["paths"].items():
        pattern = re.sub(r"\\{\w+:path\\}", ".+", re.escape(template).replace("\\:", ":"))
        if re.fullmatch(re.sub(r"\\{\w+\\}", "[^/]+", pattern), path):
            found |= {method.upper() for method in methods}
    return sorted(found)


def _tell_mistake(found: dict[str, Any], request: Request) -> dict[str, str]:
    """One mistake of a request, in our words where pydantic's are for its programmer."""
    kind, message = found["type"], str(found["msg"])
    if kind == "json_invalid":
        reason = str(found.get("ctx", {}).get("error", "")).lower() or "it cannot be read"
        return {"field": "body", "message": f"not JSON at character {found['loc'][-1]} ({reason})"}
    if found["loc"] == ("body",) and not _is_json(request):
        # The body was not read as JSON at all: whatever is wrong with it otherwise, this comes first.
        return {"field": "body", "message": "is not read as JSON: send it with Content-Type: application/json"}
    if kind in _KINDS:
        message = f"must be {_KINDS[kind]}, not {in_words(found.get('input'))}"
    elif kind == "extra_forbidden":
        message = "not a field of this request, or given in both spellings"
    elif kind == "missing":
        message = "missing"
    return {"field": _field(found["loc"]), "message": message}


def _is_json(request: Request) -> bool:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))


def _field(location: tuple[int | str, ...]) -> str:
    """`body.message` → `message`."""
    return ".".join(map(str, location[1:])) or str(location[0])
