"""What is another's is not there: each route, with each id of another user, by each kind of token.

The routes are those that the door describes, so that one to come is tried as well. The law is the same for all: what
is answered for an id of another is, to the letter, what is answered for an id that does not exist.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import httpx
import pytest

from supervisor.api.addressing import EMPLOYEE_USER
from supervisor.api.errors import Refused
from supervisor.gateway.openai import SESSION_HEADERS, USER_HEADERS
from supervisor.gateway.tokens import Role, TokenFile
from supervisor.permissions.requests import ToolRequest
from supervisor.testing import FakeConnection, FakeWorld
from tests.gateway.conftest import Bullpen, MakeTemplate, Open
from tests.waiting import until

pytestmark = pytest.mark.anyio

AGENT, OTHER_AGENT = "helpdesk", "shop"
"""The first is the one of the examples in the door's description, as `ana` is their user."""
SECRET = "the-word-of-ana"
KEY = {"Idempotency-Key": "key-of-ana"}
GHOST = "0000000gh0st"
"""Of the shape of an id, and none."""


@dataclass
class Victim:
    """What `ana` has: by the name of the parameter of a path that takes it."""

    turn_id: list[str] = field(default_factory=list)
    question_id: list[str] = field(default_factory=list)
    session: list[str] = field(default_factory=list)
    client: list[str] = field(default_factory=list)

    @property
    def fillings(self) -> dict[str, list[dict[str, str]]]:
        """By what a path is about: the values of its parameters that name something of ana's."""
        keys = [{"instance": AGENT, "user": "ana", "session": name} for name in self.session]
        return {
            "turn_id": [{"turn_id": one} for one in self.turn_id],
            "question_id": [{"question_id": one} for one in self.question_id],
            "client": [{"client": one} for one in self.client],
            "session": keys,
            "session_id": [{"session_id": "/".join(key.values())} for key in keys],
            "user": [{"user": "ana"}],
        }

    @property
    def ids(self) -> list[str]:
        """Of what is hers alone: a client's is given again after a restart."""
        return [*self.turn_id, *self.question_id]


ABOUT_NO_USER = {"instance": AGENT, "limit": "maxWait", "event": "prompt:after"}
"""Parameters that name something of the host's."""


@asynccontextmanager
async def a_victim(home: Bullpen, world: FakeWorld) -> AsyncIterator[Victim]:
    """Turns of `ana` that have ended, run and wait, a question of hers that is open and one that is closed."""

    def answer(connection: FakeConnection, text: str) -> None:
        if "hold" not in text:
            connection.reply(f"You said: {text}")

    world.on_prompt = answer
    client, found = await home.caller(user="ana"), Victim(session=["default", "closed", "open"])

    async def send(session: str, text: str, **headers: str) -> str:
        body = {"agentId": AGENT, "sessionId": session, "message": f"{SECRET} {text}"}
        turn_id = str((await client.post("/turns", json=body, headers=headers)).json()["id"])
        found.turn_id.append(turn_id)
        return turn_id

    await (await home.supervisor.ticket(await send("default", "done", **KEY))).outcome()
    async with anyio.create_task_group() as group:
        for session in ("closed", "open"):
            await send(session, f"hold {session}")
            await until(lambda session=session: any(f"hold {session}" in str(one.prompts) for one in world.connections))
            connection = world.holder_of(f"{SECRET} hold {session}")
            group.start_soon(connection.ask, ToolRequest("Bash", {"command": f"echo {SECRET}"}))
            await until(lambda: home.supervisor.view.snapshot().questions)
            (question,) = home.supervisor.view.snapshot().questions
            found.question_id.append(question.id)
            found.client.append(question.client_id)
            if session == "closed":
                path = f"/questions/{question.id}/answer"
                assert (await client.post(path, json={"answer": "allow"})).status_code == 204
                await until(lambda: not home.supervisor.view.snapshot().questions)
        await send("open", "waits")
        yield found
        group.cancel_scope.cancel()


def restricted(home: Bullpen) -> dict[str, httpx.AsyncClient]:
    """A client for each kind of token that does not reach what ana has with the first agent. Its requests are given to
    the app itself: there are thousands."""
    made = {
        "another user": home.door.tokens.add(Role.USER, "one", user="ben"),
        "another user, one agent": home.door.tokens.add(Role.USER, "two", user="ben", agent=AGENT),
        "ana herself, another agent": home.door.tokens.add(Role.USER, "three", user="ana", agent=OTHER_AGENT),
        "a program, another agent": home.door.tokens.add(Role.DELEGATE, "four", agent=OTHER_AGENT),
        "an onlooker": home.door.tokens.add(Role.READ_ONLY, "five"),
    }
    transport = httpx.ASGITransport(home.door.app)
    return {
        whose: httpx.AsyncClient(
            transport=transport, base_url="http://localhost", headers={"Authorization": f"Bearer {text}"}
        )
        for whose, (_, text) in made.items()
    }


@dataclass
class Operation:
    method: str
    path: str
    body: object

    @property
    def subject(self) -> str:
        """What its path names of a user's; empty when it names nothing of any."""
        names = set(re.findall(r"\{(\w+)", self.path))
        strange = names - ABOUT_NO_USER.keys() - Victim().fillings.keys()
        assert not strange, f"say in this test what {strange} names"
        about = ("session", "session_id", "turn_id", "question_id", "client", "user")
        return next((name for name in about if name in names), "")

    def fill(self, values: dict[str, str]) -> str:
        return re.sub(r"\{(\w+)(:\w+)?\}", lambda found: (ABOUT_NO_USER | values)[found[1]], self.path)


def operations(document: dict[str, Any]) -> Iterator[Operation]:
    for path, methods in document["paths"].items():
        for method, told in methods.items():
            yield Operation(method.upper(), path, make_body(document, told))


def make_body(document: dict[str, Any], operation: dict[str, Any]) -> object:
    """One that the description allows: its example, or what it cannot do without."""
    content = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if content is None:
        return None
    schema = content["schema"]
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    if examples := schema.get("examples"):
        return examples[0]
    samples = {"integer": 1, "string": "1", "boolean": True}
    return {name: samples[schema["properties"][name]["type"]] for name in schema.get("required", ())}


def answered(response: httpx.Response, values: dict[str, str]) -> tuple[int, dict[str, str], str]:
    """Status, headers and body, without the ids that were asked for."""
    text = response.text
    for value in sorted(values.values(), key=len, reverse=True):
        text = text.replace(value, "·")
    headers = {name: value for name, value in response.headers.items() if name not in ("date", "content-length")}
    return response.status_code, headers, text


async def try_everything(home: Bullpen, victim: Victim) -> int:
    """Sends every request that the door describes with every id of the victim's. Returns how many were refused."""
    described, refused = list(operations(home.door.app.openapi())), 0
    for whose, client in restricted(home).items():
        for operation in described:
            if whose == "an onlooker" and operation.method == "GET":
                continue  # it may see everything
            if not operation.subject:
                answer = await client.request(operation.method, operation.fill({}), json=operation.body)
                told = [one for one in (SECRET, *victim.ids) if one in answer.text]
                assert not told, (whose, operation, answer.text)
                continue
            fillings = victim.fillings[operation.subject]
            ghost = {name: "/".join([AGENT, "ghost", GHOST]) if name == "session_id" else GHOST for name in fillings[0]}
            ghost |= {"instance": AGENT} if "instance" in ghost else {}
            nothing = await client.request(operation.method, operation.fill(ghost), json=operation.body)
            assert nothing.status_code in (403, 404), (whose, operation, nothing.text)
            # What is an operator's is refused by the token alone, before the ids are looked at.
            for values in fillings if nothing.status_code == 404 else fillings[:1]:
                answer = await client.request(operation.method, operation.fill(values), json=operation.body)
                assert answered(answer, values) == answered(nothing, ghost), (whose, operation, values)
                refused += 1
    return refused


async def test_an_id_of_another_is_answered_as_one_that_does_not_exist_by_every_route_and_token(
    bullpen: Open, world: FakeWorld, make_template: MakeTemplate
) -> None:
    """S2.39, S5.41–43: while it runs, when it is over, and after a restart."""
    templates = [
        make_template(name, concurrency={"maxSessions": 8}, pool={"spares": 0}) for name in (AGENT, OTHER_AGENT)
    ]
    async with bullpen(*templates) as home, a_victim(home, world) as victim:
        assert await try_everything(home, victim) > 90
        ana = await home.caller(user="ana")
        states = [(await ana.get(f"/turns/{one}")).json()["state"] for one in victim.turn_id]
        assert states == ["ended", "running", "running", "waiting"], "nothing of hers has changed"
        assert [one.id for one in (await home.supervisor.snapshot()).questions] == victim.question_id[1:]
        late = await ana.post(f"/questions/{victim.question_id[0]}/answer", json={"answer": "allow"})
        assert late.status_code == 409, "she is told that it is closed"
        assert {one.by for one in await home.supervisor.audit()} == {"ana"}
    async with bullpen(*templates) as home:
        assert await try_everything(home, victim) > 90
        operator = await home.operator()
        assert (await operator.delete("/users/ana")).status_code == 200
        await until(lambda: not [1 for row in home.supervisor.view.snapshot().sessions if row.key.user == "ana"])
        assert await try_everything(home, victim) > 90


async def test_a_prompt_that_names_what_is_anothers_is_a_prompt_of_the_callers_own(
    bullpen: Open, world: FakeWorld, make_template: MakeTemplate
) -> None:
    """Sessions, request names, and the headers of chat front ends are each user's own, whatever they are called."""
    templates = [
        make_template(name, concurrency={"maxSessions": 8}, pool={"spares": 0}) for name in (AGENT, OTHER_AGENT)
    ]
    async with bullpen(*templates) as home, a_victim(home, world) as victim:
        before = {row.key.session: row.turns for row in (await home.supervisor.snapshot()).sessions}
        client, operator = await home.caller(user="ben"), await home.operator()
        said = [{"role": "user", "content": f"{SECRET} done"}]
        asked = {"model": AGENT, "messages": said, "user": "ana"}
        own = {"agentId": AGENT, "sessionId": "default", "message": f"{SECRET} done"}
        packed = {
            "agent": AGENT,
            "user": "ben",
            "session": "default",
            "text": f"{SECRET} done",
            "request": KEY["Idempotency-Key"],
        }
        retry = {"X-Stainless-Retry-Count": "1", USER_HEADERS[0]: "ana"}
        answers = [
            await client.post("/turns", json=own, headers=KEY),
            await client.post("/chat", json=own, headers=KEY | {"Accept": "application/json"}),
            await client.post("/prompts", json=packed),
            await client.post("/v1/chat/completions", json=asked, headers=retry),
            await client.post("/v1/chat/completions", json=asked | {"metadata": {"session": "default"}}, headers=retry),
        ]
        answers += [
            await client.post("/v1/chat/completions", json=asked, headers=retry | {name: "default"})
            for name in SESSION_HEADERS
        ]
        for answer in answers:
            assert answer.status_code in (200, 202), answer.text
            turn_id = answer.headers.get("x-turn-id") or str(answer.json()["id"])
            assert turn_id not in victim.turn_id
            told = (await operator.get(f"/turns/{turn_id}")).json()
            assert told["userId"] == "ben"
        rows = (await home.supervisor.snapshot()).sessions
        assert {row.key.session: row.turns for row in rows if row.key.user == "ana"} == before
        bound = await home.caller(user="ana", agent=OTHER_AGENT)
        clash = await bound.post("/turns", json={"message": "hello"}, headers=KEY)
        assert clash.status_code == 409
        assert not [one for one in victim.ids if one in clash.text], "of what she asked another agent nothing is told"


async def test_the_conversation_that_all_callers_share_is_no_users(
    bullpen: Open, world: FakeWorld, make_template: MakeTemplate
) -> None:
    """An employee's conversation is kept under a name that no user can have."""
    async with bullpen(make_template("clerk", archetype="employee")) as home:
        with pytest.raises(Refused, match="no user can be called"):
            home.door.tokens.add(Role.USER, user=EMPLOYEE_USER)
        ana, ben = await home.caller(user="ana"), await home.caller(user="ben")
        answer = await ana.post("/chat", json={"message": SECRET}, headers={"Accept": "application/json"})
        assert answer.json()["text"] == f"You said: {SECRET}"
        (row,) = (await home.supervisor.snapshot()).sessions
        for client in (ana, ben):
            assert (await client.get("/sessions")).json() == []
            assert (await client.get(f"/sessions/{'/'.join(row.key)}/glimpse")).status_code == 404
        assert (await ben.get(f"/turns/{answer.json()['id']}/events")).status_code == 404
        async with ana.stream("GET", f"/turns/{answer.json()['id']}/events") as stream:
            assert SECRET in (await stream.aread()).decode()


@pytest.mark.parametrize("role", [Role.OPERATOR, Role.READ_ONLY])
def test_a_token_for_every_agent_is_not_made_for_one(tokens: TokenFile, role: Role) -> None:
    with pytest.raises(Refused, match="every agent"):
        tokens.add(role, agent=AGENT)
