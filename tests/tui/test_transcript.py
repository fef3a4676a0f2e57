"""A whole conversation in one widget: what was said is what is shown, and nothing of it is lost."""

from __future__ import annotations

import random

import pytest
from rich.style import Style

from supervisor import (
    Cancelled,
    Done,
    Failed,
    FailureKind,
    Noticed,
    QuestionClosed,
    QuestionOutcome,
    QuestionPosed,
    Source,
    ToolCalled,
    ToolReturned,
    TurnEnded,
    Usage,
)
from supervisor.conversation import Conversation
from tests.tui.talk import AT, REPLY, TranscriptApp, a_history, a_question, asked, ended, replied
from tui.transcript.block_builder import Record
from tui.transcript.text_drawing import Paint
from tui.transcript.tool_blocks import RESULT_LINES, ToolUse
from tui.transcript.transcript import Transcript

pytestmark = pytest.mark.anyio


async def test_what_was_said_is_shown_with_who_said_it_and_how_it_ended() -> None:
    """D2: prompts are labelled with their source, failures say what failed."""
    conversation = Conversation()
    conversation.append(asked("why?"))
    conversation.append(Noticed(at=AT, turn_id="t1", text="resumed", is_warning=True))
    conversation.append(replied("Because **so**."))
    conversation.append(ended())
    cached = Done("", Usage(189, 20, 3_800, 0.0), 1.0)
    conversation.append(TurnEnded(at=AT, turn_id="t1", outcome=cached))
    conversation.append(asked("help", source=Source.OPERATOR))
    conversation.append(TurnEnded(at=AT, turn_id="t2", outcome=Failed(FailureKind.RATE_LIMIT, "resets at noon")))
    app = TranscriptApp(conversation)
    async with app.run_test(size=(100, 40)) as pilot:
        await pilot.pause()
        text = "\n".join(app.lines)
        for expected in (
            "▌ ana  ",
            "▌ you (operator)",
            "! resumed",
            "Because so.",
            "── done · ",
            "2.0 s · 1.2k in, 34 out · $0.012 ──",
            "1.0 s · 189 in + 3.8k cached, 20 out ──",
            "✕ rate-limit: resets at noon",
            "── failed · ",
        ):
            assert expected in text, text


@pytest.mark.parametrize("seed", range(8))
async def test_a_streamed_conversation_looks_like_the_finished_one(seed: int) -> None:
    """D2: whatever the fragments and however rarely one looks, the end is the same, line by line."""
    chance = random.Random(seed)
    parts = [REPLY, "short", "\n".join(f"- item {number}" for number in range(40)), "```\n" + "code\n" * 150 + "```"]
    chance.shuffle(parts)
    text = "\n\n".join(parts)
    live, finished = Conversation(), Conversation()
    app = TranscriptApp(live)
    async with app.run_test(size=(80, 20)) as pilot:
        for conversation in (live, finished):
            conversation.append(asked("go"))
        at = 0
        while at < len(text):
            size = chance.randint(1, 30)
            live.stream(text[at : at + size], "t1")
            at += size
            if chance.random() < 0.4:
                app.transcript.refresh_from_engine()
        for conversation in (live, finished):
            conversation.append(replied(text))
            conversation.append(ended())
        app.transcript.refresh_from_engine()
        await pilot.pause()
        streamed = app.whole
        app.transcript.show(finished)
        assert app.whole == streamed
        assert app.transcript.text_of_last_reply() == text


async def test_a_block_that_was_voided_is_taken_from_the_screen() -> None:
    conversation = Conversation()
    conversation.append(asked("go"))
    conversation.stream("Half a sen", "t1")
    app = TranscriptApp(conversation)
    async with app.run_test(size=(60, 12)) as pilot:
        app.transcript.refresh_from_engine()
        await pilot.pause()
        assert "Half a sen▌" in app.whole
        conversation.void_block()
        assert app.transcript.refresh_from_engine()
        await pilot.pause()
        assert not any("Half" in line for line in app.whole)
        conversation.stream("Another", "t1")
        app.transcript.refresh_from_engine()
        await pilot.pause()
        assert "Another▌" in app.whole


async def test_the_open_block_is_shown_with_a_mark_and_replaced_by_what_it_became() -> None:
    conversation = Conversation()
    conversation.append(asked("go"))
    conversation.stream("Working on ", "t1")
    app = TranscriptApp(conversation)
    async with app.run_test(size=(60, 12)):
        assert any("Working on" in line and line.endswith("▌") for line in app.lines)
        assert app.transcript.text_of_last_reply() == "Working on "
        conversation.stream("it", "t1")
        assert app.transcript.refresh_from_engine()
        assert any(line.endswith("Working on it▌") for line in app.lines)
        conversation.append(Noticed(at=AT, turn_id="t1", text="in between"))
        app.transcript.refresh_from_engine()
        conversation.append(replied("Something else entirely"))
        app.transcript.refresh_from_engine()
        text = "\n".join(app.lines)
        assert "Working on" not in text
        assert text.index("in between") < text.index("Something else entirely")
        assert "▌" not in text.partition("in between")[2]
        assert not app.transcript.refresh_from_engine(), "nothing new, nothing done"


async def test_a_tool_call_and_its_result_are_one_line_that_unfolds() -> None:
    conversation = Conversation()
    conversation.append(asked("look"))
    conversation.append(
        ToolCalled(
            at=AT, turn_id="t1", tool_use_id="u1", tool="Bash", summary="ls -la", detail='{\n "command": "ls"\n}'
        )
    )
    app = TranscriptApp(conversation)
    async with app.run_test(size=(80, 20)) as pilot:
        assert any("▸ Bash  ls -la  … running" in line for line in app.lines)
        conversation.append(ToolReturned(at=AT + 0.2, turn_id="t1", tool_use_id="u1", text="total 0", is_error=False))
        app.transcript.refresh_from_engine()
        assert any("▸ Bash  ls -la  ✓ 0.2 s" in line for line in app.lines)
        assert "total 0" not in "\n".join(app.lines)
        await pilot.press("t")
        assert any("▾ Bash" in line for line in app.lines)
        assert "total 0" in "\n".join(app.lines)
        assert '"command": "ls"' in "\n".join(app.lines)
        await pilot.press("enter")
        assert "total 0" not in "\n".join(app.lines)
        await pilot.press("T")
        assert "total 0" in "\n".join(app.lines)
        head = next(y for y, line in enumerate(app.lines) if "▾ Bash" in line)
        await pilot.click(Transcript, offset=(5, head))
        assert "total 0" not in "\n".join(app.lines)


async def test_a_huge_result_is_cut_and_says_so() -> None:
    conversation = Conversation()
    call = ToolCalled(at=AT, turn_id="t1", tool_use_id="u1", tool="Read", summary="big", detail="{}")
    conversation.append(call)
    result = "\n".join(f"line {number}" for number in range(3_000))
    conversation.append(ToolReturned(at=AT, turn_id="t1", tool_use_id="u1", text=result, is_error=False))
    app = TranscriptApp(conversation)
    async with app.run_test(size=(80, 20)) as pilot:
        await pilot.press("T")
        lines = app.whole
        assert sum("line " in line for line in lines) <= RESULT_LINES + 1
        assert lines[-1].strip() == f"… {3_000 - RESULT_LINES:,} more lines"


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        (QuestionOutcome.APPROVED, "✓ approved · once"),
        (QuestionOutcome.DENIED, "✕ denied · once"),
        (QuestionOutcome.EXPIRED, "expired"),
        (QuestionOutcome.LOST, "lost"),
    ],
)
async def test_the_four_ends_of_a_question_are_kept_apart(outcome: QuestionOutcome, words: str) -> None:
    """D4."""
    conversation = Conversation()
    conversation.append(QuestionPosed(at=AT, turn_id="t1", question=a_question()))
    app = TranscriptApp(conversation)
    async with app.run_test(size=(100, 20)):
        assert any("? Write  /srv/x.py  ◐ waits for an answer" in line for line in app.lines)
        conversation.append(QuestionClosed(at=AT, turn_id="t1", question_id="q1", outcome=outcome, answer="once"))
        app.transcript.refresh_from_engine()
        line = next(line for line in app.lines if "? Write" in line)
        assert words in line
        assert "waits" not in line


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        (QuestionOutcome.APPROVED, "✕ 1.0 s · answered after 3m09"),
        (QuestionOutcome.DENIED, "✕ 1.0 s · answered after 3m09"),
        (QuestionOutcome.EXPIRED, "✕ 1.0 s · not answered in 3m09"),
        (QuestionOutcome.LOST, "✕ 1.0 s · not answered in 3m09"),
    ],
)
def test_a_tool_whose_question_ended_without_an_answer_does_not_say_answered(
    outcome: QuestionOutcome, words: str
) -> None:
    """D4."""
    conversation = Conversation()
    conversation.append(ToolCalled(at=AT, turn_id="t1", tool_use_id="u1", tool="Write", summary="/srv/x.py", detail=""))
    conversation.append(QuestionPosed(at=AT, turn_id="t1", question=a_question()))
    conversation.append(QuestionClosed(at=AT + 189, turn_id="t1", question_id="q1", outcome=outcome, answer=""))
    conversation.append(ToolReturned(at=AT + 190, turn_id="t1", tool_use_id="u1", text="", is_error=True))
    record = Record()
    record.apply(conversation.read())
    (tool,) = [block for block in record.blocks if isinstance(block, ToolUse)]
    line = tool.compose(Paint(80, lambda _: Style(), lambda _: Style(), is_dark=True))[0].text
    assert line.endswith(words)


async def test_hostile_text_is_only_text() -> None:
    """R5: escapes, markup, links and bidi controls in every place a text can come from."""
    evil = "\x1b]52;c;eA==\x07 [@click=app.quit]x[/] \u202egpj\u202c \x9b2J [/nope] \ud800"
    conversation = Conversation()
    conversation.append(asked(evil, user=evil))
    conversation.append(replied(f"{evil}\n\n```{evil}\n{evil}\n```\n\n[{evil}](http://evil)"))
    conversation.append(ToolCalled(at=AT, turn_id="t", tool_use_id="u", tool=evil, summary=evil, detail=evil))
    conversation.append(ToolReturned(at=AT, turn_id="t", tool_use_id="u", text=evil, is_error=True))
    conversation.append(QuestionPosed(at=AT, turn_id="t", question=a_question(evil)))
    conversation.append(Noticed(at=AT, turn_id="t", text=evil))
    conversation.append(TurnEnded(at=AT, turn_id="t", outcome=Failed(FailureKind.CRASHED, evil)))
    conversation.stream(evil, "t")
    app = TranscriptApp(conversation)
    async with app.run_test(size=(90, 60)) as pilot:
        await pilot.press("T")
        text = "\n".join(app.whole)
        assert not {character for character in text if ord(character) < 32 and character != "\n"}
        assert not set(text) & {"\x9b", "\x7f", "\u202e", "\u202c", "\ud800"}
        assert "[@click=app.quit]x[/]" in text
        for y in range(60):
            strip = app.transcript.render_line(y)
            assert strip.cell_length == app.transcript.size.width
            assert all(segment.style is None or segment.style.link is None for segment in strip)
            assert all(segment.style is None or "@click" not in segment.style.meta for segment in strip)
    assert app._exception is None


async def test_another_conversation_starts_afresh() -> None:
    app = TranscriptApp(a_history(3))
    other = Conversation()
    other.append(asked("hello from the other"))
    async with app.run_test(size=(60, 12)):
        app.transcript.search("answer")
        app.transcript.show(other)
        text = "\n".join(app.lines)
        assert "hello from the other" in text
        assert "answer" not in text
        app.transcript.show(None)
        assert any("Nothing has been said yet." in line for line in app.lines)


def test_a_tools_time_is_its_own_and_that_of_the_answer_stands_beside_it() -> None:
    tool = ToolUse(ToolCalled(at=AT, turn_id="t1", tool_use_id="u1", tool="Bash", summary="ls", detail=""))
    paint = Paint(80, lambda _: Style(), lambda _: Style(), is_dark=True)
    tool.hold(AT + 1)
    tool.release(AT + 144, is_answered=True)
    tool.finish(ToolReturned(at=AT + 147, turn_id="t1", tool_use_id="u1", text="a", is_error=False))
    assert "✓ 4.0 s · answered after 2m23" in tool.compose(paint)[0].text


async def test_a_withdrawn_prompt_does_not_look_like_what_was_replied_to_and_the_running_tool_runs_on() -> None:
    """It stands between the prompt that runs and the reply to that one."""
    conversation = Conversation()
    conversation.append(asked("first"))
    conversation.append(
        ToolCalled(at=AT, turn_id="t1", tool_use_id="u1", tool="Bash", summary="ls", detail='{"command": "ls"}')
    )
    second = asked("second", "t2", source=Source.OPERATOR)
    conversation.append(second)
    conversation.append(TurnEnded(at=AT, turn_id=second.turn_id, outcome=Cancelled("withdrawn")))
    app = TranscriptApp(conversation)
    async with app.run_test(size=(80, 20)) as pilot:
        await pilot.pause()
        text = "\n".join(app.lines)
        assert "Bash  ls  … running" in text
        assert "not sent: second · withdrawn" in text
        assert "── cancelled" not in text
        conversation.append(replied("the answer to the first"))
        conversation.append(ended())
        app.transcript.refresh_from_engine()
        assert "── done" in "\n".join(app.lines)
