"""The line to a running bullpen: one request and its answer, or a stream, and what it means when that fails.

Three things are told apart. What was refused has changed nothing. What did not reach the other side has not either
(`NotReached`). What was sent and got no answer may have been done (`AnswerLost`).
"""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from supervisor.api.checks import MAX_NAME, check_key
from supervisor.api.codec import storable, unpack_error
from supervisor.api.errors import BullpenError, NotAccepting, Refused, UnknownTarget, one_sentence
from supervisor.api.keys import SessionKey
from supervisor.files.socket_path import short_path
from supervisor.http_client import httpx
from supervisor.remote.server_events import ServerEvent, read_events

CONNECT_SECONDS = 5.0
"""Seconds that the other side may take to accept the connection."""
ANSWER_SECONDS = 60.0
"""Seconds that an answer may take."""
SILENCE = 45.0
"""Seconds without a sign of life after which a stream counts as broken: a heartbeat comes every 15."""
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class NotReached(NotAccepting):
    """Raised when no bullpen answers: nothing was changed."""


class AnswerLost(BullpenError):
    """Raised when a request was sent and its answer did not come: it may have been done."""


class NotDrained(Refused):
    """Raised when an instance was waited for and is not empty yet."""


class Line:
    """HTTP to one bullpen. Its owner closes it."""

    def __init__(self, *, socket: Path | None = None, url: str = "", token: str = "", via: str = "command") -> None:
        """By the `socket` of a state directory, or by `url` with a `token`. `via` is `command` or `screen`. Raises
        `Refused` when neither can be used."""
        self.trouble = ""
        """Why nothing arrives at the moment, in one line; empty when all is well."""
        self._stack = ExitStack()
        headers = {"X-Bullpen-Via": via, "Accept": "application/json"}
        if socket is not None:
            self.name = str(socket)
            self._remedy = "start it with `bullpen serve`, or name another with --state or --url"
            name = _reach(self._stack, socket)
            transport, base = httpx.AsyncHTTPTransport(uds=name, limits=_LIMITS), "http://bullpen"
        else:
            self.name = base = check_url(url)
            self._remedy = "see that it runs and listens there (`bullpen serve --listen`)"
            if token:
                headers["Authorization"] = f"Bearer {check_token(token)}"
            transport = httpx.AsyncHTTPTransport(verify=ssl.create_default_context(), limits=_LIMITS)
        self._client = httpx.AsyncClient(
            transport=transport,
            base_url=base,
            headers=headers,
            timeout=httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS, pool=None),
        )

    async def close(self) -> None:
        await self._client.aclose()
        self._stack.close()

    async def ask(self, method: str, path: str, body: Any = None, *, what: str = "", **query: Any) -> str:
        """The text of the answer. `what` names the thing in one word or two, for when the answer is lost. Raises what
        the other side has refused it with, `NotReached` or `AnswerLost`."""
        content = None if body is None else storable(body if isinstance(body, str) else _write(body))
        for is_last in (method != "GET", True):
            try:
                answer = await self._client.request(
                    method,
                    path,
                    content=content,
                    params={name: _as_query(value) for name, value in query.items()},
                    headers={"Content-Type": "application/json"} if content is not None else None,
                )
                self.trouble = ""
                break
            except httpx.HTTPError as error:
                lost = self._explain(error, what or path)
                # A connection that was kept open may have been closed from the other side since.
                if is_last or isinstance(lost, NotReached):
                    raise lost from error
        if answer.is_success:
            return answer.text
        raise self._read_problem(answer.status_code, answer.content)

    @asynccontextmanager
    async def stream(self, path: str, **query: Any) -> AsyncIterator[AsyncIterator[ServerEvent]]:
        """Events as they arrive. Raises as `ask` does, and `AnswerLost` when the stream breaks."""
        try:
            async with self._client.stream(
                "GET",
                path,
                params={name: _as_query(value) for name, value in query.items()},
                headers={"Accept": "text/event-stream"},
                timeout=httpx.Timeout(SILENCE, connect=CONNECT_SECONDS, pool=None),
            ) as answer:
                self.trouble = ""
                if not answer.is_success:
                    raise self._read_problem(answer.status_code, await answer.aread())
                yield read_events(answer.aiter_bytes())
        except httpx.HTTPError as error:
            raise self._explain(error, "") from error

    def _explain(self, error: httpx.HTTPError, what: str) -> BullpenError:
        """`what` was asked for; empty for a stream, which can be opened again."""
        if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.UnsupportedProtocol):
            is_plain = not str(error) or any(words in str(error) for words in _NOBODY_THERE)
            why = "" if is_plain else f" ({error})"
            return NotReached(f"no bullpen answers at {self.name}{why}: {self._remedy}")
        if not what:
            return AnswerLost(f"the line to bullpen at {self.name} broke: waiting for it to come back")
        return AnswerLost(
            f"the line to bullpen at {self.name} broke before it answered: see whether “{what}” was done before you "
            "repeat it"
        )

    def _read_problem(self, status: int, content: bytes) -> BullpenError:
        """The error that an unsuccessful answer describes (`gateway.problems`)."""
        try:
            told = json.loads(content)
            kind = str(told["type"]).removeprefix("urn:bullpen:")
            detail, fields = one_sentence(str(told["detail"])), told.get("fields", {})
            name = "".join(word.capitalize() for word in kind.split("-"))
            error = unpack_error(json.dumps([name, detail, fields]))
        except (ValueError, KeyError, TypeError, RecursionError):
            return Refused(f"what answers at {self.name} is not bullpen, or another version of it (status {status})")
        if kind == "not-drained":
            return NotDrained(detail)
        if type(error) is not BullpenError:
            return error
        return (UnknownTarget if status == 404 else Refused if 400 <= status < 500 else BullpenError)(detail)


_NOBODY_THERE = ("All connection attempts failed", "No such file or directory", "Connection refused")
"""What the system says when no program listens at the socket: it adds nothing to our own words."""
_LIMITS = httpx.Limits(max_connections=None, max_keepalive_connections=20)
"""Each reader holds a connection of its own."""


def _reach(stack: ExitStack, socket: Path) -> str:
    """The socket's path as the system takes it, for as long as the stack lives. Raises `NotReached`."""
    try:
        return stack.enter_context(short_path(socket))
    except OSError as error:
        raise NotReached(f"no bullpen answers at {socket}: {error.strerror}") from error


def check_url(url: str) -> str:
    """Raises `Refused`."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or parts.scheme not in ("http", "https") or parts.query or parts.fragment:
        shown = one_sentence(url)[:200]
        raise Refused(f"{shown} is no address of a bullpen: it is written http://HOST:PORT or https://HOST")
    if parts.username or parts.password:
        raise Refused("an address holds no user and no password: give the token with --token or BULLPEN_TOKEN")
    if parts.scheme == "http" and host not in LOOPBACK and not host.startswith("127."):
        raise Refused(f"http://{host} would show the token to the network: use https, or an ssh tunnel to 127.0.0.1")
    return url.rstrip("/")


def check_token(token: str) -> str:
    """Raises `Refused`; the token is never shown."""
    if not token.isascii() or not token.isprintable() or " " in token or len(token) > MAX_NAME:
        raise Refused("the token is none that bullpen makes (see `bullpen token new`)")
    return token


def part(name: str) -> str:
    """A name that was looked at (`api.checks`) as one part of a path, whatever stands in it."""
    quoted = quote(name, safe="")
    # Only dots would be taken for a step in the path.
    return quoted.replace(".", "%2E") if set(name) == {"."} else quoted


def session_path(key: SessionKey) -> str:
    """Raises as `check_key` does: with a `/` in its user, it would be the path of another session."""
    return f"/sessions/{'/'.join(map(part, check_key(key)))}"


def _as_query(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else storable(str(value))


def _write(body: Mapping[str, Any]) -> str:
    return json.dumps(body, ensure_ascii=False)
