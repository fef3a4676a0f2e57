"""What operators see and do over HTTP: each route does what its verb does."""

from __future__ import annotations

import anyio
import pytest

from supervisor.api.changes import Changes
from supervisor.api.codec import unpack
from supervisor.api.entries import Reading
from supervisor.api.snapshot import Snapshot
from supervisor.testing import FakeWorld, hold
from tests.gateway.conftest import Open, read_events
from tests.waiting import until

pytestmark = pytest.mark.anyio

HELLO = {"userId": "ana", "agentId": "desk", "message": "hello"}
ANA = "/sessions/desk/ana/default"


async def test_the_snapshot_and_the_feed_are_the_contracts_own(bullpen: Open) -> None:
    """D6, R4"""
    async with bullpen() as home:
        client = await home.operator()
        snapshot: Snapshot = unpack(Snapshot, (await client.get("/snapshot")).text)
        assert [row.name for row in snapshot.instances] == ["desk"]
        async with client.stream("GET", "/feed") as stream:
            events = read_events(stream)
            import json

            first: Changes = unpack(Changes, json.dumps((await anext(events)).data))
            assert first.snapshot is not None
            await client.post("/instances/desk/pause")
            with anyio.fail_after(5):
                while True:
                    changes: Changes = unpack(Changes, json.dumps((await anext(events)).data))
                    if any(row.state == "paused" for row in changes.instances):
                        break


async def test_a_conversation_goes_on_from_its_cursor(bullpen: Open, world: FakeWorld) -> None:
    import json

    async with bullpen() as home:
        client = await home.operator()
        await client.post("/chat", json=HELLO, headers={"Accept": "application/json"})
        async with client.stream("GET", f"{ANA}/conversation") as stream:
            told = await anext(read_events(stream))
        reading: Reading = unpack(Reading, json.dumps(told.data))
        assert reading.entries[-1].outcome.text == "You said: hello"  # type: ignore[attr-defined]
        async with client.stream("GET", f"{ANA}/conversation", headers={"Last-Event-ID": told.id}) as stream:
            events = read_events(stream)
            assert unpack(Reading, json.dumps((await anext(events)).data)).entries == ()
            await client.post("/turns", json=HELLO)
            assert unpack(Reading, json.dumps((await anext(events)).data)).entries != ()
        of_another = {"Last-Event-ID": f"{told.id.rpartition('.')[0]}.another"}
        async with client.stream("GET", f"{ANA}/conversation", headers=of_another) as stream:
            told_anew = await anext(read_events(stream))
        assert unpack(Reading, json.dumps(told_anew.data)).entries[:3] == reading.entries[:3], "from the beginning"
        assert told_anew.id.rpartition(".")[2] == told.id.rpartition(".")[2]
        assert (await client.get("/sessions/desk/nobody/x/conversation")).status_code == 404


async def test_each_verb_does_what_it_says_and_is_recorded(bullpen: Open, world: FakeWorld) -> None:
    """D3: four different stops, never confused."""
    async with bullpen() as home:
        client = await home.operator()
        for verb, state in (("pause", "paused"), ("resume", "running")):
            assert (await client.post(f"/instances/desk/{verb}")).status_code == 204
            assert (await client.get("/instances")).json()[0]["state"] == state
        assert (await client.post("/instances/desk/scale", json={"maxSessions": 3})).status_code == 204
        assert (await client.post("/instances/desk/scale", json={"max_sessions": 0})).status_code == 409
        assert (await client.put("/limits/maxWait", json={"value": "5s", "instance": "desk"})).status_code == 204
        assert (await client.get("/limits", params={"instance": "desk"})).json()["queue.maxWait"] == "5s"
        wrong = await client.put("/limits/maxWiat", json={"value": "5s", "instance": "desk"})
        assert (wrong.status_code, "did you mean" in wrong.json()["detail"]) == (409, True)

        world.on_prompt = hold
        for _ in range(2):
            await client.post("/turns", json=HELLO)
        await until(lambda: bool(world.live) and bool(world.live[-1].prompts))
        assert (await client.post(f"{ANA}/hibernate")).status_code == 409
        assert (await client.delete(ANA)).status_code == 409
        assert (await client.delete("/instances/desk/queue")).json() == {"cancelled": 1}
        assert (await client.post(f"{ANA}/interrupt")).json() == {"interrupted": True}
        await until(lambda: home.supervisor.view.snapshot().sessions[0].turns == 2)
        assert (await client.post(f"{ANA}/hibernate")).status_code == 204
        await until(lambda: not world.live)
        assert (await client.post(f"{ANA}/replay")).status_code == 404
        assert (await client.post(f"{ANA}/drop")).status_code == 404
        assert (await client.delete(ANA)).status_code == 204
        assert (await client.delete("/clients/desk-1")).status_code == 404
        assert (await client.delete("/users/nobody")).status_code == 404
        assert (await client.post("/instances/desk/drain", json={"deadline": 0})).status_code == 204
        assert (await client.get("/drained", params={"instance": "desk"})).status_code == 204
        assert (await client.post("/instances/desk/kill")).status_code == 204
        assert (await client.post("/stop")).status_code == 202
        assert home.left.is_set()
        verbs = [one["verb"] for _, one in (await client.get("/audit")).json()]
        assert verbs == [
            "pause", "resume", "scale", "set", "clear-queue", "interrupt", "hibernate", "close", "drain", "kill",
        ]  # fmt: skip


async def test_a_reader_that_does_not_read_slows_no_turn(bullpen: Open, world: FakeWorld) -> None:
    """R4"""
    world.on_prompt = hold
    async with bullpen() as home:
        client = await home.operator()
        async with client.stream("POST", "/chat", json=HELLO) as lazy:
            turn = lazy.headers["x-turn-id"]
            await until(lambda: bool(world.live) and bool(world.live[-1].prompts))
            for _ in range(200):
                world.live[-1].say("x" * 10_000)
            world.live[-1].reply("!")
            with anyio.fail_after(10):
                await (await home.supervisor.ticket(turn)).outcome()
            text = "".join([one.data["text"] async for one in read_events(lazy) if one.name == "text"])
        assert len(text) == 2_000_001
