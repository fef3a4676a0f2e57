"""Hooks at the door and on the command line: what is declared, what became of it, a try, and what a gate refuses."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest

from supervisor.api.hook_rows import RunState
from supervisor.api.prompts import Prompt
from supervisor.files.socket_path import SOCKET
from supervisor.gateway.tokens import Role
from supervisor.remote.engine import RemoteEngine
from supervisor.testing import FakeWorld
from tests.gateway.conftest import Open
from tests.waiting import until
from tui.cli import hooks as commands

pytestmark = pytest.mark.anyio

SECRET = "https://hooks.example.org/T000/B000/very-secret"


def shell(script: str) -> dict[str, Any]:
    return {"type": "shell", "command": ["sh", "-c", script]}


HOOKS = [
    {"name": "note", "on": "prompt:after", "actions": [shell("cat >/dev/null; echo noted")]},
    {"name": "far", "on": "session:closed", "actions": [{"type": "http", "url": SECRET, "headers": {"X": "env:NONE"}}]},
    {
        "name": "guard",
        "on": "prompt:before",
        "gate": True,
        "fallback": "allow",
        "actions": [shell("grep -q forbidden && { echo 'not here' >&2; exit 2; }; exit 0")],
    },
]


async def test_hooks_are_listed_and_tried_and_no_secret_is_shown(
    bullpen: Open, world: FakeWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    async with bullpen(hooks=HOOKS) as home, RemoteEngine(socket=home.folder / SOCKET) as engine:
        await (await engine.submit(Prompt("desk", "hello", user="ana"))).outcome()
        await until(lambda: home.supervisor.automation.log.tally("note").fired)
        await until(lambda: not len(home.supervisor.automation.runner))
        rows = await engine.hooks()
        assert [(row.name, row.fired) for row in rows] == [("note", 1), ("far", 0), ("guard", 1)]
        runs = await engine.hook_runs()
        assert [(run.hook, run.state, run.detail) for run in runs] == [
            ("note", RunState.DONE, "noted"),
            ("guard", RunState.DONE, "allowed"),
        ]
        for code, event in ((0, "prompt:after"), (1, "session:closed")):
            assert await commands.try_event(engine, event) == code
        await commands.list_hooks(engine)
        await commands.recent(engine)
        await commands.list_hooks(engine, as_json=True)
        told = capsys.readouterr().out
        assert "names the variable NONE, which is not set" in told
        assert "very-secret" not in told + repr(rows)
        assert [row["name"] for row in json.loads(told.splitlines()[-1])] == ["note", "far", "guard"]
        operator, reader = await home.operator(), await home.caller(Role.READ_ONLY)
        assert (await operator.post("/hooks/test/prompt:aftr")).status_code == 404
        assert (await operator.post("/hooks/test/session:opened")).status_code == 409
        assert (await reader.get("/hooks")).status_code == 200
        assert (await reader.post("/hooks/test/prompt:after")).status_code == 403
        assert (await (await home.caller(user="ana")).get("/hooks/runs")).status_code == 403


async def test_what_a_gate_refuses_is_a_problem_of_its_own_at_every_door(bullpen: Open, world: FakeWorld) -> None:
    async with bullpen(hooks=HOOKS) as home:
        caller = await home.caller(user="ana")
        refused = await caller.post("/turns", json={"agentId": "desk", "message": "something forbidden"})
        assert (refused.status_code, refused.headers["x-should-retry"]) == (403, "false")
        told = refused.json()
        assert (told["type"], told["detail"]) == ("urn:bullpen:gate-refused", "not here")
        assert told["fields"] == {"gate": "guard"}
        _, token = home.door.tokens.add(Role.USER, user="ana")
        async with openai.AsyncOpenAI(base_url=f"{home.door.url}/v1", api_key=token) as client:
            with pytest.raises(openai.PermissionDeniedError) as raised:
                await client.chat.completions.create(
                    model="desk", messages=[{"role": "user", "content": "forbidden as well"}]
                )
        assert raised.value.code == "gate-refused"
        assert not world.connections
        assert (await caller.post("/turns", json={"agentId": "desk", "message": "hello"})).status_code == 202


async def test_what_a_hook_has_called_counts_as_deep_when_it_prompts_in_turn(bullpen: Open) -> None:
    async with bullpen() as home:
        caller = await home.caller(user="ana")
        body = {"agentId": "desk", "message": "hello"}
        turn = (await caller.post("/turns", json=body, headers={"X-Bullpen-Depth": "3"})).json()["id"]
        assert (await home.supervisor.turn(turn)).prompt.depth == 3
        for wrong in ("9", "-1", "two"):
            answer = await caller.post("/turns", json=body, headers={"X-Bullpen-Depth": wrong})
            assert answer.status_code == 422
