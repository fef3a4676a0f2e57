"""Processes that try to get away from their client: none does, whichever process ends first (R3)."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import psutil
import pytest

from supervisor.api import events as past
from supervisor.api.prompts import Prompt
from supervisor.api.questions import Allow
from supervisor.api.states import InstanceState
from supervisor.process.process_tree import LOST, find_top, is_alive, is_guard, iter_processes
from tests.acceptance.conftest import Bullpen, Open, find_clients
from tests.acceptance.escape import ATTACKS, WAYS
from tests.acceptance.test_command_line import ROOT, TEMPLATE
from tests.waiting import until, until_sync

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="there is no sub-reaper"),
]

PROGRAM = Path(__file__).with_name("escape.py")


def escape_by(ways: list[str], tag: str, then: str = "sleep 300") -> str:
    """A prompt whose Bash tool lets processes escape, and then stays busy, or does something else."""
    starts = [f"env -i {sys.executable} -IS {PROGRAM} {way} {tag} >/dev/null 2>&1 </dev/null &" for way in ways]
    plain = f"(env -i nohup setsid bash -c 'exec -a {tag} sleep 300' >/dev/null 2>&1 &)"
    command = " ".join([*starts, plain, ";", then])
    return f"[[tool: Bash {json.dumps({'command': command, 'timeout': 600000})}]] [[say: never]]"


def find_tagged(tag: str, *, by_name: bool = False) -> list[psutil.Process]:
    """By its arguments, or by its name alone: those that have got as far as they will."""
    found = []
    for process in iter_processes():
        try:
            words = process.cmdline()[: 1 if by_name else None]
            if any(tag in word for word in words) and is_alive(process):
                found.append(process)
        except LOST:
            continue
    return found


def sleepers(tag: str) -> list[psutil.Process]:
    return find_tagged(tag, by_name=True)


def kill_tagged(tag: str) -> bool:
    """Whether there was any. A chain is a new process every 10 ms, and one look at all of `/proc` takes longer: it is
    looked for among the newest pids, again and again."""
    found = find_tagged(tag)
    for process in found:
        with contextlib.suppress(*LOST):
            process.kill()
    for _ in range(200):
        newest = int(Path("/proc/loadavg").read_text(encoding="ascii").split()[-1])
        for pid in range(newest + 2, newest - 20, -1):
            with contextlib.suppress(*LOST):
                link = psutil.Process(pid)
                if tag in link.cmdline() and is_alive(link):
                    link.kill()
                    found.append(link)
    return bool(found)


@pytest.fixture
def tag() -> Iterator[str]:
    made = f"escapee-{uuid4().hex}"
    yield made
    until_sync(lambda: not kill_tagged(made), within=60)


async def let_escape(bullpen: Bullpen, tag: str, then: str = "sleep 300") -> psutil.Process:
    """Returns the CLI, when every way has been taken and all of them are out of reach of its mark."""
    supervisor = bullpen.supervisor
    before = set(bullpen.pids)
    ticket = await supervisor.submit(Prompt("desk", escape_by(list(WAYS), tag, then), user="ana"))
    await until(lambda: any(one.key == ticket.key for one in supervisor.view.snapshot().questions), within=60)
    (question,) = [one for one in (await supervisor.snapshot()).questions if one.key == ticket.key]
    await supervisor.answer(question.id, Allow())
    (pid,) = bullpen.pids - before
    await until(lambda: len(sleepers(tag)) >= 5 and len(find_tagged(tag)) >= len(WAYS) + 1, within=60)
    return psutil.Process(pid)


def test_the_ways_are_real(tag: str) -> None:
    """Without a guard they do outlive what started them."""
    for name in ("session", "daemon", "chain"):
        with subprocess.Popen([sys.executable, "-IS", PROGRAM, name, tag]) as process:
            if name == "session":
                until_sync(lambda: sleepers(tag))
                assert psutil.Process(process.pid).environ() == {}
                process.kill()
            else:
                process.wait()
                until_sync(lambda: find_tagged(tag))
    assert find_tagged(tag)


async def test_a_killed_client_leaves_no_process_that_dropped_mark_session_and_parent(
    open_bullpen: Open, tag: str
) -> None:
    async with open_bullpen() as bullpen:
        cli = await let_escape(bullpen, tag)
        guard = find_top(cli)
        assert is_guard(guard)
        with await bullpen.supervisor.watch() as feed:
            await bullpen.supervisor.kill_client((await bullpen.supervisor.snapshot()).clients[0].id)
            await until(lambda: not bullpen.supervisor.view.snapshot().clients, within=30)
            left = find_tagged(tag)
            gone = [event.left_over for event in feed.take().events if isinstance(event, past.ClientGone)]
        assert (gone, left) == ([0], [])
        assert not is_alive(guard)


@pytest.mark.parametrize("verb", ["kill", pytest.param("drain", marks=pytest.mark.exhaustive), "stop"])
async def test_an_instance_that_ends_leaves_no_escaped_process(open_bullpen: Open, tag: str, verb: str) -> None:
    async with open_bullpen() as bullpen:
        await let_escape(bullpen, tag)
        supervisor = bullpen.supervisor
        match verb:
            case "kill":
                await supervisor.kill("desk")
                await until(lambda: supervisor.view.snapshot().instances[0].state is InstanceState.STOPPED, within=30)
            case "drain":
                await supervisor.drain("desk", deadline=0.0)
                await until(lambda: supervisor.view.snapshot().instances[0].state is InstanceState.DRAINED, within=30)
            case _:
                await supervisor.stop()
        assert find_tagged(tag) == []


async def test_a_cli_that_is_killed_takes_along_what_escaped_from_it(open_bullpen: Open, tag: str) -> None:
    async with open_bullpen() as bullpen:
        cli = await let_escape(bullpen, tag)
        cli.kill()
        await until(lambda: cli.pid not in bullpen.pids, within=30)
        assert find_tagged(tag) == []


@pytest.mark.parametrize(
    "attack",
    ["trace", *(pytest.param(one, marks=pytest.mark.exhaustive) for one in sorted(ATTACKS.keys() - {"trace"}))],
)
async def test_a_client_that_attacks_its_guard_takes_along_what_escaped_from_it_and_nothing_else(
    open_bullpen: Open, tag: str, tmp_path: Path, attack: str
) -> None:
    """It kills, stops or traces the guard, and its CLI with it, when all has escaped that may."""
    go = tmp_path / "go"
    act = f"until [ -e {go} ]; do sleep 0.05; done; exec {sys.executable} -IS {PROGRAM} {attack} {tag}"
    with subprocess.Popen(["/bin/sh", "-c", "read line; exit 7"], stdin=subprocess.PIPE) as of_host:  # noqa: ASYNC220
        async with open_bullpen() as bullpen:
            supervisor = bullpen.supervisor
            other = await supervisor.submit(Prompt("desk", "[[stream: 3000 words, 0.05]]", user="ben"))
            await until(
                lambda: other.key in [row.key for row in supervisor.view.snapshot().clients if row.pid], within=60
            )
            (bystander,) = [psutil.Process(pid) for pid in bullpen.pids]
            others = [find_top(bystander), *find_top(bystander).children(recursive=True)]
            cli = await let_escape(bullpen, tag, act)
            guard = find_top(cli)
            with await supervisor.watch() as feed:
                go.touch()
                if attack == "kill":
                    await until(lambda: not is_alive(guard), within=30)
                else:
                    stopped = (psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP)
                    await until(lambda: guard.status() in stopped, within=30)
                    cli.kill()
                await until(lambda: cli.pid not in bullpen.pids, within=60)
                left = find_tagged(tag)
                gone = [event.left_over for event in feed.take().events if isinstance(event, past.ClientGone)]
            assert (gone, left) == ([0], [])
            assert not is_alive(guard)
            assert all(map(is_alive, others))
            assert bystander.pid in bullpen.pids
            assert of_host.poll() is None
        assert (of_host.communicate(b"\n", timeout=20), of_host.returncode) == ((None, None), 7)


async def test_a_client_that_ends_in_order_takes_along_what_escaped_from_it(open_bullpen: Open, tag: str) -> None:
    """Its turn was over long ago: nothing was running any more, as far as the CLI knows."""
    command = f"(env -i {sys.executable} -IS {PROGRAM} daemon {tag} >/dev/null 2>&1 </dev/null &)"
    async with open_bullpen() as bullpen:
        supervisor = bullpen.supervisor
        ticket = await supervisor.submit(
            Prompt("desk", f"[[tool: Bash {json.dumps({'command': command})}]] [[say: done]]", user="ana")
        )
        await until(lambda: supervisor.view.snapshot().questions, within=60)
        await supervisor.answer((await supervisor.snapshot()).questions[0].id, Allow())
        await ticket.outcome()
        await until(lambda: sleepers(tag), within=30)
        await supervisor.hibernate(ticket.key)
        await until(lambda: not supervisor.view.snapshot().clients, within=30)
        assert find_tagged(tag) == []


SCRIPT = """
import sys
from pathlib import Path
import anyio
from supervisor.api.prompts import Prompt
from supervisor.api.questions import Allow
from supervisor.rehearsal import Rehearsal
from supervisor.config.settings import Settings
from supervisor.engine.supervisor import Supervisor
from supervisor.config.templates import load_templates

async def main():
    folder = Path(sys.argv[1])
    settings = Settings(state_dir=folder / "state", rehearsal=True, connect_limit=8)
    async with Rehearsal(pace=0.25) as rehearsal:
        environment = rehearsal.environment(folder / "claude")
        async with Supervisor(load_templates(folder / "templates"), settings, environment=environment) as supervisor:
            for number, text in enumerate(sys.argv[2:]):
                await supervisor.submit(Prompt("desk", text, user=f"u{number}"))
            with await supervisor.watch() as feed:
                while True:
                    await feed.wait()
                    for question in (await supervisor.snapshot()).questions:
                        await supervisor.answer(question.id, Allow())
                    feed.take()
                    print(sum(1 for row in supervisor.view.snapshot().clients if row.pid), flush=True)

anyio.run(main)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "templates"
    made.mkdir()
    limits = "concurrency: {maxSessions: 5}\n"
    (made / "desk.md").write_text(TEMPLATE.replace("tools:", f"{limits}tools:"))
    return tmp_path


@contextmanager
def start_apart(folder: Path, *prompts: str) -> Iterator[subprocess.Popen[bytes]]:
    """A supervisor in a process of its own, killed at the end."""
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(folder), *prompts],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("clients", [1, pytest.param(5, marks=pytest.mark.exhaustive)])
def test_a_supervisor_that_is_killed_leaves_no_process_busy_or_escaped(folder: Path, tag: str, clients: int) -> None:
    """R2"""
    with start_apart(folder, *[escape_by(list(WAYS), tag)] * clients) as process:
        until_sync(lambda: len(sleepers(tag)) >= 5 * clients or process.poll() is not None, within=90)
        assert process.poll() is None
    until_sync(lambda: not find_tagged(tag) and not find_clients(folder), within=3)


def test_a_supervisor_that_is_killed_while_a_client_starts_leaves_no_process(folder: Path) -> None:
    """At moments all over the start of three clients."""
    for milliseconds in range(0, 400, 100):
        with start_apart(folder, "one", "two", "three") as process:
            until_sync(psutil.Process(process.pid).children, within=60)
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(milliseconds / 1000)
        until_sync(lambda: not find_clients(folder), within=3)
