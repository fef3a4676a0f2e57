"""Everything that happens to an instance takes effect in one place, in the order in which it happened."""

from __future__ import annotations

import inspect
import logging
import re
import sys
from pathlib import Path

import pytest

import supervisor
from supervisor.api.errors import Refused
from supervisor.api.outcomes import Done
from supervisor.api.prompts import Prompt
from supervisor.api.states import InstanceState
from supervisor.instance import stimuli
from supervisor.instance.deadlines import Deadlines
from supervisor.instance.instance import Instance
from supervisor.instance.memory_ceilings import MemoryCeilings
from supervisor.instance.scheduler import Scheduler
from supervisor.process.reports import TextDelta
from supervisor.testing import FakeWorld, hold
from tests.engine.conftest import Start
from tests.waiting import until

pytestmark = pytest.mark.anyio

SOURCES = sorted(Path(supervisor.__file__).parent.rglob("*.py"))


def all_kinds(kind: type[stimuli.Stimulus]) -> list[type[stimuli.Stimulus]]:
    found = [one for child in kind.__subclasses__() for one in (child, *all_kinds(child))]
    return [one for one in found if one.__module__ == stimuli.__name__ and one not in (stimuli.Fact, stimuli.Request)]


def test_every_stimulus_there_is_is_taken_by_a_part() -> None:
    source = inspect.getsource(sys.modules[Instance.__module__])
    taken = re.findall(r"^ +case stimuli\.(\w+)\(.*\):$", source, re.MULTILINE)
    assert sorted(taken) == sorted({kind.__name__ for kind in all_kinds(stimuli.Stimulus)}), "each of them once"


def test_what_a_stimulus_is_annotated_with_is_a_field_of_it_that_cannot_be_set() -> None:
    for kind in all_kinds(stimuli.Stimulus):
        assert "__dict__" not in dir(kind), kind
        assert kind.__struct_config__.frozen, kind
        own = {name for name, hint in inspect.get_annotations(kind).items() if "ClassVar" not in hint}
        assert own <= set(kind.__struct_fields__), kind


def test_the_scheduler_is_run_in_one_place() -> None:
    calls = [path.name for path in SOURCES for _ in re.findall(r"scheduler\.run\(", path.read_text("utf-8"))]
    assert calls == ["instance.py"]


async def test_what_happens_because_of_something_else_is_handled_after_it_and_in_order(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    async with start() as supervisor:
        desk = supervisor._instances["desk"]

        def advance(self: Deadlines, now: float) -> None:
            order.append(f"time {now:g} begins")
            if now == 1:
                desk.handle(stimuli.TimePassed(2))
                desk.handle(stimuli.MemoryMeasured(()))
                desk.handle(stimuli.TimePassed(3))
            order.append(f"time {now:g} ends")

        with monkeypatch.context() as patch:
            patch.setattr(Deadlines, "advance", advance)
            patch.setattr(MemoryCeilings, "judge", lambda self, slots: order.append("measured"))
            patch.setattr(Scheduler, "run", lambda self: order.append("steps"))
            desk.handle(stimuli.TimePassed(1))
    one, two, three = ([f"time {number} begins", f"time {number} ends", "steps"] for number in (1, 2, 3))
    assert order == [*one, *two, "measured", *three]


async def test_a_mistake_in_one_stimulus_goes_to_its_caller_and_loses_none_of_those_behind_it(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    async with start() as supervisor:
        desk = supervisor._instances["desk"]

        def advance(self: Deadlines, now: float) -> None:
            desk.handle(stimuli.MemoryMeasured(()))
            desk.handle(stimuli.HostChanged())
            raise ZeroDivisionError("first")

        def judge(self: MemoryCeilings, slots: object) -> None:
            raise ZeroDivisionError("second")

        with monkeypatch.context() as patch:
            patch.setattr(Deadlines, "advance", advance)
            patch.setattr(MemoryCeilings, "judge", judge)
            patch.setattr(Scheduler, "run", lambda self: order.append("steps"))
            with pytest.raises(ZeroDivisionError, match="first"):
                desk.handle(stimuli.TimePassed(1))
        assert order == ["steps"], "that the host has changed was handled, behind two mistakes"
        assert isinstance(await (await supervisor.submit(Prompt("desk", "still well?"))).outcome(), Done)


async def test_nothing_is_asked_of_an_instance_in_the_middle_of_something(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its answer would not be known yet."""
    async with start() as supervisor:
        desk = supervisor._instances["desk"]
        with monkeypatch.context() as patch:
            patch.setattr(Deadlines, "advance", lambda self, now: desk.handle(stimuli.Pause()))
            with pytest.raises(AssertionError, match=r"Pause is asked of .* in the middle"):
                desk.handle(stimuli.TimePassed(1))
        assert desk.state is InstanceState.RUNNING


async def test_a_refused_request_changes_nothing_and_leads_to_no_step(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with start() as supervisor:
        desk = supervisor._instances["desk"]
        with monkeypatch.context() as patch:
            patch.setattr(Scheduler, "run", lambda self: 1 // 0)
            with pytest.raises(Refused):
                desk.handle(stimuli.Scale(0))
        assert desk.core.max_sessions == 2


async def test_words_of_a_reply_do_not_ask_the_scheduler(
    start: Start, world: FakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are by far the most of all that happens."""
    world.on_prompt = hold
    async with start() as supervisor:
        ticket = await supervisor.submit(Prompt("desk", "a long story"))
        await until(lambda: world.connections and world.connections[0].prompts)
        desk = supervisor._instances["desk"]
        (slot,) = desk.pool
        with monkeypatch.context() as patch:
            patch.setattr(Scheduler, "run", lambda self: 1 // 0)
            desk.handle(stimuli.ClientSpoke(slot, TextDelta("once ")))
        assert (await supervisor.conversation(ticket.key)).read().opened == "once "
        world.connections[0].reply("upon a time")
        assert isinstance(await ticket.outcome(), Done)


async def test_the_log_of_stimuli_names_what_happened_and_nothing_that_was_said(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    async with start() as supervisor:
        with caplog.at_level(logging.DEBUG, stimuli.__name__):
            await (await supervisor.submit(Prompt("desk", "my secret", user="ana"))).outcome()
            await supervisor.pause("desk")
    lines = [record.getMessage() for record in caplog.records if record.name == stimuli.__name__]
    for words in ("SubmitPrompt desk/ana", "PromptRecorded", "ClientConnected desk-1", "ResultArrived desk-1", "Pause"):
        assert any(words in line for line in lines), words
    assert "secret" not in caplog.text
    caplog.clear()
    async with start() as supervisor:
        await (await supervisor.submit(Prompt("desk", "hello"))).outcome()
    assert not [record for record in caplog.records if record.name == stimuli.__name__], "off by default"
