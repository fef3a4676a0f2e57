"""A day's ceilings over HTTP: how a refusal is told, who may let a turn run beyond one, and what is shown."""

from __future__ import annotations

import json

import pytest

from supervisor.api.outcomes import Done
from supervisor.api.prompts import Prompt
from supervisor.gateway.tokens import Role
from supervisor.testing import FakeConnection, FakeWorld
from tests.gateway.conftest import Open
from tests.gateway.test_commands import far
from tests.waiting import until
from tui.cli import ask, queries

pytestmark = pytest.mark.anyio

HELLO = {"agentId": "desk", "message": "hello"}
OVER = {"user": {"turns_per_day": 1}, "all": {"cost_per_day": 4}}


@pytest.fixture(autouse=True)
def two_dollars(world: FakeWorld) -> None:
    def answer(connection: FakeConnection, text: str) -> None:
        connection.price = 2.0
        connection.reply("ok")

    world.on_prompt = answer


async def test_a_refusal_says_when_the_day_turns_in_the_form_of_each_api(
    bullpen: Open, capsys: pytest.CaptureFixture[str]
) -> None:
    async with bullpen(budgets=OVER) as home, far(home) as engine:
        client = await home.caller(user="ana")
        accepts = {"Accept": "application/json"}
        assert (await client.post("/chat", json=HELLO, headers=accepts)).status_code == 200
        refused = await client.post("/chat", json=HELLO)
        assert (refused.status_code, refused.json()["type"]) == (429, "urn:bullpen:over-budget")
        assert 0 < int(refused.headers["retry-after"]) <= 25 * 3600
        assert refused.headers["x-should-retry"] == "false", "a client that tries again by itself would try all day"
        asked = {"model": "desk", "messages": [{"role": "user", "content": "hello"}]}
        told = await client.post("/v1/chat/completions", json=asked)
        assert (told.status_code, told.json()["error"]["code"]) == (429, "over-budget")
        assert "retry-after" in told.headers
        with pytest.raises(Exception, match="ana reached the turns for today: 1 of 1"):
            await ask.ask_there(Prompt("desk", "hello", user="ana"), engine)
        assert await ask.ask_there(Prompt("desk", "hello", user="ben"), engine) == 0
        other = await (await home.caller(user="zoe")).post("/turns", json=HELLO)
        assert other.status_code == 429
        assert "$" not in other.text, "what all others have spent is not told"
        capsys.readouterr()
        await queries.budgets(engine)
        shown = capsys.readouterr().out
        assert "user ana" in shown
        assert "$4.00 of $4.00" in shown
        await queries.budgets(engine, as_json=True)
        found = json.loads(capsys.readouterr().out)
        assert {one["scope"] for one in found} == {"all", "user"}
        operator = await home.operator()
        assert (await operator.get("/budgets")).json() == found
        assert (await client.get("/budgets")).status_code == 403
        metrics = (await operator.get("/metrics")).text
        assert 'bullpen_budget_share{measure="cost",name="",scope="all"} 1.0' in metrics
        assert "ana" not in metrics


async def test_only_an_operator_lets_a_turn_run_beyond_a_budget(bullpen: Open) -> None:
    """A person who could answer it would have no ceiling."""
    async with bullpen(budgets={"user": {"turns_per_day": 0, "at": "ask"}}) as home:
        client = await home.caller(user="ana")
        turn = (await client.post("/turns", json=HELLO)).json()
        assert turn["state"] == "waiting"
        await until(lambda: bool(home.supervisor.view.open_questions()))
        [question] = home.supervisor.view.open_questions()
        for caller in (client, await home.caller(Role.DELEGATE), await home.caller(Role.READ_ONLY)):
            answer = await caller.post(f"/questions/{question.id}/answer", json={"answer": "allow"})
            assert answer.status_code == 403
        assert (await client.get(f"/turns/{turn['id']}")).json()["why"] == "budget"
        operator = await home.operator()
        answer = await operator.post(f"/questions/{question.id}/answer", json={"answer": "allow"})
        assert answer.status_code == 204
        assert isinstance(await (await home.supervisor.ticket(turn["id"])).outcome(), Done)
