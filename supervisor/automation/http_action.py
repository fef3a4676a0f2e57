"""Sends JSON to an address. The address and the headers may be secrets: no message of a failure shows them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import anyio

from supervisor.api.automation import Action, Payload, bare
from supervisor.automation.attempt import ActionFailed, Attempt
from supervisor.automation.ports import Resolve
from supervisor.automation.substitution import fill_all
from supervisor.late_imports import import_late
from supervisor.unlogged import unlogged

if TYPE_CHECKING:
    import httpx

TIMEOUT = 30.0
"""Seconds that an answer may take unless told otherwise."""
MOST_ANSWER = 64 * 1024
"""Bytes of an answer that are read."""


class Answer(NamedTuple):
    status: int
    body: bytes


class Sender:
    """Keeps connections open between requests."""

    def __init__(self, resolve: Resolve) -> None:
        self.resolve = resolve
        self._client: httpx.AsyncClient | None = None

    async def close(self) -> None:
        if self._client is not None:
            client, self._client = self._client, None
            await client.aclose()

    async def send_event(self, action: Action, attempt: Attempt, payload: Payload) -> Answer:
        """Raises `ActionFailed`, for an answer that is no success too."""
        body = dict(payload) if action.body is None else fill_all(action.body, payload)
        return await self.send(action, attempt, body)

    async def send(
        self, action: Action, attempt: Attempt, body: Any, url: str = "", headers: Mapping[str, str] | None = None
    ) -> Answer:
        """`url` in place of the action's own. Raises `ActionFailed`, for an answer that is no success too."""
        values, wrong = self.resolve({"url": url or action.url}, attempt.folder)
        own, wrong_headers = self.resolve(action.headers, attempt.folder)
        for name, why in (*wrong.items(), *((f"headers.{name}", why) for name, why in wrong_headers.items())):
            raise ActionFailed(f"{name} {why}")
        httpx = (await import_late("supervisor.http_client")).httpx
        if self._client is None:
            self._client = httpx.AsyncClient(follow_redirects=False)
        sent = {
            "Content-Type": "application/json",
            "Idempotency-Key": attempt.id,
            "X-Bullpen-Depth": str(attempt.depth),
            **(headers or {}),
            **own,
        }
        limit = (attempt.timeout if attempt.has_timeout else TIMEOUT) or None
        where = bare(action.url)
        try:
            content = None if action.method == "GET" else json.dumps(body).encode()
            with anyio.fail_after(limit), unlogged():
                request = self._client.stream(
                    action.method, values["url"], content=content, headers=sent, timeout=limit
                )
                async with request as response:
                    answer = Answer(response.status_code, await _read(response))
        except (TimeoutError, httpx.TimeoutException):
            raise ActionFailed(f"{where} had not answered after {limit:g} s") from None
        except (httpx.InvalidURL, httpx.UnsupportedProtocol):
            raise ActionFailed(f"url {where} is no address such as https://example.org/hook") from None
        except (httpx.HTTPError, ValueError, OSError) as error:
            raise ActionFailed(f"{where} cannot be reached ({type(error).__name__})") from None
        if not 200 <= answer.status < 300:
            raise ActionFailed(f"{where} answered {answer.status}")
        return answer


async def _read(response: httpx.Response) -> bytes:
    found = bytearray()
    async for piece in response.aiter_bytes():
        found += piece
        if len(found) >= MOST_ANSWER:
            break
    return bytes(found[:MOST_ANSWER])
