"""One MCP server for all clients: kept running, watched, and asked by several sessions at once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from functools import partial
from typing import Any

import anyio
from mcp import ClientSession, McpError, types
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client
from mcp.types import CONNECTION_CLOSED
from pydantic import ValidationError

from supervisor.api.shared_servers import BreakerState, SharedState
from supervisor.config.durations import spell_duration
from supervisor.config.shared_servers import SharedSpec
from supervisor.http_client import httpx
from supervisor.text.cleaning import clean, one_line
from supervisor.tools.breaker import Breaker
from supervisor.tools.cache import Cache, Key
from supervisor.tools.pace import Pace
from supervisor.tools.results import as_error, say
from supervisor.tools.server_process import Pipes, ServerFailed, open_process
from supervisor.unlogged import unlogged

CONNECT = 30.0
"""Seconds that a server may take from its start until its tools are known."""
TELLS = 10.0
"""Seconds for which a client that starts waits for the tools of a server that starts as well."""
HEALTH = 30.0
"""Seconds between two pings of a server that is not asked anything."""
ANSWERS = 10.0
"""Seconds that a ping may take."""
FIRST_BACKOFF, MOST_BACKOFF = 1.0, 60.0
"""Seconds until it is started again; twice as many each time."""
IS_WELL_AFTER = 60.0
"""Seconds of a connection after which the next start does not wait longer than the first."""
SECRET = 6
"""Characters from which on a value of its configuration is taken for a secret."""
SESSION_UNKNOWN = 32600
"""Code of mcp's client for a server at an address that does not know the session any more (status 404)."""
MOST_PAGES = 100
"""Of a list of tools."""

_log = logging.getLogger(__name__)


class SharedServer:
    """State: the connection, the tools it has told of, and what calls came to."""

    def __init__(
        self,
        spec: SharedSpec,
        mark: str,
        on_tools: Callable[[SharedServer], object],
        lists: Cache[list[types.Tool]],
        steady: Callable[[], float],
    ) -> None:
        """`on_tools` is told when clients have to be told of other tools than they were. `lists` keeps what all shared
        servers have told of their tools, for `LIST_TTL`."""
        self.spec = spec
        self.state = SharedState.STARTING
        self.note = ""
        self.pid = 0
        self.tools: list[types.Tool] | None = None
        """None before they were known for the first time."""
        self.generation = 0
        """Counts the lists of tools that clients were told."""
        self.calls = self.errors = self.restarts = self.running = self.waiting = 0
        self.connect_seconds = 0.0
        self._mark = mark
        self._on_tools = on_tools
        self._lists = lists
        self._key = Key("", spec.digest)
        self._steady = steady
        self._session: ClientSession | None = None
        self._lost = anyio.Event()
        """The present connection is no more."""
        self._pipes: Pipes | None = None
        self._settled = anyio.Event()
        """It is connected, or the attempt has failed."""
        self._is_listed = anyio.Event()
        self._list_changed = anyio.Event()
        self._has_told_none = False
        """A client was started before any tool was known."""
        self._retry_at = 0.0
        self._breaker = Breaker()
        self._places = anyio.CapacityLimiter(spec.max_calls)

    def __repr__(self) -> str:
        return f"<SharedServer {self.spec.what}, {self.state}, {self.running} calls>"

    @property
    def breaker(self) -> BreakerState:
        return self._breaker.state(self._steady())

    @property
    def trouble(self) -> str:
        """Why its tools are missing, on one line; empty where they are known, or still waited for."""
        if self.tools is not None:
            return ""
        return self.note or ("it has not said yet what tools it has" if self._has_told_none else "")

    # Its connection

    async def run(self) -> None:
        """Runs the server until it is cancelled; then nothing of it is left."""
        with unlogged():
            await self._run()

    async def _run(self) -> None:
        delay = FIRST_BACKOFF
        try:
            while True:
                began = self._steady()
                self.state = SharedState.STARTING
                try:
                    await self._connect(began)
                except Exception as error:
                    self.note = self._hide(_reason(error))
                    _log.warning("shared MCP server %s: %s", self.spec.what, self.note)
                finally:
                    self._disconnect()
                delay = FIRST_BACKOFF if self._steady() - began > IS_WELL_AFTER else delay
                self.state, self._retry_at = SharedState.BACKING_OFF, self._steady() + delay
                settled, self._settled = self._settled, anyio.Event()
                settled.set()
                await anyio.sleep(delay)
                self.restarts += 1
                delay = min(MOST_BACKOFF, delay * 2)
        finally:
            self.state = SharedState.STOPPED

    async def _connect(self, began: float) -> None:
        """Runs one connection until it ends. Raises what ended it."""
        async with self._open() as pipes:
            try:
                async with ClientSession(
                    pipes.read,
                    pipes.write,
                    message_handler=self._hear,
                    client_info=types.Implementation(name="bullpen", version="0"),
                ) as session:
                    with anyio.fail_after(CONNECT):
                        await _or_ended(session.initialize, pipes)
                        await self._read_tools(session)
                    self.connect_seconds = self._steady() - began
                    self._session, self._pipes, self.pid = session, pipes, pipes.pid
                    self.state, self.note = SharedState.CONNECTED, ""
                    self._settled.set()
                    await self._watch(session, pipes)
            except Exception as error:
                if pipes.last_words and self._session is None:
                    raise ServerFailed(f"{_reason(error)}; it said: {pipes.last_words}") from error
                raise

    def _open(self) -> AbstractAsyncContextManager[Pipes]:
        return open_process(self.spec, self._mark) if self.spec.kind == "stdio" else _open_address(self.spec)

    async def _watch(self, session: ClientSession, pipes: Pipes) -> None:
        pace = Pace()
        while True:
            with anyio.move_on_after(HEALTH):
                await _either(pipes.ended, self._list_changed)
            if self._list_changed.is_set():
                with anyio.move_on_after(pace.pause(self._steady())):
                    await pipes.ended.wait()
                pace.note(self._steady())
            if pipes.ended.is_set():
                raise ServerFailed("its process has ended" if pipes.pid else "its connection has ended")
            if self._list_changed.is_set() or self._lists.peek(self._key) is None:
                self._list_changed = anyio.Event()  # what is told while it is read is read as well
                with anyio.fail_after(CONNECT):
                    await self._read_tools(session)
            elif not self.running:
                try:
                    with anyio.fail_after(ANSWERS):
                        await session.send_ping()
                except TimeoutError:
                    raise ServerFailed(f"it did not answer a ping within {ANSWERS:g} s") from None

    def _hide(self, words: str) -> str:
        """The words without secrets of the server's configuration, which a server may repeat in its complaints."""
        if self.spec.url:
            words = words.replace(self.spec.url, self.spec.what)
        for value in (*self.spec.variables.values(), *self.spec.headers.values()):
            if len(value) >= SECRET:
                words = words.replace(value, "***")
        return words

    def _disconnect(self) -> None:
        self._session, self._pipes, self.pid = None, None, 0
        lost, self._lost = self._lost, anyio.Event()
        lost.set()

    async def _hear(self, message: object) -> None:
        """Takes a message that the server sent unasked."""
        if isinstance(message, types.ServerNotification) and isinstance(
            message.root, types.ToolListChangedNotification
        ):
            self._list_changed.set()

    # Its tools

    async def _read_tools(self, session: ClientSession) -> None:
        """Anew, whatever is kept."""
        self._lists.drop(self._key)
        await self._lists.get(self._key, partial(self._list, session))

    async def _list(self, session: ClientSession) -> list[types.Tool]:
        found: list[types.Tool] = []
        cursor = None
        for _ in range(MOST_PAGES):
            page = await session.list_tools(params=types.PaginatedRequestParams(cursor=cursor))
            found += page.tools
            if (cursor := page.nextCursor) is None:
                break
        is_other = self._has_told_none if self.tools is None else _told(found) != _told(self.tools)
        self.tools = found
        self._is_listed.set()
        if is_other:
            self.generation += 1
            self._has_told_none = False
            self._on_tools(self)
        return found

    async def tell_tools(self) -> list[types.Tool]:
        """The tools as last known. Before they are known it waits for the first attempt to start it, `TELLS` at most;
        then there are none, and clients are told later. One that has failed holds up no client."""
        if self.tools is None and not self.note:
            with anyio.move_on_after(TELLS):
                await _either(self._is_listed, self._settled)
        if self.tools is None:
            self._has_told_none = True
            return []
        if (session := self._session) is not None:
            with suppress(Exception), anyio.fail_after(ANSWERS):
                return await self._lists.get(self._key, partial(self._list, session))
        return self.tools

    # Calls

    async def call(self, name: str, arguments: Mapping[str, Any], meta: Mapping[str, str]) -> types.CallToolResult:
        """What the server answers, whole. That it does not is an error result; never raises but for a cancel."""
        self.calls += 1
        what = self.spec.what
        now = self._steady()
        if not self._breaker.admit(now):
            return self._fail(
                f"the MCP server {what} did not answer its last calls; it is tried again in "
                f"{max(1, round(self._breaker.left(now)))} s"
            )
        has_ended = False
        try:
            with anyio.fail_after(self.spec.timeout):
                result = await self._call(name, arguments, meta)
            self._breaker.note_answer()
            has_ended = True
            return result
        except _Unreached as error:
            has_ended = True
            self._breaker.note_failure(self._steady())
            return self._fail(str(error))
        except TimeoutError:
            has_ended = True
            self._breaker.note_failure(self._steady())
            limit = spell_duration(self.spec.timeout)
            return self._fail(f"the MCP server {what} did not answer {name} within {limit}")
        finally:
            if not has_ended:
                self._breaker.note_no_end()

    def _fail(self, words: str) -> types.CallToolResult:
        self.errors += 1
        return as_error(words)

    async def _call(self, name: str, arguments: Mapping[str, Any], meta: Mapping[str, str]) -> types.CallToolResult:
        self.waiting += 1
        try:
            await self._places.acquire_on_behalf_of(holder := object())
        finally:
            self.waiting -= 1
        try:
            if self.state is SharedState.STARTING:
                await self._settled.wait()
            if (session := self._session) is None:
                left = max(1, round(self._retry_at - self._steady()))
                when = f"it is started again in {left} s"
                raise _Unreached(f"the MCP server {self.spec.what} is not there: {self.note}; {when}")
            self.running += 1
            try:
                return await self._ask(session, name, arguments, meta)
            finally:
                self.running -= 1
        finally:
            self._places.release_on_behalf_of(holder)

    async def _ask(
        self, session: ClientSession, name: str, arguments: Mapping[str, Any], meta: Mapping[str, str]
    ) -> types.CallToolResult:
        parameters = types.CallToolRequestParams.model_validate(
            {"name": name, "arguments": dict(arguments), "_meta": dict(meta)}
        )
        request = types.ClientRequest(types.CallToolRequest(params=parameters))
        numbers: list[int] = []

        async def send() -> types.CallToolResult:
            # The one that this request is sent with: another call may be sent before this task runs first.
            numbers.append(session._request_id)
            return await session.send_request(request, types.CallToolResult)

        asked = asyncio.create_task(send())
        lost = asyncio.create_task(self._lost.wait())
        try:
            await asyncio.wait({asked, lost}, return_when=asyncio.FIRST_COMPLETED)
            if asked.done():
                return asked.result()
        except McpError as error:
            if error.error.code == SESSION_UNKNOWN and self.spec.kind == "http" and self._pipes is not None:
                self._pipes.ended.set()  # it was started anew, and knows nothing of this connection
            elif error.error.code != CONNECTION_CLOSED:
                return as_error(f"{name}: {one_line(clean(error.error.message), 500)}")
        except (anyio.ClosedResourceError, anyio.BrokenResourceError, anyio.EndOfStream):
            pass
        except ValidationError:
            # Without its words, which may be what was said: they would stand in the log.
            return self._fail(f"{name}: the MCP server {self.spec.what} gave an answer that is no result of MCP")
        except asyncio.CancelledError:
            for number in numbers:
                await _tell_cancelled(session, number)
            raise
        finally:
            asked.cancel()
            lost.cancel()
        raise _Unreached(
            f"the MCP server {self.spec.what} ended during {name}: whether it was carried out is not known"
        )


class _Unreached(Exception):
    """The server was not asked, or has not answered."""


@asynccontextmanager
async def _open_address(spec: SharedSpec) -> AsyncIterator[Pipes]:
    async with (
        create_mcp_http_client(headers=dict(spec.headers)) as client,
        streamable_http_client(spec.url, http_client=client) as (read, write, _),
    ):
        yield Pipes(read, write)


async def _or_ended(work: Callable[[], Any], pipes: Pipes) -> None:
    """Raises `ServerFailed` when the server ends meanwhile."""
    async with anyio.create_task_group() as group:
        group.start_soon(_cancel_when, pipes.ended, group.cancel_scope)
        await work()
        group.cancel_scope.cancel()
        return
    raise ServerFailed("its process ended before it had said that it speaks MCP")


async def _cancel_when(event: anyio.Event, scope: anyio.CancelScope) -> None:
    await event.wait()
    scope.cancel()


async def _either(*events: anyio.Event) -> None:
    async with anyio.create_task_group() as group:
        for event in events:
            group.start_soon(_cancel_when, event, group.cancel_scope)


async def _tell_cancelled(session: ClientSession, number: int) -> None:
    parameters = types.CancelledNotificationParams(requestId=number, reason="its turn was stopped")
    notification = types.ClientNotification(types.CancelledNotification(params=parameters))
    with anyio.CancelScope(shield=True), anyio.move_on_after(1.0), suppress(Exception):
        await session.send_notification(notification)


def _told(tools: list[types.Tool]) -> list[dict[str, Any]]:
    return [tool.model_dump(mode="json", by_alias=True) for tool in tools]


def _reason(error: BaseException) -> str:
    """The innermost error of nested groups, on one line."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, ServerFailed):
        return str(error)
    if isinstance(error, TimeoutError):
        return f"it was not ready within {CONNECT:g} s"
    if isinstance(error, httpx.HTTPStatusError):
        return f"it answered with status {error.response.status_code}"
    if isinstance(error, httpx.TransportError):
        return "it cannot be reached"
    if isinstance(error, anyio.ClosedResourceError | anyio.BrokenResourceError | anyio.EndOfStream):
        return "its connection has ended"
    return say(error)
