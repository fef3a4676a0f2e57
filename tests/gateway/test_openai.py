"""OpenAI's own client over the door: it retries, resends histories and reads streams as it does everywhere."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import openai
import pytest

from supervisor.api.engine import ConversationReader
from supervisor.api.keys import SessionKey
from supervisor.gateway.tokens import Role
from supervisor.testing import FakeConnection, FakeWorld, hold
from tests.gateway.conftest import Bullpen, Open
from tests.waiting import until

pytestmark = pytest.mark.anyio


def says(role: str, content: str) -> Any:
    return {"role": role, "content": content}


@asynccontextmanager
async def client_of(home: Bullpen, *, drops: int = 0, **headers: str) -> AsyncIterator[openai.AsyncOpenAI]:
    """The real client, with a delegate's token. The first `drops` answers are lost on the way, after they were sent."""
    _, token = home.door.tokens.add(Role.DELEGATE)
    left = drops

    class Lossy(httpx.AsyncHTTPTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            nonlocal left
            response = await super().handle_async_request(request)
            if left and request.method == "POST":
                left -= 1
                await response.aread()
                raise httpx.ReadError("the answer was lost")
            return response

    async with (
        httpx.AsyncClient(transport=Lossy()) as line,
        openai.AsyncOpenAI(
            base_url=f"{home.door.url}/v1", api_key=token, http_client=line, default_headers=headers
        ) as client,
    ):
        yield client


def prompts(world: FakeWorld) -> list[str]:
    return [text for transcript in world.transcripts.values() for text in transcript]


async def test_an_answer_comes_whole_or_as_it_is_written(bullpen: Open, world: FakeWorld) -> None:
    async with bullpen() as home, client_of(home) as client:
        assert [model.id async for model in client.models.list()] == ["desk"]
        whole = await client.chat.completions.create(model="desk", user="ana", messages=[says("user", "hello")])
        assert whole.choices[0].message.content == "You said: hello"
        assert whole.choices[0].finish_reason == "stop"
        assert whole.usage is not None
        assert whole.usage.completion_tokens > 0
        stream = await client.chat.completions.create(
            model="desk",
            user="ben",
            messages=[says("system", "Be brief."), says("user", "hello")],
            stream=True,
            stream_options={"include_usage": True},
        )
        chunks = [chunk async for chunk in stream]
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
        assert text == "You said: hello"
        assert chunks[-1].usage is not None
        assert chunks[-2].choices[0].finish_reason == "stop"


async def test_only_the_newest_message_becomes_a_prompt_in_the_session_of_its_history(
    bullpen: Open, world: FakeWorld
) -> None:
    async with bullpen() as home, client_of(home) as client:
        messages: list[Any] = []
        for text in ("one", "two", "three"):
            messages.append(says("user", text))
            answer = await client.chat.completions.create(model="desk", user="ana", messages=messages)
            messages.append(says("assistant", answer.choices[0].message.content or ""))
        assert prompts(world) == ["one", "two", "three"]
        assert len((await home.supervisor.snapshot()).sessions) == 1


async def test_an_edited_history_never_reaches_the_session_it_was(bullpen: Open, world: FakeWorld) -> None:
    """S3.15: forked where the session is the history's, refused where the client has named it."""
    async with bullpen() as home, client_of(home) as client:
        first = await client.chat.completions.create(model="desk", user="ana", messages=[says("user", "one")])
        told = first.choices[0].message.content or ""
        edited = [says("user", "another"), says("assistant", told), says("user", "two")]
        await client.chat.completions.create(model="desk", user="ana", messages=edited)
        sessions = [session for session in world.transcripts.values() if session]
        assert sorted(len(session) for session in sessions) == [1, 1], "two sessions, one prompt each"
        assert any("another" in session[0] and "two" in session[0] for session in sessions)
        # The fork goes on by its own history.
        answer = await client.chat.completions.create(model="desk", user="ana", messages=edited)
        more = [*edited, says("assistant", answer.choices[0].message.content or ""), says("user", "three")]
        await client.chat.completions.create(model="desk", user="ana", messages=more)
        assert any(session[-1] == "three" for session in world.transcripts.values() if session)

        named = {"metadata": {"session": "chat-7"}}
        await client.chat.completions.create(model="desk", user="ana", messages=[says("user", "a")], extra_body=named)
        with pytest.raises(openai.ConflictError) as caught:
            await client.chat.completions.create(
                model="desk",
                user="ana",
                messages=[says("user", "x"), says("assistant", "y"), says("user", "b")],
                extra_body=named,
            )
        assert caught.value.response.headers["x-should-retry"] == "false"
        assert "history" in caught.value.message


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("streams", [False, True])
async def test_a_retry_after_a_lost_answer_is_one_turn(
    bullpen: Open, world: FakeWorld, named: bool, streams: bool
) -> None:
    extra = {"extra_body": {"metadata": {"session": "s"}}} if named else {}
    async with bullpen() as home, client_of(home, drops=2) as client:
        answer = await client.chat.completions.create(
            model="desk", user="ana", messages=[says("user", "hello")], stream=streams, **extra
        )
        if streams:
            chunks = [chunk async for chunk in answer]
            text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
        else:
            text = answer.choices[0].message.content
        assert text == "You said: hello"
        assert prompts(world) == ["hello"], "the agent was asked once"


async def test_the_same_words_said_twice_are_two_turns(bullpen: Open, world: FakeWorld) -> None:
    async with bullpen() as home, client_of(home) as client:
        messages: list[Any] = []
        for _ in range(2):
            messages.append(says("user", "yes"))
            answer = await client.chat.completions.create(model="desk", user="ana", messages=messages)
            messages.append(says("assistant", answer.choices[0].message.content or ""))
        for _ in range(2):
            await client.chat.completions.create(
                model="desk", user="ben", messages=[says("user", "yes")], extra_body={"metadata": {"session": "s"}}
            )
        assert prompts(world) == ["yes"] * 4


@pytest.mark.parametrize(
    ("headers", "session"),
    [
        ({"X-Session-Id": "s-1"}, "s-1"),
        ({"X-OpenWebUI-Chat-Id": "c-2", "X-OpenWebUI-User-Id": "ana"}, "c-2"),
    ],
)
async def test_front_ends_name_session_and_user_in_headers(
    bullpen: Open, headers: dict[str, str], session: str
) -> None:
    async with bullpen() as home, client_of(home, **headers) as client:
        user = {} if "X-OpenWebUI-User-Id" in headers else {"user": "ana"}
        await client.chat.completions.create(model="desk", messages=[says("user", "hello")], **user)
        assert [row.key for row in (await home.supervisor.snapshot()).sessions] == [SessionKey("desk", "ana", session)]


async def test_what_a_front_end_asks_beside_a_conversation_never_enters_it(bullpen: Open, world: FakeWorld) -> None:
    task = "### Task:\nGenerate a concise, 3-5 word title for the chat.\n### Chat History:\nhello"
    async with bullpen() as home, client_of(home, **{"X-OpenWebUI-Chat-Id": "c"}) as client:
        await client.chat.completions.create(model="desk", user="ana", messages=[says("user", "hello")], stream=True)
        await until(lambda: prompts(world) == ["hello"])
        title = await client.chat.completions.create(model="desk", user="ana", messages=[says("user", task)])
        assert title.choices[0].message.content
        session = next(row for row in (await home.supervisor.snapshot()).sessions if row.key.session == "c")
        assert world.transcripts[session.session_uuid] == ["hello"]
        await until(lambda: len(home.supervisor.view.snapshot().sessions) == 1)


async def test_refusals_are_in_that_apis_form_and_retried_only_where_that_helps(
    bullpen: Open, world: FakeWorld, make_template: Any
) -> None:
    async with bullpen() as home, client_of(home) as client:
        hello = [says("user", "hello")]
        with pytest.raises(openai.NotFoundError):
            await client.chat.completions.create(model="nobody", user="ana", messages=hello)
        with pytest.raises(openai.PermissionDeniedError, match="user is missing"):
            await client.chat.completions.create(model="desk", messages=hello)
        with pytest.raises(openai.UnprocessableEntityError, match="the last one must be the user's"):
            await client.chat.completions.create(model="desk", user="ana", messages=[says("assistant", "hi")])
        with pytest.raises(openai.AuthenticationError):
            await client.with_options(api_key="bp_x_y").models.list()

        def fail(connection: FakeConnection, text: str) -> None:
            connection.fail(500)

        world.on_prompt = fail
        asked = len(prompts(world))
        for streams in (False, True):
            with pytest.raises(openai.InternalServerError) as caught:
                await client.chat.completions.create(model="desk", user="ana", messages=hello, stream=streams)
            assert caught.value.response.status_code == 502
        assert len(prompts(world)) - asked <= 2, "each was asked once"


async def test_a_client_that_waits_in_the_queue_hears_that_the_line_lives(
    bullpen: Open, world: FakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    from supervisor.gateway import live_response
    from supervisor.gateway import openai as ours

    monkeypatch.setattr(live_response, "HEARTBEAT", 0.05)
    monkeypatch.setattr(ours, "STATUS_WAIT", 0.05)
    world.on_prompt = hold
    async with bullpen() as home:
        _, token = home.door.tokens.add(Role.USER, user="ana")
        client = await home.stranger(Authorization=f"Bearer {token}")
        body = {"model": "desk", "messages": [says("user", "hello")], "stream": True}
        async with client.stream("POST", "/v1/chat/completions", json=body) as stream:
            lines = stream.aiter_lines()
            while not (line := await anext(lines)).startswith(": "):
                pass
            assert line == ": ping"
            await until(lambda: bool(world.live) and bool(world.live[-1].prompts))
            world.live[-1].reply("Hi.")
            rest = [line async for line in lines if line.startswith("data: ")]
        assert rest[-1] == "data: [DONE]"


async def test_a_conversation_is_read_once_for_as_long_as_nothing_is_said_in_it(
    bullpen: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a history is looked for in is a fingerprint; it follows what is said, and a session of that name anew."""
    async with bullpen() as home:
        client, operator = await home.caller(user="ana"), await home.operator()
        read: list[SessionKey] = []
        open_one = home.supervisor.conversation

        async def conversation(key: SessionKey) -> ConversationReader:
            read.append(key)
            return await open_one(key)

        monkeypatch.setattr(home.supervisor, "conversation", conversation)

        async def ask(*said: str, **more: object) -> httpx.Response:
            roles = ("user", "assistant")
            messages = [{"role": roles[number % 2], "content": text} for number, text in enumerate(said)]
            return await client.post("/v1/chat/completions", json={"model": "desk", "messages": messages} | more)

        for word in ("one", "two", "three"):
            assert (await ask(word)).status_code == 200
        for _ in range(3):
            strange = await ask("unheard", "of", "history")
            assert strange.headers["x-session-id"].startswith("oa-")
        assert len(read) <= 3 + 2, "each once, those that were begun in between included"
        read.clear()
        first = await ask("one", "You said: one", "again")
        after = await ask("one", "You said: one", "again", "You said: again", "and again")
        assert first.headers["x-session-id"] == after.headers["x-session-id"]
        assert len(read) <= 2, "only the one in which something was said"

        named = {"metadata": {"session": "mine"}}
        assert (await ask("alpha", **named)).status_code == 200
        assert (await ask("alpha", "You said: alpha", "beta", **named)).status_code == 200
        assert (await ask("gamma", "You said: gamma", "beta", **named)).status_code == 409
        assert (await operator.delete("/sessions/desk/ana/mine")).status_code == 204
        await until(lambda: "mine" not in [row.key.session for row in home.supervisor.view.snapshot().sessions])
        assert (await ask("gamma", **named)).status_code == 200
        assert (await ask("gamma", "You said: gamma", "beta", **named)).status_code == 200, "it is another one now"


async def test_of_a_user_who_was_forgotten_nothing_is_remembered_at_the_door(bullpen: Open, world: FakeWorld) -> None:
    """Neither the fingerprints of what was said, nor whose a question was."""
    async with bullpen() as home:
        client, operator = await home.caller(user="ana"), await home.operator()
        mirror, mentions = home.door.app.state.mirror, lambda thing: "'ana'" in repr(thing)
        mirror._asked["q-1"] = SessionKey("desk", "ana", "default")
        begun = [says("user", "hello")]
        for messages in (begun, [*begun, says("assistant", "You said: hello"), says("user", "again")]):
            done = await client.post("/v1/chat/completions", json={"model": "desk", "messages": messages})
            assert done.status_code == 200
        assert any(mentions(call.__closure__[0].cell_contents._known) for call in mirror.on_gone)
        await client.post("/chat", json={"userId": "ana", "agentId": "desk", "message": "hello"})
        assert mentions(mirror._asked)
        assert (await operator.delete("/users/ana")).status_code == 200
        await until(lambda: not mirror.sessions())
        assert not any(mentions(call.__closure__[0].cell_contents._known) for call in mirror.on_gone)
        assert not mentions(mirror._asked)
