"""Whose turn it is that a process works on, report by report, without a process."""

from __future__ import annotations

from typing import Any, cast

import anyio
import pytest
from anyio.abc import TaskGroup

from supervisor.api.outcomes import Usage
from supervisor.process.attribution import BY_ITSELF, Attribution
from supervisor.process.listener import AnyPlace, Listener
from supervisor.process.reports import (
    NEVER_WRITTEN,
    Compacted,
    Limited,
    Prodded,
    Requested,
    Rested,
    Result,
    TextBlock,
    Woke,
)
from tests.waiting import until

pytestmark = pytest.mark.anyio


class Stage:
    """What is told, in order: as its listener, and as the place whose client it is."""

    id = "desk-1"

    def __init__(self) -> None:
        self.told: list[Any] = []
        self.missed = 0
        place, listener = cast(AnyPlace, self), cast(Listener[AnyPlace], self)
        self.turn = Attribution(place, listener, self._miss)

    def _miss(self) -> None:
        self.missed += 1

    def client_told(self, place: AnyPlace, event: Any) -> None:
        self.told.append(event)

    def client_began(self, place: AnyPlace, why: str) -> None:
        self.told.append(f"began: {why}")

    def client_own_result(self, place: AnyPlace, result: Result | None) -> None:
        self.told.append(("own", result))

    def client_result(self, place: AnyPlace, result: Result) -> None:
        self.told.append(("ours", result))

    def client_rested(self, place: AnyPlace) -> None:
        self.told.append("rested")

    def write(self, uuid: str) -> None:
        self.turn.expect(uuid)
        self.turn.written.set()

    def hear(self, *events: Any) -> list[Any]:
        """Returns what is told because of them."""
        before = len(self.told)
        for event in events:
            self.turn.hear(event, cast(TaskGroup, _NoGroup()))
        return self.told[before:]


class _NoGroup:
    def start_soon(self, *_: object) -> None:
        """No time passes here."""


def result(*uuids: str, text: str = "fine", **facts: Any) -> Result:
    given: dict[str, Any] = {"is_error": False, "was_aborted": False, "terminal_reason": "completed", "error": ""}
    return Result(uuids or None, text, api_status=None, **given | facts)


@pytest.fixture
async def stage() -> Stage:
    return Stage()


SAID = TextBlock("I see")


async def test_what_is_said_before_the_cli_names_the_prompt_is_not_its_answer(stage: Stage) -> None:
    stage.write("u1")
    assert stage.hear(SAID) == [f"began: {BY_ITSELF}", SAID]
    assert stage.hear(Requested(("u1",))) == [("own", None)], "it has become part of ours"
    assert stage.hear(SAID, SAID) == [SAID, SAID]
    answer = result("u1")
    assert stage.hear(answer) == [("ours", answer)]
    assert stage.turn.result_seen.is_set()
    assert stage.hear(SAID) == [SAID], "still ours, until it rests"
    assert stage.hear(Rested(), Rested()) == ["rested"]
    assert not stage.turn.is_busy
    assert stage.hear(SAID) == [f"began: {BY_ITSELF}", SAID]


async def test_a_turn_that_it_begins_by_itself_says_why_and_ends_with_its_idle_sign(stage: Stage) -> None:
    assert stage.hear(Prodded("a task ended")) == []
    assert stage.hear(SAID, SAID) == ["began: a task ended", SAID, SAID]
    assert not stage.turn.is_quiet
    end = result()
    assert stage.hear(end) == [], "more of it may come"
    assert stage.hear(Rested()) == [("own", end)]
    assert stage.turn.is_quiet
    assert stage.hear(SAID)[0] == f"began: {BY_ITSELF}", "the reason was for one turn"
    assert stage.hear(end, Prodded("another"), Rested(), SAID) == [("own", end), f"began: {BY_ITSELF}", SAID]


@pytest.mark.parametrize("mine", [True, False])
async def test_the_next_turn_may_begin_without_an_idle_sign_in_between(stage: Stage, mine: bool) -> None:
    """What was held back until that sign is told first."""
    end = result("u1") if mine else result()
    if mine:
        stage.write("u1")
    stage.hear(end)
    before = ["rested"] if mine else [("own", end)]
    assert stage.hear(Requested()) == [*before, f"began: {BY_ITSELF}"]


async def test_a_request_for_another_prompt_does_not_pick_up_ours(stage: Stage) -> None:
    stage.write("u1")
    request = Requested(("other",))
    assert stage.hear(request, SAID) == [f"began: {BY_ITSELF}", request, SAID]


async def test_its_own_turn_ends_with_its_own_result_where_the_prompt_comes_after_it(stage: Stage) -> None:
    stage.hear(SAID)
    stage.write("u1")
    end, answer = result(), result("u1")
    assert stage.hear(end, Requested(("u1",)), answer) == [("own", end), ("ours", answer)]


@pytest.mark.parametrize(
    ("facts", "is_turn"),
    [
        ({"text": "fine"}, True),
        ({"text": "", "error": "no"}, True),
        ({"text": "", "usage": Usage(0, 1, 0, 0.0)}, True),
        ({"text": "", "usage": Usage(1, 0, 0, 0.0)}, False),
    ],
)
async def test_a_result_out_of_nothing_is_a_turn_where_there_is_something_in_it(
    stage: Stage, facts: dict[str, Any], is_turn: bool
) -> None:
    end = result(**facts)
    assert stage.hear(end, Rested()) == ([f"began: {BY_ITSELF}", ("own", end)] if is_turn else [])


async def test_a_result_that_names_another_prompt_or_none_is_not_that_of_ours(stage: Stage) -> None:
    stage.write("u1")
    assert stage.hear(result("other")) == []
    own = result()
    assert stage.hear(own, Rested()) == [f"began: {BY_ITSELF}", ("own", own)], "ours is not picked up"
    stage.hear(Requested(("other", "u1")))
    assert stage.hear(result(is_own=False), result("other"), Rested()) == []
    answer = result()
    assert stage.hear(answer) == [("ours", answer)], "the CLI did not say, and works on ours"


@pytest.mark.parametrize("event", [Woke(), Limited(is_rejected=False, resets_at=None), Compacted(9, 1)])
async def test_what_says_nothing_begins_no_turn(stage: Stage, event: Any) -> None:
    assert stage.hear(event) == [event]
    assert stage.turn.own_over is None


async def test_one_that_wakes_without_a_prompt_may_be_about_to_begin_a_turn(stage: Stage) -> None:
    turn = stage.turn
    stage.hear(Woke())
    assert turn.is_busy
    assert not turn.is_quiet
    stage.hear(Rested())
    assert turn.is_quiet
    turn.expect("u1")
    stage.hear(Woke())
    assert not turn.is_quiet, "it is not written yet"
    turn.written.set()
    stage.hear(Requested(("u1",)))
    assert turn.is_quiet, "it has woken for ours"
    stage.hear(Woke(), result("u1"), Rested(), Woke(), SAID)
    assert not turn.is_stirred, "that turn runs"
    stage.hear(Woke())
    assert not turn.is_stirred


async def test_it_is_at_rest_from_its_idle_sign_until_it_says_anything_but_how_the_limit_stands(stage: Stage) -> None:
    limit = Limited(is_rejected=False, resets_at=None)
    stage.hear(limit)
    assert stage.turn.is_at_rest
    stage.hear(Woke(), limit)
    assert not stage.turn.is_at_rest
    stage.hear(Rested())
    assert stage.turn.is_at_rest


async def test_an_unwanted_prompt_that_is_picked_up_all_the_same_is_told_once(stage: Stage) -> None:
    """The interrupt has hit the turn before it."""
    stage.write("u1")
    assert not stage.turn.is_interruptible
    stage.turn.disown()
    assert stage.turn.is_interruptible
    stage.hear(Requested(("u1",)), Requested(("u1",)))
    assert stage.missed == 1
    stage.hear(result("u1"), Rested())
    assert not stage.turn.is_interruptible
    stage.write("u2")
    stage.hear(Requested(("u2",)))
    assert stage.missed == 1


async def test_a_prompt_that_was_never_written_ends_and_the_client_is_free(stage: Stage) -> None:
    stage.turn.expect("u1")
    stage.turn.give_up("u1")
    (_, end), rested = stage.told
    assert (end.terminal_reason, end.was_aborted, end.prompt_uuids, rested) == (NEVER_WRITTEN, True, ("u1",), "rested")
    assert not stage.turn.is_busy


async def test_nothing_waits_for_one_that_has_died(stage: Stage) -> None:
    end, answer = result(), result("u1")
    stage.hear(SAID)
    stage.turn.expect("u1")
    ends = stage.turn.ends
    assert len(ends) == 2
    stage.turn.note_death()
    assert all(one.is_set() for one in ends)
    assert stage.turn.written.is_set()

    held = Stage()
    held.hear(SAID, end)
    held.turn.note_death()
    assert held.told[-1] == ("own", end)
    assert held.turn.ends == []

    resting = Stage()
    resting.write("u1")
    resting.hear(answer)
    resting.turn.note_death()
    assert resting.told == [("ours", answer), "rested"]


@pytest.mark.parametrize("before", [(SAID, result()), (Woke(),)])
@pytest.mark.parametrize("end", [Rested(), None])
async def test_a_prompt_waits_until_it_cannot_be_merged_into_a_turn_of_its_own(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, before: tuple[Any, ...], end: Rested | None
) -> None:
    """Or until it is not wanted any more."""
    monkeypatch.setattr("supervisor.process.attribution.REST", 3_600.0)
    stage.hear(*before)
    stage.turn.expect("u1")
    is_free = False

    async def wait() -> None:
        nonlocal is_free
        await stage.turn.wait_for_quiet("u1")
        is_free = True

    async with anyio.create_task_group() as group:
        group.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        assert not is_free
        stage.turn.disown() if end is None else stage.hear(end)
    await stage.turn.wait_for_quiet("u1")


async def test_the_answer_may_come_without_the_request_that_names_its_prompt(stage: Stage) -> None:
    stage.hear(SAID)
    stage.write("u1")
    answer = result("u1")
    assert stage.hear(answer) == [("own", None), ("ours", answer)]


async def test_where_the_idle_sign_does_not_come_the_client_is_free_after_a_while(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("supervisor.process.attribution.REST", 0.0)
    async with anyio.create_task_group() as group:
        group.start_soon(stage.turn.rest_at_last)
        for uuid in ("u1", "u2"):
            stage.write(uuid)
            stage.hear(result(uuid))
            assert stage.told[-1] != "rested"
            await until(lambda: stage.told[-1] == "rested")
        group.cancel_scope.cancel()


async def test_where_the_idle_sign_does_not_come_its_own_turn_is_over_after_a_while(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each with its own Result: the wait for one does not end the next."""
    monkeypatch.setattr("supervisor.process.attribution.REST", 0.0)
    first, second = result(text="first"), result(text="second")
    async with anyio.create_task_group() as group:
        stage.hear(SAID)
        stage.turn.hear(first, group)
        stage.hear(Rested(), SAID, second)
    assert stage.told[-1] == SAID
    async with anyio.create_task_group() as group:
        stage.turn.hear(second, group)
    assert stage.told[-1] == ("own", second)
