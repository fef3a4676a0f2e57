"""A question is read whole before it is answered: nothing is cut, and what is out of sight is counted (D4, R5)."""

from __future__ import annotations

import os
import pty
import re
import sys
from collections.abc import Callable, Iterator

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from rich.cells import cell_len

from supervisor import Allow, Answer, Choose, Deny, Question, QuestionClosed, QuestionOutcome, QuestionPosed
from tests.tui import asked, stage, troubles
from tests.tui.conftest import Draw
from tests.tui.stage import ROOT
from tests.tui.stage_engine import NOW
from tests.tui.theatre import playing, screen_text, settle
from tui.cli import questions
from tui.screens.dialogs.whole_question import QuestionScreen
from tui.transcript.text_drawing import Paint
from tui.transcript.tool_blocks import Card
from tui.widgets.question_view import QuestionView
from tui.wording.question_lines import CONTINUED, fold, lines_of

SIZES = [(80, 24), (120, 36), (200, 50)]
SCENES = [asked.script, asked.write, asked.edit, asked.hidden, asked.plan, asked.choice]


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
def test_card(looks_as_before: Draw, size: tuple[int, int], scene: Callable[[], Question]) -> None:
    looks_as_before(asked.asking(scene()), size, press=["f4"], before=lambda app: app.screen.open_chat(ROOT))


@pytest.mark.parametrize("size", SIZES[:1], ids=lambda size: f"{size[0]}x{size[1]}")
def test_whole_screen(looks_as_before: Draw, size: tuple[int, int]) -> None:
    looks_as_before(
        asked.asking(asked.write()), size, press=["f4", "enter"], before=lambda app: app.screen.open_chat(ROOT)
    )


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=300), st.integers(4, 40))
def test_folding_leaves_nothing_out(text: str, width: int) -> None:
    rows = fold(text, width)

    assert "".join([rows[0], *(row.removeprefix(CONTINUED) for row in rows[1:])]) == text
    assert all(cell_len(row) <= width for row in rows)


@pytest.mark.anyio
async def test_the_last_line_of_a_long_script_is_reached_with_keys_and_what_is_below_is_counted() -> None:
    async with playing(asked.asking(asked.script()), size=(80, 24)) as (app, pilot):
        app.screen.open_chat(ROOT)
        await settle(app, pilot)
        total = len(lines_of(asked.script()))
        assert re.search(rf"lines 1–\d+ of {total} · \d+ more below", screen_text(app))
        assert "part-120" not in screen_text(app)
        await pilot.press("f4", "end")
        await settle(app, pilot)
        assert "the end" in screen_text(app)
        view = app.screen.query_one(QuestionView)
        seen = ""
        await pilot.press("home")
        for _ in range(total):
            await settle(app, pilot)
            seen += screen_text(app)
            if view.is_at_end:
                break
            await pilot.press("pagedown")
        assert all(f"/vault/part-{number:03}" in seen for number in range(1, 121))


@pytest.mark.anyio
@pytest.mark.parametrize(("key", "answer"), [("a", Allow()), ("A", Allow(always=True))])
async def test_a_question_on_the_whole_screen_is_answered_there(key: str, answer: Answer) -> None:
    engine = asked.asking(asked.write())
    async with playing(engine) as (app, pilot):
        app.screen.open_chat(ROOT)
        await settle(app, pilot)
        await pilot.press("f4", "enter")
        await pilot.pause()
        assert isinstance(app.screen, QuestionScreen)
        await pilot.press(key)
        await pilot.pause()
        assert engine.calls == [("answer", "q-1", answer)]


@pytest.mark.anyio
async def test_the_inbox_shows_a_question_whole_and_answers_nothing_there() -> None:
    engine = asked.asking(asked.hidden())
    async with playing(engine) as (app, pilot):
        await settle(app, pilot)
        assert "⚠" in screen_text(app)
        await pilot.press("4", "d")
        await settle(app, pilot)
        assert "⟨U+202E⟩" in screen_text(app)
        assert "; rm -rf /srv ⟨ESC⟩[2K⟨CR⟩" in screen_text(app).replace("\n", "")
        await pilot.press("a", "A")
        await pilot.pause()
        assert engine.calls == []


def test_the_transcript_has_the_whole_question_and_an_approval_that_was_lost_after_all() -> None:
    question = asked.script()
    from tui.transcript.block_builder import Record

    record = Record()
    for entry in (
        QuestionPosed(at=NOW, turn_id="t", question=question),
        QuestionClosed(at=NOW, turn_id="t", question_id="q-1", outcome=QuestionOutcome.APPROVED, answer="once"),
        QuestionClosed(at=NOW, turn_id="t", question_id="q-1", outcome=QuestionOutcome.LOST, answer="did not run"),
    ):
        record._take(entry)
    (card,) = record.blocks
    assert isinstance(card, Card)
    assert card.closed is not None
    assert card.closed.outcome is QuestionOutcome.LOST
    from rich.style import Style

    card.is_folded = False
    paint = Paint(80, lambda _: Style(), lambda _: Style(), is_dark=True)
    drawn = "\n".join(strip.text for strip in card.compose(paint))
    assert "part-120 backup:/vault/part-120" in drawn


# On a terminal


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The keyboard's end of a terminal that this process reads from."""
    keyboard, line = pty.openpty()
    with open(line, encoding="utf-8") as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        yield keyboard
    os.close(keyboard)


async def answer(
    terminal: int, question: Question, typed: str, capsys: pytest.CaptureFixture[str]
) -> tuple[Answer, str]:
    """Types a line each time the prompt stands there; gives the answer and what was shown."""
    shown = ""
    given: list[Answer] = []

    async def put() -> None:
        given.append(await questions.put(question))

    async with anyio.create_task_group() as group:
        group.start_soon(put)
        with anyio.fail_after(20):
            for number, line in enumerate(typed, start=1):
                while shown.count("deny: ") < number:
                    await anyio.sleep(0.01)
                    shown += capsys.readouterr().err
                os.write(terminal, f"{line}\n".encode())
    return given[0], shown


@pytest.mark.anyio
async def test_a_terminal_is_shown_the_whole_call_before_it_is_asked(
    terminal: int, capsys: pytest.CaptureFixture[str]
) -> None:
    decided, shown = await answer(terminal, asked.script(), "A", capsys)

    assert decided == Allow(always=True)
    assert all(f"part-{number:03} backup" in shown for number in range(1, 121))
    assert shown.index("/vault/part-120") < shown.index("What “always in this session” would allow")
    decided, shown = await answer(terminal, asked.hidden(), "d", capsys)
    assert isinstance(decided, Deny)
    assert "⚠ Hidden characters" in shown
    assert "⟨U+202E⟩" in shown
    assert "\x1b" not in shown


@pytest.mark.anyio
async def test_always_is_no_answer_where_it_is_not_on_offer(terminal: int, capsys: pytest.CaptureFixture[str]) -> None:
    decided, shown = await answer(terminal, asked.plan(), "Ad", capsys)

    assert isinstance(decided, Deny)
    assert "[A]" not in shown


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("typed", "decided"),
    [
        ("y", Allow()),
        ("Yes", Allow()),
        ("n", Deny(questions.DENIED)),
        ("NO ", Deny(questions.DENIED)),
        ("nothing", Deny("of the kind")),
        ("yesterday", Deny("of the kind")),
    ],
)
async def test_yes_and_no_answer_a_permission_question_and_other_words_do_not(typed: str, decided: Answer) -> None:
    """S5.15: `y` allows once, as `a` does, and never for the rest of the session."""
    lines = iter([typed, "d of the kind"])

    async def read(prompt: str) -> str:
        return next(lines)

    assert await questions.put(stage.PERMISSION, read) == decided


@pytest.mark.anyio
async def test_a_choice_is_asked_again_until_there_is_an_answer(capsys: pytest.CaptureFixture[str]) -> None:
    """S5.15: neither an empty line nor a number that no option has is one."""
    typed = iter(["", "7", "2"])

    async def read(prompt: str) -> str:
        return next(typed)

    options = [{"label": "red"}, {"label": "blue"}]
    choice = asked.question("AskUserQuestion", questions=[{"question": "Which?", "options": options}])
    assert await questions.put(choice, read) == Choose({"Which?": "blue"})
    assert capsys.readouterr().err.count("there is no option 7 (1 red, 2 blue)") == 1


@pytest.mark.anyio
async def test_what_was_typed_before_the_question_stands_there_answers_nothing(
    terminal: int, capsys: pytest.CaptureFixture[str]
) -> None:
    os.write(terminal, b"a\na\nA\n")

    decided, _ = await answer(terminal, replace(stage.PERMISSION, id="q-9"), "d", capsys)

    assert isinstance(decided, Deny)


@pytest.mark.anyio
@pytest.mark.parametrize("size", [(80, 24), (150, 40)])
async def test_of_many_questions_one_is_open_and_the_message_stays_in_sight(size: tuple[int, int]) -> None:
    """A letter must never answer a card that is out of sight: the one with the focus is always whole."""
    engine = stage.asking()
    more = [replace(stage.PERMISSION, id=f"q-{n}", asked_at=stage.PERMISSION.asked_at + n) for n in range(5, 9)]
    ids = ("q-1", *(question.id for question in more))
    engine.put(*more, replace(engine.sessions[ROOT], questions=ids, offer=troubles.offer(ROOT, "please")))
    async with playing(engine, size=size) as (app, pilot):
        app.screen.open_chats([ROOT, *([stage.EMIL, stage.DORA] if size[0] > 80 else [])])
        await settle(app, pilot)
        dock = app.screen.pane.dock
        for _ in range(4):
            cards = [card for card in dock.cards() if card.display]
            opened = [card for card in cards if not card.has_class("-folded")]
            assert len(opened) == 1
            assert len(cards) == 3
            assert "and 3 more" in screen_text(app)
            keys = opened[0].query(".keys" if opened[0].has_focus else ".reach").last()
            for widget in (*opened, keys, app.screen.prompt):
                assert app.screen.pane.region.contains_region(widget.region), f"{widget} is out of sight"
            await pilot.press("tab")
            await settle(app, pilot)
        assert engine.calls == []
