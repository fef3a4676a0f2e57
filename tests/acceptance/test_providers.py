"""Real Claude Code processes of one instance and two endpoints, each of which records what it was sent."""

from __future__ import annotations

from pathlib import Path

import anyio
import psutil
import pytest
from msgspec.structs import replace

from supervisor.api.outcomes import Done
from supervisor.api.prompts import Prompt
from supervisor.api.questions import Allow
from supervisor.rehearsal import Rehearsal
from tests.acceptance.conftest import Bullpen, Open
from tests.waiting import until

pytestmark = pytest.mark.anyio

OWN_KEY, SECOND_KEY, THIRD_KEY = "sk-ant-of-the-host", "sk-of-second", "token-of-third"
ANA = Prompt("desk", "[[echo]] my number is 4711", user="ana")


async def ask(bullpen: Bullpen, prompt: Prompt) -> Done:
    outcome = await (await bullpen.supervisor.submit(prompt)).outcome()
    assert isinstance(outcome, Done), outcome
    return outcome


async def test_two_providers_serve_one_instance_at_once_and_neither_hears_the_others_key(
    open_bullpen: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S5.12: chosen by request; a change keeps the history; no key is in an argument or reaches a tool."""
    key_file = tmp_path / "third.key"
    key_file.write_text(f"{THIRD_KEY}\n")
    monkeypatch.setenv("SECOND_KEY", SECOND_KEY)
    monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "")
    monkeypatch.setenv("ANTHROPIC_CUSTOM_HEADERS", f"x-host-secret: {OWN_KEY}")
    async with Rehearsal(pace=0.25, keep=1000) as second:
        providers = {
            "second": {"base_url": second.url, "api_key": "env:SECOND_KEY", "models": {"quick": "claude-quick-1"}},
            "third": {
                "base_url": second.url,
                "auth_token": f"file:{key_file}",
                "env": {"THIRD_SECRET": "env:SECOND_KEY"},
            },
        }
        variables = {"ANTHROPIC_API_KEY": OWN_KEY}
        async with open_bullpen(2, rehearsal=False, providers=providers, variables=variables) as bullpen:
            ben = replace(ANA, user="ben", text="[[echo]] my number is 5822", provider="second", model="quick")
            async with anyio.create_task_group() as group:
                group.start_soon(ask, bullpen, ANA)
                group.start_soon(ask, bullpen, ben)
                await until(lambda: len(bullpen.pids) == 2)
                arguments = [" ".join(psutil.Process(pid).cmdline()) for pid in bullpen.pids]
            assert all(SECOND_KEY not in line and OWN_KEY not in line for line in arguments)
            assert {one.credential for one in bullpen.rehearsal.record} == {OWN_KEY}
            assert {one.credential for one in second.record} == {SECOND_KEY}
            assert {one.model for one in second.record} == {"claude-quick-1"}
            assert all("5822" not in one.text for one in bullpen.rehearsal.record)
            assert all("4711" not in one.text for one in second.record)

            await ask(bullpen, replace(ANA, text="[[echo]] which was it?", provider="third"))
            assert second.record[-1].credential == f"Bearer {THIRD_KEY}"
            assert "4711" in second.record[-1].text, "the conversation goes on"
            shell = '[[tool: Bash {"command": "env; echo shown"}]] [[say: looked]]'
            ticket = await bullpen.supervisor.submit(replace(ANA, text=shell, provider="third"))
            await until(lambda: bool(bullpen.supervisor.view.open_questions()))
            await bullpen.supervisor.answer(bullpen.supervisor.view.open_questions()[0].id, Allow())
            assert isinstance(await ticket.outcome(), Done)
            told = second.record[-1].text
            assert "shown" in told
            assert SECOND_KEY not in told, "no tool gets what the provider's clients have"
            assert THIRD_KEY not in told
            await ask(bullpen, replace(ANA, text="[[echo]] and now?"))
            assert bullpen.rehearsal.record[-1].credential == OWN_KEY, "omitted means the instance's own"
            assert "which was it?" in bullpen.rehearsal.record[-1].text
            assert {one.credential for one in bullpen.rehearsal.record} == {OWN_KEY}
