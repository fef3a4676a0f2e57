"""Near and far are one contract: whatever a verb is given, both refuse it with the same class and the same line."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Iterator
from typing import Any

import anyio
import pytest
from anyio.streams.buffered import BufferedByteReceiveStream
from msgspec.structs import replace

from supervisor.api.engine import ConversationReader, Engine, FeedReader, Ticket
from supervisor.api.errors import BullpenError, UnknownTarget
from supervisor.api.keys import SessionKey
from supervisor.api.outcomes import Done
from supervisor.api.prompts import Prompt
from supervisor.api.questions import Allow, Choose, Deny
from supervisor.api.states import InstanceState
from supervisor.remote.engine import RemoteEngine
from supervisor.testing import FakeWorld, hold
from tests.gateway.conftest import MakeTemplate, Open
from tests.gateway.test_remote_engine import HELLO, KEY, begun, far
from tests.waiting import until

pytestmark = pytest.mark.anyio

HALF = "\ud800"
"""Half a character: UTF-8 cannot hold it, so no line carries it as it is."""
FEW_NAMES: tuple[Any, ...] = ("nope", "", "a b", "..", "a/b", "/", "%2F", "é", HALF, "a\nb", "?x=1#", "x" * 1_001)
NAMES: tuple[Any, ...] = (
    *FEW_NAMES, ".", "a/", "//", " ", " desk", "DESK", f"de{HALF}sk", "\x00", "a\rb", "a\u2028b", "a\u200db",
    "x" * 1_000, "x" * 200_000, None, 5, True, b"x", ("desk",), [],
)  # fmt: skip
NUMBERS: tuple[Any, ...] = (
    0, -1, 1.5, math.nan, math.inf, "3", None, True, b"3", 10_001, 2**31, 2**63, -(10**30), 10**5_000,
)  # fmt: skip
KEYS: tuple[Any, ...] = (
    *(SessionKey("desk", name, "default") for name in FEW_NAMES),
    *(SessionKey("desk", "ana", name) for name in FEW_NAMES),
    *(SessionKey(name, "ana", "default") for name in FEW_NAMES),
    *(SessionKey("desk", "a/b", "c/d"), SessionKey("nope", "a/b", ""), SessionKey("", "", "")),
    ("desk", "none", "none"),
    *(("desk", "ana"), None, 5, b"x", "desk/ana/default", SessionKey("desk", 2, b"x")),
)  # fmt: skip
UNSERVED = Prompt("no-such-agent", "hello", user="ana")
"""Refused in the end, so that no turn begins."""
PROMPTS: tuple[Any, ...] = (
    *(replace(UNSERVED, **{field: one}) for field in ("text", "user", "session", "request", "model") for one in NAMES),
    *(replace(UNSERVED, **{field: one}) for field in ("priority", "depth", "source") for one in NUMBERS),
    *(replace(HELLO, agent=one) for one in NAMES if one != ""),
    *(replace(HELLO, provider=one) for one in NAMES if one != ""),
    *(None, 5, "hello", b"x", {"agent": "desk"}),
)
ANSWERS: tuple[Any, ...] = (
    None, 5, "allow", Allow(always="x"), Deny(reason=3), Deny("x" * 200_000),
    Deny(HALF), Choose(answers=None), Choose({1: 2}), Choose({}), Choose({HALF: HALF}),
    Choose({str(one): "a" for one in range(200)}),
)  # fmt: skip
GOOD: dict[str, Any] = {
    "key": KEY, "instance": "nope", "turn_id": "", "question_id": "q-1", "answer": Allow(), "by": "operator",
    "count": 1, "recent": 0, "text": "hello", "agents": (), "prompt": UNSERVED, "event": "nope", "limit": "maxClients",
    "value": "3", "deadline": None, "before_end": False, "max_sessions": 2, "client_id": "desk-99", "user": "stranger",
}  # fmt: skip
"""What stands for the other arguments while one is varied."""
ODD: dict[str, tuple[Any, ...]] = {
    "key": KEYS, "instance": NAMES, "turn_id": NAMES, "question_id": NAMES, "answer": ANSWERS, "by": NAMES,
    "count": NUMBERS, "recent": NUMBERS, "text": NAMES, "agents": (*NAMES, *((one,) for one in NAMES)),
    "prompt": PROMPTS, "event": NAMES, "limit": NAMES, "value": NAMES, "deadline": NUMBERS, "before_end": NUMBERS,
    "max_sessions": NUMBERS, "client_id": NAMES, "user": NAMES,
}  # fmt: skip
"""By the name of an argument. One that is new in the contract has to be added."""
WITH_DESK = {("scale", "max_sessions"), ("adjust", "limit"), ("adjust", "value"), ("clear_queue", "key")}
"""What is varied for an agent that there is; everything odd is refused there too."""
MEANT: dict[tuple[str, str], str] = {}
"""(verb, argument) → why both sides may differ there. There is nothing."""


def calls() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Each verb with each of its arguments odd: verb, argument, arguments."""
    for verb, method in vars(Engine).items():
        if not inspect.iscoroutinefunction(method):
            continue
        names = [name for name in inspect.signature(method).parameters if name != "self"]
        for varied in names:
            for odd in ODD[varied]:
                given = {name: GOOD[name] for name in names} | {varied: odd}
                if (verb, varied) in WITH_DESK:
                    given["instance"] = "desk"
                if verb == "drained" and odd is None:
                    continue  # waits for all
                yield verb, varied, given
    for instance in NAMES:
        yield "adjust", "instance", {"instance": "", "limit": instance, "value": "3"}
        yield "clear_queue", "instance", {"instance": instance, "key": None}


NEVER_EMPTY = {"interrupt", "clear_queue", "warm", "forget_user", "replay", "compact", "submit", "turn", "snapshot"}
"""Verbs whose answer has a field at least."""


async def tell(engine: Engine, verb: str, given: dict[str, Any]) -> tuple[object, ...]:
    """What becomes of a call, so that it can be compared."""
    try:
        found = await getattr(engine, verb)(**given)
    except BullpenError as error:
        return type(error), str(error), vars(error)
    except Exception as error:  # no verb raises such a one
        return "a mistake of ours", type(error), str(error)
    if hasattr(found, "close"):
        found.close()
        return ("a reader",)
    return (found.turn_id,) if hasattr(found, "turn_id") else (found,)


def is_clear(told: tuple[object, ...]) -> bool:
    """An answer, or one line that says what is wrong."""
    return told[0] != "a mistake of ours" and not (isinstance(told[0], type) and "\n" in str(told[1]))


async def test_what_is_odd_is_refused_near_and_far_in_the_same_words(bullpen: Open) -> None:
    """D6"""
    different = []
    async with bullpen() as home, far(home, via="screen") as engine:
        await (await home.supervisor.submit(HELLO)).outcome()
        for verb, varied, given in calls():
            near, distant = await tell(home.supervisor, verb, given), await tell(engine, verb, given)
            if (near != distant and (verb, varied) not in MEANT) or not all(map(is_clear, (near, distant))):
                different.append(f"{verb}({given!r:.200})\n   near {near!r:.300}\n   far  {distant!r:.300}")
        assert not different, f"{len(different)} differ:\n" + "\n".join(different[:20])
        assert home.supervisor.failure is None
        assert [row.turns for row in (await engine.snapshot()).sessions] == [1], (
            "and nothing of it has changed anything"
        )


async def test_what_cannot_be_done_now_is_told_near_and_far_in_the_same_words(
    bullpen: Open, world: FakeWorld, make_template: MakeTemplate
) -> None:
    """D6: by sessions that run and wait, queues that are full, and instances that take nothing."""
    world.on_prompt = hold
    desk = make_template(concurrency={"maxSessions": 1}, pool={"spares": 0}, queue={"maxWaiting": 2, "maxPerUser": 2})
    clerk = make_template("clerk", archetype="employee", pool={"spares": 0})
    async with bullpen(desk, clerk) as home, far(home, via="screen") as engine:
        near = home.supervisor

        async def both(verb: str, *given: Any, **named: Any) -> None:
            arguments = inspect.signature(getattr(near, verb)).bind(*given, **named).arguments
            told, from_afar = await tell(near, verb, arguments), await tell(engine, verb, arguments)
            assert told == from_afar, (verb, arguments)
            assert isinstance(told[0], type), f"{verb} was to be refused"
            assert issubclass(told[0], BullpenError)

        ana = await near.submit(Prompt("desk", "one", user="ana"))
        await ana.accepted()
        first = await begun(world)
        waits = await near.submit(Prompt("desk", "two", user="ana"))
        await waits.accepted()
        await both("submit", Prompt("desk", "three", user="ana"))
        bo = await near.submit(Prompt("desk", "x", user="bo", request="r-1"))
        await bo.accepted()
        await both("submit", Prompt("desk", "full", user="cy"))
        await both("submit", Prompt("desk", "another", user="bo", request="r-1"))
        await both("submit", Prompt("", "zzz qqq", user="cy"))
        await both("submit", Prompt("clerk", "x", user=""))
        for key in (KEY, bo.key):
            for verb in ("hibernate", "close_session", "compact", "replay", "drop_offer"):
                await both(verb, key)
        for most in (0, 10**12):
            await both("scale", "desk", most)
        for limit, value in (("maxClients", "x"), ("nope", "3"), ("pool", "3"), ("idleTtl", "-1"), ("max_agents", "3")):
            await both("adjust", "desk", limit, value)
            await both("adjust", "", limit, value if limit != "max_agents" else "0")
        await both("route", "hello", ("nope",))
        await both("clear_queue", "desk", SessionKey("clerk", "everyone", "desk"))
        await near.withdraw(bo.turn_id)
        await bo.outcome()
        await both("withdraw", bo.turn_id)
        await both("withdraw", bo.turn_id[:-1])
        first.reply("done")
        assert isinstance(await ana.outcome(), Done)
        await near.kill("desk")
        await until(lambda: near.view.snapshot().instances[0].state is InstanceState.STOPPED)
        for verb in ("pause", "drain"):
            await both(verb, "desk")
        await both("submit", Prompt("desk", "x", user="dd"))
        assert near.failure is None


async def test_no_key_reaches_another_session_than_it_names(bullpen: Open, make_template: MakeTemplate) -> None:
    """D6: where agents have slashes in their names, the parts of a key cannot be moved."""
    agents = ("desk", "desk/a", "a//b", "/c", "d/", "..", "?#%2F", "👩\u200d💻", "desk/x")
    async with bullpen(*(make_template(name, pool={"spares": 0}) for name in agents)) as home, far(home) as engine:
        for name in agents:
            assert await engine.limits(name) == await home.supervisor.limits(name)
            await engine.pause(name)
        assert {row.state for row in (await engine.snapshot()).instances} == {"paused"}
        for name in agents:
            await engine.resume(name)
        keys = [SessionKey("desk/a", "b", "c"), SessionKey("desk/x", "b", "warm"), SessionKey("desk/a", "b", "drop")]
        for key in keys:
            prompt = Prompt(key.instance, "hi", user=key.user, session=key.session)
            await (await home.supervisor.submit(prompt)).outcome()
        for moved in (SessionKey("desk", "a/b", "c"), SessionKey("desk", "a", "b/c"), SessionKey("desk/a/b", "c", "")):
            for side in (home.supervisor, engine):
                with pytest.raises(UnknownTarget):
                    await side.close_session(moved)
        assert len((await engine.snapshot()).sessions) == 3
        for key in keys:
            assert (await engine.glimpse(key)).entries
            await engine.close_session(key)
        assert not (await engine.snapshot()).sessions


def public(thing: object) -> set[str]:
    return {name for name in dir(thing) if not name.startswith("_")}


async def test_what_a_verb_hands_out_can_be_read_and_not_written(bullpen: Open, world: FakeWorld) -> None:
    """D6: in the engine's own process no caller can say anything in a conversation that is kept, nor end a turn by its
    ticket."""
    world.on_prompt = hold
    async with bullpen() as home, far(home) as engine:
        ticket = await home.supervisor.submit(HELLO)
        connection = await begun(world)
        reader = await home.supervisor.conversation(KEY)
        assert public(reader) == public(ConversationReader)
        again = await home.supervisor.ticket(ticket.turn_id)
        assert public(ticket) == public(again) == public(Ticket)
        with await home.supervisor.watch() as feed:
            assert public(feed) == public(FeedReader) | {"snapshot"}
        connection.say("Hel")
        await until(lambda: reader.read().opened == "Hel")
        before = reader.read()
        reader.close()
        reader.close()
        connection.reply("Hello")
        await ticket.outcome()
        assert reader.read() == before, "nothing arrives any more, and what has arrived can still be read"
        assert len((await home.supervisor.conversation(KEY)).read().entries) > len(before.entries)
        for side in (home.supervisor, engine):
            for instance in ("", "desk"):
                with pytest.raises(TypeError):
                    (await side.limits(instance))["pool.maxClients"] = "1"  # type: ignore[index]


@pytest.mark.parametrize("body", [b"{}", b"[]", b'""', b'{"id": 5}', b"[" * 100_000, b"\xff"], ids=range(6))
async def test_another_version_on_the_far_side_is_told_in_one_line(body: bytes) -> None:
    """D6: whatever it answers, a verb returns what its annotation says or raises a `BullpenError`."""

    async def serve(stream: anyio.abc.ByteStream) -> None:
        async with stream:
            request = BufferedByteReceiveStream(stream)  # all of it: what is left unread would break the line
            head = await request.receive_until(b"\r\n\r\n", 65_536)
            if length := re.search(rb"(?i)content-length: (\d+)", head):
                await request.receive_exactly(int(length[1]))
            await stream.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    endless = {"watch", "conversation", "stop"}  # wait for streams, or for the other side to be gone
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(anyio.abc.SocketAttribute.local_port)
    async with listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, serve)
        async with RemoteEngine(url=f"http://127.0.0.1:{port}") as engine:
            for verb, method in vars(Engine).items():
                if inspect.iscoroutinefunction(method) and verb not in endless:
                    names = list(inspect.signature(method).parameters)[1:]
                    given = {name: (GOOD | {"turn_id": "t", "instance": "desk"})[name] for name in names}
                    told = await tell(engine, verb, given)
                    assert is_clear(told), (verb, told)
                    if verb in NEVER_EMPTY:
                        assert told[0] is BullpenError, (verb, told)
                        assert "use the same version" in str(told[1])
        group.cancel_scope.cancel()
