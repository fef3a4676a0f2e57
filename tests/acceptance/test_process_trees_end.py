"""Kill and drain of real process trees: gone means gone (R3, S1.17)."""

from __future__ import annotations

import contextlib
from pathlib import Path

import psutil
import pytest

from supervisor.api import events as past
from supervisor.api.outcomes import Done, Failed, FailureKind, Interrupted
from supervisor.api.prompts import Prompt
from supervisor.api.questions import Allow
from supervisor.api.states import InstanceState
from supervisor.process.process_tree import LOST, is_alive, list_tree
from tests.acceptance.conftest import Bullpen, Open, find_clients
from tests.waiting import at_once, until

pytestmark = pytest.mark.anyio

SLEEPER = '[[tool: Bash {"command": "sleep 300 & sleep 300", "timeout": 600000}]] [[say: never]]'


async def start_sleeper(bullpen: Bullpen) -> tuple[object, list[psutil.Process]]:
    """A turn whose Bash tool has two children running; gives its ticket and the whole tree."""
    supervisor = bullpen.supervisor
    ticket = await supervisor.submit(Prompt("desk", SLEEPER, user="ana"))
    await until(lambda: supervisor.view.snapshot().questions, within=30)
    await supervisor.answer((await supervisor.snapshot()).questions[0].id, Allow())
    (pid,) = bullpen.pids
    root = psutil.Process(pid)
    # Of the shell, which may be any, nothing is taken for granted: not its name, nor that it does not become the last.
    await until(lambda: names_below(root).count("sleep") == 2, within=30)
    return ticket, [root, *root.children(recursive=True)]


def names_below(root: psutil.Process) -> list[str]:
    """Names of its descendants; one that ends while it is looked at is left out."""
    names = []
    for process in list_tree(root)[1:]:
        with contextlib.suppress(*LOST):
            names.append(process.name())
    return names


def alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    return [one for one in processes if is_alive(one)]


async def test_kill_leaves_no_process_of_the_tree(open_bullpen: Open, tmp_path: Path) -> None:
    """R3: the tools' children have process groups of their own and outlive a killed CLI."""
    async with open_bullpen() as bullpen:
        ticket, tree = await start_sleeper(bullpen)
        assert len(tree) >= 3
        await bullpen.supervisor.kill("desk")
        await until(lambda: bullpen.supervisor.view.snapshot().instances[0].state is InstanceState.STOPPED, within=30)
        assert alive(tree) == []
        assert find_clients(tmp_path) == []
        assert isinstance(ticket.finished, Interrupted)  # type: ignore[attr-defined]


async def test_a_stopped_process_is_ended_all_the_same(open_bullpen: Open) -> None:
    """Sdk-facts §1.3: a SIGSTOPped CLI answers nothing and needs KILL."""
    async with open_bullpen() as bullpen:
        supervisor = bullpen.supervisor
        ticket = await supervisor.submit(Prompt("desk", "[[stream: 5000 words, 0.1]]", user="ana"))
        await until(lambda: at_once(supervisor.conversation(ticket.key)).read().opened, within=30)
        (pid,) = bullpen.pids
        process = psutil.Process(pid)
        process.suspend()
        with await supervisor.watch() as feed:
            await supervisor.kill_client((await supervisor.snapshot()).clients[0].id)
            outcome = await ticket.outcome()
            await until(lambda: not supervisor.view.snapshot().clients, within=30)
            events = feed.take().events
        assert isinstance(outcome, Interrupted)
        assert alive([process]) == []
        steps = [event.step for event in events if isinstance(event, past.ClientEnding)]
        assert steps == ["interrupt", "disconnect", "terminate", "kill", "verify"]
        assert [event.left_over for event in events if isinstance(event, past.ClientGone)] == [0]


async def test_a_crash_fails_its_own_turn_and_the_session_is_resumed(open_bullpen: Open) -> None:
    """S1.18"""
    async with open_bullpen() as bullpen:
        supervisor = bullpen.supervisor
        await (await supervisor.submit(Prompt("desk", "[[echo]] my number is 4711", user="ana"))).outcome()
        other = await supervisor.submit(Prompt("desk", "[[slow: 4]] [[say: unharmed]]", user="boris"))
        ticket = await supervisor.submit(Prompt("desk", "[[stream: 5000 words, 0.1]]", user="ana"))
        await until(lambda: at_once(supervisor.conversation(ticket.key)).read().opened, within=30)
        pid = next(row.pid for row in (await supervisor.snapshot()).clients if row.key == ticket.key)
        psutil.Process(pid).kill()
        outcome = await ticket.outcome()
        assert isinstance(outcome, Failed)
        assert outcome.kind is FailureKind.CRASHED
        recalled = await (await supervisor.submit(Prompt("desk", "[[recall]]", user="ana"))).outcome()
        assert isinstance(recalled, Done)
        assert "4711" in recalled.text
        assert isinstance(await other.outcome(), Done)


async def test_drain_ends_with_nothing_running(open_bullpen: Open, tmp_path: Path) -> None:
    """S1.17"""
    async with open_bullpen() as bullpen:
        supervisor = bullpen.supervisor
        running = await supervisor.submit(Prompt("desk", "[[slow: 2]] [[say: finished]]", user="ana"))
        queued = await supervisor.submit(Prompt("desk", "[[say: queued too]]", user="ana"))
        await until(lambda: supervisor.view.snapshot().sessions[0].turn_id, within=30)
        await supervisor.drain("desk")
        await supervisor.drained("desk")
        assert (await supervisor.snapshot()).clients == ()
        assert find_clients(tmp_path) == []
        for ticket, text in ((running, "finished"), (queued, "queued too")):
            assert isinstance(ticket.finished, Done)
            assert ticket.finished.text == text


@pytest.mark.parametrize(("status", "kind"), [(400, FailureKind.REJECTED), (451, FailureKind.API_ERROR)])
async def test_an_api_that_refuses_fails_the_turn_with_its_kind(
    open_bullpen: Open, status: int, kind: FailureKind
) -> None:
    async with open_bullpen() as bullpen:
        supervisor = bullpen.supervisor
        outcome = await (await supervisor.submit(Prompt("desk", f"[[error: {status}]]", user="ana"))).outcome()
        assert isinstance(outcome, Failed)
        assert outcome.kind is kind
        assert isinstance(await (await supervisor.submit(Prompt("desk", "[[say: fine]]", user="ana"))).outcome(), Done)


async def test_two_supervisors_on_one_machine_leave_each_others_processes_alone(open_bullpen: Open) -> None:
    """R3: both have a client `desk-1`; a client's mark belongs to one supervisor."""
    async with open_bullpen() as one, open_bullpen() as two:
        await (await one.supervisor.submit(Prompt("desk", "[[echo]] I am one", user="ana"))).outcome()
        await (await two.supervisor.submit(Prompt("desk", "[[echo]] I am two", user="ana"))).outcome()
        assert (await one.supervisor.snapshot()).clients[0].id == (await two.supervisor.snapshot()).clients[0].id
        (survivor,) = two.pids
        await one.supervisor.kill("desk")
        await one.supervisor.drained("desk")
        assert psutil.Process(survivor).is_running()
        outcome = await (await two.supervisor.submit(Prompt("desk", "[[recall]]", user="ana"))).outcome()
        assert isinstance(outcome, Done)
        assert two.pids == {survivor}
