"""Questions relayed to people by webhooks, and answered by the address that came along: in a browser, once."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html import unescape
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock

import anyio
import httpx
import pytest

from supervisor.api.event_names import SAMPLE_QUESTION
from supervisor.api.prompts import Prompt
from supervisor.api.questions import Allow, QuestionOutcome
from supervisor.automation.answer_links import QuestionLinks
from supervisor.permissions.requests import ToolRequest, Verdict
from supervisor.testing import FakeConnection, FakeWorld, hold
from tests.gateway.browser import CHROMIUM, chromium
from tests.gateway.conftest import Bullpen, Open
from tests.waiting import until

pytestmark = pytest.mark.anyio

EVIL = "</pre><script>alert(1)</script>\x1b[2J\u202egpj.exe & \"'"


class Webhook:
    """A loopback server that keeps what it is sent."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, str], Any]] = []
        self.status = 200
        self.url = ""

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Webhook]:
        async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
            self.url = f"http://127.0.0.1:{listener.extra(anyio.abc.SocketAttribute.local_port)}"
            async with anyio.create_task_group() as group:
                group.start_soon(listener.serve, self._answer)
                yield self
                group.cancel_scope.cancel()

    async def _answer(self, stream: anyio.abc.SocketStream) -> None:
        async with stream:
            data = b""
            while b"\r\n\r\n" not in data:
                data += await stream.receive()
            head, _, body = data.partition(b"\r\n\r\n")
            first, *lines = head.decode().split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
            while len(body) < int(headers.get("content-length", 0)):
                body += await stream.receive()
            self.requests.append((first.split()[1], headers, json.loads(body)))
            await stream.send(f"HTTP/1.1 {self.status} X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())


def bash(command: str = "rm -r build") -> ToolRequest:
    return ToolRequest(tool="Bash", arguments={"command": command}, tool_use_id="t1")


CHOICES = ToolRequest(
    tool="AskUserQuestion",
    tool_use_id="t2",
    arguments={
        "questions": [
            {
                "question": "Which colour?",
                "header": "Colour",
                "options": [{"label": "red", "description": "warm"}, {"label": "blue", "description": ""}],
            },
            {
                "question": "Which sizes?",
                "header": "Size",
                "multiSelect": True,
                "options": [{"label": "small", "description": ""}, {"label": "large", "description": ""}],
            },
        ]
    },
)


class Relay:
    """A door whose bullpen has one turn that asks, and the webhook that is told."""

    def __init__(self, home: Bullpen, hook: Webhook, connection: FakeConnection) -> None:
        self.home, self.hook, self.connection = home, hook, connection
        self.verdicts: list[Verdict | None] = []

    async def ask(self, group: anyio.abc.TaskGroup, request: ToolRequest) -> str:
        """The path of the page that was sent."""
        count = len(self.hook.requests)

        async def put() -> None:
            self.verdicts.append(await self.connection.ask(request))

        group.start_soon(put)
        await until(lambda: len(self.hook.requests) > count)
        found = re.search(r"http://127\.0\.0\.1:\d+(/answer/[\w-]{43})", json.dumps(self.hook.requests[-1][2]))
        assert found is not None
        return found[1]


@asynccontextmanager
async def relay(bullpen: Open, world: FakeWorld, hook: Webhook, **notify: Any) -> AsyncIterator[Relay]:
    world.on_prompt = hold
    action = {"type": "notify", "url": f"{hook.url}/hook"} | notify
    async with bullpen(hooks=[{"name": "relay", "on": "question:asked", "actions": [action]}]) as home:
        await home.supervisor.submit(Prompt("desk", "go", user="ana"))
        await until(lambda: bool(world.connections) and bool(world.connections[-1].prompts))
        yield Relay(home, hook, world.connections[-1])


def fields_of(page: str, **fields: str) -> dict[str, str]:
    [proof] = re.findall(r'name="proof" value="(\w+)"', page)
    return {"proof": proof, **fields}


@pytest.mark.parametrize(
    ("to", "more", "expected"),
    [
        (
            "slack",
            {},
            lambda link: {
                "text": f"desk/ana/default asks for Bash: rm -r build\n<{link}|Answer>",
                "unfurl_links": False,
            },
        ),
        (
            "telegram",
            {"chat": "4711", "text": "{tool} <b>: {answer_url}"},
            lambda link: {
                "chat_id": "4711",
                "text": f"Bash <b>: {link}\n{link}",
                "link_preview_options": {"is_disabled": True},
            },
        ),
        (
            "ntfy",
            {"text": "{summary}"},
            lambda link: {
                "topic": "hook",
                "message": "rm -r build",
                "click": link,
                "actions": [{"action": "view", "label": "Answer", "url": link}],
            },
        ),
    ],
)
async def test_a_question_is_told_in_the_shape_that_each_webhook_wants(
    bullpen: Open, world: FakeWorld, to: str, more: dict[str, str], expected: Any
) -> None:
    opened = relay(bullpen, world, hook := Webhook(), to=to, **more)
    async with hook.open(), opened as given, anyio.create_task_group() as group:
        path = await given.ask(group, bash())
        where, headers, body = hook.requests[0]
        assert body == expected(given.home.door.url + path)
        assert where == ("/" if to == "ntfy" else "/hook")
        assert headers["idempotency-key"]
        group.cancel_scope.cancel()


async def test_looking_at_the_page_answers_nothing_and_sending_its_form_answers_once(
    bullpen: Open, world: FakeWorld
) -> None:
    async with Webhook().open() as hook, relay(bullpen, world, hook) as given, anyio.create_task_group() as group:
        path = await given.ask(group, bash(f"echo {EVIL}"))
        browser = await given.home.stranger()
        for _ in range(3):
            page = await browser.get(path)
        assert (await browser.head(path)).status_code == page.status_code == 200
        assert given.home.supervisor.view.open_questions()
        assert "<script" not in page.text
        assert "\x1b" not in page.text
        assert "\u202e" not in page.text
        assert "</pre><script>alert(1)</script>" in unescape(page.text)
        assert "⟨U+202E⟩" in page.text
        for name, value in (
            ("cache-control", "no-store"),
            ("referrer-policy", "no-referrer"),
            ("x-frame-options", "DENY"),
            ("x-content-type-options", "nosniff"),
        ):
            assert page.headers[name] == value
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "<script" not in page.text
        assert "viewport" in page.text
        answered = await browser.post(path, data=fields_of(page.text, answer="allow"))
        assert answered.status_code == 200
        await until(lambda: given.verdicts)
        assert given.verdicts[0] is not None
        assert given.verdicts[0].outcome is QuestionOutcome.APPROVED
        again = await browser.post(path, data=fields_of(page.text, answer="deny"))
        assert again.status_code == 409
        assert "It was allowed, by this address." in again.text
        assert "It was allowed, by this address." in (await browser.get(path)).text
        assert "<form" not in again.text
        # What it was about may have a million characters, and many settled questions are remembered.
        [kept] = given.home.supervisor.answer_links._links.values()
        assert (kept.question.detail, kept.question.diff) == (kept.question.summary, "")
        audit = await given.home.supervisor.audit()
        assert [(one.verb, one.by, one.via) for one in audit] == [("answer", "answer link", "http")]


@pytest.mark.parametrize(
    ("answer", "outcome", "words"),
    [
        ({"answer": "deny", "reason": "not on a Friday"}, QuestionOutcome.DENIED, "It was denied"),
        ({"answer": "always"}, QuestionOutcome.APPROVED, "It was allowed"),
    ],
)
async def test_a_question_is_denied_with_a_reason_or_allowed_for_the_session(
    bullpen: Open, world: FakeWorld, answer: dict[str, str], outcome: QuestionOutcome, words: str
) -> None:
    async with Webhook().open() as hook, relay(bullpen, world, hook) as given, anyio.create_task_group() as group:
        path = await given.ask(group, bash())
        browser = await given.home.stranger()
        page = await browser.get(path)
        assert ("Always in this session" in page.text) is bool(given.home.supervisor.view.open_questions()[0].always)
        await browser.post(path, data=fields_of(page.text, **answer))
        await until(lambda: given.verdicts)
        [verdict] = given.verdicts
        assert verdict is not None
        assert verdict.outcome is outcome
        if "reason" in answer:
            assert "not on a Friday" in repr(verdict)
        assert words in (await browser.get(path)).text


async def test_a_choice_is_made_by_its_options_or_in_words_and_all_of_it(bullpen: Open, world: FakeWorld) -> None:
    async with Webhook().open() as hook, relay(bullpen, world, hook) as given, anyio.create_task_group() as group:
        path = await given.ask(group, CHOICES)
        browser = await given.home.stranger()
        page = await browser.get(path)
        half = await browser.post(path, data=fields_of(page.text, answer="choose", choice0="1"))
        assert half.status_code == 409
        assert "choose something" in half.text
        assert "<form" in half.text
        for wrong in ({"answer": "allow"}, {"answer": "choose", "choice0": "7", "choice1": "0"}, {}):
            assert (await browser.post(path, data=fields_of(page.text, **wrong))).status_code == 409
        whole = {**fields_of(page.text, answer="choose", other0="green & gold"), "choice1": ["0", "1"]}
        assert (await browser.post(path, data=whole)).status_code == 200
        await until(lambda: given.verdicts)
        assert "green & gold" in repr(given.verdicts[0])
        assert "small, large" in repr(given.verdicts[0])


async def test_no_page_of_another_origin_answers_and_no_address_that_is_made_up(
    bullpen: Open, world: FakeWorld
) -> None:
    async with Webhook().open() as hook, relay(bullpen, world, hook) as given, anyio.create_task_group() as group:
        path = await given.ask(group, bash())
        browser = await given.home.stranger()
        page = await browser.get(path)
        good = fields_of(page.text, answer="allow")
        own = given.home.door.url
        for headers in (
            {"Origin": "https://evil.example"},
            {"Origin": own, "Sec-Fetch-Site": "cross-site"},
            {"Origin": "null", "Sec-Fetch-Site": "same-site"},
            {"Host": "evil.example"},
            {"Origin": "https://chat.example.org"},
        ):
            assert (await browser.post(path, data=good, headers=headers)).status_code == 403, headers
        for wrong in ({"answer": "allow"}, good | {"proof": "0" * 64}):
            assert (await browser.post(path, data=wrong)).status_code == 403
        assert (await browser.post(path, json=good)).status_code == 409
        assert (await browser.post(path, data=good | {"reason": "x" * 70_000})).status_code == 409
        for made_up in ("/answer/" + "A" * 43, "/answer/x", path[:-1], "/answer/" + "A" * 5_000):
            assert (await browser.get(made_up)).status_code in (404, 422)
            assert (await browser.post(made_up, data=good)).status_code in (404, 422)
        assert given.home.supervisor.view.open_questions()
        assert (await browser.post(path, data=good, headers={"Origin": "null"})).status_code == 200
        await until(lambda: given.verdicts)


async def test_an_address_says_what_became_of_its_question(bullpen: Open, world: FakeWorld) -> None:
    async with Webhook().open() as hook, relay(bullpen, world, hook) as given, anyio.create_task_group() as group:
        browser = await given.home.stranger()
        supervisor = given.home.supervisor
        by_operator = await given.ask(group, bash("one"))
        stale = (await browser.get(by_operator)).text
        operator = await given.home.operator()
        question = supervisor.view.open_questions()[0]
        await operator.post(f"/questions/{question.id}/answer", json={"answer": "deny", "reason": "no"})
        await until(lambda: given.verdicts)
        late = await browser.post(by_operator, data=fields_of(stale, answer="allow"))
        assert late.status_code == 409
        assert "It was denied by operator." in late.text
        lost = await given.ask(group, bash("two"))
        await supervisor.interrupt(question.key)
        await until(lambda: not supervisor.view.open_questions())
        assert "It was lost" in (await browser.get(lost)).text


async def test_a_webhook_that_refuses_is_tried_again_and_told_and_shows_no_secret(
    bullpen: Open, world: FakeWorld, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)  # httpx logs addresses whole, and those of webhooks are their keys
    async with Webhook().open() as hook:
        monkeypatch.setenv("SECRET_HOOK", f"{hook.url}/bot-very-secret")
        hook.status = 500
        notify = {"url": "env:SECRET_HOOK"}
        async with relay(bullpen, world, hook, **notify) as given, anyio.create_task_group() as group:
            await given.ask(group, bash())
            await until(lambda: [run for run in given.home.supervisor.automation.log.last(9) if run.detail])
            [run] = given.home.supervisor.automation.log.last(9)
            assert run.detail == "env:SECRET_HOOK answered 500"
            assert "very-secret" not in repr((run, await given.home.supervisor.hooks()))
            assert "very-secret" not in caplog.text
            group.cancel_scope.cancel()


async def test_http_clients_get_no_token_of_ours_and_the_page_takes_none(bullpen: Open, world: FakeWorld) -> None:
    """The address is the secret: it is kept as a digest, and stands in no list."""
    async with Webhook().open() as hook, relay(bullpen, world, hook) as given, anyio.create_task_group() as group:
        path = await given.ask(group, bash())
        token = path.rpartition("/")[2]
        assert token not in repr(vars(given.home.supervisor.answer_links))
        assert token not in repr((await given.home.supervisor.hook_runs(), await given.home.supervisor.snapshot()))
        metrics = await (await given.home.operator()).get("/metrics")
        assert token not in metrics.text
        assert isinstance(metrics, httpx.Response)
        group.cancel_scope.cancel()


@pytest.mark.slow
@pytest.mark.skipif(not CHROMIUM, reason="a browser at the page is not tried: no chromium is installed")
async def test_a_real_browser_answers_on_a_phone_and_without_scripts(
    bullpen: Open, world: FakeWorld, tmp_path: Path
) -> None:
    wide = f"echo {'very-long-word' * 40} {EVIL}"
    opened = relay(bullpen, world, hook := Webhook())
    async with hook.open(), opened as given, anyio.create_task_group() as group, chromium(tmp_path / "b") as browser:
        path = await given.ask(group, bash(wide))
        page = await browser.open("about:blank")
        await page.send("Emulation.setDeviceMetricsOverride", width=360, height=740, deviceScaleFactor=2, mobile=True)
        await page.send("Emulation.setScriptExecutionDisabled", value=True)
        await page.goto(given.home.door.url + path)
        assert await page.run("async () => document.documentElement.scrollWidth") <= 360
        assert await page.run("async () => getComputedStyle(document.querySelector('pre')).whiteSpace") == "pre-wrap"
        assert await page.run("async () => document.querySelectorAll('script').length") == 0
        assert given.home.supervisor.view.open_questions()
        await page.run("async () => document.querySelector('button[value=allow]').click()")
        await page.until("/It was allowed|has arrived/.test(document.body?.innerText ?? '')")
        await until(lambda: given.verdicts)
        assert given.verdicts[0] is not None
        assert given.verdicts[0].outcome is QuestionOutcome.APPROVED


async def test_a_sample_brings_an_address_that_answers_nothing(bullpen: Open) -> None:
    async with Webhook().open() as hook:
        action = {"type": "notify", "url": f"{hook.url}/hook"}
        async with bullpen(hooks=[{"on": "question:asked", "actions": [action]}]) as home:
            await home.supervisor.test_hook("question:asked")
            [(_, _, told)] = hook.requests
            page = await (await home.stranger()).get("/answer/" + told["answer_url"].rpartition("/")[2])
            assert page.status_code == 200
            assert "This was a sample" in page.text
            assert "<form" not in page.text


async def test_an_address_that_is_given_up_while_it_answers_has_answered_all_the_same() -> None:
    """Its user is forgotten in that moment."""
    engine = AsyncMock()
    links = QuestionLinks(engine)
    links.base_url = "http://127.0.0.1"
    token = links.make(SAMPLE_QUESTION).rpartition("/")[2]
    engine.answer.side_effect = lambda *answer, by: links.forget(SAMPLE_QUESTION.key.user)
    assert (await links.answer(token, Allow())).was_used
    assert links.look(token) is None
