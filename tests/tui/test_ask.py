"""`bullpen ask`: a prompt counts when it is recorded, and an interrupted turn of the same session is not hushed up."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any

import anyio
import pytest
from msgspec.structs import replace

from supervisor import Done, Outcome, Prompt, Refused, Settings, Template, Usage
from supervisor.config.templates import load_templates, shipped_templates
from tests.tui import stage, troubles
from tests.tui.stage_engine import StageEngine, StageTicket
from tui.cli import ask, main
from tui.cli.exit_codes import REFUSED

pytestmark = pytest.mark.anyio

PROMPT = Prompt("helpdesk", "again?", user="ana", session="ticket-4711")


class TalkingTicket(StageTicket):
    async def outcome(self) -> Outcome:
        return Done("yes", Usage(1, 1, 0, 0.0), 0.1)

    async def stream(self, whole: bool = False) -> AsyncIterator[str]:
        yield "yes"


class TalkingEngine(StageEngine):
    async def __aenter__(self) -> TalkingEngine:
        return self

    async def __aexit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        return None

    async def submit(self, prompt: Prompt) -> StageTicket:
        ticket = await super().submit(prompt)
        return TalkingTicket(ticket.turn_id, ticket.key, self.journal)


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> TalkingEngine:
    made = TalkingEngine()

    @asynccontextmanager
    async def prepare(*_: Any, **__: Any) -> AsyncIterator[TalkingEngine]:
        yield made

    monkeypatch.setattr(ask, "prepare", prepare)
    return made


async def test_a_prompt_that_cannot_be_recorded_is_one_line_and_a_usage_error(
    engine: TalkingEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    """R2: nothing is streamed before the prompt is recorded."""
    engine.journal.fails_with = Refused("the journal cannot be written: disk full")
    with pytest.raises(BaseExceptionGroup) as raised:
        await ask.ask_once((), Settings(), PROMPT)
    assert main._report(raised.value) == REFUSED
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err == "bullpen: the journal cannot be written: disk full\n"


async def test_an_interrupted_turn_of_the_session_is_told_in_one_line(
    engine: TalkingEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    """R2."""
    offered = troubles.offer(stage.ANA, "Can you do \x1b[2Jit?")
    engine.put(stage.session(stage.ANA, offer=offered))
    assert await ask.ask_once((), Settings(), PROMPT) == 0
    told = capsys.readouterr()
    assert told.out.startswith("yes")
    assert len(told.err.splitlines()) == 1
    assert "interrupted this session's turn “Can you do it?”; the dashboard can replay or drop it" in told.err


async def test_the_interrupted_turns_of_others_are_not_told(
    engine: TalkingEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    engine.put(stage.session(stage.BEN, offer=replace(troubles.offer(stage.BEN, "private"))))
    assert await ask.ask_once((), Settings(), PROMPT) == 0
    assert capsys.readouterr().err == ""


async def test_a_terminal_is_told_once_when_an_answer_lets_it_wait(
    engine: TalkingEngine, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pipe is told nothing, and a terminal nothing when the answer comes soon."""
    monkeypatch.setattr(ask, "SILENT_SECONDS", 0.0)

    async def stream(self: TalkingTicket, whole: bool = False) -> AsyncIterator[str]:
        for fragment in ("", "yes"):
            await anyio.sleep(0.01)
            yield fragment

    monkeypatch.setattr(TalkingTicket, "stream", stream)
    assert await ask.ask_once((), Settings(), PROMPT) == 0
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert await ask.ask_once((), Settings(), PROMPT) == 0
    assert capsys.readouterr().err == "bullpen: waiting for helpdesk: it is being started, or thinks …\n"
    monkeypatch.setattr(ask, "SILENT_SECONDS", 60.0)
    assert await ask.ask_once((), Settings(), PROMPT) == 0
    assert capsys.readouterr().err == ""


async def test_one_prompt_keeps_no_client_ready_for_others(
    engine: TalkingEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is a process that computes for a second, and nobody would use it."""
    prepared: list[Template] = []

    @asynccontextmanager
    async def prepare(templates: Sequence[Template], *_: Any, **__: Any) -> AsyncIterator[TalkingEngine]:
        prepared.extend(templates)
        yield engine

    monkeypatch.setattr(ask, "prepare", prepare)
    (desk,) = (one for one in load_templates(shipped_templates()) if one.name == "helpdesk")
    ready = {"spares": 2, "min_clients": 2}
    await ask.ask_once((desk.model_copy(update={"pool": desk.pool.model_copy(update=ready)}),), Settings(), PROMPT)
    (used,) = prepared
    assert (used.spares_wanted, used.pool.min_clients) == (0, 0)
    assert used.pool.model_copy(update=ready) == desk.pool.model_copy(update=ready)
