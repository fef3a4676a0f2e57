"""Whatever is called at once, and whatever a shared MCP server does: each call gets its own answer or error."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from hypothesis import given, settings
from hypothesis import strategies as st
from mcp import types
from mcp.shared.message import SessionMessage

from supervisor.config.shared_servers import SharedSpec
from supervisor.tools.cache import Cache
from supervisor.tools.server_process import Pipes
from supervisor.tools.shared_server import SharedServer
from tests.engine.model.virtual_time import VirtualTimeLoop


@dataclass(frozen=True)
class Plan:
    """Of one call."""

    user: str
    does: str
    """What the server does about it: `answer`, `fail`, `refuse`, `nonsense`, `hang`, or `die` with all others."""
    is_stopped: bool
    """Its caller's turn is stopped while it runs."""


PLANS = st.builds(
    Plan,
    user=st.sampled_from(["ana", "ben", "cia"]),
    does=st.sampled_from(["answer", "answer", "fail", "refuse", "nonsense", "hang", "die"]),
    is_stopped=st.booleans(),
)


class Wayward(SharedServer):
    """Spoken to in memory."""

    def __init__(self, plans: list[Plan]) -> None:
        lists: Cache[list[types.Tool]] = Cache("mcp-tools", capacity=9, ttl=300.0)
        spec = SharedSpec("stdio", "wayward", max_calls=3, timeout=0.2)
        super().__init__(spec, "mark", lambda server: None, lists, asyncio.get_running_loop().time)
        self.plans = plans
        self.asked: dict[int, int] = {}
        """Number of a request → that of the call."""
        self.given_up: set[int] = set()
        """Calls that it was told were given up."""

    def _open(self) -> AbstractAsyncContextManager[Pipes]:
        return self._serve()

    @asynccontextmanager
    async def _serve(self) -> AsyncIterator[Pipes]:
        told, read = anyio.create_memory_object_stream[SessionMessage | Exception](99)
        write, heard = anyio.create_memory_object_stream[SessionMessage](99)
        pipes = Pipes(read, write)
        async with anyio.create_task_group() as group:
            group.start_soon(self._answer_all, heard, told, pipes)
            try:
                yield pipes
            finally:
                group.cancel_scope.cancel()
                for stream in (told, read, write, heard):
                    stream.close()

    async def _answer_all(
        self,
        heard: MemoryObjectReceiveStream[SessionMessage],
        told: MemoryObjectSendStream[SessionMessage | Exception],
        pipes: Pipes,
    ) -> None:
        asked: dict[int, int] = {}  # a connection begins to count anew

        def say(**message: Any) -> None:
            told.send_nowait(SessionMessage(types.JSONRPCMessage.model_validate({"jsonrpc": "2.0", **message})))

        async for message in heard:
            root = message.message.root
            if isinstance(root, types.JSONRPCNotification):
                if root.method == "notifications/cancelled" and root.params is not None:
                    self.given_up.add(asked[root.params["requestId"]])
                continue
            assert isinstance(root, types.JSONRPCRequest)
            given = root.params or {}
            match root.method:
                case "initialize":
                    info = {"name": "wayward", "version": "1"}
                    version = given["protocolVersion"]
                    say(id=root.id, result={"protocolVersion": version, "capabilities": {}, "serverInfo": info})
                case "tools/list":
                    say(id=root.id, result={"tools": [{"name": "do", "inputSchema": {"type": "object"}}]})
                case "tools/call":
                    number = given["arguments"]["number"]
                    asked[int(root.id)] = number
                    words = f"{number} {given['_meta']['bullpen/user']}"
                    content = {"content": [{"type": "text", "text": words}]}
                    match self.plans[number].does:
                        case "answer":
                            say(id=root.id, result=content)
                        case "fail":
                            say(id=root.id, result={**content, "isError": True})
                        case "refuse":
                            say(id=root.id, error={"code": -32602, "message": words})
                        case "nonsense":
                            say(id=root.id, result={"content": words})
                        case "die":
                            pipes.ended.set()
                            told.close()
                            return
                case _:
                    say(id=root.id, result={})


@given(st.lists(PLANS, min_size=1, max_size=12))
@settings(max_examples=40, deadline=None)
def test_every_call_gets_its_own_answer_or_its_own_error(plans: list[Plan]) -> None:
    """S4.MCP, S3.6"""
    loop = VirtualTimeLoop()  # so that a busy machine lets no call run into its time-out
    asyncio.set_event_loop(loop)
    try:
        loop.finish(_run(plans), within=60)
    finally:
        loop.finish(loop.shutdown_asyncgens())
        asyncio.set_event_loop(None)
        loop.close()


async def _run(plans: list[Plan]) -> None:
    server = Wayward(plans)
    results: dict[int, types.CallToolResult] = {}
    scopes = [anyio.CancelScope() for _ in plans]

    async def call(number: int) -> None:
        with scopes[number]:
            meta = {"bullpen/user": plans[number].user}
            results[number] = await server.call("do", {"number": number}, meta)

    async with anyio.create_task_group() as group:
        group.start_soon(server.run)
        async with anyio.create_task_group() as calls:
            for number in range(len(plans)):
                calls.start_soon(call, number)
            await anyio.wait_all_tasks_blocked()
            for plan, scope in zip(plans, scopes, strict=True):
                if plan.is_stopped:
                    scope.cancel()
        group.cancel_scope.cancel()
    for number, plan in enumerate(plans):
        result = results.get(number)
        if result is None:
            assert plan.is_stopped, "every other call has come to an end"
            continue
        (block,) = result.content
        assert isinstance(block, types.TextContent)
        own = f"{number} {plan.user}"
        if not result.isError:
            assert (plan.does, block.text) == ("answer", own)
        elif block.text[0].isdigit():
            assert (plan.does, block.text) == ("fail", own), "another call's answer, or another user's"
    silent = {number for number, plan in enumerate(plans) if plan.does == "hang"}
    stopped = {number for number, plan in enumerate(plans) if plan.is_stopped}
    assert server.given_up <= silent | stopped, "nobody has given up any other call"
    assert (server.running, server.waiting, server._places.borrowed_tokens) == (0, 0, 0)
