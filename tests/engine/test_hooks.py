"""Hooks over the real supervisor and the fake world: what fires, in what order, and that no turn waits for it."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest

from supervisor.api.automation import MOST_DEPTH
from supervisor.api.errors import Refused, UnknownTarget
from supervisor.api.events import Event, HookFailed
from supervisor.api.hook_rows import HookRun, RunState
from supervisor.api.keys import SessionKey
from supervisor.api.outcomes import Done
from supervisor.api.prompts import Prompt, Source
from supervisor.api.states import Archetype
from supervisor.engine.supervisor import Supervisor
from supervisor.testing import FakeWorld, hold
from tests.engine.conftest import MakeTemplate, Start
from tests.waiting import until

pytestmark = pytest.mark.anyio

WRITE = "import sys, pathlib; pathlib.Path(sys.argv[1]).open('ab').write(sys.stdin.buffer.read())"


def shell(*command: str) -> dict[str, Any]:
    return {"type": "shell", "command": list(command)}


def writing_to(path: Path) -> dict[str, Any]:
    """Appends what it is told as one line."""
    return shell(sys.executable, "-c", WRITE, str(path))


def agent(target: str, text: str = "{text}", **more: str) -> dict[str, Any]:
    return {"type": "agent", "target": target, "text": text, **more}


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def reached(world: FakeWorld, text: str) -> bool:
    """Whether that prompt has been written to a process."""
    return any(one.text == text for one in world.written)


def runs_of(supervisor: Supervisor) -> list[HookRun]:
    """The oldest first."""
    return [*supervisor.automation.log.last(1_000)][::-1]


def ended(supervisor: Supervisor) -> list[HookRun]:
    return [run for run in runs_of(supervisor) if run.state is not RunState.RUNNING]


async def test_a_program_gets_what_happened_as_json_with_every_id(start: Start, tmp_path: Path) -> None:
    """S1.21"""
    told = tmp_path / "told"
    hooks = [
        {"on": "prompt:after", "actions": [writing_to(told)]},
        {"on": "prompt:before", "actions": [writing_to(told)]},
    ]
    async with start(hooks=hooks) as supervisor:
        ticket = await supervisor.submit(Prompt("desk", "'; rm -r / #", user="ana"))
        await ticket.outcome()
        await until(lambda: len(lines_of(told)) == 2)
    before, after = sorted(lines_of(told), key=lambda one: one["event"] == "prompt:after")
    for one in (before, after):
        assert (one["instance"], one["user"], one["session"], one["turn"]) == ("desk", "ana", "default", ticket.turn_id)
        assert one["text"] == "'; rm -r / #"
    assert (after["outcome"], after["reply"]) == ("done", "You said: '; rm -r / #")


async def test_hooks_of_one_event_begin_by_priority_and_then_as_declared(start: Start, tmp_path: Path) -> None:
    """S1.28"""
    hooks = [
        {"name": name, "on": "session:opened", "priority": priority, "actions": [shell("true")]}
        for name, priority in (("d", 200), ("b", 50), ("c", 50), ("a", -3))
    ]
    async with start(hooks=hooks) as supervisor:
        await (await supervisor.submit(Prompt("desk", "hello"))).outcome()
        await until(lambda: len(ended(supervisor)) == 4)
        assert [run.hook for run in runs_of(supervisor)] == ["a", "b", "c", "d"]
        assert [row.name for row in await supervisor.hooks()] == ["a", "b", "c", "d"]


async def test_an_action_of_a_failing_hook_is_tried_again_and_breaks_nothing(start: Start, tmp_path: Path) -> None:
    """S1.28"""
    told, heard = tmp_path / "told", list[Event]()
    hooks = [
        {
            "name": "bad",
            "on": "prompt:after",
            "retry": {"attempts": 3, "backoff": "1ms"},
            "actions": [shell(sys.executable, "-c", "import sys; sys.exit('no luck')"), writing_to(told)],
        }
    ]
    async with start(hooks=hooks) as supervisor:
        with await supervisor.watch() as feed:
            ticket = await supervisor.submit(Prompt("desk", "hello"))
            assert isinstance(await ticket.outcome(), Done)
            await until(lambda: len(ended(supervisor)) == 2)
            heard += feed.take().events
        first, second = ended(supervisor)
        assert (first.state, first.attempt, second.state) == (RunState.FAILED, 3, RunState.DONE)
        assert "no luck" in first.detail
        assert len(lines_of(told)) == 1
        [failed] = [event for event in heard if isinstance(event, HookFailed)]
        assert (failed.hook, failed.on, failed.turn) == ("bad", "prompt:after", ticket.turn_id)
        [row] = await supervisor.hooks()
        assert (row.fired, row.failed, row.running) == (1, 1, 0)


async def test_a_program_that_takes_too_long_is_ended_with_all_that_it_has_started(
    start: Start, tmp_path: Path
) -> None:
    pids = tmp_path / "pids"
    script = f"setsid sleep 600 & echo $! >> {pids}; sleep 600 & echo $! >> {pids}; echo $$ >> {pids}; wait"
    hooks = [{"on": "prompt:after", "timeout": "700ms", "actions": [shell("sh", "-c", script)]}]
    async with start(hooks=hooks) as supervisor:
        await (await supervisor.submit(Prompt("desk", "hello"))).outcome()
        await until(lambda: ended(supervisor))
        [run] = ended(supervisor)
    assert run.state is RunState.FAILED
    assert "had not ended after 0.7 s" in run.detail
    started = [int(pid) for pid in pids.read_text().split()]
    assert len(started) == 3
    await until(lambda: not any(map(is_alive, started)))


def is_alive(pid: int) -> bool:
    try:
        return b"\nState:\tZ" not in Path(f"/proc/{pid}/status").read_bytes()
    except OSError:
        return False


async def test_a_program_has_few_variables_and_those_that_are_declared(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-secret")
    monkeypatch.setenv("HOOK_TOKEN", "from-outside")
    script = "import json, os; print(json.dumps(dict(os.environ)))"
    action = {**shell(sys.executable, "-c", script), "env": {"TOKEN": "env:HOOK_TOKEN", "PLAIN": "here"}}
    found = tmp_path / "found"
    action["command"] = ["sh", "-c", f'"$0" -c "$1" > {found}', sys.executable, script]
    async with start(hooks=[{"on": "prompt:after", "actions": [action]}]) as supervisor:
        await (await supervisor.submit(Prompt("desk", "hello"))).outcome()
        await until(lambda: ended(supervisor))
        [row] = await supervisor.hooks()
        assert "from-outside" not in repr((row, ended(supervisor)))
    variables = json.loads(found.read_text())
    assert (variables["TOKEN"], variables["PLAIN"], variables["BULLPEN_HOOK_DEPTH"]) == ("from-outside", "here", "1")
    assert not {"ANTHROPIC_API_KEY", "HOOK_TOKEN", "BULLPEN_SUPERVISOR"} & variables.keys()
    assert variables["BULLPEN_CLIENT"] == f"{supervisor._host.mark}:hook"  # by which the next start finds what is left


async def test_a_condition_compares_fields_and_executes_nothing(start: Start, tmp_path: Path) -> None:
    told = tmp_path / "told"
    hooks = [
        {
            "on": "prompt:after",
            "condition": {
                "user": {"glob": "an*"},
                "text": {"regex": "(?i)^refund\\b", "not": {"contains": "later"}},
                "outcome": ["done", "failed"],
                "seconds": {"below": 60},
                "source": {"not": "hook"},
            },
            "actions": [writing_to(told)],
        }
    ]
    async with start(hooks=hooks) as supervisor:
        for user, text in (
            ("ana", "Refund me"),
            ("ben", "Refund me"),
            ("ana", "Refund me later"),
            ("anton", "a refund"),
        ):
            await (await supervisor.submit(Prompt("desk", text, user=user))).outcome()
        await until(lambda: lines_of(told))
        await until(lambda: not len(supervisor.automation.runner))
    assert [(one["user"], one["text"]) for one in lines_of(told)] == [("ana", "Refund me")]


async def test_the_archetype_of_the_target_decides_how_it_is_prompted(
    start: Start, world: FakeWorld, make_template: MakeTemplate
) -> None:
    """S1.19, S1.28: a tool is called and leaves nothing behind, an employee gets a task in its one session, a service
    a new session."""
    templates = (
        make_template(pool={"spares": 0}),
        make_template("adder", archetype="tool"),
        make_template("clerk", archetype="employee"),
        make_template("helper", pool={"spares": 0}),
    )
    actions = [
        agent("adder", "add {text}"),
        agent("clerk", "note {turn}"),
        agent("helper", "help {user}"),
        agent("helper", "again {{{user}}}", session="fixed", user="{user}"),
    ]
    async with start(
        *templates, hooks=[{"on": "prompt:after", "condition": {"instance": "desk"}, "actions": actions}]
    ) as supervisor:
        ticket = await supervisor.submit(Prompt("desk", "1+1 {turn}", user="ana"))
        await ticket.outcome()
        await until(lambda: len(ended(supervisor)) == 4)
        assert [run.state for run in ended(supervisor)] == [RunState.DONE] * 4
        keys = {row.key for row in supervisor.view.snapshot().sessions}
        run_id = ended(supervisor)[2].id
    assert keys == {
        SessionKey("desk", "ana", "default"),
        SessionKey("clerk", "everyone", "desk"),
        SessionKey("helper", "automation", f"hook-{run_id}"),
        SessionKey("helper", "ana", "fixed"),
    }
    said = [one.text for one in world.written]
    assert said[1:] == ["add 1+1 {turn}", f"note {ticket.turn_id}", "help ana", "again {ana}"]


@pytest.mark.parametrize(
    ("archetype", "limit"), [(Archetype.TOOL, 300.0), (Archetype.EMPLOYEE, 600.0), (Archetype.SERVICE, None)]
)
def test_an_agent_has_as_long_as_is_usual_for_its_archetype(archetype: Archetype, limit: float | None) -> None:
    """S1.28"""
    from supervisor.automation.agent_action import STRATEGIES

    assert STRATEGIES[archetype].timeout == limit


async def test_an_agent_that_does_not_answer_in_time_loses_the_turn(
    start: Start, world: FakeWorld, make_template: MakeTemplate
) -> None:
    """S1.28"""
    templates = (make_template(pool={"spares": 0}), make_template("adder", archetype="tool"))
    hooks = [
        {"on": "prompt:queued", "condition": {"instance": "desk"}, "timeout": "200ms", "actions": [agent("adder", "x")]}
    ]
    world.on_prompt = lambda connection, text: None if text == "x" else connection.reply("yes")
    async with start(*templates, hooks=hooks) as supervisor:
        await (await supervisor.submit(Prompt("desk", "hello"))).outcome()
        await until(lambda: ended(supervisor))
        assert "had not answered after 0.2 s" in ended(supervisor)[0].detail
        await until(lambda: not supervisor.view.snapshot().instances[1].active_sessions)


async def test_hooks_at_one_service_run_in_parallel_and_the_rest_queues(
    start: Start, world: FakeWorld, make_template: MakeTemplate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S1.20: up to `maxSessions` at once; what waits too long for a place is handed in again, and nothing is lost."""
    templates = (
        make_template(pool={"spares": 0}),
        make_template(
            "helper", concurrency={"maxSessions": 2}, pool={"spares": 0}, queue={"maxWait": "50ms", "maxWaiting": 3}
        ),
    )
    monkeypatch.setattr("supervisor.automation.agent_action.LONGEST_WAIT", 0.05)
    most = 0

    def watch_and_hold(connection: Any, text: str) -> None:
        nonlocal most
        if text.startswith("help"):
            most = max(most, supervisor.view.snapshot().instances[1].active_sessions)
        else:
            connection.reply("yes")

    world.on_prompt = watch_and_hold
    hooks = [
        {"on": "prompt:after", "condition": {"instance": "desk"}, "actions": [agent("helper", f"help {number}")]}
        for number in range(8)
    ]
    async with start(*templates, hooks=hooks) as supervisor:
        await (await supervisor.submit(Prompt("desk", "hello"))).outcome()
        answered = set[str]()
        while len(ended(supervisor)) < 8:
            for text in (f"help {number}" for number in range(8)):
                if text not in answered and reached(world, text):
                    answered.add(text)
                    world.holder_of(text).reply("done")
            await anyio.sleep(0.005)
        assert {run.state for run in ended(supervisor)} == {RunState.DONE}
    assert most == 2
    assert sorted(one.text for one in world.written if one.text.startswith("help")) == [f"help {n}" for n in range(8)]


@pytest.mark.parametrize("on", ["prompt:after", "session:opened", "process:start"])
async def test_hooks_that_fire_each_other_end_at_depth_eight(
    start: Start, world: FakeWorld, make_template: MakeTemplate, on: str
) -> None:
    """S1.28: also by way of what a prompt only leads to."""
    hooks = [{"on": on, "actions": [agent("desk", "again")]}]
    async with start(make_template(concurrency={"maxSessions": 4}, pool={"spares": 0}), hooks=hooks) as supervisor:
        await (await supervisor.submit(Prompt("desk", "hello"))).outcome()
        await until(lambda: any(run.state is RunState.SKIPPED for run in runs_of(supervisor)))
        await until(lambda: not len(supervisor.automation.runner))
        depths = [run.depth for run in runs_of(supervisor) if run.state is RunState.DONE]
        [stopped] = [run for run in runs_of(supervisor) if run.state is RunState.SKIPPED]
    assert depths == list(range(MOST_DEPTH))
    assert stopped.depth == MOST_DEPTH
    assert [one.text for one in world.written] == ["hello", *["again"] * MOST_DEPTH]


async def test_the_depth_of_a_prompt_outlives_a_restart(
    start: Start, world: FakeWorld, make_template: MakeTemplate
) -> None:
    world.on_prompt = hold
    template = make_template(concurrency={"maxSessions": 1}, pool={"spares": 0})
    async with start(template) as supervisor:
        for number in range(2):
            prompt = Prompt("desk", f"number {number}", session=f"s{number}", source=Source.HOOK, depth=5)
            ticket = await supervisor.submit(prompt)
        await until(lambda: reached(world, "number 0"))
        waiting = ticket.turn_id
    world.on_prompt = lambda connection, text: connection.reply("yes")
    hooks = [{"on": "prompt:after", "actions": [shell("true")]}]
    async with start(template, hooks=hooks) as supervisor:
        await until(lambda: any(run.turn == waiting for run in ended(supervisor)))
        assert (await supervisor.turn(waiting)).prompt.depth == 5
        assert {run.depth for run in ended(supervisor)} == {5}


async def test_an_action_that_had_not_ended_is_done_again_after_a_restart_under_the_same_id(
    start: Start, tmp_path: Path, make_template: MakeTemplate
) -> None:
    told, go = tmp_path / "told", tmp_path / "go"
    script = f"cat >> {told}; while [ ! -e {go} ]; do sleep 0.01; done"
    slow = shell("sh", "-c", script)
    hooks = [
        {"name": "kept", "on": "prompt:after", "actions": [shell("true"), slow]},
        {"name": "lost", "on": "prompt:after", "delivery": "best-effort", "actions": [slow]},
    ]
    async with start(hooks=hooks) as supervisor:
        await (await supervisor.submit(Prompt("desk", "hello"))).outcome()
        await until(lambda: len(lines_of(told)) == 2)
    go.touch()
    async with start(hooks=hooks) as supervisor:
        await until(lambda: ended(supervisor))
        [run] = ended(supervisor)
        assert (run.hook, run.state, run.attempt) == ("kept", RunState.DONE, 1)
        await until(lambda: len(lines_of(told)) == 3)
    ids = [one["id"] for one in lines_of(told)]
    assert ids[2] == run.id
    assert ids[2] in ids[:2]
    async with start(hooks=hooks) as supervisor:
        await supervisor.submit(Prompt("desk", "done"))
        assert not [run for run in runs_of(supervisor) if run.id in ids]


async def test_a_prompt_that_a_hook_had_sent_is_not_sent_again_after_a_restart(
    start: Start, world: FakeWorld, make_template: MakeTemplate
) -> None:
    templates = (make_template(pool={"spares": 0}), make_template("clerk", archetype="employee"))
    hooks = [{"on": "prompt:after", "condition": {"instance": "desk"}, "actions": [agent("clerk", "note")]}]
    async with start(*templates, hooks=hooks) as supervisor:
        await supervisor.pause("clerk")
        await (await supervisor.submit(Prompt("desk", "hello"))).outcome()
        await until(lambda: supervisor.view.snapshot().instances[1].waiting)
    async with start(*templates, hooks=hooks) as supervisor:
        await until(lambda: ended(supervisor))
        assert [run.state for run in ended(supervisor)] == [RunState.DONE], ended(supervisor)
    assert [one.text for one in world.written].count("note") == 1


async def test_what_happens_while_bullpen_ends_is_done_by_the_next_start(
    start: Start, world: FakeWorld, tmp_path: Path
) -> None:
    told = tmp_path / "told"
    hooks = [{"on": "prompt:after", "actions": [writing_to(told)]}]
    world.on_prompt = hold
    async with start(hooks=hooks) as supervisor:
        await supervisor.submit(Prompt("desk", "hello"))
        await until(lambda: reached(world, "hello"))
    assert not lines_of(told)
    async with start(hooks=hooks):
        await until(lambda: lines_of(told))
    assert [one["outcome"] for one in lines_of(told)] == ["interrupted"]


async def test_a_hook_of_a_template_sees_the_events_of_its_own_instance_alone(
    start: Start, make_template: MakeTemplate, tmp_path: Path
) -> None:
    told = tmp_path / "told"
    hooks = [{"on": ["prompt:after", "session:opened"], "actions": [writing_to(told)]}]
    templates = (make_template(hooks=hooks, pool={"spares": 0}), make_template("other", pool={"spares": 0}))
    async with start(*templates) as supervisor:
        for name in ("other", "desk"):
            await (await supervisor.submit(Prompt(name, "hello"))).outcome()
        await until(lambda: len(lines_of(told)) == 2)
        await until(lambda: not len(supervisor.automation.runner))
    assert {one["instance"] for one in lines_of(told)} == {"desk"}


async def test_a_try_does_what_is_declared_with_a_sample_that_meets_the_condition(start: Start, tmp_path: Path) -> None:
    told = tmp_path / "told"
    hooks = [
        {"name": "one", "on": "prompt:after", "condition": {"outcome": "failed"}, "actions": [writing_to(told)]},
        {"name": "two", "on": "prompt:after", "condition": {"text": {"regex": "^never$"}}, "actions": [shell("true")]},
    ]
    async with start(hooks=hooks) as supervisor:
        one, two = await supervisor.test_hook("prompt:after")
        assert (one.hook, one.state, one.is_sample) == ("one", RunState.DONE, True)
        assert (two.hook, two.state) == ("two", RunState.SKIPPED)
        with pytest.raises(UnknownTarget, match="did you mean prompt:after"):
            await supervisor.test_hook("prompt:aftr")
        with pytest.raises(Refused, match="no hook is declared on session:closed"):
            await supervisor.test_hook("session:closed")
    [sample] = lines_of(told)
    assert (sample["sample"], sample["outcome"]) == (True, "failed")


async def test_a_slow_hook_slows_no_turn_and_what_is_left_out_is_counted_and_told(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R4"""
    monkeypatch.setattr("supervisor.automation.runner.MOST_OPEN", 2)
    hooks = [{"name": "slow", "on": "prompt:after", "actions": [shell("sleep", "600")]}]
    heard = list[Event]()
    async with start(hooks=hooks) as supervisor:
        with await supervisor.watch() as feed:
            for number in range(5):
                await (await supervisor.submit(Prompt("desk", f"number {number}"))).outcome()
            await until(lambda: supervisor.automation.log.tally("slow").dropped == 3)
            heard += feed.take().events
        [row] = await supervisor.hooks()
        assert (row.fired, row.dropped, row.running) == (2, 3, 2)
        assert len([event for event in heard if isinstance(event, HookFailed)]) == 1
    assert os.environ.get("BULLPEN_SUPERVISOR") is None


async def test_what_users_wrote_is_forgotten_with_them(start: Start, tmp_path: Path) -> None:
    hooks = [{"name": "bad", "on": "prompt:after", "actions": [shell("sh", "-c", "grep -o my.secret >&2; exit 1")]}]
    async with start(hooks=hooks) as supervisor:
        await (await supervisor.submit(Prompt("desk", "my secret", user="ana"))).outcome()
        await until(lambda: ended(supervisor))
        assert "secret" in ended(supervisor)[0].detail
        await supervisor.forget_user("ana")
        await until(lambda: "secret" not in repr(runs_of(supervisor)))
        assert "ana" not in repr(runs_of(supervisor))
