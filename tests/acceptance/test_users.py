"""Users with tokens of their own, over HTTP, with real Claude Code processes: fewer of them than users, so that
sessions change clients all the time."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path

import anyio
import httpx
import pytest

from supervisor.gateway.door import Door
from supervisor.gateway.tokens import Role, TokenFile
from tests.acceptance.conftest import Open

pytestmark = pytest.mark.anyio

CLIENTS = 2


def word_of(number: int) -> str:
    return f"kiwi-{number:02}-"


@pytest.mark.parametrize("count", [4, pytest.param(24, marks=pytest.mark.exhaustive)])
async def test_users_with_tokens_of_their_own_never_see_each_others_words(
    open_bullpen: Open, tmp_path: Path, count: int
) -> None:
    """S2.39, S5.41–43: by what the model was sent, what each is answered, and what each token gets by others' ids."""
    keys = {"queue": {"maxWaiting": 2 * count, "maxWait": "none"}, "pool": {"spares": 0, "maxClients": CLIENTS}}
    async with open_bullpen(CLIENTS, state="state", pace=0.05, keys=keys) as bullpen, AsyncExitStack() as stack:
        group = await stack.enter_async_context(anyio.create_task_group())
        stack.callback(group.cancel_scope.cancel)
        tokens = TokenFile(tmp_path)
        door = Door(
            bullpen.supervisor,
            tmp_path / "state",
            tokens=tokens,
            version="0",
            leave=lambda: None,
            listen=("127.0.0.1", 0),
        )
        await group.start(door.run)
        users = [f"user-{number}" for number in range(count)]
        clients = []
        for user in users:
            _, token = tokens.add(Role.USER, user=user)
            head = {"Authorization": f"Bearer {token}"}
            client = httpx.AsyncClient(base_url=door.url, headers=head, timeout=120, verify=False)
            clients.append(await stack.enter_async_context(client))
        turns: dict[str, list[str]] = {user: [] for user in users}

        async def talk(number: int) -> None:
            for message in (f"[[say: noted]] my word is {word_of(number)}", "[[recall]]"):
                async with clients[number].stream(
                    "POST", "/chat", json={"agentId": "desk", "message": message}
                ) as stream:
                    turns[users[number]].append(stream.headers["x-turn-id"])
                    told = (await stream.aread()).decode()
                assert "event: done" in told, told
                assert not [one for one in range(count) if one != number and word_of(one) in told]
            assert word_of(number) in told, "the client that was resumed remembers"

        async with anyio.create_task_group() as talks:
            for number in range(count):
                talks.start_soon(talk, number)

        for request in bullpen.rehearsal.record:
            words = [number for number in range(count) if word_of(number) in request.text]
            assert len(words) <= 1, request.text
        for number in range(count):
            assert len(bullpen.requests_of(word_of(number))) == 1
        for number, client in enumerate(clients):
            for other in users:
                expected = 200 if other == users[number] else 404
                paths = [f"/turns/{turn}" for turn in turns[other]] + [f"/sessions/desk/{other}/default/glimpse"]
                for path in paths:
                    assert (await client.get(path)).status_code == expected, (number, path)
                if expected == 404:
                    assert (await client.delete(paths[0])).status_code == 404
                    assert (await client.get(f"{paths[0]}/events")).status_code == 404
        transcripts = list(tmp_path.rglob("*.jsonl"))  # noqa: ASYNC240 - a test
        assert len(transcripts) == count
        for path in transcripts:
            text = path.read_text()
            assert len([number for number in range(count) if word_of(number) in text]) == 1, path
