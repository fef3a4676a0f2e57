"""Whatever the SDK hands over is read, or ends that one client: every message class, with any values in its fields."""

from __future__ import annotations

import dataclasses
import json
import time
import typing
from pathlib import Path
from typing import Any

import claude_agent_sdk
import pytest
from claude_agent_sdk import AssistantMessage, ProcessError, RateLimitEvent, ResultMessage, SystemMessage, ToolUseBlock
from claude_agent_sdk._internal.message_parser import parse_message
from claude_agent_sdk.types import RateLimitInfo
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from supervisor.api.codec import pack_outcome
from supervisor.api.outcomes import Done
from supervisor.claude.messages import Translator, translate_connect_error
from supervisor.process.reports import (
    MOST_NAME,
    CallMade,
    Compacted,
    Limited,
    Result,
    Retrying,
    TextBlock,
    TextDelta,
    ToolStarted,
    Voided,
    Woke,
)
from tests.unit.test_bounds import leaves

MESSAGES = [one for one in typing.get_args(claude_agent_sdk.Message) if dataclasses.is_dataclass(one)]
BLOCKS = [one for one in typing.get_args(claude_agent_sdk.ContentBlock) if dataclasses.is_dataclass(one)]

SUBTYPES = ("session_state_changed", "api_retry", "compact_boundary", "init", "status", "task_updated")
KEYS = (
    *("type", "subtype", "message", "content", "role", "usage", "uuid", "user_message_uuid", "user_message_uuids"),
    *("result", "errors", "is_error", "model", "modelUsage", "total_cost_usd", "duration_ms", "duration_api_ms"),
    *("num_turns", "session_id", "terminal_reason", "api_error_status", "origin", "event", "delta", "text"),
    *("rate_limit_info", "status", "resetsAt", "state", "attempt", "max_retries", "retry_delay_ms", "error_status"),
    *("error", "compact_metadata", "pre_tokens", "parent_tool_use_id", "id", "name", "input", "tool_use_id"),
    *("task_id", "patch", "description"),
)

words = leaves | st.sampled_from(
    (*SUBTYPES, "idle", "rejected", "aborted_streaming", "text_delta", "content_block_delta")
)
shallow = words | st.lists(words, max_size=3) | st.dictionaries(st.sampled_from(KEYS), words, max_size=3)
odd = shallow | st.lists(shallow, max_size=3) | st.dictionaries(st.sampled_from(KEYS), shallow, max_size=4)


def wild(kind: Any) -> st.SearchStrategy[Any]:
    """An instance of that class with anything in its fields."""
    return st.fixed_dictionaries({field.name: odd for field in dataclasses.fields(kind)}).map(
        lambda values: kind(**values)
    )


def of_any_shape() -> st.SearchStrategy[Any]:
    blocks = st.lists(st.one_of(*map(wild, BLOCKS)) | odd, max_size=4)
    with_content = st.one_of(*map(wild, MESSAGES)).flatmap(
        lambda message: (
            blocks.map(lambda content: dataclasses.replace(message, content=content))
            if hasattr(message, "content")
            else st.just(message)
        )
    )
    system = st.builds(SystemMessage, subtype=st.sampled_from(SUBTYPES), data=odd)
    limits = st.builds(RateLimitEvent, rate_limit_info=wild(RateLimitInfo), uuid=odd, session_id=odd)
    return with_content | system | limits


@given(of_any_shape())
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=50)
def test_every_message_of_any_shape_is_read_into_values_that_can_be_kept_and_shown(message: Any) -> None:
    for event in Translator(Path("/w")).translate(message):
        match event:
            case Retrying():
                assert f"{event.delay:.0f} {event.attempt:d} {event.max_retries:d} {event.reason}"
            case Limited():
                assert event.resets_at is None or time.localtime(event.resets_at)
            case Compacted():
                assert f"{event.tokens_before:,}"
            case Result():
                assert json.loads(pack_outcome(Done(event.text, event.usage)))
            case _:
                pass


TYPES = (
    "user",
    "assistant",
    "system",
    "result",
    "stream_event",
    "rate_limit_event",
    "conversation_reset",
    "keep_alive",
)


@given(st.fixed_dictionaries({"type": st.sampled_from(TYPES)}, optional={key: odd for key in KEYS if key != "type"}))
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=50)
def test_every_line_that_the_sdk_can_parse_is_read(line: dict[str, Any]) -> None:
    try:
        message = parse_message(line)
    except Exception:
        return  # it ends the client: `translate_death`
    told = list(Translator(Path("/w")).read([line]))
    if message is not None:
        assert told == list(Translator(Path("/w")).translate(message)), "read as the SDK's object of it is"


def result(**fields: Any) -> ResultMessage:
    return ResultMessage(
        **{
            "subtype": "success",
            "duration_ms": 1,
            "duration_api_ms": 1,
            "is_error": False,
            "num_turns": 1,
            "session_id": "s",
            **fields,
        }
    )


def only(message: Any) -> Any:
    [event] = Translator(Path("/w")).translate(message)
    return event


@pytest.mark.parametrize(
    "usage", [None, "many", [1], {"input_tokens": 2**63, "output_tokens": -1}, {"input_tokens": "x"}]
)
def test_a_usage_of_any_shape_is_one_that_can_be_stored(usage: Any) -> None:
    told = only(result(usage=usage, total_cost_usd=float("nan"))).usage
    assert 0 <= told.input_tokens <= 2**53
    assert told.output_tokens == 0
    assert told.cost_usd == 0


def test_a_status_that_is_no_number_is_none() -> None:
    assert only(result(is_error=True, api_error_status="429")).api_status is None
    assert only(result(is_error=True, api_error_status=429)).api_status == 429


def test_ids_that_are_no_list_of_texts_name_no_prompt() -> None:
    assert only(result(user_message_uuids="abc")).prompt_uuids == ()
    assert only(result(user_message_uuids=[["a"], "b"])).prompt_uuids == ("", "b")


def test_a_tool_with_an_endless_name_and_no_arguments_is_shown_short() -> None:
    block = ToolUseBlock(id="t", name="x" * 1_000_000, input=None)  # type: ignore[arg-type]
    event, call = Translator(Path("/w")).translate(AssistantMessage(content=[block], model="m"))
    assert isinstance(call, CallMade)
    assert isinstance(event, ToolStarted)
    assert len(event.tool) == MOST_NAME


def test_calls_of_sub_agents_are_told_for_what_they_work_for_and_nothing_else_of_them() -> None:
    """S4.15-16: a circle of theirs is noticed as well. Equal inputs are equal whatever the order of their keys."""

    def call(given: Any, within: str | None = None) -> CallMade:
        block = ToolUseBlock(id="t", name="Read", input=given)
        *_, made = Translator(Path("/w")).translate(
            AssistantMessage(content=[block], model="m", parent_tool_use_id=within)
        )
        assert isinstance(made, CallMade)
        return made

    [made] = Translator(Path("/w")).translate(
        AssistantMessage(content=[ToolUseBlock("t", "Read", {"a": 1})], model="m", parent_tool_use_id="work")
    )
    assert isinstance(made, CallMade)
    assert (made.tool, made.within) == ("Read", "work")
    assert call({"a": 1, "b": [2]}).call == call({"b": [2], "a": 1}, "work").call
    assert call({"a": 1}).call != call({"a": 2}).call
    assert call({"a": 1}).within == ""


@pytest.mark.parametrize("pre_tokens", ["x", None, [], -5, float("inf"), 2**70])
def test_a_compaction_of_any_size_is_told(pre_tokens: object) -> None:
    event = only(SystemMessage("compact_boundary", {"compact_metadata": {"pre_tokens": pre_tokens}}))
    assert 0 <= event.tokens_before <= 2**53


@pytest.mark.parametrize("delay", [float("inf"), float("nan"), -1, "soon", 10**400])
def test_a_retry_after_any_delay_can_be_written(delay: object) -> None:
    event = only(SystemMessage("api_retry", {"retry_delay_ms": delay, "attempt": "x", "error_status": "x"}))
    assert f"{event.delay:.0f}".isdigit()


def fragment(text: str, within: str | None = None) -> dict[str, Any]:
    """A line of the CLI's, as one of a reply that streams."""
    event = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}
    return {"type": "stream_event", "event": event, "parent_tool_use_id": within, "uuid": "u", "session_id": "s"}


def state(of: str) -> dict[str, Any]:
    return {"type": "system", "subtype": "session_state_changed", "state": of}


def assistant(text: str) -> dict[str, Any]:
    return {"type": "assistant", "message": {"model": "m", "content": [{"type": "text", "text": text}]}}


def test_fragments_that_came_at_once_are_told_at_once_and_nothing_changes_places() -> None:
    begins, ends = ({**fragment(""), "event": {"type": f"content_block_{when}"}} for when in ("start", "stop"))
    lines = [begins, fragment("a"), fragment("b"), state("running"), fragment("c"), assistant("abc"), ends]
    lines += [begins, fragment("d"), ends]
    assert list(Translator(Path("/w")).read(lines)) == [
        TextDelta("ab"),
        Woke(),
        TextDelta("c"),
        TextBlock("abc"),
        TextDelta("d"),
        Voided(),
    ]


def test_fragments_are_cleaned_as_one_wherever_they_are_cut() -> None:
    """An escape sequence that goes over from one to the next, and from what came before to what comes later."""
    translator = Translator(Path("/w"))
    first = list(translator.read([fragment("a\x1b"), fragment("[31mb\x1b[")]))
    assert [*first, *translator.read([fragment("0m"), fragment("c")])] == [TextDelta("ab"), TextDelta("c")]


def test_fragments_of_a_sub_agent_are_not_the_reply() -> None:
    assert list(Translator(Path("/w")).read([fragment("a"), fragment("b", "tool"), fragment("c")])) == [TextDelta("ac")]


@pytest.mark.parametrize("unreadable", [{}, {"type": "assistant"}, {"type": "user"}, {"type": "result"}])
def test_what_was_said_before_a_message_that_cannot_be_read_is_told(unreadable: dict[str, Any]) -> None:
    events = Translator(Path("/w")).read([fragment("a"), fragment("b"), unreadable, fragment("c")])
    assert next(events) == TextDelta("ab")
    with pytest.raises(Exception, match="issing"):
        next(events)


def test_why_a_client_could_not_be_started_is_said_once() -> None:
    """Of the SDK's words only what is told nowhere else."""
    error = ProcessError("Command failed with exit code 1", exit_code=1, stderr="Check stderr output for details")
    assert str(translate_connect_error(error, "cannot be used as root")) == (
        "the client could not be started: cannot be used as root; exit code 1"
    )
