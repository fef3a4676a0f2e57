"""A real browser at the door: `fetch` that reads a stream, `EventSource` that comes back, and pages that may not.

`EventSource` cannot send a token. As in any web app, the page's own server passes the events on and adds it.
"""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response, StreamingResponse
from starlette.routing import Route

from supervisor.gateway.tokens import Role
from supervisor.quiet_server import QuietServer
from supervisor.testing import FakeWorld, hold
from tests.gateway.browser import CHROMIUM, REBOUND, chromium
from tests.gateway.conftest import Open
from tests.waiting import until

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM, reason="a browser at the door is not tried: no chromium is installed"),
]

CHAT = """async (url, token) => {
    const head = {"Authorization": "Bearer " + token, "Content-Type": "application/json"};
    const body = JSON.stringify({agentId: "desk", message: "hello"});
    const answer = await fetch(url + "/chat", {method: "POST", headers: head, body: body});
    window.turn = answer.headers.get("X-Turn-Id");
    window.told = "";
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    (async () => { for (;;) { const {done, value} = await reader.read(); if (done) break; window.told += value; } })();
    return answer.status;
}"""
FOLLOW = """async (turn) => {
    const source = window.source = new EventSource("/events/" + turn);
    window.events = [];
    for (const name of ["queued", "started", "text", "tool", "done", "failed"])
        source.addEventListener(name, (event) => window.events.push([name, JSON.parse(event.data), event.lastEventId]));
}"""
TRY = """async (url, token, mode) => {
    const head = token ? {"Authorization": "Bearer " + token, "Content-Type": "application/json"} : {};
    const body = JSON.stringify({userId: "ana", agentId: "desk", message: "hello"});
    try { return (await fetch(url + "/turns", {method: "POST", headers: head, body: body, mode: mode})).status; }
    catch (error) { return error.name; }
}"""


@asynccontextmanager
async def a_web_app(listener: socket.socket, door: list[httpx.AsyncClient], seen: list[str]) -> AsyncIterator[None]:
    """A page and, on its own origin, the events of a turn. `seen` are the ids from which readers have come back."""

    async def page(request: Request) -> Response:
        return HTMLResponse("<!doctype html><title>a page</title>")

    async def events(request: Request) -> Response:
        last = request.headers.get("last-event-id", "")
        seen.append(last)
        head = {"Last-Event-ID": last} if last else {}
        asked = door[0].build_request("GET", f"/turns/{request.path_params['turn']}/events", headers=head)
        answer = await door[0].send(asked, stream=True)

        async def pass_on() -> AsyncIterator[bytes]:
            yield b"retry: 50\n\n"
            try:
                async for part in answer.aiter_raw():
                    yield part
            except httpx.TransportError:
                pass
            finally:
                await answer.aclose()

        if answer.status_code != 200:
            await answer.aclose()
            return Response(status_code=answer.status_code)
        return StreamingResponse(pass_on(), media_type="text/event-stream")

    server = QuietServer(Starlette(routes=[Route("/", page), Route("/events/{turn}", events)]))
    server.config.load()
    async with anyio.create_task_group() as group:
        group.start_soon(server.serve, [listener])
        yield
        server.should_exit = True


async def test_a_browser_streams_comes_back_and_is_kept_out(bullpen: Open, world: FakeWorld, tmp_path: Path) -> None:
    """A page of an allowed origin reads a reply as it is written; one of another origin, or under another name of this
    host, gets nothing and changes nothing."""
    world.on_prompt = hold
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    own, foreign = f"http://127.0.0.1:{port}", f"http://localhost:{port}"
    door: list[httpx.AsyncClient] = []
    seen: list[str] = []
    async with (
        bullpen(origins=(own,)) as home,
        a_web_app(listener, door, seen),
        chromium(tmp_path / "profile") as browser,
    ):
        door.append(await home.caller(Role.DELEGATE))
        _, token = home.door.tokens.add(Role.USER, user="ana")
        page = await browser.open(f"{own}/")

        assert await page.run(CHAT, home.door.url, token) == 200
        turn = await page.run("async () => window.turn")
        await page.run(FOLLOW, turn)
        await until(lambda: bool(world.live) and bool(world.live[-1].prompts), within=20)
        world.live[-1].say("Hel")
        await page.until("""window.told.includes('"text":"Hel"')""")
        await page.until("window.events.some(([name]) => name == 'text')")
        home.door.hang_up()
        world.live[-1].say("lo")
        world.live[-1].reply(".")
        await page.until("window.source.readyState == EventSource.CLOSED")  # it was told that all was told
        events = await page.run("async () => window.events")
        assert "".join(data["text"] for name, data, _ in events if name == "text") == "Hello."
        assert [name for name, _, _ in events if name not in ("text", "queued")] == ["started", "done"]
        assert seen[0] == ""
        assert seen[-1] == "end"
        assert len(seen) == 3, "it came back once in the middle, and once at the end"

        sessions = len((await home.supervisor.snapshot()).sessions)
        stranger = await browser.open(f"{foreign}/")
        for mode, given in (("cors", token), ("cors", ""), ("no-cors", "")):
            assert await stranger.run(TRY, home.door.url, given, mode) in ("TypeError", 0), mode
        rebound = home.door.url.replace("127.0.0.1", REBOUND)
        inside = await browser.open(f"{rebound}/healthz")
        assert await inside.run(TRY, rebound, token, "cors") == 403
        turns = (await home.supervisor.snapshot()).sessions
        assert (len(turns), turns[0].turns, len(turns[0].waiting)) == (sessions, 1, 0), "none of them has sent a prompt"
