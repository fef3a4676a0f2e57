"""Gates over the real supervisor: a prompt is accepted, rewritten or refused before anything of it is there."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from supervisor.api.errors import GateRefused, NotAccepting, RequestConflict, Saturated
from supervisor.api.events import Event, SessionOpened, TurnQueued
from supervisor.api.hook_rows import RunState
from supervisor.api.outcomes import Done
from supervisor.api.prompts import Prompt
from supervisor.engine.supervisor import Supervisor
from supervisor.testing import FakeWorld
from tests.engine.conftest import MakeTemplate, Start
from tests.waiting import at_once, until

pytestmark = pytest.mark.anyio


def gate(script: str, **keys: Any) -> dict[str, Any]:
    """Python that has what it was told as `told`."""
    code = f"import json, sys, time, os; told = json.load(sys.stdin)\n{script}"
    action = {"type": "shell", "command": [sys.executable, "-I", "-S", "-c", code]}
    return {"name": "gate", "on": "prompt:before", "gate": True, "fallback": "refuse", "actions": [action]} | keys


def runs_of(supervisor: Supervisor) -> list[Any]:
    return [*supervisor.automation.log.last(1_000)][::-1]


async def test_a_prompt_that_a_gate_refuses_leaves_nothing_behind(start: Start, world: FakeWorld) -> None:
    script = "if 'secret' in told['text']: print('not that', file=sys.stderr); sys.exit(2)"
    heard = list[Event]()
    async with start(hooks=[gate(script)]) as supervisor:
        with await supervisor.watch() as feed:
            with pytest.raises(GateRefused, match="not that") as raised:
                await supervisor.submit(Prompt("desk", "a secret", user="ana"))
            assert raised.value.gate == "gate"
            ticket = await supervisor.submit(Prompt("desk", "hello", user="ben"))
            assert isinstance(await ticket.outcome(), Done)
            heard += feed.take().events
        assert [row.key.user for row in supervisor.view.snapshot().sessions] == ["ben"]
        first, second = runs_of(supervisor)
        assert (first.state, first.detail, first.user) == (RunState.DONE, "refused: not that", "ana")
        assert (second.detail, second.turn) == ("allowed", ticket.turn_id)
    assert {event.user for event in heard if isinstance(event, TurnQueued | SessionOpened)} == {"ben"}
    assert [one.text for one in world.written] == ["hello"]


async def test_gates_rewrite_one_after_the_other_and_a_repeated_request_is_still_known(
    start: Start, world: FakeWorld, tmp_path: Path
) -> None:
    asked = tmp_path / "asked"
    add = "open(%r, 'a').write('x'); print(json.dumps({'text': told['text'] + %r}))"
    hooks = [gate(add % (str(asked), " second"), name="b"), gate(add % (str(asked), " first"), name="a", priority=1)]
    prompt = Prompt("desk", "hello", user="ana", request="r-1")
    async with start(hooks=hooks) as supervisor:
        ticket = await supervisor.submit(prompt)
        await ticket.outcome()
        again = await supervisor.submit(prompt)
        assert again.turn_id == ticket.turn_id
        with pytest.raises(RequestConflict):
            await supervisor.submit(Prompt("desk", "hello first second", user="ana", request="r-1"))
        turn = await supervisor.turn(ticket.turn_id)
        assert (turn.prompt.text, len(turn.prompt.written)) == ("hello first second", 64)
    async with start(hooks=hooks) as supervisor:
        assert (await supervisor.submit(prompt)).turn_id == ticket.turn_id
    assert asked.read_text() == "xx"
    assert [one.text for one in world.written] == ["hello first second"]


async def test_a_request_that_stands_before_a_gate_already_is_not_asked_about_twice(
    start: Start, world: FakeWorld, tmp_path: Path
) -> None:
    asked, go = tmp_path / "asked", tmp_path / "go"
    script = (
        f"open({str(asked)!r}, 'a').write('x')\nwhile not os.path.exists({str(go)!r}): time.sleep(0.01)\n"
        "if 'no' in told['text']: sys.exit(2)"
    )
    results = dict[str, list[Any]]()

    async def hand_in(prompt: Prompt) -> None:
        try:
            results.setdefault(prompt.text, []).append((await supervisor.submit(prompt)).turn_id)
        except GateRefused as error:
            results.setdefault(prompt.text, []).append(error)

    async with start(hooks=[gate(script)]) as supervisor, anyio.create_task_group() as group:
        for text in ("yes", "no"):
            for _ in range(3):
                group.start_soon(hand_in, Prompt("desk", text, user="ana", request=text))
        await until(lambda: asked.exists() and asked.read_text() == "xx")
        with pytest.raises(RequestConflict):
            await supervisor.submit(Prompt("desk", "another", user="ana", request="yes"))
        go.touch()
    assert asked.read_text() == "xx"
    assert len(set(results["yes"])) == 1
    assert len(results["yes"]) == len(results["no"]) == 3
    assert all(isinstance(one, GateRefused) for one in results["no"])


async def test_prompts_of_one_session_stay_in_order_and_no_other_session_waits(
    start: Start, world: FakeWorld, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    script = f"while told['text'] == 'one' and not os.path.exists({str(go)!r}): time.sleep(0.01)"
    hooks = [gate(script, condition={"text": {"not": "two"}})]
    accepted = list[str]()

    async def hand_in(text: str, user: str) -> None:
        await supervisor.submit(Prompt("desk", text, user=user))
        accepted.append(text)

    async with start(hooks=hooks) as supervisor, anyio.create_task_group() as group:
        for text in ("one", "two", "three"):
            group.start_soon(hand_in, text, "ana")
            await anyio.lowlevel.checkpoint()
        await until(lambda: supervisor._gated_prompts.count("desk") == 3)
        await hand_in("two", "ben")
        assert accepted == ["two"]
        await until(lambda: len([run for run in runs_of(supervisor) if run.state is RunState.DONE]) == 1)
        assert accepted == ["two"]
        go.touch()
        await until(lambda: len(accepted) == 4)
    assert accepted[1:] == ["one", "two", "three"]


async def test_a_caller_that_leaves_lets_the_next_one_in_and_what_was_asked_is_ended(
    start: Start, world: FakeWorld, tmp_path: Path
) -> None:
    pid = tmp_path / "pid"
    script = f"if told['text'] == 'one': open({str(pid)!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    async with start(hooks=[gate(script, timeout="10m")]) as supervisor, anyio.create_task_group() as group:
        scope = anyio.CancelScope()

        async def leave() -> None:
            with scope:
                await supervisor.submit(Prompt("desk", "one", user="ana"))

        group.start_soon(leave)
        await until(lambda: pid.exists() and pid.read_text())
        second = list[Any]()

        async def come_next() -> None:
            second.append(await supervisor.submit(Prompt("desk", "two", user="ana")))

        group.start_soon(come_next)
        await until(lambda: len([run for run in runs_of(supervisor) if run.state is RunState.DONE]) == 1)
        assert not second
        scope.cancel()
        await until(lambda: second)
        await until(lambda: not Path(f"/proc/{pid.read_text()}").exists())
        assert await second[0].outcome()
        assert supervisor._gated_prompts.count("desk") == 0
    assert [one.text for one in world.written] == ["two"]


async def test_what_stands_before_a_gate_when_bullpen_stops_is_refused(start: Start, tmp_path: Path) -> None:
    asked = tmp_path / "asked"
    refusals = list[BaseException]()

    async def hand_in(text: str) -> None:
        try:
            await supervisor.submit(Prompt("desk", text))
        except NotAccepting as error:
            refusals.append(error)

    hooks = [gate(f"open({str(asked)!r}, 'w'); time.sleep(600)", timeout="10m")]
    async with anyio.create_task_group() as group, start(hooks=hooks) as supervisor:
        for text in ("one", "two"):
            group.start_soon(hand_in, text)
        await until(asked.exists)
    assert [str(error) for error in refusals] == ["bullpen is stopping"] * 2


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("time.sleep(600)", "had not answered after 0.5 s"),
        ("sys.exit('oh')", "ended with code 1: oh"),
        ("print('well')", "no JSON"),
        ('print(\'{"decision": "perhaps"}\')', "neither allow nor refuse"),
        ("print('{\"verdict\": 1}')", "no object with decision"),
        ('print(\'{"text": " "}\')', "is none, empty"),
    ],
)
async def test_a_gate_without_a_verdict_stands_for_what_it_declares(start: Start, script: str, why: str) -> None:
    timeout = "500ms" if "sleep" in script else "30s"
    for fallback in ("allow", "refuse"):
        async with start(hooks=[gate(script, fallback=fallback, timeout=timeout)]) as supervisor:
            if fallback == "allow":
                assert isinstance(await (await supervisor.submit(Prompt("desk", "hello"))).outcome(), Done)
            else:
                with pytest.raises(GateRefused, match="gave no verdict"):
                    await supervisor.submit(Prompt("desk", "hello"))
            [run] = runs_of(supervisor)
            assert run.state is RunState.FAILED
            assert why in run.detail


async def test_without_a_gate_for_it_a_prompt_is_accepted_at_once(start: Start, make_template: MakeTemplate) -> None:
    templates = (make_template(pool={"spares": 0}), make_template("other", pool={"spares": 0}))
    async with start(*templates, hooks=[gate("sys.exit(2)", condition={"instance": "other"})]) as supervisor:
        assert at_once(supervisor.submit(Prompt("desk", "hello"))).turn_id


async def test_what_stands_before_a_gate_counts_for_the_queue(
    start: Start, make_template: MakeTemplate, tmp_path: Path
) -> None:
    template = make_template(pool={"spares": 0}, queue={"maxWaiting": 2})
    async with start(template, hooks=[gate("time.sleep(600)", timeout="10m")]) as supervisor:
        async with anyio.create_task_group() as group:
            for user in ("ana", "ben"):
                group.start_soon(supervisor.submit, Prompt("desk", "hello", user=user))
            await until(lambda: supervisor._gated_prompts.count("desk") == 2)
            with pytest.raises(Saturated):
                await supervisor.submit(Prompt("desk", "hello", user="cia"))
            group.cancel_scope.cancel()
        assert supervisor._gated_prompts.count("desk") == 0


async def test_a_gate_of_a_template_decides_about_that_agent_alone_and_can_be_tried(
    start: Start, make_template: MakeTemplate
) -> None:
    refuse = "print(json.dumps({'decision': 'refuse', 'reason': 'closed'}))"
    guarded = make_template(pool={"spares": 0}, hooks=[gate(refuse)])
    async with start(guarded, make_template("other", pool={"spares": 0})) as supervisor:
        with pytest.raises(GateRefused, match="closed"):
            await supervisor.submit(Prompt("desk", "hello"))
        await supervisor.submit(Prompt("other", "hello"))
        [run] = await supervisor.test_hook("prompt:before")
        assert (run.detail, run.instance, run.is_sample) == ("refused: closed", "desk", True)
        [row] = await supervisor.hooks()
        assert (row.gate, row.fallback, json.dumps(row.fired)) == (True, "refuse", "2")
