"""Who may: tokens, roles, places, and that nobody reaches what is another's."""

from __future__ import annotations

import json
import socket
import stat

import pytest

from supervisor.api.errors import InvalidId, Refused, UnknownTarget
from supervisor.gateway.app import compose_app
from supervisor.gateway.door import CannotOpen, Door
from supervisor.gateway.tokens import Role, TokenFile
from tests.gateway.conftest import ORIGIN, Open

pytestmark = pytest.mark.anyio

MESSAGE = {"agentId": "desk", "message": "hello"}


def operations(app: object) -> list[tuple[str, str]]:
    """Method and path of every route, with its parameters filled in."""
    found = []
    for path, methods in app.openapi()["paths"].items():  # type: ignore[attr-defined]
        filled = path
        for name, value in {
            "instance": "desk",
            "user": "ana",
            "session": "default",
            "turn_id": "none",
            "question_id": "none",
            "limit": "maxWait",
            "client": "desk-1",
            "session_id": "desk/ana/default",
        }.items():
            filled = filled.replace("{" + name + "}", value)
        found += [(method.upper(), filled) for method in methods]
    return found


OPEN = {("GET", "/healthz"), ("GET", "/readyz")}
"""What is told without a token: yes or no."""


async def test_without_a_token_or_with_a_wrong_one_nothing_is_told(bullpen: Open) -> None:
    async with bullpen() as home:
        token, text = home.door.tokens.add(Role.OPERATOR)
        home.door.tokens.revoke(token.id)
        wrong = [
            "",
            "Bearer",
            "Bearer x",
            "Basic abc",
            f"Bearer {text}",
            f"Bearer bp_{token.id}_x",
            "Bearer " + "ü" * 9,
        ]
        clients = [await home.stranger(Authorization=one.encode()) for one in wrong]  # type: ignore[arg-type]
        for method, path in operations(home.door.app):
            for client in clients:
                answer = await client.request(method, path)
                if (method, path) in OPEN:
                    assert answer.status_code == 200
                    continue
                assert answer.status_code == 401, (method, path)
                assert answer.headers["www-authenticate"].startswith("Bearer")
                told = "application/json" if path.startswith("/v1/") else "application/problem+json"
                assert answer.headers["content-type"] == told, path


CALLERS = {
    ("POST", "/chat"),
    ("POST", "/turns"),
    ("GET", "/turns/none"),
    ("GET", "/turns/none/events"),
    ("GET", "/turns/none/view"),
    ("GET", "/turns/none/stream"),
    ("POST", "/prompts"),
    ("DELETE", "/turns/none"),
    ("POST", "/turns/none/withdraw"),
    ("POST", "/questions/none/answer"),
    ("GET", "/sessions"),
    ("GET", "/questions"),
    ("GET", "/sessions/desk/ana/default/conversation"),
    ("GET", "/sessions/desk/ana/default/glimpse"),
    ("POST", "/sessions/desk/ana/default/interrupt"),
    ("POST", "/sessions/desk/ana/default/warm"),
    ("GET", "/whoami"),
    ("GET", "/route"),
    ("POST", "/route"),
    ("POST", "/v1/chat/completions"),
    ("GET", "/v1/models"),
}
"""What a user's token or a program's may ask; of its own."""


@pytest.mark.parametrize("role", [Role.USER, Role.DELEGATE, Role.READ_ONLY])
async def test_a_verb_of_the_operator_takes_an_operators_token(bullpen: Open, role: Role) -> None:
    async with bullpen() as home:
        client = await home.caller(role, **({"user": "ana"} if role is Role.USER else {}))
        for method, path in operations(home.door.app):
            if (method, path) in OPEN | CALLERS or (role is Role.READ_ONLY and method == "GET"):
                continue
            answer = await client.request(method, path, json={})
            assert answer.status_code == 403, (method, path, answer.text)
        assert len(await home.supervisor.audit()) == 0


async def test_a_read_only_token_sees_all_and_changes_nothing(bullpen: Open) -> None:
    async with bullpen() as home:
        client = await home.caller(Role.READ_ONLY)
        for path in ("/snapshot", "/agent-stats", "/metrics", "/audit", "/sessions", "/limits"):
            assert (await client.get(path)).status_code == 200, path
        for method, path in operations(home.door.app):
            if method != "GET":
                assert (await client.request(method, path, json=MESSAGE)).status_code in (403, 422), path
        assert (await client.post("/turns", json=MESSAGE | {"userId": "ana"})).status_code == 403
        assert (await home.supervisor.snapshot()).sessions == ()


async def test_a_user_reaches_that_users_turns_and_sessions_alone(bullpen: Open) -> None:
    """S2.39, S5.41–43: what is another's is not there."""
    async with bullpen() as home:
        ana, ben = await home.caller(user="ana"), await home.caller(user="ben")
        turns = {}
        for name, client in (("ana", ana), ("ben", ben)):
            answer = await client.post("/chat", json=MESSAGE, headers={"Accept": "application/json"})
            turns[name] = answer.json()["id"]
            assert answer.json()["userId"] == name
        assert (await ana.post("/turns", json=MESSAGE | {"userId": "ben"})).status_code == 403
        for path in (
            f"/turns/{turns['ben']}",
            f"/turns/{turns['ben']}/events",
            "/sessions/desk/ben/default/conversation",
            "/sessions/desk/ben/default/glimpse",
        ):
            there, missing = await ana.get(path), await ana.get(path.replace("ben", "xyz").replace(turns["ben"], "xyz"))
            assert (there.status_code, missing.status_code) == (404, 404), path
        assert (await ana.delete(f"/turns/{turns['ben']}")).status_code == 404
        told = [(await ana.post(f"/turns/{turn}/withdraw")).json()["detail"] for turn in (turns["ben"], "none")]
        assert told == [f"no turn {turns['ben']} is known", "no turn none is known"], "not that it has ended"
        assert (await ana.post("/sessions/desk/ben/default/interrupt", json={})).status_code == 404
        (row,) = (await ana.get("/sessions")).json()
        assert (row["key"][1], row["workspace"]) == ("ana", ""), "where it is on the host is the operator's to know"
        assert all(row["workspace"] for row in (await (await home.operator()).get("/sessions")).json())
        assert (await ana.get("/sessions/desk/ana/default/glimpse")).status_code == 200


async def test_a_token_for_one_agent_is_for_no_other(bullpen: Open, make_template: object) -> None:
    one, other = make_template("desk"), make_template("shop")  # type: ignore[operator]
    async with bullpen(one, other) as home:
        client = await home.caller(user="ana", agent="desk")
        assert (await client.post("/turns", json={"message": "hi"})).json()["agentId"] == "desk"
        assert (await client.post("/turns", json={"message": "hi", "agentId": "shop"})).status_code == 403
        free = await home.caller(user="ben")
        assert (await free.post("/turns", json={"message": "hi"})).status_code == 422, "there are two"


async def test_pages_of_other_origins_and_other_names_of_this_host_are_refused(bullpen: Open) -> None:
    async with bullpen() as home:
        client = await home.caller(Role.OPERATOR)
        assert (await client.get("/snapshot", headers={"Origin": ORIGIN})).status_code == 200
        for headers in ({"Origin": "https://evil.example"}, {"Origin": "null"}, {"Host": "evil.example"}):
            answer = await client.get("/snapshot", headers=headers)
            assert answer.status_code == 403, headers
        preflight = {"Origin": ORIGIN, "Access-Control-Request-Method": "POST"}
        allowed = await client.options("/chat", headers=preflight)
        assert allowed.headers["access-control-allow-origin"] == ORIGIN
        refused = await client.options("/chat", headers=preflight | {"Origin": "https://evil.example"})
        assert "access-control-allow-origin" not in refused.headers


async def test_a_method_that_a_route_has_not_is_refused_before_it_is_looked_at_who_calls(bullpen: Open) -> None:
    async with bullpen() as home:
        for client in (await home.stranger(), await home.caller(user="ana"), await home.operator()):
            for path in ("/chat", "/sessions/desk/ana/default/glimpse"):
                answer = await client.delete(path)
                assert (answer.status_code, "allow" in answer.headers) == (405, True), path


async def test_no_part_of_an_answer_waits_for_the_reader_to_acknowledge_another(bullpen: Open) -> None:
    async with bullpen() as home:
        client = await home.caller(Role.OPERATOR)
        assert (await client.get("/whoami")).status_code == 200
        (connection,) = [one for server in home.door._servers for one in server.server_state.connections]
        own = connection.transport.get_extra_info("socket")  # type: ignore[union-attr]
        assert own.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


async def test_verbs_are_recorded_with_the_name_of_the_token(bullpen: Open) -> None:
    async with bullpen() as home:
        client = await home.caller(Role.OPERATOR, name="night shift")
        assert (await client.post("/instances/desk/pause")).status_code == 204
        local = await home.operator()
        assert (await local.post("/instances/desk/resume", headers={"X-Bullpen-Via": "command"})).status_code == 204
        told = (await local.get("/audit")).json()
        assert [
            (one[1]["verb"], one[1]["by"], one[1]["via"])
            if isinstance(one, list)
            else (one["verb"], one["by"], one["via"])
            for one in told
        ] == [
            ("pause", "night shift", "http"),
            ("resume", "operator", "command"),
        ]


async def test_the_socket_is_its_owners(bullpen: Open) -> None:
    async with bullpen() as home:
        path = home.folder / "bullpen.sock"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not path.exists()


def test_listening_for_others_takes_a_token_first(tmp_path: object) -> None:
    folder = tmp_path
    with pytest.raises(CannotOpen, match="no token yet"):
        Door(None, folder, tokens=TokenFile(folder), version="0", leave=lambda: None, listen=("0.0.0.0", 0))  # type: ignore[arg-type]
    TokenFile(folder).add(Role.OPERATOR)  # type: ignore[arg-type]
    Door(None, folder, tokens=TokenFile(folder), version="0", leave=lambda: None, listen=("0.0.0.0", 0))  # type: ignore[arg-type]


def test_a_token_is_kept_as_a_hash_with_its_name_and_its_last_use(tokens: TokenFile) -> None:
    token, text = tokens.add(Role.USER, "Ana's phone", user="ana")
    kept = tokens.path.read_text()
    assert text not in kept
    assert text.split("_", 2)[2] not in kept
    assert stat.S_IMODE(tokens.path.stat().st_mode) == 0o600
    other = TokenFile(tokens.path.parent)
    assert other.find(text) == token
    assert token.last_used_at is None
    other.note_used(token)
    assert tokens.all()[0].last_used_at is None, "no request waits for a disk"
    other.write_used()
    (seen,) = tokens.all()
    assert seen.last_used_at is not None
    assert other.find(text + "x") is None
    assert other.find("bp_x_y") is None
    with pytest.raises(InvalidId):
        tokens.add(Role.USER, user="")
    with pytest.raises(Refused):
        tokens.add(Role.OPERATOR, user="ana")


def test_a_token_is_revoked_by_its_name_or_its_id_and_then_unknown(tokens: TokenFile) -> None:
    first, text = tokens.add(Role.OPERATOR, "a")
    second, _ = tokens.add(Role.OPERATOR, "b")
    third, _ = tokens.add(Role.OPERATOR, "b")
    assert tokens.revoke("a") == first
    assert tokens.find(text) is None
    for name in ("a", "b", ""):
        with pytest.raises(UnknownTarget, match="token list"):
            tokens.revoke(name)
    assert tokens.revoke(second.id) == second
    assert tokens.all() == (third,)


@pytest.mark.parametrize("content", ["{", "[1]", '[{"id": "x"}]', "\0", '{"a": 1}'])
def test_a_damaged_file_of_tokens_lets_nobody_in_and_is_left_as_it_is(tokens: TokenFile, content: str) -> None:
    tokens.path.write_text(content)
    for use in (tokens.all, lambda: tokens.find("bp_a_b"), lambda: tokens.add(Role.OPERATOR)):
        with pytest.raises(Refused, match="cannot be used"):
            use()
    assert tokens.path.read_text() == content


def test_every_route_has_a_summary_and_says_how_it_may_fail() -> None:
    class Nothing:
        """Routes are described without an engine."""

    app = compose_app(Nothing(), Nothing(), version="0", leave=lambda: None)  # type: ignore[arg-type]
    document = app.openapi()
    json.dumps(document)
    for path, methods in document["paths"].items():
        for method, told in methods.items():
            assert told["summary"].endswith((".", ").")), (path, method)
            if (method.upper(), path) not in OPEN:
                assert {"401", "403"} <= told["responses"].keys(), (path, method)
