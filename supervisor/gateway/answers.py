"""The page at which a question is answered by those who were sent its address: no token, but the address itself.

GET shows and changes nothing, whatever looks at links. POST answers, once. The form proves that it is this page's: no
page of another origin can send it, also where a browser hides from which one it comes.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Collection
from typing import Annotated
from urllib.parse import parse_qs, urlsplit

from fastapi import APIRouter, Path, Request
from starlette.responses import HTMLResponse, Response

from supervisor.api.answer_links import AnswerLinks, LinkedQuestion
from supervisor.api.errors import AlreadyAnswered, BullpenError, Refused, UnknownTarget
from supervisor.api.questions import Allow, Answer, Choose, Deny, Question, QuestionKind
from supervisor.gateway.access import Access
from supervisor.gateway.answer_page import HEADERS, read_choice, show_answered, show_question, show_unknown
from supervisor.gateway.problems import NotAllowed, status_of

router = APIRouter(include_in_schema=False)

MOST_FORM = 64 * 1024
"""Bytes of a form that is sent."""
MOST_TOKEN = 100
"""Characters; ours have 43."""
OWN_SITE = frozenset({"", "same-origin", "none"})
"""What a browser says of a request that no page of another origin has begun."""

Token = Annotated[str, Path(max_length=MOST_TOKEN)]

_KEY = secrets.token_bytes(32)


@router.api_route("/answer/{token}", methods=["GET", "HEAD"])
async def show(request: Request, token: Token) -> Response:
    _check_host(request)
    found = _find(request, token)
    if found is None:
        return _html(show_unknown(), 404)
    return _html(show_question(found, _proof(token)))


@router.post("/answer/{token}")
async def answer(request: Request, token: Token) -> Response:
    _check_host(request)
    _check_origin(request)
    links, found = _links(request), _find(request, token)
    if links is None or found is None:
        return _html(show_unknown(), 404)
    try:
        fields = await _read_form(request)
        if not hmac.compare_digest("".join(fields.get("proof", [])).encode(), _proof(token).encode()):
            raise NotAllowed("the form is not that of this page: open the address again")
        settled = await links.answer(token, _read_answer(found.question, fields))
    except AlreadyAnswered:
        return _html(show_question(links.look(token) or found, _proof(token)), 409)
    except UnknownTarget:
        return _html(show_unknown(), 404)
    except BullpenError as error:
        return _html(show_question(links.look(token) or found, _proof(token), trouble=str(error)), status_of(error))
    return _html(show_answered(settled))


def _read_answer(question: Question, fields: dict[str, list[str]]) -> Answer:
    """Raises `Refused`."""
    match fields.get("answer"):
        case ["allow"] if question.kind is not QuestionKind.CHOICE:
            return Allow()
        case ["always"] if question.kind is not QuestionKind.CHOICE and question.always:
            return Allow(always=True)
        case ["deny"]:
            return Deny(" ".join(fields.get("reason", [])).strip())
        case ["choose"] if question.kind is QuestionKind.CHOICE:
            answers = {item.question: read_choice(number, item, fields) for number, item in enumerate(question.choices)}
            if missing := [asked for asked, given in answers.items() if not given]:
                raise Refused(f"choose something, or write something: {missing[0]}")
            return Choose(answers)
    raise Refused("that is no answer to this question")


async def _read_form(request: Request) -> dict[str, list[str]]:
    """Raises `Refused`."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise Refused("an answer is sent by the form of this page")
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > MOST_FORM:
            raise Refused(f"the form holds more than {MOST_FORM:,} bytes")
    try:
        return parse_qs(body.decode(), keep_blank_values=True, strict_parsing=False, max_num_fields=500)
    except ValueError:
        raise Refused("the form cannot be read") from None


def _links(request: Request) -> AnswerLinks | None:
    links: AnswerLinks | None = request.app.state.answer_links
    return links


def _find(request: Request, token: str) -> LinkedQuestion | None:
    links = _links(request)
    return links.look(token) if links is not None else None


def _proof(token: str) -> str:
    """A value that only the page of this address knows: the form that is sent must have come from it."""
    return hmac.new(_KEY, token.encode(errors="replace"), hashlib.sha256).hexdigest()


def _check_host(request: Request) -> None:
    if not request.scope.get("bullpen.is_local"):
        access: Access = request.app.state.access
        access.check_host(request)


def _check_origin(request: Request) -> None:
    """Raises `NotAllowed` where a page of another origin has begun it. Of this page browsers say `null` (it sends no
    referrer), or its origin; which of them counts is proved by the form."""
    if request.headers.get("sec-fetch-site", "").lower() not in OWN_SITE:
        raise NotAllowed("pages of other origins answer no question")
    origin = request.headers.get("origin", "null").lower()
    if origin not in ("null", *_own_origins(request)):
        raise NotAllowed("pages of other origins answer no question")


def _own_origins(request: Request) -> Collection[str]:
    links = _links(request)
    found = urlsplit(links.base_url) if links is not None and links.base_url else None
    own = {f"{scheme}://{request.headers.get('host', '')}".lower() for scheme in ("http", "https")}
    return own | ({f"{found.scheme}://{found.netloc}".lower()} if found is not None else set())


def _html(page: str, status: int = 200) -> Response:
    return HTMLResponse(page, status, HEADERS)
