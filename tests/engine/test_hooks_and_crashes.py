"""Hooks on the end of turns, and kills at any moment: each end is heard once at least, by the hook that is meant."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from supervisor.api.hook_rows import RunState
from supervisor.api.outcomes import Done
from supervisor.api.prompts import Prompt
from supervisor.automation.automation import Automation
from supervisor.engine.supervisor import Supervisor
from supervisor.journal import Note
from supervisor.testing import FakeWorld, hold
from tests.engine.conftest import MakeTemplate, Start
from tests.engine.journal_stage import read
from tests.engine.test_hooks import ended, lines_of, reached, shell, writing_to
from tests.engine.test_restart import crashing
from tests.waiting import until

pytestmark = pytest.mark.anyio


def kept(supervisor: Supervisor) -> list[Any]:
    """Runs in the journal."""
    with closing(sqlite3.connect(supervisor.settings.state_dir / "journal.db")) as connection:
        return connection.execute("SELECT * FROM hook_runs").fetchall()


async def test_no_kill_comes_between_the_end_of_a_turn_and_what_is_due_because_of_it(
    start: Start, world: FakeWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S1.28: that a turn has ended and that hooks are to hear of it is one transaction."""
    told, lost = tmp_path / "told", tmp_path / "lost"
    hooks = [
        {"on": "prompt:after", "condition": {"outcome": "done"}, "actions": [writing_to(told)]},
        {"on": "prompt:after", "delivery": "best-effort", "actions": [writing_to(lost)]},
    ]
    with monkeypatch.context() as patch:
        # As if the kill came before anything was compared.
        patch.setattr(Automation, "_compare", lambda self, heard: None)
        async with crashing(start(hooks=hooks), world) as supervisor:
            ticket = await supervisor.submit(Prompt("desk", "hello", user="ana"))
            assert isinstance(await ticket.outcome(), Done)
            assert len(kept(supervisor)) == 1
    async with start(hooks=hooks) as supervisor:
        await until(lambda: lines_of(told))
        await until(lambda: not kept(supervisor))
        [run] = ended(supervisor)
        assert (run.turn, run.state) == (ticket.turn_id, RunState.DONE)
    [one] = lines_of(told)
    assert (one["turn"], one["outcome"], one["text"], one["reply"]) == (
        ticket.turn_id,
        "done",
        "hello",
        "You said: hello",
    )
    async with start(hooks=hooks) as supervisor:
        assert isinstance(await (await supervisor.submit(Prompt("desk", "more", user="ana"))).outcome(), Done)
        await until(lambda: len(lines_of(told)) == 2 and lines_of(lost))
    assert [one["text"] for one in lines_of(lost)] == ["more"], "nothing of a hook that makes no promise is kept"


async def test_a_turn_that_no_hook_is_for_costs_no_row(start: Start, tmp_path: Path) -> None:
    hooks = [{"on": "prompt:after", "condition": {"outcome": "failed"}, "actions": [writing_to(tmp_path / "told")]}]
    async with start(hooks=hooks) as supervisor:
        steps: list[str] = []
        add = supervisor._host.journal._writer.add

        def note(one: Note) -> None:
            steps.extend(step.sql for step in one.steps)
            add(one)

        supervisor._host.journal._writer.add = note  # type: ignore[method-assign]
        assert isinstance(await (await supervisor.submit(Prompt("desk", "hello"))).outcome(), Done)
        await until(lambda: not supervisor.automation._heard)
        assert not [sql for sql in steps if "hook_runs" in sql]


async def test_a_turn_that_a_crash_interrupts_is_heard_of_as_any_other(
    start: Start, world: FakeWorld, tmp_path: Path, make_template: MakeTemplate
) -> None:
    """S1.21, S1.28, R2"""
    told = tmp_path / "told"
    hooks = [{"on": "prompt:after", "actions": [writing_to(told)]}]
    world.on_prompt = hold
    async with crashing(start(hooks=hooks), world) as supervisor:
        ticket = await supervisor.submit(Prompt("desk", "hello", user="ana"))
        await until(lambda: reached(world, "hello"))
    async with start(hooks=hooks) as supervisor:
        await until(lambda: lines_of(told))
        await until(lambda: not kept(supervisor))
    [one] = lines_of(told)
    assert (one["turn"], one["outcome"], one["text"], one["user"]) == (ticket.turn_id, "interrupted", "hello", "ana")
    async with start(hooks=hooks):
        pass
    assert len(lines_of(told)) == 1


async def test_what_had_begun_is_taken_up_by_the_hook_that_does_it_wherever_that_stands_now(
    start: Start, tmp_path: Path
) -> None:
    """A hook without a name is called by its place in the file: another that stands there now does not go on with what
    it was not declared for (S1.28)."""
    told, go, other = tmp_path / "told", tmp_path / "go", tmp_path / "other"
    slow = {
        "on": "prompt:after",
        "actions": [shell("sh", "-c", f"cat >> {told}; while [ ! -e {go} ]; do sleep 0.01; done")],
    }
    stranger = {"on": "prompt:after", "actions": [writing_to(other)]}
    async with start(hooks=[slow]) as supervisor:
        await (await supervisor.submit(Prompt("desk", "hello"))).outcome()
        await until(lambda: lines_of(told))
    async with start(hooks=[stranger, slow]) as supervisor:
        await until(lambda: len(lines_of(told)) == 2)
    async with start(hooks=[stranger]) as supervisor:
        await until(lambda: not kept(supervisor))
    assert not lines_of(other)


async def test_nothing_of_a_person_who_was_forgotten_is_recorded_anew(start: Start, tmp_path: Path) -> None:
    """A run that goes on would note its next try, with all that was said."""
    told, go = tmp_path / "told", tmp_path / "go"
    script = f"cat >> {told}; while [ ! -e {go} ]; do sleep 0.01; done; exit 1"
    hooks = [{"on": "prompt:after", "retry": {"attempts": 2, "backoff": "1ms"}, "actions": [shell("sh", "-c", script)]}]
    async with start(hooks=hooks) as supervisor:
        await (await supervisor.submit(Prompt("desk", "anas-own-words", user="ana"))).outcome()
        await until(lambda: lines_of(told))
        assert len(kept(supervisor)) == 1
        await supervisor.forget_user("ana")
        await until(lambda: not supervisor._forgotten)
        assert not kept(supervisor)
        go.touch()
        await until(lambda: len(lines_of(told)) == 2)
        await supervisor._host.journal.flush()
        assert not kept(supervisor)
        await until(lambda: ended(supervisor))
    assert not read(tmp_path / "state", "SELECT * FROM hook_runs")


async def test_what_a_template_had_begun_waits_for_it_where_it_does_not_run_at_a_start(
    start: Start, tmp_path: Path, make_template: MakeTemplate
) -> None:
    """As its turns do: a file with a mistake is mended later (S1.28)."""
    told, go = tmp_path / "told", tmp_path / "go"
    script = f"cat >> {told}; while [ ! -e {go} ]; do sleep 0.01; done"
    hooks = [{"on": "prompt:after", "actions": [shell("sh", "-c", script)]}]
    own = make_template("own", hooks=hooks, pool={"spares": 0})
    other = make_template(pool={"spares": 0})
    async with start(own, other) as supervisor:
        await (await supervisor.submit(Prompt("own", "hello"))).outcome()
        await until(lambda: lines_of(told))
    go.touch()
    async with start(other) as supervisor:
        assert isinstance(await (await supervisor.submit(Prompt("desk", "hello"))).outcome(), Done)
        assert len(kept(supervisor)) == 1
    async with start(own, other) as supervisor:
        await until(lambda: not kept(supervisor))
    first, again = lines_of(told)
    assert first == again
