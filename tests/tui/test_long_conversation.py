"""Moving about in a long conversation: lazy, and still while the operator reads."""

from __future__ import annotations

import pytest

from supervisor import ToolCalled
from supervisor.conversation import Conversation
from tests.tui.talk import AT, TranscriptApp, a_history, asked, replied
from tui.transcript.blocks import Block
from tui.transcript.transcript import Transcript

pytestmark = pytest.mark.anyio


async def test_a_thousand_entries_appear_at_once_and_only_what_is_in_sight_is_drawn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawn: set[Block] = set()
    draw = Block.draw
    monkeypatch.setattr(Block, "draw", lambda block, paint: (drawn.add(block), draw(block, paint))[1])
    app = TranscriptApp(a_history(1_000))
    async with app.run_test(size=(100, 30)) as pilot:
        await pilot.pause()
        assert "That is all." in "\n".join(app.lines)
        assert len(drawn) < 60, "of three thousand blocks"
        await pilot.press("g")
        assert "question 0" in "\n".join(app.lines)
        drawn.clear()
        await pilot.resize_terminal(70, 30)
        await pilot.pause()
        assert len(drawn) < 60, "a new width draws what is in sight"
        assert "question 0" in "\n".join(app.lines)


async def test_walking_up_a_line_at_a_time_shows_every_line_once() -> None:
    """Heights above are estimates until they are drawn; the reader must not notice."""
    app = TranscriptApp(a_history(40))
    async with app.run_test(size=(60, 20)) as pilot:
        await pilot.pause()
        seen = app.lines
        for _ in range(250):
            if app.transcript.scroll_offset.y == 0:
                break
            app.transcript.scroll_to(y=app.transcript.scroll_offset.y - 1, animate=False, force=True)
            seen.insert(0, app.lines[0])
        await pilot.pause()
        strips = [app.transcript.render_line(0)]
        assert strips[0].cell_length == app.transcript.size.width
        whole = ["" if not line else "  " + line for line in app.whole]
        assert [line.replace("▌", " ") for line in seen] == whole[len(whole) - len(seen) :]


async def test_it_follows_the_end_and_stays_put_when_scrolled_up() -> None:
    conversation = a_history(10)
    app = TranscriptApp(conversation)
    async with app.run_test(size=(80, 20)) as pilot:
        conversation.append(asked("one more"))
        app.transcript.refresh_from_engine()
        assert "one more" in "\n".join(app.lines)
        assert not app.transcript.has_news
        await pilot.press("pageup", "pageup")
        before = app.lines
        conversation.append(replied("news\n\n" * 30))
        app.transcript.refresh_from_engine()
        await pilot.pause()
        assert app.lines[:-1] == before[:-1]
        assert app.lines[-1].endswith("↓ new")
        await pilot.press("G")
        assert app.lines[-1].endswith("news")
        assert not app.transcript.has_news


async def test_a_resize_keeps_what_is_in_sight_and_loses_nothing() -> None:
    app = TranscriptApp(a_history(30))
    async with app.run_test(size=(100, 20)) as pilot:
        words = " ".join(app.whole).split()
        app.transcript.search("question 12")
        await pilot.pause()
        await pilot.resize_terminal(40, 25)
        await pilot.pause()
        assert "question 12" in "\n".join(app.lines)
        rules = str.maketrans("", "", "─")
        narrow = " ".join(app.whole).translate(rules).split()
        assert [word for word in narrow if word not in "·"] == [
            word for word in " ".join(words).translate(rules).split() if word not in "·"
        ]


async def test_a_search_counts_marks_and_walks_round() -> None:
    conversation = a_history(20)
    conversation.append(
        ToolCalled(at=AT, turn_id="t1", tool_use_id="u", tool="Bash", summary="ls", detail="a needle in the fold")
    )
    app = TranscriptApp(conversation)
    async with app.run_test(size=(80, 20)) as pilot:
        assert app.transcript.search("QUESTION 7") == 1
        assert "question 7" in "\n".join(app.lines)
        assert app.transcript.search("answer") == 20
        assert "answer 19" in "\n".join(app.lines)
        assert app.transcript.next_match()
        assert "answer 0" in "\n".join(app.lines)
        assert app.transcript.previous_match()
        assert "answer 19" in "\n".join(app.lines)
        assert app.transcript.search("needle") == 1
        assert "a needle in the fold" in "\n".join(app.lines), "a fold opens for what is found in it"
        marked = [
            segment.text
            for y in range(20)
            for segment in app.transcript.render_line(y)
            if segment.style is not None and segment.text == "needle" and segment.style.bgcolor is not None
        ]
        assert marked == ["needle"]
        assert app.transcript.search("no such thing") == 0
        assert not app.transcript.next_match()
        assert app.transcript.search("") == 0
        await pilot.pause()


async def test_selected_text_is_what_was_on_the_lines() -> None:
    conversation = Conversation()
    conversation.append(replied("first line\n\nsecond line"))
    app = TranscriptApp(conversation)
    async with app.run_test(size=(60, 10)) as pilot:
        await pilot.pause()
        first = next(y for y, line in enumerate(app.lines) if "first line" in line)
        await pilot.mouse_down(Transcript, offset=(8, first))
        await pilot.hover(Transcript, offset=(8, first + 2))
        await pilot.mouse_up(Transcript, offset=(8, first + 2))
        await pilot.pause()
        assert app.screen.get_selected_text() == "line\n\nsecond"
