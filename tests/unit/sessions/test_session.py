"""One conversation: what it says of itself, and what becomes of it with what its client says. Without a loop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from supervisor.api.entries import Asked, Noticed, Replied, ToolCalled, ToolReturned, TurnEnded
from supervisor.api.keys import SessionKey
from supervisor.api.outcomes import Cancelled, Done, Expired, Failed, FailureKind, Interrupted, Usage
from supervisor.api.prompts import Prompt, Source
from supervisor.api.states import SessionState, SlotState
from supervisor.api.turns import Offer
from supervisor.clock import Clock
from supervisor.process.reports import (
    NEVER_WRITTEN,
    Compacted,
    Result,
    Retrying,
    TextBlock,
    TextDelta,
    ToolEnded,
    ToolStarted,
    Trimmed,
    Voided,
)
from supervisor.sessions.outcomes import stopped
from supervisor.sessions.session import Session
from supervisor.sessions.slot import Slot
from supervisor.sessions.turn import Turn
from tests.unit.scheduling.slots import PATHS

ANA = SessionKey("desk", "ana", "default")


class Stage:
    """A session, and a clock that a test turns."""

    def __init__(self) -> None:
        self.now = 100.0
        self.clock = Clock(wall=lambda: 1_000.0 + self.now, steady=lambda: self.now)
        self.session = Session(ANA, self.clock)

    def queue(self, text: str = "hello", source: Source = Source.CALLER) -> Turn:
        turn = self.turn(text, source)
        self.session.mailbox.put(turn)
        return turn

    def turn(self, text: str = "hello", source: Source = Source.CALLER) -> Turn:
        prompt = Prompt("desk", text, user="ana", source=source)
        return Turn(text, f"uuid-{text}", ANA, prompt, self.session.conversation, at=self.now, is_recorded=True)

    def begin(self, text: str = "hello") -> Turn:
        self.queue(text)
        return self.session.begin()

    def place(self, state: SlotState, *, resume: bool = False) -> Slot:
        slot = Slot("desk-1", "uuid-1", Path("work"), "same", resume=resume, at=0.0)
        self.session.adopt(slot)
        for step in PATHS[state]:
            slot.move(step)
        return slot

    @property
    def entries(self) -> tuple[Any, ...]:
        return self.session.conversation.entries


def result(text: str = "", **facts: Any) -> Result:
    given = {"is_error": False, "was_aborted": False, "terminal_reason": "completed", "error": "", "api_status": None}
    return Result(("uuid",), text, **given | facts)


@pytest.fixture
def stage() -> Stage:
    return Stage()


# What it says of itself


def test_a_session_goes_through_its_states_in_the_words_of_every_list(stage: Stage) -> None:
    session = stage.session
    assert session.status is SessionState.NEW
    stage.queue()
    assert session.status is SessionState.WAITING
    slot = stage.place(SlotState.READY)
    session.begin()
    slot.move(SlotState.BUSY)
    assert session.status is SessionState.WORKING
    session.is_stalled = True
    assert session.status is SessionState.STALLED
    slot.move(SlotState.ASKING)
    assert session.status is SessionState.ASKING
    slot.move(SlotState.BUSY)
    slot.is_resting = True
    session.finish(Done(""))
    assert session.status is SessionState.IDLE, "before its client says that it rests"
    slot.move(SlotState.READY)
    assert session.status is SessionState.IDLE
    session.has_failed = True
    assert session.status is SessionState.FAILED
    stage.queue()
    assert session.status is SessionState.WAITING, "what comes next counts for more than what was"
    session.offer = Offer(ANA, "t", "text", Source.CALLER, 1.0, 2.0, 3.0)
    assert session.status is SessionState.INTERRUPTED
    session.begin()
    assert session.status is SessionState.WORKING, "an offer waits while something runs"


def test_without_a_client_it_sleeps_when_there_is_something_to_come_back_to(stage: Stage) -> None:
    slot = stage.place(SlotState.STARTING)
    assert stage.session.status is SessionState.NEW
    slot.move(SlotState.READY)
    assert stage.session.status is SessionState.IDLE
    slot.move(SlotState.CLOSING)
    assert stage.session.status is SessionState.NEW
    stage.session.has_history = True
    assert stage.session.status is SessionState.HIBERNATED


def test_a_turn_that_waits_for_an_answer_without_a_client_is_asking(stage: Stage) -> None:
    stage.queue().is_detached = True
    assert stage.session.status is SessionState.ASKING


def test_it_is_blank_until_anything_happens(stage: Stage) -> None:
    session = stage.session
    assert session.is_blank
    assert not session.is_answered
    turn = stage.queue()
    assert not session.is_blank
    session.begin()
    assert not session.is_blank
    session.mailbox.finish()
    assert session.is_blank
    for field, value in (
        ("turns", 1),
        ("has_history", True),
        ("offer", Offer(ANA, "t", "", turn.prompt.source, 1, 2, 3)),
    ):
        before = getattr(session, field)
        setattr(session, field, value)
        assert not session.is_blank, field
        setattr(session, field, before)
    stage.place(SlotState.READY)
    assert not session.is_blank
    session.usage = Usage(1, 0, 0, 0.0)
    assert session.is_answered


def test_what_stops_first_is_what_runs_and_then_what_waits_in_order(stage: Stage) -> None:
    first, second = stage.begin("first"), stage.queue("second")
    own = stage.turn("timer", Source.AGENT)
    stage.session.begin_own(own)
    assert list(stage.session.turns_to_stop) == [own, first, second]
    assert stage.session.running is own
    with pytest.raises(AssertionError, match="runs"):
        stage.session.begin_own(own)


def test_how_full_the_context_is_never_exceeds_all_of_it(stage: Stage) -> None:
    session = stage.session
    assert session.context_share is None
    session.context_tokens, session.context_window = 50, 200
    assert session.context_share == 0.25
    session.context_tokens = 300
    assert session.context_share == 1.0


# One writer


def test_a_session_takes_the_id_and_the_workspace_of_its_place_and_no_second_place(stage: Stage) -> None:
    slot = stage.place(SlotState.READY)
    session = stage.session
    assert (session.slot, slot.session, session.uuid, session.workspace) == (slot, session, "uuid-1", Path("work"))
    with pytest.raises(AssertionError, match="one writer"):
        session.adopt(Slot("desk-2", "uuid-2", Path(), "same", resume=False, at=0.0))
    with pytest.raises(AssertionError, match="one writer"):
        Session(SessionKey("desk", "boris", "default"), stage.clock).adopt(slot)


@pytest.mark.parametrize("resume", [True, False])
def test_only_a_conversation_that_is_resumed_goes_on_with_its_costs(stage: Stage, resume: bool) -> None:
    stage.session.meter.read(2.0)
    stage.place(SlotState.READY, resume=resume)
    assert stage.session.meter.seen == (2.0 if resume else 0.0)


# Turns


def test_a_turn_begins_now_and_its_prompt_stands_in_the_conversation_once(stage: Stage) -> None:
    stage.now = 120.0
    turn = stage.begin("hello")
    assert (turn.started_steady, turn.started_at) == (120.0, 1_120.0)
    assert stage.session.last_activity_steady == 120.0
    assert stage.session.gist.about == "hello"
    assert stage.session.put_back() is turn
    assert turn.started_at is None
    stage.session.begin()
    assert [(one.text, one.at) for one in stage.entries if isinstance(one, Asked)] == [("hello", 1_120.0)]


def test_a_command_of_ours_is_not_what_the_session_is_about(stage: Stage) -> None:
    stage.begin("hello")
    stage.session.mailbox.finish()
    stage.queue("/compact", Source.ENGINE)
    stage.session.begin()
    assert stage.session.gist.about == "hello"


def test_a_turn_that_an_earlier_run_has_taken_down_is_not_taken_down_again(stage: Stage) -> None:
    turn = stage.begin("hello")
    stage.session.put_back()
    turn.is_in_conversation, turn.is_revived = False, True
    stage.session.begin()
    other = stage.queue("other")
    other.is_revived = True
    stage.session.drop(other, Cancelled("withdrawn"))
    assert [one.text for one in stage.entries if isinstance(one, Asked)] == ["hello", "other"]


def test_what_waits_and_is_dropped_is_asked_and_ended_in_one_go(stage: Stage) -> None:
    waiting, running = stage.queue("one"), stage.turn("two")
    stage.session.drop(waiting, Expired("no client", 3.0))
    assert [type(one) for one in stage.entries] == [Asked, TurnEnded]
    assert (stage.session.note, stage.session.turns, waiting.finished) == (
        "refused: no client",
        1,
        Expired("no client", 3.0),
    )
    with pytest.raises(AssertionError, match="does not wait"):
        stage.session.drop(running, Cancelled("x"))


@pytest.mark.parametrize(
    ("outcome", "note", "has_failed", "tokens"),
    [
        (Done("x", Usage(3, 0, 0, 0.0)), "", False, 3),
        (Failed(FailureKind.CRASHED, "exit 1\nand a trace", Usage(2, 0, 0, 0.0)), "crashed-in-turn: exit 1", True, 2),
        (Failed(FailureKind.CRASHED, ""), "crashed-in-turn: ", True, 0),
        (Interrupted("stopped", "", Usage(1, 0, 0, 0.0)), "stopped", False, 1),
        (Cancelled("withdrawn"), "withdrawn", False, 0),
    ],
)
def test_the_last_outcome_is_its_note_and_what_it_used_is_added(
    stage: Stage, outcome: Any, note: str, has_failed: bool, tokens: int
) -> None:
    session = stage.session
    session.note, session.has_failed, session.usage = "before", not has_failed, Usage(10, 0, 0, 0.0)
    turn = stage.begin()
    session.allowed_once.append("Write x")
    session.is_stalled = True
    stage.now = 130.0
    assert session.finish(outcome) is turn
    assert (session.note, session.has_failed) == (note, has_failed)
    assert session.usage.input_tokens == 10 + tokens
    assert session.allowed_once == [], "it was for that turn"
    assert not session.is_stalled
    assert session.last_activity_steady == 130.0
    assert turn.finished is outcome


def test_the_end_of_a_turn_that_the_agent_began_keeps_what_was_approved_for_the_callers(stage: Stage) -> None:
    session = stage.session
    session.allowed_once.append("Write x")
    session.begin_own(stage.turn("timer", Source.AGENT))
    session.finish_own(Done(""))
    assert session.own is None
    assert session.allowed_once == ["Write x"]


def test_text_that_was_cut_short_is_kept_where_its_turn_ends(stage: Stage) -> None:
    turn = stage.begin()
    stage.session.hear(TextBlock("whole"))
    stage.session.hear(TextDelta("half a sen"))
    assert stage.session.text_of(turn) == "whole\n\nhalf a sen"
    assert stage.session.text_of(stage.turn("other")) == "", "what is open is another's"
    stage.session.finish(Interrupted("stopped"))
    assert [one.text for one in stage.entries if isinstance(one, Replied)] == ["whole", "half a sen"]


def test_a_stopped_turn_says_why_it_was_stopped_and_what_it_was_stopped_for(stage: Stage) -> None:
    turn = stage.turn()
    assert stopped(turn, "its client ended", "text") == Interrupted("its client ended", "text")
    turn.stop_reason = "by the operator"
    assert stopped(turn, "its client ended", "text") == Interrupted("by the operator", "text")
    turn.fails_as = FailureKind.STALLED
    assert stopped(turn, "x", "text") == Failed(FailureKind.STALLED, "by the operator", Usage(), "text")


# What its client says


def test_the_first_word_is_timed_once_whether_it_comes_in_pieces_or_whole(stage: Stage) -> None:
    for first in (TextDelta("Hel"), TextBlock("Hello")):
        turn = stage.begin()
        stage.now += 5
        stage.session.hear(first)
        at = stage.now
        stage.now += 5
        stage.session.hear(TextDelta("more"))
        stage.session.hear(TextBlock("more"))
        assert turn.first_text_steady == at
        stage.session.finish(Done(""))


def test_what_is_said_and_done_stands_in_the_conversation_under_its_turn(stage: Stage) -> None:
    turn = stage.begin("hello")
    session = stage.session
    for event in (
        TextBlock("I look"),
        ToolStarted("use-1", "Read", "notes.md", "all of it"),
        ToolEnded("use-1", "the notes", False),
    ):
        session.hear(event)
    assert session.has_history
    assert turn.has_used_tools
    assert turn.blocks == ["I look"]
    replied, called, returned = stage.entries[-3:]
    assert (replied.text, called.tool, called.summary, called.detail) == ("I look", "Read", "notes.md", "all of it")
    assert isinstance(called, ToolCalled)
    assert isinstance(returned, ToolReturned)
    assert (returned.tool_use_id, returned.text, returned.is_error) == ("use-1", "the notes", False)
    assert {one.turn_id for one in stage.entries} == {"hello"}
    assert session.gist.latest == "I look"


@pytest.mark.parametrize("event", [Voided(), Retrying(1, 3, 0.5, None, "")])
def test_an_attempt_that_is_repeated_takes_its_words_back(stage: Stage, event: Any) -> None:
    turn = stage.begin()
    stage.session.hear(TextDelta("half"))
    stage.session.hear(event)
    assert stage.session.conversation.open_text == ""
    assert stage.session.gist.latest == ""
    assert stage.session.text_of(turn) == ""


@pytest.mark.parametrize(
    ("retrying", "words"),
    [
        (Retrying(1, 3, 2.0, 429, "rate_limit"), "The API refused with 429 (rate_limit); attempt 1 of 3 in 2 s"),
        (Retrying(2, 3, 1.0, 500, "unknown"), "The API refused with 500; attempt 2 of 3 in 1 s"),
        (Retrying(1, 3, 0.4, None, ""), "The connection to the API was lost; attempt 1 of 3 at once"),
    ],
)
def test_a_repeated_request_is_told_in_words(stage: Stage, retrying: Retrying, words: str) -> None:
    stage.session.hear(retrying)
    assert isinstance(stage.entries[-1], Noticed)
    assert (stage.entries[-1].text, stage.entries[-1].is_warning, stage.session.note) == (words, True, words)


def test_a_compaction_tells_both_sizes_and_keeps_the_last_one_that_is_known(stage: Stage) -> None:
    turn = stage.begin()
    stage.session.hear(Compacted(1_000, 200))
    assert (stage.session.context_tokens, turn.was_compacted) == (200, True)
    assert stage.entries[-1].text == "The conversation was compacted (1,000 tokens before, 200 after)"
    stage.session.hear(Compacted(1_000, 0))
    assert stage.session.context_tokens == 200


@pytest.mark.parametrize(
    ("facts", "kind", "words"),
    [
        ({"api_status": 401, "error": "no"}, FailureKind.AUTHENTICATION, "no"),
        ({"api_status": 403, "error": "no"}, FailureKind.AUTHENTICATION, "no"),
        ({"api_status": 429, "error": "slow"}, FailureKind.RATE_LIMIT, "slow"),
        ({"api_status": 500, "error": "", "text": "said"}, FailureKind.API_ERROR, "said"),
        ({"terminal_reason": "max_turns"}, FailureKind.MAX_TURNS, "the turn ended with an error"),
    ],
)
def test_an_error_is_named_by_what_the_api_said(
    stage: Stage, facts: dict[str, Any], kind: FailureKind, words: str
) -> None:
    turn = stage.begin()
    turn.blocks.append("so far")
    outcome = stage.session.settle(turn, result(**{"is_error": True} | facts))
    assert isinstance(outcome, Failed)
    assert (outcome.kind, outcome.message, outcome.text) == (kind, words, "so far")


def test_a_good_result_has_all_blocks_the_time_and_the_cost_of_its_turn_alone(stage: Stage) -> None:
    turn = stage.begin()
    turn.blocks += ["one", "two"]
    stage.now += 7
    facts = {"usage": Usage(5, 6, 7, 0.5), "context_tokens": 40, "context_window": 100}
    outcome = stage.session.settle(turn, result("two", **facts))
    assert outcome == Done("one\n\ntwo", Usage(5, 6, 7, 0.5), 7.0)
    assert stage.session.has_history
    assert stage.session.context_share == 0.4
    stage.session.settle(turn, result(usage=Usage(1, 1, 1, 0.75)))
    assert stage.session.context_share == 0.4, "one that says nothing changes nothing"
    bare = stage.turn("bare")
    assert stage.session.settle(bare, result("text", structured='{"a": 1}')).text == '{"a": 1}'  # type: ignore[union-attr]
    assert stage.session.settle(bare, result("text")).text == "text"  # type: ignore[union-attr]
    assert stage.session.meter.seen == 0.75


def test_a_result_ends_what_the_next_resume_was_to_cut_unless_nothing_was_written(stage: Stage) -> None:
    """The conversation goes on from that turn: what was cut before it stays cut."""
    session = stage.session
    turn = stage.begin()
    session.drop_turns, session.drops_unjudged = ("x",), True
    session.settle(turn, result(terminal_reason=NEVER_WRITTEN, is_error=True, was_aborted=True))
    assert (session.drop_turns, session.drops_unjudged) == (("x",), True)
    session.settle(turn, result())
    assert (session.drop_turns, session.drops_unjudged) == ((), False)


@pytest.mark.parametrize("event", [TextDelta("I"), TextBlock("I see"), ToolStarted("use-1", "Read", "notes.md", "")])
def test_what_the_model_has_replied_to_is_not_cut_for_a_later_prompt(stage: Stage, event: Any) -> None:
    session = stage.session
    session.is_judged = False
    rejected, turn = result(is_error=True, api_status=400), stage.begin()
    for other in (ToolEnded("use-1", "the notes", False), Compacted(1_000, 200)):
        session.hear(other)
        assert session.may_be_rejected_for_another(turn, rejected)
    session.hear(event)
    assert not session.may_be_rejected_for_another(turn, rejected)


@pytest.mark.parametrize(
    ("outcome", "is_judged"),
    [
        (Done(""), True),
        (Interrupted("stopped"), False),
        (Cancelled("withdrawn"), False),
        (Failed(FailureKind.CRASHED, "exit 1"), False),
        (Failed(FailureKind.REJECTED, "taken out"), True),
    ],
)
def test_a_turn_without_its_answer_may_be_why_the_next_prompt_is_rejected(
    stage: Stage, outcome: Any, is_judged: bool
) -> None:
    session = stage.session
    session.drop(stage.queue("waits"), Cancelled("withdrawn"))
    assert session.is_judged, "nothing of it was written"
    stage.begin()
    session.finish(outcome)
    assert session.is_judged is is_judged
    stage.place(SlotState.READY)
    assert session.is_judged, "a new conversation has nothing in it"


def test_that_more_was_said_than_is_kept_is_told_as_a_warning(stage: Stage) -> None:
    stage.session.hear(Trimmed("the rest is not kept"))
    assert (stage.entries[-1].text, stage.entries[-1].is_warning) == ("the rest is not kept", True)


def test_a_prompt_that_was_never_written_leaves_no_history(stage: Stage) -> None:
    turn = stage.begin()
    turn.stop_reason = "by the operator"
    outcome = stage.session.settle(turn, result(terminal_reason=NEVER_WRITTEN, is_error=True, was_aborted=True))
    assert outcome == Interrupted("by the operator", "", Usage())
    assert not stage.session.has_history


def test_a_conversation_that_is_lost_is_forgotten_whole_and_said_so(stage: Stage) -> None:
    session = stage.session
    session.uuid, session.has_history, session.drop_turns, session.context_tokens = "uuid", True, ("x",), 9
    session.meter.read(1.0)
    session.forget_context()
    assert (session.uuid, session.has_history, session.drop_turns, session.context_tokens) == ("", False, (), 0)
    assert session.meter.seen == 0.0
    assert "no longer remembers" in session.note


def test_a_notice_is_the_sessions_note_only_when_it_warns(stage: Stage) -> None:
    stage.begin("hello")
    stage.session.notice("resumed")
    assert stage.session.note == ""
    stage.session.notice("careful", is_warning=True)
    assert stage.session.note == "careful"
    assert [(one.text, one.turn_id) for one in stage.entries[-2:]] == [("resumed", "hello"), ("careful", "hello")]
