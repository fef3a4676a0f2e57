"""A supervisor that is killed, and the next one on its state directory: real processes and transcripts (R2, S3.23)."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import psutil
import pytest

from supervisor.api.keys import SessionKey
from supervisor.api.outcomes import Done, Failed, FailureKind
from supervisor.api.prompts import Prompt
from supervisor.api.questions import Allow
from supervisor.api.states import SessionState
from supervisor.config.settings import Settings
from supervisor.config.templates import load_templates
from supervisor.engine.supervisor import Supervisor
from supervisor.journal import ClientRecord
from supervisor.process.process_tree import MARK, is_alive
from supervisor.recovery.orphans import end_orphans
from supervisor.rehearsal import Refuse, Rehearsal
from tests.acceptance.conftest import Open
from tests.acceptance.test_command_line import TEMPLATE, answering, ask
from tests.waiting import until

pytestmark = pytest.mark.anyio

ANA = SessionKey("desk", "ana", "default")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "templates"
    made.mkdir()
    (made / "desk.md").write_text(TEMPLATE)
    return made


def ask_and_kill(folder: Path, text: str) -> None:
    """Starts a one-shot supervisor on a prompt, and kills it in the middle of the answer."""
    with answering(folder, text, "--user", "ana") as process:
        process.kill()


@pytest.mark.parametrize("is_first", [False, True])
async def test_a_turn_that_a_kill_interrupted_is_replayed_with_its_prompt_sent_once(
    folder: Path, is_first: bool
) -> None:
    """R2: also when it was the first of its session, with nothing before it to resume at."""
    if not is_first:
        assert ask(folder, "desk", "[[echo]] my number is 4711", "--user", "ana").returncode == 0
    # To a pipe a block is written when it is whole: the first one is, and the turn is far from its end.
    ask_and_kill(folder, "[[say: on my way to the answer]] [[stream: 300 words, 0.2]] the one that was killed")
    state = folder.parent / "state" / "rehearsal"
    async with Rehearsal(pace=0.01) as rehearsal:
        environment = rehearsal.environment(state / "claude")
        settings = Settings(state_dir=state, rehearsal=True)
        async with Supervisor(load_templates(folder), settings, environment=environment) as supervisor:
            row = supervisor.view.session_row(ANA)
            assert row is not None
            assert row.state is SessionState.INTERRUPTED
            assert row.offer is not None
            assert "the one that was killed" in row.offer.text
            assert isinstance(await (await supervisor.replay(ANA)).outcome(), Done)
            recalled = await (await supervisor.submit(Prompt("desk", "[[recall]]", user="ana"))).outcome()
        assert isinstance(recalled, Done)
        assert recalled.text.count("the one that was killed") == 1
        assert ("4711" in recalled.text) is not is_first
        replayed = next(one for one in rehearsal.record if "the one that was killed" in one.prompt)
        assert replayed.text.count("the one that was killed") == 1


async def test_a_session_is_resumed_whole_by_the_next_supervisor(open_bullpen: Open) -> None:
    """S3.23, S2.10: everything was restarted."""
    async with open_bullpen(state="same") as bullpen:
        await (await bullpen.supervisor.submit(Prompt("desk", "[[echo]] my number is 4711", user="ana"))).outcome()
    async with open_bullpen(state="same") as bullpen:
        assert (await bullpen.supervisor.snapshot()).sessions[0].state is SessionState.HIBERNATED
        outcome = await (await bullpen.supervisor.submit(Prompt("desk", "[[recall]]", user="ana"))).outcome()
        assert isinstance(outcome, Done)
        assert "4711" in outcome.text


def test_a_second_supervisor_on_the_state_directory_is_one_line_that_names_the_first(folder: Path) -> None:
    """R2"""
    said = '[[say: on my way to the answer]] [[tool: Read {"file_path": "none"}]] [[stream: 3000 words, 0.02]]'
    with answering(folder, said) as first:
        second = ask(folder, "desk", "hi")
        first.send_signal(signal.SIGTERM)
        first.communicate(timeout=30)
    assert second.returncode == 2
    (line,) = second.stderr.splitlines()
    assert f"in use by bullpen pid {first.pid}" in line
    assert "--state" in line


async def test_what_a_dead_supervisor_left_is_found_by_pid_and_start_time_and_by_its_mark() -> None:
    """R2: and a process that merely has the same pid is spared."""

    def start(mark: str = "") -> psutil.Popen:
        environment = {**os.environ, MARK: mark} if mark else dict(os.environ)
        return psutil.Popen(["sleep", "300"], env=environment, start_new_session=True)

    by_pid, by_mark, stranger, neighbour = start(), start("dead:desk-2"), start(), start("alive:desk-2")
    everybody = (by_pid, by_mark, stranger, neighbour)
    try:
        records = [
            ClientRecord("desk-1", "dead:desk-1", by_pid.pid, by_pid.create_time(), "", None),
            ClientRecord("desk-2", "dead:desk-2", 0, 0.0, "", None),
            ClientRecord("desk-3", "dead:desk-3", stranger.pid, stranger.create_time() - 60, "", None),
        ]
        assert await end_orphans(records) == (2, 0)
        assert [is_alive(one) for one in everybody] == [False, False, True, True]
    finally:
        for process in everybody:
            process.kill()
            process.wait()


async def test_refused_credentials_park_the_pool_within_moments(open_bullpen: Open) -> None:
    """S1.18: a constant 401 must not hold a turn for minutes (sdk-facts §3: 178 s)."""
    async with open_bullpen(keys={"queue": {"maxWait": "none"}}) as bullpen:
        supervisor = bullpen.supervisor
        with bullpen.rehearsal.outage(Refuse(401)):
            first = await supervisor.submit(Prompt("desk", "[[say: hi]] one", user="ana"))
            outcome = await first.outcome()
            assert isinstance(outcome, Failed)
            assert outcome.kind is FailureKind.AUTHENTICATION
            row = (await supervisor.snapshot()).instances[0]
            assert row.parked_for is FailureKind.AUTHENTICATION
            assert row.parked_until is not None
            assert len(bullpen.requests_of("one")) <= 2, "it was not repeated again and again"
        waiting = await supervisor.submit(Prompt("desk", "[[say: hi]] two", user="ana"))
        await waiting.accepted()
        await supervisor.resume("desk")
        assert isinstance(await waiting.outcome(), Done)


async def test_an_idle_process_that_stands_still_is_replaced(open_bullpen: Open) -> None:
    """S2.33: a stopped process answers no ping; the session goes on in another, whole."""
    async with open_bullpen(health_interval=0.5, control_timeout=2.0, kill_grace=1.0) as bullpen:
        supervisor = bullpen.supervisor
        await (await supervisor.submit(Prompt("desk", "[[echo]] my number is 4711", user="ana"))).outcome()
        (pid,) = bullpen.pids
        stopped = psutil.Process(pid)
        stopped.suspend()
        await until(lambda: not supervisor.view.snapshot().clients, within=60)
        assert not is_alive(stopped)
        assert dict((await supervisor.snapshot()).instances[0].pool.failures) == {FailureKind.STALLED: 1}
        outcome = await (await supervisor.submit(Prompt("desk", "[[recall]]", user="ana"))).outcome()
        assert isinstance(outcome, Done)
        assert "4711" in outcome.text


async def test_a_client_that_asks_is_freed_for_who_waits_and_its_turn_goes_on_when_answered(open_bullpen: Open) -> None:
    """S1.14, D4: one place, two people, and a human who takes their time."""
    keys: dict[str, object] = {"pool": {"spares": 0, "askingTtl": 0.2}, "queue": {"maxWait": "none"}}
    async with open_bullpen(1, keys=keys) as bullpen:
        supervisor = bullpen.supervisor
        call = '[[tool: Write {"file_path": "x.txt", "content": "x"}]]'
        asked = await supervisor.submit(Prompt("desk", f"number 4711 {call} [[say: no]]", user="ana"))
        await until(lambda: supervisor.view.snapshot().questions, within=30)
        other = await (await supervisor.submit(Prompt("desk", "[[say: my turn]]", user="boris"))).outcome()
        assert isinstance(other, Done)
        row = supervisor.view.session_row(asked.key)
        assert row is not None
        assert (row.state, row.client_id) == (SessionState.ASKING, "")
        await supervisor.answer((await supervisor.snapshot()).questions[0].id, Allow())
        outcome = await asked.outcome()
        assert isinstance(outcome, Done)
        told = [request for request in bullpen.rehearsal.record if "was approved" in request.prompt]
        assert told
        assert "number 4711" in told[-1].text, "it remembers what it was doing"
        assert "my turn" not in told[-1].text
