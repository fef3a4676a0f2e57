"""Prompts over HTTP: in, followed, come back to, taken back."""

from __future__ import annotations

from itertools import groupby

import anyio
import httpx
import pytest

from supervisor.api.keys import SessionKey
from supervisor.gateway.tokens import Role
from supervisor.testing import FakeWorld, hold
from tests.gateway.conftest import MakeTemplate, Open, Told, read_events
from tests.waiting import until

pytestmark = pytest.mark.anyio

HELLO = {"userId": "ana", "agentId": "desk", "message": "hello"}


async def chat(client: httpx.AsyncClient, body: dict[str, object], **headers: str) -> list[Told]:
    """All events; of those that tell a place in the queue the first alone."""
    async with client.stream("POST", "/chat", json=body, headers=headers) as response:
        assert response.status_code == 200, await response.aread()
        assert response.headers["content-type"].startswith("text/event-stream")
        told = [told async for told in read_events(response)]
        return [one for number, one in enumerate(told) if number == 0 or one.name != "queued"]


async def test_a_prompt_is_followed_from_the_queue_to_its_end(bullpen: Open) -> None:
    """S5.24–26, S3.11–12: both spellings; a missing session is the user's own."""
    async with bullpen() as home:
        client = await home.operator()
        for body in (HELLO, {"user_id": "ben", "agent_id": "desk", "message": "hello"}):
            told = await chat(client, body)
            # A block that is read while it is written may come in parts.
            assert [name for name, _ in groupby(one.name for one in told)] == ["queued", "started", "text", "done"]
            assert told[0].data["userId"] == (body.get("userId") or body["user_id"])
            assert told[0].data["sessionId"] == "default"
            assert "".join(one.data["text"] for one in told if one.name == "text") == "You said: hello"
            assert told[-1].data["outcome"] == "done"
            assert told[-1].data["text"] == "You said: hello"
            assert told[-1].data["usage"]["outputTokens"] > 0
        keys = {row.key for row in (await home.supervisor.snapshot()).sessions}
        assert keys == {SessionKey("desk", "ana", "default"), SessionKey("desk", "ben", "default")}


async def test_text_arrives_as_it_is_written_and_says_why_it_waits(
    bullpen: Open, world: FakeWorld, make_template: MakeTemplate
) -> None:
    world.on_prompt = hold
    async with bullpen(make_template(pool={"spares": 0})) as home:
        client = await home.operator()
        async with client.stream("POST", "/chat", json=HELLO) as first:
            await until(lambda: bool(world.connections) and bool(world.connections[0].prompts))
            events = read_events(first)
            async with client.stream("POST", "/chat", json=HELLO | {"userId": "ben"}) as second:
                others = read_events(second)
                place = await anext(others)
                while place.data["why"] != "no-slot":
                    place = await anext(others)
                assert (place.name, place.data["why"], place.data["place"]) == ("queued", "no-slot", 1)
                assert place.id == "", "a place in the queue is of a moment"
                connection = world.connections[0]
                connection.say("Hel")
                told = await anext(events)
                while told.name != "text":
                    told = await anext(events)
                assert told.data == {"block": 1, "at": 0, "text": "Hel"}
                connection.say("lo")
                assert (await anext(events)).data == {"block": 1, "at": 3, "text": "lo"}
                connection.reply(".")
                assert (await anext(events)).data == {"block": 1, "at": 5, "text": ".", "isWhole": True}
                assert (await anext(events)).name == "done"
                await until(lambda: len(world.connections) > 1 and bool(world.connections[-1].prompts))
                world.connections[-1].reply("Yes.")
                assert [one.name async for one in others][-1] == "done"


async def test_who_accepts_json_gets_one_whole_answer(bullpen: Open, world: FakeWorld) -> None:
    async with bullpen() as home:
        client = await home.operator()
        answer = await client.post("/chat", json=HELLO, headers={"Accept": "application/json"})
        assert answer.status_code == 200
        told = answer.json()
        assert (told["state"], told["outcome"], told["text"]) == ("ended", "done", "You said: hello")
        assert answer.headers["x-turn-id"] == told["id"]
        world.on_prompt = lambda connection, text: connection.fail(500)
        answer = await client.post("/chat", json=HELLO, headers={"Accept": "application/json"})
        assert answer.status_code == 502
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["x-should-retry"] == "false"
        assert answer.json()["type"] == "urn:bullpen:turn-failed"


async def test_a_caller_may_come_back_for_the_answer_and_go_on_where_it_was_cut(
    bullpen: Open, world: FakeWorld
) -> None:
    world.on_prompt = hold
    async with bullpen() as home:
        client = await home.operator()
        accepted = await client.post("/turns", json=HELLO)
        assert accepted.status_code == 202
        turn = accepted.json()
        assert accepted.headers["location"] == f"/turns/{turn['id']}"
        await until(lambda: bool(world.connections) and bool(world.connections[0].prompts))
        connection = world.connections[0]
        connection.say("Hel")
        async with client.stream("GET", f"/turns/{turn['id']}/events") as stream:
            async for told in read_events(stream):
                if told.name == "text":
                    break
        connection.say("lo, wor")
        connection.reply("ld.")
        path = f"/turns/{turn['id']}/events"
        async with client.stream("GET", path, headers={"Last-Event-ID": told.id}) as stream:
            rest = [one async for one in read_events(stream)]
        assert "".join(one.data["text"] for one in rest if one.name == "text") == "lo, world."
        assert [one.name for one in rest if one.name != "text"] == ["done"]
        async with client.stream("GET", path) as stream:
            again = [one async for one in read_events(stream)]
        assert [one.name for one in again] == ["queued", "started", "text", "done"]
        assert again[2].data["text"] == "Hello, world."
        assert (await client.get(path, headers={"Last-Event-ID": "end"})).status_code == 204
        looked = (await client.get(f"/turns/{turn['id']}")).json()
        assert (looked["state"], looked["text"]) == ("ended", "Hello, world.")


async def test_every_event_comes_once_and_in_order_from_wherever_a_reader_was_cut(
    bullpen: Open, world: FakeWorld
) -> None:
    async with bullpen() as home:
        client = await home.operator()
        turn = (await client.post("/turns", json=HELLO)).json()
        path = f"/turns/{turn['id']}/events"
        # Read before it has ended, a block may come in two parts.
        await (await home.supervisor.ticket(turn["id"])).outcome()
        async with client.stream("GET", path) as stream:
            whole = [one async for one in read_events(stream)]
    async with bullpen() as home:  # another run, the same journal
        client = await home.operator()
        for seen in range(1, len(whole) - 1):  # a place in the queue has no id
            async with client.stream("GET", path, headers={"Last-Event-ID": whole[seen].id}) as stream:
                rest = [one async for one in read_events(stream)]
            assert rest == whole[seen + 1 :], f"after {whole[seen]}"


async def test_a_block_that_begins_anew_is_told_from_its_first_character(bullpen: Open, world: FakeWorld) -> None:
    world.on_prompt = hold
    async with bullpen() as home:
        client = await home.operator()
        async with client.stream("POST", "/chat", json=HELLO) as stream:
            events = read_events(stream)
            await until(lambda: bool(world.connections) and bool(world.connections[0].prompts))
            connection = world.connections[0]
            connection.say("A first att")
            told = await anext(events)
            while told.name != "text":
                told = await anext(events)
            connection.give_up()
            connection.reply("A second attempt.")
            rest = [one.data async for one in events if one.name == "text"]
        assert (rest[0]["block"], rest[0]["at"]) == (told.data["block"] + 1, 0), "a notice stands between them"
        assert "".join(one["text"] for one in rest) == "A second attempt."


async def test_a_request_with_a_key_is_one_turn_however_often_it_is_sent(bullpen: Open, world: FakeWorld) -> None:
    async with bullpen() as home:
        client = await home.operator()
        key = {"Idempotency-Key": "k-1"}
        ids = [(await client.post("/turns", json=HELLO, headers=key)).json()["id"] for _ in range(3)]
        assert len(set(ids)) == 1
        other = await client.post("/turns", json=HELLO | {"message": "other"}, headers=key)
        assert (other.status_code, other.headers["x-should-retry"]) == (409, "false")
        await until(lambda: bool(world.connections))
        assert sum(len(one.prompts) for one in world.connections) <= 1


ODD = "a\u2028b\u2029c\x85d\re\r\nf\0g\x0bh\x1ci\ud83dj\ufeffk\n\nl: m"


async def test_no_character_of_a_text_ends_a_line_of_the_stream_or_the_stream(bullpen: Open, world: FakeWorld) -> None:
    """Clients that take any character for a line's end which Unicode has for it (`aiter_lines` of httpx) read the same
    as those that go by the standard."""
    world.on_prompt = hold
    async with bullpen() as home:
        client = await home.operator()
        turn = (await client.post("/turns", json=HELLO)).json()["id"]
        await until(lambda: bool(world.connections) and bool(world.connections[0].prompts))
        world.connections[0].say(ODD)
        world.connections[0].reply(ODD)
        outcome = await (await home.supervisor.ticket(turn)).outcome()
        for path in (f"/turns/{turn}/events", f"/turns/{turn}/stream", "/sessions/desk/ana/default/conversation"):
            async with client.stream("GET", path) as stream:
                whole = b""
                async for part in stream.aiter_bytes():
                    whole += part
                    if b"event: reading" in whole and whole.endswith(b"\n\n"):
                        break
            text = whole.decode()
            assert text.splitlines() == text.replace("\r", "?").split("\n")[:-1], path
            for line in text.splitlines():
                assert line.partition(":")[0] in ("", "event", "data", "id")
        async with client.stream("GET", f"/turns/{turn}/events") as stream:
            told = [one async for one in read_events(stream)]
        whole_text = outcome.text.replace("\ud83d", "\ufffd")  # type: ignore[union-attr]
        assert told[-1].data["text"] == whole_text
        assert (await client.get(f"/turns/{turn}")).json()["text"] == whole_text
        assert [one for one in "\u2028\u2029\x85\0\x0b" if one not in told[-1].data["text"]] == []


@pytest.mark.parametrize("on_disconnect", ["detach", "cancel"])
async def test_what_a_vanished_client_means_is_chosen(bullpen: Open, world: FakeWorld, on_disconnect: str) -> None:
    world.on_prompt = hold
    async with bullpen() as home:
        client = await home.operator()
        async with client.stream("POST", "/chat", json=HELLO | {"onDisconnect": on_disconnect}) as stream:
            turn = stream.headers["x-turn-id"]
            await until(lambda: bool(world.connections) and bool(world.connections[0].prompts))
        if on_disconnect == "cancel":
            ticket = await home.supervisor.ticket(turn)
            with anyio.fail_after(10):
                await ticket.outcome()
            assert (await client.get(f"/turns/{turn}")).json()["outcome"] == "interrupted"
        else:
            world.connections[0].reply("Still here.")
            assert (await (await home.supervisor.ticket(turn)).outcome()).text == "Still here."  # type: ignore[union-attr]


async def test_a_turn_is_withdrawn_before_and_after_it_has_begun(bullpen: Open, world: FakeWorld) -> None:
    world.on_prompt = hold
    async with bullpen() as home:
        client = await home.operator()
        running, waiting = [(await client.post("/turns", json=HELLO)).json()["id"] for _ in range(2)]
        await until(lambda: bool(world.connections) and bool(world.connections[0].prompts))
        for turn, outcome in ((waiting, "cancelled"), (running, "interrupted")):
            assert (await client.delete(f"/turns/{turn}")).status_code == 202
            await (await home.supervisor.ticket(turn)).outcome()
            assert (await client.get(f"/turns/{turn}")).json()["outcome"] == outcome
            again = await client.delete(f"/turns/{turn}")
            assert (again.status_code, again.json()["outcome"]) == (202, outcome), "it is over, and stays so"


REFUSALS = [
    ({}, 422, "message"),
    ({"userId": "ana", "agentId": "desk", "message": ""}, 422, "message"),
    ({"userId": "ana", "agentId": "desk", "message": "hi", "extra": 1}, 422, "extra"),
    ({"userId": "../a", "agentId": "desk", "message": "hi"}, 422, "user"),
    ({"userId": "ana", "agentId": "nobody", "message": "hi"}, 404, "no agent"),
    ({"agentId": "desk", "message": "hi"}, 422, "userId"),
    ({"userId": "ana", "agentId": "desk", "message": "x" * 1_000_001}, 422, "message"),
    ({"userId": "ana", "agentId": "desk", "message": "hi", "onDisconnect": "explode"}, 422, "onDisconnect"),
]


@pytest.mark.parametrize(("body", "status", "named"), REFUSALS)
@pytest.mark.parametrize("path", ["/chat", "/turns"])
async def test_what_is_refused_names_the_thing(
    bullpen: Open, body: dict[str, object], status: int, named: str, path: str
) -> None:
    async with bullpen() as home:
        answer = await (await home.operator()).post(path, json=body)
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/problem+json"
        assert named in answer.json()["detail"]
        assert (await home.supervisor.snapshot()).sessions == ()


async def test_a_body_that_cannot_be_read_says_where(bullpen: Open) -> None:
    async with bullpen() as home:
        client = await home.operator()
        send = {"headers": {"Content-Type": "application/json"}}
        broken = await client.post("/turns", content='{"agentId": "desk", nonsense', **send)
        assert (broken.status_code, broken.json()["errors"][0]["field"]) == (422, "body")
        assert "not JSON at character 20" in broken.json()["detail"]
        bare = await client.post("/turns", content='{"agentId": "desk", "message": "hi"}')
        assert (bare.status_code, bare.json()["detail"]) == (
            422,
            "body: is not read as JSON: send it with Content-Type: application/json",
        )
        assert (await client.post("/turns", json=[])).json()["detail"] == "body: must be an object, not a list"
        worded = await client.get("/audit", params={"count": "many"})
        assert worded.json()["detail"] == "count: must be a whole number, not 'many'"
        twice = await client.post("/turns", json=HELLO | {"agent_id": "lookup"})
        assert "agent_id: not a field of this request, or given in both spellings" in twice.json()["detail"]


async def test_a_full_queue_and_a_share_that_is_used_up_say_when_to_come_again(
    bullpen: Open, world: FakeWorld, make_template: MakeTemplate
) -> None:
    """S2.32"""
    world.on_prompt = hold
    template = make_template(queue={"maxWaiting": 2, "maxPerUser": 2}, pool={"spares": 0})
    async with bullpen(template) as home:
        client = await home.operator()
        for _ in range(2):
            assert (await client.post("/turns", json=HELLO)).status_code == 202
        share = await client.post("/turns", json=HELLO)
        assert (share.status_code, share.json()["type"]) == (429, "urn:bullpen:over-share")
        assert int(share.headers["retry-after"]) >= 1
        for user in ("ben", "cem"):
            last = await client.post("/turns", json=HELLO | {"userId": user})
        assert (last.status_code, last.json()["type"]) == (503, "urn:bullpen:saturated")
        assert int(last.headers["retry-after"]) >= 1
        await client.post("/instances/desk/drain")
        closed = await client.post("/turns", json=HELLO | {"userId": "dan"})
        assert (closed.status_code, closed.json()["type"]) == (503, "urn:bullpen:not-accepting")


async def test_a_body_that_is_too_large_is_refused_before_it_is_read(bullpen: Open) -> None:
    async with bullpen() as home:
        client = await home.operator()
        answer = await client.post("/turns", content=b"x" * 5_000_000)
        assert answer.status_code == 413

        async def endless() -> object:
            for _ in range(100):
                yield b"x" * 100_000

        answer = await client.post("/turns", content=endless())  # type: ignore[arg-type]
        assert answer.status_code == 413


async def test_a_question_is_answered_by_the_user_it_was_put_for(bullpen: Open, world: FakeWorld) -> None:
    """D4, S5.15"""
    from supervisor.permissions.requests import ToolRequest
    from tests.engine.test_questions import asking

    async with bullpen() as home, asking(home.supervisor, world, ToolRequest("Bash", {"command": "ls"})) as verdicts:
        user = (await home.supervisor.snapshot()).questions[0].key.user
        owner, other = await home.caller(user=user), await home.caller(user="somebody-else")
        (question,) = (await owner.get("/questions")).json()
        assert (await other.get("/questions")).json() == []
        path = f"/questions/{question['id']}/answer"
        refused = await other.post(path, json={"answer": "allow"})
        assert refused.status_code == 404
        assert (await owner.post(path, json={"answer": "allow"})).status_code == 204
        await until(lambda: verdicts)
        late = await owner.post(path, json={"answer": "deny"})
        assert late.status_code == 409, "never a success that did not count"


async def test_a_delegate_names_any_user_and_an_operator_sees_each(bullpen: Open) -> None:
    async with bullpen() as home:
        app = await home.caller(Role.DELEGATE)
        for user in ("ana", "ben"):
            assert (await app.post("/turns", json=HELLO | {"userId": user})).status_code == 202
        assert (await app.get("/snapshot")).status_code == 403
        seen = (await (await home.operator()).get("/agent-sessions")).json()
        assert sorted(one["user_id"] for one in seen) == ["ana", "ben"]


async def test_a_caller_that_waits_when_the_bullpen_ends_is_told_that_its_prompt_is_kept(
    bullpen: Open, world: FakeWorld
) -> None:
    """R2: what waits runs at the next start, so it is not to be sent again as another."""
    world.on_prompt = hold
    async with bullpen() as home:
        client = await home.operator()
        await client.post("/turns", json=HELLO)
        answers: list[httpx.Response] = []

        async def wait() -> None:
            answers.append(await client.post("/chat", json=HELLO, headers={"Accept": "application/json"}))

        async with anyio.create_task_group() as group:
            group.start_soon(wait)
            await until(lambda: bool(world.live) and bool(world.live[-1].prompts))
            turns = home.supervisor._turns
            await until(lambda: any(turn.is_recorded and turn.started_at is None for turn in turns))
            await home.supervisor.stop()
        (answer,) = answers
        assert (answer.status_code, answer.json()["type"]) == (503, "urn:bullpen:suspended")
        assert "kept" in answer.json()["detail"]
        assert answer.headers["x-should-retry"] == "false"
