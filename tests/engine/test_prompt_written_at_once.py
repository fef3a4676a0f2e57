"""A prompt that nothing keeps is written in the step that hears of its record; one that is kept waits as ever."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import Any

import anyio
import pytest
from claude_agent_sdk import ClaudeAgentOptions, CLIConnectionError

from supervisor import Done, Prompt
from supervisor.api.errors import ClientDied
from supervisor.claude.transport import QuietTransport
from supervisor.testing import FakeWorld
from tests.engine.conftest import Start
from tests.waiting import until

pytestmark = pytest.mark.anyio

ECHO = "import sys\nfor line in sys.stdin: print(line, end='', flush=True)"
DEAF = "import time; time.sleep(60)"


def ask(text: str) -> Prompt:
    return Prompt("desk", text, user="ana")


async def test_a_warm_clients_prompt_takes_no_turn_of_the_loop_between_its_record_and_its_writing(
    start: Start, world: FakeWorld
) -> None:
    async with start() as supervisor:
        await (await supervisor.submit(ask("first"))).outcome()
        (agent,) = world.live

        async def refuse(text: str, uuid: str) -> None:
            raise AssertionError(f"{text!r} was left to be written later")

        agent.send = refuse  # type: ignore[method-assign]
        with anyio.fail_after(5):
            assert isinstance(await (await supervisor.submit(ask("second"))).outcome(), Done)
        assert agent.prompts == ["first", "second"]
    assert world.violations == []


async def test_a_prompt_that_cannot_be_written_at_once_is_written_when_it_can(start: Start, world: FakeWorld) -> None:
    async with start() as supervisor:
        await (await supervisor.submit(ask("first"))).outcome()
        (agent,) = world.live
        agent.send_at_once = lambda *_: False  # type: ignore[method-assign]
        with anyio.fail_after(5):
            assert isinstance(await (await supervisor.submit(ask("second"))).outcome(), Done)
        assert agent.prompts == ["first", "second"]
    assert world.violations == []


async def test_a_prompt_whose_client_dies_of_being_written_to_is_given_to_another(
    start: Start, world: FakeWorld
) -> None:
    def fail(*_: Any) -> bool:
        raise ClientDied("its input is closed")

    async with start() as supervisor:
        await (await supervisor.submit(ask("first"))).outcome()
        (agent,) = world.live
        agent.send_at_once = fail  # type: ignore[method-assign]
        with anyio.fail_after(10):
            assert isinstance(await (await supervisor.submit(ask("second"))).outcome(), Done)
        assert agent.prompts == ["first"]
        assert world.holder_of("second") is not agent


async def pipe_to(code: str) -> QuietTransport:
    transport = QuietTransport(ClaudeAgentOptions(), lambda _: None)
    transport._process = await anyio.open_process([sys.executable, "-c", code], stderr=None)
    transport._ready = True
    return transport


async def end(transport: QuietTransport) -> None:
    process = transport._process
    assert process is not None
    transport._process = None
    with suppress(ProcessLookupError):  # ended already
        process.kill()
    await process.wait()
    await process.aclose()


async def test_a_line_is_written_to_a_free_pipe_and_to_no_other() -> None:
    transport = await pipe_to(DEAF)
    try:
        assert transport.write_at_once("short\n")
        async with transport._write_lock:
            assert not transport.write_at_once("beside another\n")
        assert transport.write_at_once("x" * 1_000_000), "what the pipe does not take is written as it drains"
        assert not transport.write_at_once("behind that\n")
        transport._ready = False
        assert not transport.write_at_once("after the end\n")
    finally:
        await end(transport)


async def test_what_is_written_at_once_arrives() -> None:
    transport = await pipe_to(ECHO)
    try:
        assert transport.write_at_once("grüß\n")
        assert transport._process is not None
        assert transport._process.stdout is not None
        with anyio.fail_after(20):
            assert (await transport._process.stdout.receive()).decode() == "grüß\n"
    finally:
        await end(transport)


async def test_a_process_that_has_closed_its_input_is_told_of_at_once() -> None:
    transport = await pipe_to("")
    try:
        assert transport._process is not None
        with anyio.fail_after(20):
            await transport._process.wait()

        def is_refused() -> bool:
            try:
                return not transport.write_at_once("too late\n")
            except CLIConnectionError:
                return True

        await until(is_refused)
    finally:
        await end(transport)
