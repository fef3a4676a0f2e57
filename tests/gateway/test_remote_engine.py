"""`Engine` over the door: the same answers, the same errors, and readers that outlive a break of the line."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from supervisor.api.engine import Engine
from supervisor.api.entries import Asked, Cursor, Replied, StartsAgain
from supervisor.api.errors import (
    AcceptanceUnknown,
    AlreadyAnswered,
    BullpenError,
    InvalidId,
    InvalidPrompt,
    NotAccepting,
    OverShare,
    Refused,
    RequestConflict,
    Saturated,
    UnknownAgent,
    UnknownTarget,
)
from supervisor.api.events import ActionTaken
from supervisor.api.keys import SessionKey
from supervisor.api.outcomes import Cancelled, Done, Interrupted
from supervisor.api.prompts import Prompt, Source
from supervisor.api.questions import Allow, Choose
from supervisor.api.states import SessionState
from supervisor.api.turns import TurnState
from supervisor.files.socket_path import SOCKET
from supervisor.gateway.tokens import Role
from supervisor.remote import feed as remote_feed
from supervisor.remote.conversation import RemoteConversation
from supervisor.remote.engine import RemoteEngine
from supervisor.remote.feed import RemoteFeed
from supervisor.remote.line import AnswerLost, NotReached
from supervisor.remote.ticket import Given, RemoteTicket
from supervisor.testing import FakeConnection, FakeWorld
from tests.gateway.conftest import Bullpen, MakeTemplate, Open
from tests.waiting import until

pytestmark = pytest.mark.anyio

HELLO = Prompt("desk", "hello", user="ana")
KEY = SessionKey("desk", "ana", "default")
NOWHERE = SessionKey("desk", "none", "none")


def hold(connection: FakeConnection, text: str) -> None:
    """The fake answers when the test says so."""


@asynccontextmanager
async def far(home: Bullpen, **how: str) -> AsyncIterator[RemoteEngine]:
    async with RemoteEngine(socket=home.folder / SOCKET, **how) as engine:
        yield engine


async def begun(world: FakeWorld, number: int = 1) -> FakeConnection:
    await until(lambda: len(world.connections) >= number and bool(world.connections[number - 1].prompts))
    return world.connections[number - 1]


def test_it_has_every_method_of_the_engine_with_the_same_arguments() -> None:
    for name, method in vars(Engine).items():
        if inspect.iscoroutinefunction(method):
            own = inspect.signature(getattr(RemoteEngine, name))
            assert own.parameters == inspect.signature(method).parameters, name


async def test_looking_gives_what_the_engine_gives(bullpen: Open, world: FakeWorld) -> None:
    async with bullpen() as home, far(home, via="screen") as engine:
        near = home.supervisor
        await (await near.submit(HELLO)).outcome()
        await near.pause("desk")
        await near.resume("desk")
        assert (await engine.snapshot()).sessions[0].key == KEY
        assert await engine.limits() == await near.limits()
        assert await engine.limits("desk") == await near.limits("desk")
        assert await engine.glimpse(KEY, 1) == await near.glimpse(KEY, 1)
        assert await engine.past() == await near.past()
        assert await engine.audit() == await near.audit()
        assert await engine.contexts() == await near.contexts()
        assert [cache.name for cache in (await engine.contexts()).caches] == ["contexts", "routing", "mcp-tools"]
        assert isinstance((await engine.audit())[0], ActionTaken)
        talk = await engine.conversation(KEY)
        assert talk.read().entries == (await near.conversation(KEY)).read().entries
        assert (await engine.whoami())["role"] == "operator"


async def test_a_prompt_is_sent_streamed_and_ended_as_in_the_engines_own_process(
    bullpen: Open, world: FakeWorld
) -> None:
    world.on_prompt = hold
    async with bullpen() as home, far(home, via="screen") as engine:
        ticket = await engine.submit(Prompt("desk", "hello", user="ana", source=Source.OPERATOR))
        await ticket.accepted()
        assert ticket.key == KEY
        assert ticket.finished is None
        connection = await begun(world)
        view = await engine.turn(ticket.turn_id)
        assert (view.state, view.prompt.source, view.prompt.text) == (TurnState.RUNNING, Source.OPERATOR, "hello")
        told: list[str] = []

        async def read() -> None:
            async for fragment in ticket.stream():
                told.append(fragment)

        async with anyio.create_task_group() as group:
            group.start_soon(read)
            for part in ("A", "\u2028 b\n", "ad"):
                connection.say(part)
                await until(lambda part=part: part in told)  # type: ignore[misc]
            connection.give_up()
            await until(lambda: any(isinstance(one, StartsAgain) for one in told))
            connection.reply("A good one.")
        assert told[-2:] == ["A good one.", "\n"]
        outcome = await ticket.outcome()
        assert isinstance(outcome, Done)
        assert outcome == await (await home.supervisor.ticket(ticket.turn_id)).outcome()
        assert ticket.finished == outcome
        again = await engine.ticket(ticket.turn_id)
        assert "".join([piece async for piece in again.stream(whole=True)]) == "A good one.\n"
        assert await again.outcome() == outcome


async def test_the_verbs_do_what_they_do_in_the_engines_own_process(
    bullpen: Open, world: FakeWorld, make_template: MakeTemplate
) -> None:
    world.on_prompt = hold
    name = "a/desk .. ünder"
    async with bullpen(make_template(name, pool={"spares": 0})) as home, far(home) as engine:
        prompt = Prompt(name, "hello", user="ana")
        running, waiting, third = [await engine.submit(prompt) for _ in range(3)]
        await begun(world)
        await engine.drain(name, deadline=0, before_end=True)
        assert (await engine.snapshot()).instances[0].waiting == 2, "before the end nothing is cancelled"
        await engine.resume(name)
        await engine.withdraw(waiting.turn_id)
        assert isinstance(await waiting.outcome(), Cancelled)
        assert await engine.clear_queue(name, running.key) == 1
        assert isinstance(await third.outcome(), Cancelled)
        assert not await engine.interrupt(running.key, "another")
        assert await engine.interrupt(running.key, running.turn_id)
        assert isinstance(await running.outcome(), Interrupted)
        with pytest.raises(Refused):
            await engine.compact(NOWHERE)
        await engine.pause(name)
        await engine.resume(name)
        await engine.scale(name, 3)
        await engine.adjust(name, "maxWait", "9s")
        assert (await engine.limits(name))["queue.maxWait"].startswith("9")
        (row,) = (await engine.snapshot()).clients
        await engine.kill_client(row.id)
        await engine.drain(name, deadline=0)
        with anyio.fail_after(10):
            await engine.drained(name)
            await engine.drained()
        await engine.kill(name)
        await engine.resume(name)
        await engine.close_session(running.key)
        verbs = [action.verb for action in await engine.audit()]
        assert {"clear-queue", "interrupt", "pause", "scale", "drain", "kill"} <= {*verbs}, verbs
        assert {action.via for action in await engine.audit()} == {"command"}


async def test_an_idle_session_hibernates_and_a_person_is_forgotten(bullpen: Open, world: FakeWorld) -> None:
    async with bullpen() as home, far(home) as engine:
        await (await engine.submit(HELLO)).outcome()

        def state() -> SessionState:
            return home.supervisor.view.snapshot().sessions[0].state

        await until(lambda: state() is SessionState.IDLE)
        await engine.hibernate(KEY)
        await until(lambda: state() is SessionState.HIBERNATED)
        ticket = await engine.compact(KEY)
        assert ticket.key == KEY
        await ticket.outcome()
        assert await engine.forget_user("ana") == 1


async def test_a_question_is_answered_once(bullpen: Open, world: FakeWorld) -> None:
    from supervisor.permissions.requests import ToolRequest
    from tests.engine.test_questions import asking

    request = ToolRequest("Bash", {"command": "ls"})
    async with bullpen() as home, far(home) as engine, asking(home.supervisor, world, request) as verdicts:
        with await engine.watch() as feed:
            (question,) = feed.snapshot.questions
        await engine.answer(question.id, Allow())
        await until(lambda: verdicts)
        with pytest.raises(AlreadyAnswered):
            await engine.answer(question.id, Choose({"a": "b"}))


async def test_a_turn_that_a_restart_interrupted_is_replayed_or_dropped(bullpen: Open, world: FakeWorld) -> None:
    world.on_prompt = hold
    for verb in ("replay", "drop_offer"):
        async with bullpen() as home:
            key = SessionKey("desk", verb.replace("_", ""), "default")
            await (await home.supervisor.submit(Prompt("desk", "hi", user=key.user))).accepted()
            await until(lambda: any("hi" in str(one.prompts) for one in world.connections))
            await begun(world, len(world.connections))
        async with bullpen() as home, far(home) as engine:
            assert key in [row.key for row in (await engine.snapshot()).sessions if row.offer is not None]
            if verb == "replay":
                ticket = await engine.replay(key)
                assert ticket.key == key
                assert (await engine.turn(ticket.turn_id)).prompt.text == "hi"
            else:
                await engine.drop_offer(key)
            with pytest.raises(UnknownTarget):
                await getattr(engine, verb)(key)


async def test_an_error_comes_back_as_its_class_with_its_words_and_fields(
    bullpen: Open, world: FakeWorld, make_template: MakeTemplate
) -> None:
    world.on_prompt = hold
    template = make_template(queue={"maxWaiting": 2, "maxPerUser": 2}, pool={"spares": 0})
    async with bullpen(template) as home, far(home) as engine:
        near = home.supervisor
        for user in ("ana", "ana"):
            await engine.submit(Prompt("desk", "hello", user=user))
        named = Prompt("desk", "hello", user="zoe", request="r")
        await engine.submit(named)
        calls: list[tuple[type[BullpenError], str, tuple[Any, ...]]] = [
            (UnknownAgent, "submit", (Prompt("nobody", "hello"),)),
            (InvalidId, "submit", (Prompt("desk", "hello", user="../x"),)),
            (InvalidPrompt, "submit", (Prompt("desk", "  "),)),
            (InvalidPrompt, "submit", ("no prompt",)),
            (OverShare, "submit", (HELLO,)),
            (RequestConflict, "submit", (Prompt("desk", "other", user="zoe", request="r"),)),
            (UnknownTarget, "turn", ("none",)),
            (UnknownTarget, "turn", ("a/../b?c#d%2F\ud800",)),
            (UnknownTarget, "ticket", ("",)),
            (UnknownTarget, "withdraw", ("x" * 5_000,)),
            (UnknownTarget, "conversation", (NOWHERE,)),
            (UnknownTarget, "glimpse", (NOWHERE,)),
            (UnknownTarget, "interrupt", (SessionKey("..", ".", "/"),)),
            (UnknownTarget, "interrupt", ("no key",)),
            (UnknownTarget, "answer", ("none", Allow())),
            (Refused, "answer", ("none", "yes")),
            (UnknownAgent, "pause", ("nobody",)),
            (Refused, "scale", ("desk", 0)),
            (Refused, "scale", ("desk", "many")),
            (Refused, "drain", ("desk",)),
            (Refused, "adjust", ("desk", "maxWeight", "3")),
            (UnknownTarget, "kill_client", ("desk-99",)),
            (UnknownTarget, "replay", (KEY,)),
            (InvalidId, "forget_user", ("../x",)),
            (UnknownTarget, "forget_user", ("nobody",)),
            (UnknownAgent, "drained", ("nobody",)),
        ]
        for kind, verb, arguments in calls:
            if verb == "drain":
                with pytest.raises(Refused):
                    await engine.drain(*arguments, deadline=float("inf"))
                continue
            with pytest.raises(kind) as raised:
                await getattr(engine, verb)(*arguments)
            assert "\n" not in str(raised.value)
            assert str(raised.value)
        with pytest.raises(Saturated) as full:
            await engine.submit(Prompt("desk", "hello", user="cem"))
        with pytest.raises(Saturated) as near_full:
            await near.submit(Prompt("desk", "hello", user="fay"))
        assert str(full.value) == str(near_full.value)
        assert (full.value.waiting, full.value.retry_after) == (near_full.value.waiting, near_full.value.retry_after)
        await engine.kill("desk")
        with pytest.raises(NotAccepting, match="desk"):
            await engine.submit(HELLO)


async def test_a_reader_of_the_feed_and_of_a_conversation_survives_a_restart(
    bullpen: Open, world: FakeWorld, tmp_path: Path
) -> None:
    folder = tmp_path / "state"
    folder.mkdir(0o700)
    async with RemoteEngine(socket=folder / SOCKET) as engine:
        async with bullpen():
            await (await engine.submit(HELLO)).outcome()
            feed = await engine.watch()
            talk = await engine.conversation(KEY)
            before = talk.read()
            assert [one.text for one in before.entries if isinstance(one, Asked)] == ["hello"]
        await until(lambda: engine.trouble)
        assert str(folder) in engine.trouble
        with pytest.raises(NotReached, match=r"no bullpen answers at .*bullpen\.sock.*bullpen serve") as raised:
            await engine.pause("desk")
        assert isinstance(raised.value, Refused)
        feed.take()
        async with bullpen():
            await until(lambda: not engine.trouble)
            with anyio.fail_after(10):
                await feed.wait()
            changes = feed.take()
            assert changes.snapshot is not None
            assert [row.key for row in changes.snapshot.sessions] == [KEY]
            await (await engine.submit(Prompt("desk", "again", user="ana"))).outcome()

            def rest() -> list[object]:
                return [one for one in talk.read(before.cursor).entries if isinstance(one, Asked | Replied)]

            await until(lambda: len(rest()) == 2)
            assert [one.text for one in rest()] == ["again", "You said: again"]  # type: ignore[attr-defined]
            asked = [one.text for one in talk.read().entries if isinstance(one, Asked)]
            assert asked == ["hello", "again"], "nothing is there twice"


async def test_a_block_that_was_open_at_the_break_goes_on_or_is_replaced(bullpen: Open, world: FakeWorld) -> None:
    world.on_prompt = hold
    async with bullpen() as home, far(home) as engine:
        ticket = await engine.submit(HELLO)
        connection = await begun(world)
        talk = await engine.conversation(KEY)
        connection.say("Hel")
        await until(lambda: talk.read().opened == "Hel")
        seen = talk.read()
        told: list[str] = []

        async def read() -> None:
            async for fragment in ticket.stream():
                told.append(fragment)

        async with anyio.create_task_group() as group:
            group.start_soon(read)
            await until(lambda: told == ["Hel"])
            home.door.hang_up()
            await until(lambda: engine.trouble)
            assert talk.place()["cursor"].startswith("1.3.0."), "it goes on from there"
            connection.say("lo")
            await until(lambda: talk.read().opened == "Hello")
            await until(lambda: "".join(told) == "Hello")
            home.door.hang_up()
            connection.reply(" you.")
        assert "".join(told) == "Hello you.\n", "nothing twice, nothing lost"

        def replies() -> list[str]:
            return [one.text for one in talk.read(seen.cursor).entries if isinstance(one, Replied)]

        await until(replies)  # each reader comes back in its own time
        assert replies() == ["Hello you."]


async def test_a_prompt_whose_answer_was_lost_is_one_turn(bullpen: Open, world: FakeWorld) -> None:
    async with bullpen() as home, far(home) as engine:
        await engine.snapshot()
        submit = home.supervisor.submit
        lost = 0

        async def lose(prompt: Prompt) -> Any:
            nonlocal lost
            ticket = await submit(prompt)
            if lost < 2:
                lost += 1
                await ticket.accepted()
                home.door.hang_up()
            return ticket

        home.supervisor.submit = lose  # type: ignore[method-assign]
        ticket = await engine.submit(HELLO)
        await ticket.outcome()
        assert lost == 2
        assert (await home.supervisor.snapshot()).sessions[0].turns == 1


async def test_an_answer_that_is_lost_is_never_called_refused(
    bullpen: Open, world: FakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("supervisor.remote.engine.SENT_AGAIN_FOR", 0.3)
    async with bullpen() as home, far(home) as engine:
        pause, submit = home.supervisor.pause, home.supervisor.submit

        async def lose_pause(name: str) -> None:
            await pause(name)
            home.door.hang_up()

        async def lose_prompt(prompt: Prompt) -> Any:
            ticket = await submit(prompt)
            home.door.hang_up()
            return ticket

        home.supervisor.pause = lose_pause  # type: ignore[method-assign]
        home.supervisor.submit = lose_prompt  # type: ignore[method-assign]
        with pytest.raises(AnswerLost, match="“pause” was done") as lost:
            await engine.pause("desk")
        assert not isinstance(lost.value, Refused)
        with pytest.raises(AcceptanceUnknown, match="it may run"):
            await engine.submit(HELLO)


async def test_a_reader_that_does_not_look_is_cut_and_slows_no_turn(
    bullpen: Open, world: FakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_feed, "MOST_EVENTS", 5)
    async with bullpen() as home, far(home) as engine:
        with await engine.watch() as feed:

            def arrived() -> int:
                return 0 if feed._arrived is None else len(feed._arrived.events)

            async def run_turns(first: int, last: int) -> None:
                for number in range(first, last):
                    ticket = await home.supervisor.submit(Prompt("desk", f"{number}", user="ana"))
                    with anyio.fail_after(20):
                        await ticket.outcome()

            await run_turns(0, 5)
            await until(lambda: arrived() > 5)
            full = arrived()
            await run_turns(5, 20)
            await engine.snapshot()
            assert arrived() == full, "what is not read stays on the other side"
            seen = 0
            with anyio.fail_after(20):
                while seen < 20:
                    await feed.wait()
                    seen += sum(type(event).__name__ == "TurnFinished" for event in feed.take().events)


async def test_closing_a_reader_leaves_no_task(bullpen: Open, world: FakeWorld) -> None:
    async with bullpen() as home, far(home) as engine:
        await (await engine.submit(HELLO)).outcome()

        def reading() -> int:
            return sum("Reader.run" in task.get_name() for task in asyncio.all_tasks())

        feed, talk = await engine.watch(), await engine.conversation(KEY)
        assert isinstance(feed, RemoteFeed)
        assert isinstance(talk, RemoteConversation)
        assert reading() == 2
        for reader in (feed, talk, feed, talk):
            reader.close()
        await until(lambda: reading() == 0)
        assert talk.read(Cursor()).entries, "what has arrived can still be read"
        await until(lambda: len(home.supervisor._feed._readers) == 1)  # the mirror's


async def test_over_the_network_it_takes_a_token_that_may(bullpen: Open, world: FakeWorld) -> None:
    async with bullpen() as home:
        for token, words in (("", "a token is needed"), ("bp_x_y", "not known")):
            async with RemoteEngine(url=home.door.url, token=token) as engine:
                with pytest.raises(Refused, match=words):
                    await engine.snapshot()
        _, text = home.door.tokens.add(Role.USER, user="ana")
        async with RemoteEngine(url=home.door.url, token=text) as engine:
            ticket = await engine.submit(Prompt("desk", "hello", user="", source=Source.OPERATOR))
            assert isinstance(await ticket.outcome(), Done)
            assert (await engine.turn(ticket.turn_id)).prompt.source is Source.CALLER, "an operator's alone"
            with pytest.raises(Refused, match="operator"):
                await engine.snapshot()
            other = await home.supervisor.submit(Prompt("desk", "hello", user="ben"))
            await other.accepted()
            for call in (engine.turn, engine.ticket):
                with pytest.raises(UnknownTarget):
                    await call(other.turn_id)
            with pytest.raises(UnknownTarget):
                async for _ in RemoteTicket(engine._line, other.turn_id, other.key).stream():
                    pass
        _, text = home.door.tokens.add(Role.OPERATOR)
        async with RemoteEngine(url=home.door.url, token=text, via="screen") as engine:
            with await engine.watch() as feed:
                assert feed.snapshot.instances[0].name == "desk"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("ftp://h", "is no address"),
        ("h:80", "is no address"),
        ("http://", "is no address"),
        ("http://h:x", "is no address"),
        ("http://u:secret@127.0.0.1", "no password"),
        ("http://bullpen.example.org", "https"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused_and_shows_no_secret(url: str, words: str) -> None:
    with pytest.raises(Refused, match=words) as raised:
        RemoteEngine(url=url, token="bp_a_b")
    assert "secret" not in str(raised.value)


async def test_where_nothing_listens_one_line_says_so(tmp_path: Path, free_tcp_port: int) -> None:
    for how in ({"socket": tmp_path / SOCKET}, {"url": f"http://127.0.0.1:{free_tcp_port}"}):
        async with RemoteEngine(**how) as engine:  # type: ignore[arg-type]
            for call in (engine.snapshot, engine.watch):
                with pytest.raises(NotReached, match="no bullpen answers"):
                    await call()
    with pytest.raises(NotReached):
        RemoteEngine(socket=tmp_path / ("x" * 120) / "gone" / SOCKET)


@pytest.mark.parametrize("status", [200, 500])
async def test_what_is_no_bullpen_is_told_in_one_line(status: int) -> None:
    async def serve(stream: anyio.abc.ByteStream) -> None:
        async with stream:
            await stream.receive()
            await stream.send(b"HTTP/1.1 %d X\r\nContent-Length: 5\r\n\r\nhello" % status)

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(anyio.abc.SocketAttribute.local_port)
    async with listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, serve)
        async with RemoteEngine(url=f"http://127.0.0.1:{port}") as engine:
            with pytest.raises(BullpenError, match="version") as raised:
                await engine.snapshot()
        assert "\n" not in str(raised.value)
        group.cancel_scope.cancel()


def test_a_stream_that_begins_again_gives_nothing_twice() -> None:
    given = Given()

    def take(*fragments: str) -> list[str]:
        return [one for fragment in fragments for one in given.take(fragment, may_void=True)]

    assert take("One", ".", "\n", "Tw") == ["One", ".", "\n", "Tw"]
    given.begin_again()
    assert take("On", "e.") == []
    assert take("\n", "Two") == ["o"]
    given.begin_again()
    assert take("One.", "\n") == []
    again = take("Three")
    assert isinstance(again[0], StartsAgain), "the block is another one"
    assert again[1:] == ["Three"]
    given.begin_again()
    assert take("Something else") == [StartsAgain(), "Something else"]
