"""What is streamed by an attempt that the CLI gives up is no part of the reply."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from claude_agent_sdk import AssistantMessage, StreamEvent, SystemMessage, TextBlock

from supervisor.api.entries import Replied
from supervisor.claude.messages import Translator
from supervisor.conversation import Conversation
from supervisor.process import reports as told

Frame = StreamEvent | AssistantMessage | SystemMessage


def stream(kind: str, **rest: Any) -> StreamEvent:
    return StreamEvent(uuid="e", session_id="s", event={"type": kind, **rest})


def delta(text: str) -> StreamEvent:
    return stream("content_block_delta", index=0, delta={"type": "text_delta", "text": text})


def whole(text: str) -> AssistantMessage:
    return AssistantMessage(content=[TextBlock(text)], model="m")


START, OPEN, CLOSE, STOP = (
    stream(kind) for kind in ("message_start", "content_block_start", "content_block_stop", "message_stop")
)
RETRY = SystemMessage("api_retry", {"attempt": 1, "max_retries": 2, "retry_delay_ms": 500, "error": "unknown"})


def replay(*frames: Frame) -> tuple[list[str], str]:
    """Finished blocks, and the open one, as a conversation has them in the end."""
    translator, conversation = Translator(Path("/w")), Conversation()
    for frame in frames:
        for event in translator.translate(frame):
            match event:
                case told.TextDelta(text):
                    conversation.stream(text, "t")
                case told.TextBlock(text):
                    conversation.append(Replied(at=0.0, turn_id="t", text=text))
                case told.Voided():
                    conversation.void_block()
                case _:
                    pass
    return [entry.text for entry in conversation.entries if isinstance(entry, Replied)], conversation.open_text


def test_a_reply_in_order_is_kept_block_by_block() -> None:
    frames = (START, OPEN, delta("a"), whole("ab"), CLOSE, OPEN, delta("c"), whole("cd"), CLOSE, STOP)
    assert replay(*frames) == (["ab", "cd"], "")


@pytest.mark.parametrize(
    "broken",
    [(CLOSE, STOP, RETRY), (RETRY,), (CLOSE, STOP), (STOP,), ()],
    ids=["lost", "retried", "error-in-stream", "no-block-end", "begun-anew"],
)
def test_an_attempt_that_was_given_up_leaves_nothing(broken: tuple[Frame, ...]) -> None:
    """The orders in which the CLI was measured to give one up, and those that frames lost on the way would leave."""
    again = (START, OPEN, delta("he"), delta("llo"), whole("hello"), CLOSE, STOP)
    assert replay(START, OPEN, delta("hel"), *broken, *again) == (["hello"], "")


def test_the_open_block_is_void_as_soon_as_its_stream_ends_without_it() -> None:
    assert replay(START, OPEN, delta("hel"), CLOSE) == ([], "")


def test_a_fallback_to_one_answer_replaces_what_was_streamed() -> None:
    assert replay(START, OPEN, delta("hel"), CLOSE, STOP, whole("another")) == (["another"], "")


def test_what_was_whole_before_the_break_is_kept() -> None:
    frames = (START, OPEN, delta("a"), whole("a"), CLOSE, OPEN, delta("b"), CLOSE, STOP, START, OPEN, whole("c"), CLOSE)
    assert replay(*frames) == (["a", "c"], "")
