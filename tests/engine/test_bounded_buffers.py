"""Every buffer has a bound: real processes that write without end, and the memory of this one."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from supervisor.api.keys import SessionKey
from supervisor.api.outcomes import Done, Failed, FailureKind, Outcome
from supervisor.api.prompts import Prompt
from supervisor.claude.installation import Installation
from supervisor.claude.last_words import MOST_WORDS, LastWords
from supervisor.claude.options import CompiledOptions
from supervisor.claude.output_limit import MOST_REPLY, MOST_RETRIES
from supervisor.claude.sdk_connection import SdkConnector
from supervisor.config.settings import Settings
from supervisor.conversation import weigh
from supervisor.engine.supervisor import Supervisor
from supervisor.process.process_tree import find_descendant
from tests.engine import flooding_cli
from tests.engine.conftest import MakeTemplate

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="Linux only"),
]

MB = 1_000_000
MAX_LINE = 4 * MB
"""Characters of one line here, so that what is held by the SDK is told apart from what is held by us."""


@pytest.fixture
def open_flooded(tmp_path: Path, make_template: MakeTemplate) -> Callable[[], AbstractAsyncContextManager[Supervisor]]:
    script = tmp_path / "cli"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{flooding_cli.__file__}"\n')
    script.chmod(0o700)

    @asynccontextmanager
    async def begin() -> AsyncIterator[Supervisor]:
        template = make_template(concurrency={"maxSessions": 2}, pool={"spares": 0}, turnTimeout=60)
        options = CompiledOptions({"max_buffer_size": MAX_LINE, "include_partial_messages": True})
        settings = Settings.model_validate({"state_dir": tmp_path / "state"})
        async with Supervisor(
            [template], settings, connect=lambda _: SdkConnector(options, Installation(tmp_path / "state", script))
        ) as supervisor:
            await (await supervisor.submit(Prompt("desk", "hello", user="ana"))).outcome()
            yield supervisor

    return begin


class Peak:
    """How much more memory this process has used since it was made, at most."""

    def __init__(self) -> None:
        Path("/proc/self/clear_refs").write_text("5")
        self._before = self._read()

    @staticmethod
    def _read() -> int:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))

    @property
    def growth(self) -> int:
        return self._read() - self._before


async def flood(supervisor: Supervisor, prompt: str) -> Outcome:
    outcome = await (await supervisor.submit(Prompt("desk", prompt, user="ana"))).outcome()
    assert isinstance(await (await supervisor.submit(Prompt("desk", "hello", user="other"))).outcome(), Done)
    assert supervisor.failure is None
    return outcome


@pytest.mark.parametrize("kind", ["stderr", "stderr_that_is_no_text", "noise"])
async def test_what_is_no_message_costs_no_memory(
    open_flooded: Callable[[], AbstractAsyncContextManager[Supervisor]], kind: str
) -> None:
    async with open_flooded() as supervisor:
        peak = Peak()
        assert isinstance(await flood(supervisor, f"{kind} 200"), Done)
        assert peak.growth < 40 * MB


@pytest.mark.parametrize("kind", ["fragments", "blocks"])
async def test_a_reply_without_end_is_cut_and_the_turn_goes_on(
    open_flooded: Callable[[], AbstractAsyncContextManager[Supervisor]], kind: str
) -> None:
    async with open_flooded() as supervisor:
        peak = Peak()
        outcome = await flood(supervisor, f"{kind} 100")
        assert isinstance(outcome, Done)
        assert len(outcome.text) <= MOST_REPLY + 100
        entries = (await supervisor.conversation(SessionKey("desk", "ana", "default"))).read().entries
        assert sum(map(weigh, entries)) <= 3 * MOST_REPLY
        if kind == "blocks":
            assert sum("is not kept" in getattr(entry, "text", "") for entry in entries) == 1
        assert peak.growth < 75 * MB


@pytest.mark.parametrize(("kind", "most"), [("retries", MOST_RETRIES), ("tools", 100)])
async def test_a_flood_of_small_things_is_told_up_to_a_number(
    open_flooded: Callable[[], AbstractAsyncContextManager[Supervisor]],
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    most: int,
) -> None:
    monkeypatch.setattr("supervisor.claude.output_limit.MOST_TOLD", 100)
    async with open_flooded() as supervisor:
        key = SessionKey("desk", "ana", "default")
        before = (await supervisor.conversation(key)).read().cursor.entries
        assert isinstance(await flood(supervisor, f"{kind} 400"), Done)
        told = (await supervisor.conversation(key)).read().cursor.entries - before
        assert most < told < most + 10


async def test_a_line_without_end_ends_its_own_client(
    open_flooded: Callable[[], AbstractAsyncContextManager[Supervisor]],
) -> None:
    async with open_flooded() as supervisor:
        peak = Peak()
        outcome = await flood(supervisor, "stdout 100")
        assert isinstance(outcome, Failed)
        assert outcome.kind is FailureKind.OVERSIZE_MESSAGE
        assert peak.growth < 60 * MB


def test_last_words_are_the_last_and_never_more() -> None:
    words = LastWords()
    for _ in range(100):
        words.hear("x" * 70_000)
    assert len(str(words)) == MOST_WORDS
    words.hear(" the\nend ")
    assert str(words).endswith("x the end")
    words.clear()
    assert str(words) == ""


@pytest.mark.parametrize("claimed", [1, os.getppid(), 2**70, -1, "12", None, [1]])
def test_a_process_names_no_other_as_itself(claimed: object) -> None:
    assert find_descendant(os.getpid(), claimed) is None


def test_a_process_is_found_below_the_one_that_was_started() -> None:
    assert find_descendant(os.getppid(), os.getpid()) == os.getpid()
    assert find_descendant(os.getpid(), os.getpid()) == os.getpid()
