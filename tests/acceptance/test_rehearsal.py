"""The embedded Messages endpoint: its shapes over plain HTTP, and the real CLI on it."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import httpx
import pytest

from supervisor.rehearsal import Cut, Refuse, Rehearsal, Stall
from tui.cli.command_modules import COMMAND_MODULES

pytestmark = pytest.mark.anyio

PROMPT_LIMIT = 10.0
"""Seconds any single exchange may take before the test fails."""


def _body(*prompts: str, stream: bool = True, **more: Any) -> dict[str, Any]:
    messages: list[dict[str, Any]] = []
    for prompt in prompts:
        messages += [{"role": "user", "content": prompt}, {"role": "assistant", "content": "ok"}]
    return {"model": "claude-x", "max_tokens": 100, "messages": messages[:-1], "stream": stream, **more}


def _events(text: str) -> list[dict[str, Any]]:
    return [json.loads(line.removeprefix("data: ")) for line in text.splitlines() if line.startswith("data: ")]


@pytest.fixture
async def rehearsal() -> AsyncIterator[Rehearsal]:
    async with Rehearsal(pace=0.01) as running:
        yield running


@pytest.fixture
async def http(rehearsal: Rehearsal) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=rehearsal.url, timeout=PROMPT_LIMIT, trust_env=False) as client:
        yield client


async def test_a_streamed_message_has_the_events_of_the_api(http: httpx.AsyncClient) -> None:
    tools = [{"name": "Bash", "input_schema": {}}]
    prompt = '[[say: a b c d e]] [[tool: Bash {"command": "echo hi"}]]'
    response = await http.post("/v1/messages?beta=true", json=_body(prompt, tools=tools))
    events = _events(response.text)
    kinds = [event["type"] for event in events]

    assert response.headers["content-type"].startswith("text/event-stream")
    assert kinds[:3] == ["message_start", "ping", "content_block_start"]
    assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    assert kinds.count("content_block_start") == kinds.count("content_block_stop") == 2
    deltas = [event["delta"] for event in events if event["type"] == "content_block_delta"]
    assert "".join(delta.get("text", "") for delta in deltas) == "a b c d e"
    assert json.loads("".join(delta.get("partial_json", "") for delta in deltas)) == {"command": "echo hi"}
    assert [event["index"] for event in events if event["type"] == "content_block_start"] == [0, 1]
    assert events[-2]["delta"]["stop_reason"] == "tool_use"
    assert events[-2]["usage"]["output_tokens"] > 0
    assert events[0]["message"]["usage"]["input_tokens"] > 0


async def test_a_message_that_is_not_streamed_is_the_same_message(http: httpx.AsyncClient) -> None:
    message = (await http.post("/v1/messages", json=_body("[[say: a b c]]", stream=False))).json()

    assert message["content"] == [{"type": "text", "text": "a b c"}]
    assert (message["type"], message["role"], message["stop_reason"]) == ("message", "assistant", "end_turn")


async def test_the_other_routes_answer(http: httpx.AsyncClient) -> None:
    counted = await http.post("/v1/messages/count_tokens", json=_body("x" * 400))
    models = await http.get("/v1/models")

    assert counted.json()["input_tokens"] >= 100
    assert models.json()["data"][0]["type"] == "model"
    assert (await http.head("/")).status_code == (await http.get("/")).status_code == 200


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b'{"messages": []}', b'{"messages": [3]}', b"\xff"])
async def test_a_bad_request_is_told_so(http: httpx.AsyncClient, rehearsal: Rehearsal, content: bytes) -> None:
    response = await http.post("/v1/messages", content=content)

    assert response.status_code == 400
    assert response.json()["error"]["type"] == "invalid_request_error"
    assert (await http.get("/v1/nowhere")).json()["error"]["type"] == "not_found_error"
    assert rehearsal.record == []


async def test_the_record_keeps_the_last_requests_with_all_their_text(http: httpx.AsyncClient) -> None:
    async with Rehearsal(pace=0.0, keep=2) as small:
        for text in ("one", "two", "three"):
            await http.post(f"{small.url}/v1/messages", json=_body(f"[[say: ok]] {text}", system="be kind"))

        assert ["three" in request.text for request in small.record] == [False, True]
        assert all("be kind" in request.text for request in small.record)
        assert small.record[-1].model == "claude-x"


async def test_a_retry_is_known_as_one_without_any_record(http: httpx.AsyncClient) -> None:
    async with Rehearsal(pace=0.0, keep=0) as forgetful:
        tries = [
            await http.post(f"{forgetful.url}/v1/messages", json=_body("[[error: 529, 2]] [[say: at last]]"))
            for _ in range(3)
        ]
        assert [reply.status_code for reply in tries] == [529, 529, 200]
        assert forgetful.record == []


async def test_no_part_of_an_answer_waits_for_a_client_that_came_before_there_was_a_server() -> None:
    """The kernel takes connections first; those as well send each part at once."""
    async with Rehearsal(pace=0.0) as early:
        port = int(early.url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=PROMPT_LIMIT) as client:
            assert early._server is None, "it would have come too late"
            client.sendall(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n")
            assert await anyio.to_thread.run_sync(client.recv, 12) == b"HTTP/1.1 200"
            assert early._server is not None
            (connection,) = early._server.server_state.connections
            own = connection.transport.get_extra_info("socket")  # type: ignore[union-attr]
            assert own.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


async def test_faults_meet_the_next_requests_and_then_no_more(http: httpx.AsyncClient, rehearsal: Rehearsal) -> None:
    rehearsal.fail_next(Refuse(429, retry_after=7), containing="unlucky")
    rehearsal.fail_next(Refuse(401), times=1, containing="stranger")

    lucky = await http.post("/v1/messages", json=_body("[[say: ok]]"))
    unlucky = await http.post("/v1/messages", json=_body("[[say: ok]] unlucky"))
    again = await http.post("/v1/messages", json=_body("[[say: ok]] unlucky"))
    with rehearsal.outage(Refuse(529)):
        overloaded = [(await http.post("/v1/messages", json=_body("x"))).status_code for _ in range(2)]
    after = await http.post("/v1/messages", json=_body("[[say: ok]]"))

    assert [response.status_code for response in (lucky, unlucky, again, after)] == [200, 429, 200, 200]
    assert unlucky.headers["retry-after"] == "7"
    assert unlucky.json()["error"]["type"] == "rate_limit_error"
    assert overloaded == [529, 529]


async def test_a_cut_breaks_the_connection_in_the_middle(http: httpx.AsyncClient, rehearsal: Rehearsal) -> None:
    rehearsal.fail_next(Cut())
    with pytest.raises(httpx.RemoteProtocolError):
        await http.post("/v1/messages", json=_body("[[say: ok]]"))

    request = http.build_request("POST", "/v1/messages", json=_body("[[say: before]] [[cut]]"))
    parts = (await http.send(request, stream=True)).aiter_bytes()
    got = b""
    while b"content_block_stop" not in got:
        got += await anext(parts)

    assert b"before" in got
    with pytest.raises(httpx.RemoteProtocolError):
        await anext(parts)


async def test_an_error_after_text_is_an_event_of_the_stream(http: httpx.AsyncClient) -> None:
    events = _events((await http.post("/v1/messages", json=_body("[[say: before]] [[error: 529]]"))).text)

    assert events[-1]["type"] == "error"
    assert events[-1]["error"]["type"] == "overloaded_error"


async def test_leaving_is_prompt_and_leaves_nothing_behind_with_streams_open(caplog: pytest.LogCaptureFixture) -> None:
    """Signals, logging and tasks of the program around it are not touched."""
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    before = asyncio.all_tasks()
    with anyio.fail_after(PROMPT_LIMIT):
        async with httpx.AsyncClient(timeout=PROMPT_LIMIT, trust_env=False) as client:
            async with Rehearsal() as rehearsal:
                rehearsal.fail_next(Stall(), containing="silent")
                assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == handlers
                stalled = client.build_request("POST", f"{rehearsal.url}/v1/messages", json=_body("silent"))
                slow = client.build_request("POST", f"{rehearsal.url}/v1/messages", json=_body("[[slow: 600]]"))
                responses = [await client.send(request, stream=True) for request in (stalled, slow)]
                assert [response.status_code for response in responses] == [200, 200]
            for response in responses:
                with pytest.raises(httpx.RemoteProtocolError):
                    await response.aread()

    assert asyncio.all_tasks() == before
    assert caplog.records == []


async def test_the_real_cli_streams_writes_asks_and_remembers(tmp_path: Path) -> None:
    """D2, S2.10: everything but the words is real."""
    sdk = pytest.importorskip("claude_agent_sdk")
    asked: list[str] = []

    async def allow(tool: str, given: dict[str, Any], context: Any) -> Any:
        asked.append(tool)
        if tool == "AskUserQuestion":
            given = {**given, "answers": {given["questions"][0]["question"]: "blue"}}
        return sdk.PermissionResultAllow(updated_input=given)

    async with Rehearsal(pace=0.01) as rehearsal:
        config = tmp_path / "claude"
        config.mkdir()
        options: dict[str, Any] = {
            "env": rehearsal.environment(config),
            "cwd": str(tmp_path),
            "setting_sources": [],
            "include_partial_messages": True,
            "can_use_tool": allow,
            "stderr": lambda line: None,
            "tools": ["Read", "Write", "AskUserQuestion"],
        }

        async def turn(client: Any, text: str) -> tuple[Any, str]:
            await client.query(text)
            streamed = ""
            async for message in client.receive_response():
                if isinstance(message, sdk.types.StreamEvent):
                    streamed += message.event.get("delta", {}).get("text", "")
            return message, streamed

        with anyio.fail_after(180):
            async with sdk.ClaudeSDKClient(sdk.ClaudeAgentOptions(**options)) as client:
                result, streamed = await turn(client, "[[say: Good morning, dear caller]]")
                assert result.result == streamed == "Good morning, dear caller"
                assert result.total_cost_usd > 0
                note = tmp_path / "note.md"
                given = json.dumps({"file_path": str(note), "content": "kept"})
                result, _ = await turn(client, f"[[tool: Write {given}]] [[say: written]]")
                assert (result.result, note.read_text()) == ("written", "kept")
                result, _ = await turn(client, "[[ask: Which colour? | red | blue]]")
                assert '"Which colour?"="blue"' in result.result
            options["resume"] = result.session_id
            async with sdk.ClaudeSDKClient(sdk.ClaudeAgentOptions(**options)) as client:
                result, _ = await turn(client, "[[recall]]")
                assert "Good morning, dear caller" in result.result
                assert "Which colour?" in result.result

        assert asked == ["Write", "AskUserQuestion"]
        assert {request.credential for request in rehearsal.record} == {"rehearsal-needs-no-key"}
        assert not any(name in request.tools for request in rehearsal.record for name in ("ListAgents", "SendMessage"))


def test_the_first_frame_waits_for_no_import_of_what_is_not_in_it() -> None:
    """Neither for the server, script and callers of a rehearsal, nor for the SDK, conversations, Markdown and TOML."""
    code = (
        "import asyncio, sys, supervisor, tui.app, tui.cli.main, tui.cli.run\n"
        "async def main():\n"
        "    async with supervisor.Rehearsal() as rehearsal:\n"
        "        supervisor.Supervisor((), supervisor.Settings())\n"
        "        print(*sys.modules)\n"
        "asyncio.run(main())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)

    later = {"uvicorn", "starlette", "claude_agent_sdk", "mcp", "markdown_it", "tui.screens.chat", "httpx", "fastapi"}
    later |= {"pygments", "tomllib", "supervisor.remote", "supervisor.gateway"}
    later |= {f"tui.cli.{module}" for module in COMMAND_MODULES}
    later |= {f"supervisor.rehearsal.{name}" for name in ("server", "script", "callers", "colleague")}
    imported = done.stdout.split()
    assert "supervisor.rehearsal.endpoint" in imported
    assert later.isdisjoint(imported)


@pytest.mark.anyio
async def test_an_endpoint_that_no_client_came_to_lets_go_of_its_port() -> None:
    async with Rehearsal() as rehearsal:
        port = int(rehearsal.url.rsplit(":", 1)[1])
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))


@pytest.mark.anyio
async def test_an_endpoint_that_ends_while_its_first_client_waits_for_it_lets_go_of_its_port() -> None:
    async with Rehearsal() as rehearsal:
        port = int(rehearsal.url.rsplit(":", 1)[1])
        with socket.create_connection(("127.0.0.1", port)):
            await anyio.lowlevel.checkpoint()
            await anyio.lowlevel.checkpoint()
            assert rehearsal._serving is not None, "it has noticed"
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port))
