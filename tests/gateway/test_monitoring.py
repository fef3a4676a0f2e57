"""How the bullpen is, as monitors ask for it (S5.27–32)."""

from __future__ import annotations

import inspect
import time

import anyio.lowlevel
import pytest
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from prometheus_client.parser import text_string_to_metric_families

from supervisor.api.keys import SessionKey
from supervisor.api.snapshot import SessionRow, Snapshot
from supervisor.engine.view import View
from supervisor.gateway import callers, contract, monitoring, openai, operators
from supervisor.gateway.mirror import PAUSE
from supervisor.testing import FakeWorld, hold
from tests.gateway.conftest import MakeTemplate, Open
from tests.waiting import until

pytestmark = pytest.mark.anyio

HELLO = {"userId": "ana", "agentId": "desk", "message": "hello"}


async def test_active_and_idle_are_all_there_are_and_an_idle_bullpen_is_healthy(
    bullpen: Open, world: FakeWorld
) -> None:
    """S5.27, S5.30"""
    async with bullpen() as home:
        client = await home.operator()
        stats = (await client.get("/agent-stats")).json()
        assert (stats["total_agents"], stats["active_agents"], stats["idle_agents"]) == (0, 0, 0)
        assert (stats["max_agents"], stats["agent_ttl"]) == (100, 3600)
        assert (await client.get("/agent-health")).json() == {"status": "healthy", "troubles": []}
        await client.post("/chat", json=HELLO, headers={"Accept": "application/json"})
        world.on_prompt = hold
        await client.post("/turns", json=HELLO | {"userId": "ben"})
        await until(lambda: len(world.live) == 2 and bool(world.live[-1].prompts))
        stats = (await client.get("/agent-stats")).json()
        assert (stats["total_agents"], stats["active_agents"], stats["idle_agents"]) == (2, 1, 1)
        assert stats["sessions"] == 2


async def test_a_session_is_removed_by_hand_but_never_a_busy_one(bullpen: Open, world: FakeWorld) -> None:
    """S5.28–29, S5.31, S5.17–23"""
    async with bullpen() as home:
        client = await home.operator()
        await client.post("/chat", json=HELLO, headers={"Accept": "application/json"})
        (row,) = (await client.get("/agent-sessions")).json()
        assert (row["session_id"], row["state"], row["turns"]) == ("desk/ana/default", "idle", 1)
        path = f"/agent-sessions/{row['session_id']}"
        assert (await client.delete(path)).json()["removed"] is True
        await until(lambda: not world.live)
        assert (await client.delete(path)).status_code == 200, "it is removed already"
        assert (await client.delete("/agent-sessions/desk/nobody/x")).status_code == 404
        assert (await client.delete("/agent-sessions/nonsense")).status_code == 404
        world.on_prompt = hold
        await client.post("/turns", json=HELLO)
        await until(lambda: bool(world.live) and bool(world.live[-1].prompts))
        busy = await client.delete(path)
        assert (busy.status_code, busy.headers["content-type"]) == (409, "application/problem+json")
        assert (await client.post("/agent-cleanup")).json() == {"cleaned": 0}
        world.live[-1].reply("Done.")
        await until(lambda: home.supervisor.view.snapshot().sessions[0].state == "idle")
        assert (await client.post("/agent-cleanup")).json() == {"cleaned": 1}


async def test_metrics_count_what_happened_and_name_no_user_and_no_session(bullpen: Open) -> None:
    async with bullpen() as home:
        client = await home.operator()
        for user in ("ana", "ben"):
            await client.post("/chat", json=HELLO | {"userId": user}, headers={"Accept": "application/json"})
        text = (await client.get("/metrics")).text
        families = {one.name: one for one in text_string_to_metric_families(text)}
        turns = [one for one in families["bullpen_turns"].samples if one.name.endswith("_total")]
        assert [(one.labels, one.value) for one in turns] == [({"instance": "desk", "outcome": "done"}, 2.0)]
        firsts = [one.value for one in families["bullpen_first_token_seconds"].samples if one.name.endswith("_count")]
        assert (firsts, families["bullpen_first_token_seconds"].type) == ([2.0], "histogram")
        assert families["bullpen_evictions"].type == "counter"
        assert "_created" not in text
        labels = {name for one in families.values() for sample in one.samples for name in sample.labels}
        assert labels <= {"instance", "outcome", "how", "kind", "state", "le", "version", "cache", "what"}
        assert "ana" not in text
        for name in ("wait_seconds", "client_start_seconds", "tokens", "cost_dollars", "event_loop_lag_seconds"):
            assert f"bullpen_{name}" in families, name


async def test_whether_it_lives_and_takes_prompts_is_told_without_a_token(
    bullpen: Open, make_template: MakeTemplate
) -> None:
    async with bullpen(make_template()) as home:
        stranger = await home.stranger()
        assert (await stranger.get("/healthz")).json() == {"status": "ok"}
        assert (await stranger.get("/readyz")).status_code == 200
        await (await home.operator()).post("/instances/desk/kill")
        answer = await stranger.get("/readyz")
        assert (answer.status_code, answer.json()) == (503, {"status": "not ready"}), "no word of why"


async def test_what_happens_faster_than_it_is_looked_at_costs_the_engine_no_row_more(
    bullpen: Open, world: FakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The door's reader has rows built for a pause and not for a change, and is current when it is asked."""
    world.on_prompt = hold
    async with bullpen() as home:
        client = await home.operator()
        turn = (await client.post("/turns", json=HELLO)).json()["id"]
        await until(lambda: bool(world.live) and bool(world.live[-1].prompts))
        built = 0
        make = View.session_row

        def count(view: View, key: SessionKey) -> SessionRow | None:
            nonlocal built
            built += 1
            return make(view, key)

        monkeypatch.setattr(View, "session_row", count)
        began = time.monotonic()
        for number in range(300):
            world.live[-1].say(f"{number} ")
            await anyio.lowlevel.checkpoint()
        world.live[-1].reply("Done.")
        await (await home.supervisor.ticket(turn)).outcome()
        (row,) = (await client.get("/agent-sessions")).json()
        assert row["turns"] == 1, "as it is now"
        assert 0 < built <= 3 + (time.monotonic() - began) / PAUSE, "of one session"


def test_no_request_is_sent_to_a_thread() -> None:
    """That costs more than all that is done there."""

    def calls(dependant: Dependant) -> list[object]:
        return [dependant.call, *(call for one in dependant.dependencies for call in calls(one))]

    rooms = (callers, contract, monitoring, openai, operators)
    routes = [route for room in rooms for route in room.router.routes if isinstance(route, APIRoute)]
    assert len(routes) > 40
    for route in routes:
        for call in calls(route.dependant):
            assert inspect.iscoroutinefunction(call), (route.path, call)


async def test_no_probe_and_no_count_has_the_rows_of_all_sessions_built(
    bullpen: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are asked for all the time, one of them by strangers, and sessions may be many thousands."""
    async with bullpen() as home:
        operator, stranger = await home.operator(), await home.stranger()
        await operator.post("/chat", json=HELLO, headers={"Accept": "application/json"})

        def refuse() -> Snapshot:
            raise AssertionError("it looks at every session")

        monkeypatch.setattr(home.supervisor.view, "snapshot", refuse)
        assert (await stranger.get("/readyz")).status_code == 200
        for path in (
            "/metrics", "/agent-stats", "/agent-health", "/agent-sessions", "/sessions", "/questions", "/instances",
            "/clients", "/offers", "/v1/models",
        ):  # fmt: skip
            assert (await operator.get(path)).status_code == 200, path
        body = {"userId": "ana", "message": "to the only agent"}
        assert (await operator.post("/turns", json=body)).status_code == 202
        assert (await operator.post("/agent-cleanup")).status_code == 200
