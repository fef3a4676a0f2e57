"""Requests that name no agent: chosen by what they say, of those that the token may reach."""

from __future__ import annotations

import json

import httpx
import pytest

from supervisor.api.prompts import Prompt
from supervisor.config.templates import Template
from supervisor.gateway.tokens import Role
from tests.gateway.conftest import MakeTemplate, Open
from tests.gateway.test_commands import far
from tests.gateway.test_prompts import chat
from tui.cli import ask
from tui.cli.routing import show_route_there

pytestmark = pytest.mark.anyio

VPN = {"userId": "ana", "message": "My VPN is down"}


@pytest.fixture
def both(make_template: MakeTemplate) -> tuple[Template, Template]:
    pool = {"pool": {"spares": 0}}
    return make_template("desk", triggers=["vpn"], **pool), make_template("clerk", triggers=["todo"], **pool)


async def test_the_first_event_tells_the_choice_its_score_and_its_reason(
    bullpen: Open, both: tuple[Template, Template]
) -> None:
    """S4.route"""
    async with bullpen(*both) as home:
        client = await home.operator()
        for body in (VPN, VPN | {"agentId": "auto"}):
            first = (await chat(client, body))[0]
            assert (first.name, first.data["agentId"]) == ("queued", "desk")
            assert first.data["route"] == {
                "agentId": "desk",
                "score": pytest.approx(3.0),
                "reason": "its triggers name “vpn”",
            }
        turn = (await client.post("/turns", json=VPN)).json()
        assert turn["route"]["agentId"] == turn["agentId"] == "desk"
        named = (await client.post("/turns", json=VPN | {"agentId": "desk"})).json()
        assert "route" not in named
        told = (await client.get("/route", params={"text": "put it on the todo list"})).json()
        assert told["agent"] == "clerk"
        long = (await client.post("/route", json={"text": "vpn " + "x" * 500_000})).json()
        assert long["agent"] == "desk"


async def test_what_matches_none_is_refused_in_the_form_of_each_api(
    bullpen: Open, both: tuple[Template, Template]
) -> None:
    async with bullpen(*both) as home:
        client = await home.operator()
        for answer in (
            await client.post("/turns", json=VPN | {"message": "hello"}),
            await client.get("/route", params={"text": "hello"}),
        ):
            assert (answer.status_code, answer.json()["type"]) == (422, "urn:bullpen:no-agent-matches")
            assert "clerk, desk" in answer.json()["detail"]
        told = await complete(client, "hello")
        assert (told.status_code, told.json()["error"]["code"]) == (422, "no-agent-matches")


async def complete(client: httpx.AsyncClient, text: str, *history: str, model: str = "auto") -> httpx.Response:
    said = [{"role": ("user", "assistant")[at % 2], "content": one} for at, one in enumerate((*history, text))]
    body = {"model": model, "messages": said, "user": "ana"}
    return await client.post("/v1/chat/completions", json=body)


async def test_openais_auto_stays_with_the_agent_of_the_conversation(
    bullpen: Open, both: tuple[Template, Template]
) -> None:
    """S4.route"""
    async with bullpen(*both) as home:
        client = await home.operator()
        first = await complete(client, "my vpn is down")
        assert first.json()["model"] == "desk"
        answer = first.json()["choices"][0]["message"]["content"]
        second = await complete(client, "put it on the todo list", "my vpn is down", answer)
        assert second.json()["model"] == "desk", "the history is a session of that agent"
        assert second.headers["x-session-id"] == first.headers["x-session-id"]
        client.headers["x-session-id"] = "named"
        assert (await complete(client, "todo")).json()["model"] == "clerk"
        assert (await complete(client, "vpn", "todo", "You said: todo")).json()["model"] == "clerk"
        models = (await client.get("/v1/models")).json()["data"]
        assert {one["id"] for one in models} == {"desk", "clerk", "auto"}


async def test_a_token_for_one_agent_is_routed_to_it_and_learns_of_no_other(
    bullpen: Open, both: tuple[Template, Template]
) -> None:
    """S4.route, S3.17"""
    async with bullpen(*both) as home:
        client = await home.caller(user="ana", agent="clerk")
        answers = [
            await client.post("/turns", json={"message": "My VPN is down"}),
            await client.post("/turns", json={"message": "My VPN is down", "agentId": "auto"}),
            await client.post("/prompts", json={"agent": "auto", "text": "vpn", "user": "ana"}),
            await client.get("/route", params={"text": "vpn"}),
            await client.get("/v1/models"),
            await complete(client, "vpn"),
            await client.post("/route", json={"text": "vpn", "agents": ["desk"]}),
        ]
        assert [one.status_code for one in answers] == [202, 202, 202, 200, 200, 200, 403]
        for answer in answers[:-1]:
            assert "desk" not in answer.text
            assert "clerk" in answer.text
        free = await home.caller(user="ana")
        assert (await free.get("/route", params={"text": "vpn"})).json()["agent"] == "desk"
        only = await home.caller(Role.READ_ONLY)
        assert (await only.get("/route", params={"text": "vpn"})).json()["agent"] == "desk"


async def test_the_command_line_tells_the_agent_first_and_then_why(
    bullpen: Open, both: tuple[Template, Template], capsys: pytest.CaptureFixture[str]
) -> None:
    """S4.route"""
    async with bullpen(*both) as home, far(home) as engine:
        await show_route_there("vpn or todo, the vpn", False, engine)
        lines = capsys.readouterr().out.splitlines()
        assert lines == ["clerk", "  score 3.00: its triggers name “todo” (as well as desk: the first by name)",
                         "not desk", "  score 3.00: its triggers name “vpn”"]  # fmt: skip
        await show_route_there("vpn", True, engine)
        assert json.loads(capsys.readouterr().out)["agent"] == "desk"
        assert await ask.ask_there(Prompt("auto", "the vpn", user="ana"), engine) == 0
        told = capsys.readouterr()
        assert told.out == "You said: the vpn\n"
        assert "to desk: its triggers name “vpn”" in told.err
