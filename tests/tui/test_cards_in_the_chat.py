"""Question cards in a conversation: who has the focus, which key answers, and what does not."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from textual.widgets._toast import Toast

from supervisor import (
    Allow,
    Choose,
    Deny,
    SessionKey,
    SessionState,
)
from tests.tui import stage
from tests.tui.stage import DORA, EMIL, ROOT
from tests.tui.theatre import playing, screen_text, settle
from tui.transcript.transcript import Transcript
from tui.widgets.question_card import QuestionCard

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(("key", "answer"), [("a", Allow()), ("A", Allow(always=True))])
async def test_a_focused_card_answers_with_one_key(key: str, answer: Allow) -> None:
    """D4: the question is answered by its id, in place."""
    engine = stage.asking()
    async with playing(engine) as (app, pilot):
        app.screen.open_chat(ROOT)
        await settle(app, pilot)
        await pilot.press("f4", key)
        await pilot.pause()
        assert engine.calls == [("answer", "q-1", answer)]


async def test_denying_asks_for_the_reason() -> None:
    engine = stage.asking()
    async with playing(engine) as (app, pilot):
        app.screen.open_chat(ROOT)
        await settle(app, pilot)
        await pilot.press("f4", "d", *"not now", "enter")
        await pilot.pause()
        assert engine.calls == [("answer", "q-1", Deny("not now"))]


async def test_leaving_the_reason_denies_nothing() -> None:
    engine = stage.asking()
    async with playing(engine) as (app, pilot):
        app.screen.open_chat(ROOT)
        await settle(app, pilot)
        await pilot.press("f4", "d", "escape")
        await pilot.pause()
        assert engine.calls == []


@pytest.mark.parametrize("typed", ["", "Add "])
async def test_a_card_does_not_take_the_focus_by_arriving(typed: str) -> None:
    """D4: whatever is typed goes on to where it went, also into an empty message box."""
    engine = stage.busy()
    async with playing(engine) as (app, pilot):
        app.screen.open_chat(ROOT)
        await pilot.pause()
        await pilot.press(*typed)
        engine.put(
            stage.PERMISSION,
            replace(engine.sessions[ROOT], state=SessionState.ASKING, questions=("q-1",)),
        )
        await settle(app, pilot)
        assert app.screen.query(QuestionCard)
        await pilot.press(*"aAd")
        await pilot.pause()
        assert engine.calls == []
        assert app.screen.prompt.text == f"{typed}aAd"


async def test_the_focus_goes_from_an_answered_card_to_the_next_and_then_to_the_message() -> None:
    engine = stage.asking()
    later = replace(stage.PERMISSION, id="q-9", asked_at=stage.PERMISSION.asked_at + 5)
    engine.put(later, replace(engine.sessions[ROOT], questions=("q-1", "q-9")))
    async with playing(engine) as (app, pilot):
        app.screen.open_chat(ROOT)
        await settle(app, pilot)
        await pilot.press("f4", "a", "a", "a")
        await pilot.pause()
        assert engine.calls == [("answer", "q-1", Allow()), ("answer", "q-9", Allow())]
        assert app.screen.prompt.text == "a"


async def test_a_card_that_goes_unanswered_gives_its_letters_to_no_other_card() -> None:
    """It expired, or was answered elsewhere, just before the key: that key was not meant for the next question."""
    engine = stage.asking()
    later = replace(stage.PERMISSION, id="q-9", asked_at=stage.PERMISSION.asked_at + 5)
    engine.put(later, replace(engine.sessions[ROOT], questions=("q-1", "q-9")))
    async with playing(engine) as (app, pilot):
        app.screen.open_chat(ROOT)
        await settle(app, pilot)
        await pilot.press("f4")
        engine.remove_question("q-1")
        await settle(app, pilot)
        await pilot.press("a")
        await pilot.pause()
        assert engine.calls == []
        assert app.screen.prompt.text == "a"


async def test_always_is_not_possible_where_it_is_not_on_offer() -> None:
    engine = stage.asking()
    engine.put(replace(stage.PERMISSION, always=""))
    async with playing(engine) as (app, pilot):
        app.screen.open_chat(ROOT)
        await settle(app, pilot)
        await pilot.press("f4", "A")
        await pilot.pause()
        assert engine.calls == []


async def test_choices_are_answered_item_by_item() -> None:
    """AskUserQuestion: numbers choose; where several are allowed they mark, and enter takes them."""
    engine = stage.asking()
    async with playing(engine) as (app, pilot):
        app.screen.open_chat(EMIL)
        await settle(app, pilot)
        await pilot.press("f4", "2")
        await pilot.pause()
        assert "2 of 2" in screen_text(app)
        await pilot.press("1", "3", "enter")
        await pilot.pause()
        answers = {"Which laptop should the new colleague get?": "Developer", "Which groups?": "staff, git"}
        assert engine.calls == [("answer", "q-2", Choose(answers))]


async def test_a_choice_may_be_answered_in_other_words() -> None:
    engine = stage.asking()
    async with playing(engine) as (app, pilot):
        app.screen.open_chat(EMIL)
        await settle(app, pilot)
        await pilot.press("f4", "o", *"a tablet", "enter")
        await pilot.pause()
        await pilot.press("o", *"none", "enter")
        await pilot.pause()
        answers = {"Which laptop should the new colleague get?": "a tablet", "Which groups?": "none"}
        assert engine.calls == [("answer", "q-2", Choose(answers))]


async def test_a_settled_question_leaves_and_the_prompt_has_the_focus() -> None:
    engine = stage.asking()
    async with playing(engine) as (app, pilot):
        app.screen.open_chat(ROOT)
        await settle(app, pilot)
        await pilot.press("f4")
        engine.remove_question("q-1")
        await settle(app, pilot)
        assert not app.screen.query(QuestionCard)
        assert app.screen.prompt.has_focus


@pytest.mark.parametrize("asked", [ROOT, EMIL])
async def test_words_typed_on_a_card_go_to_the_message_from_their_first_letter_that_is_none_of_its_keys(
    asked: SessionKey,
) -> None:
    engine = stage.asking()
    async with playing(engine) as (app, pilot):
        app.screen.open_chat(asked)
        await settle(app, pilot)
        await pilot.press("f4", *"hello Adam and 2 more")
        await pilot.pause()
        assert engine.calls == []
        assert app.screen.prompt.text == "hello Adam and 2 more"


async def test_words_typed_on_the_conversation_go_to_the_message_from_their_first_letter_that_is_none_of_its_keys() -> (
    None
):
    """`t` and `G` are commands there, and stay so."""
    engine = stage.busy()
    async with playing(engine) as (app, pilot):
        app.screen.open_chat(DORA)
        await settle(app, pilot)
        transcript = app.screen.query_one(Transcript)
        transcript.focus()
        await pilot.press("t", "G")
        assert transcript.has_focus
        await pilot.press(*"hi, tell me")
        await pilot.pause()
        assert app.screen.prompt.has_focus
        assert app.screen.prompt.text == "hi, tell me"


async def test_an_enter_meant_for_something_else_answers_no_choice() -> None:
    """D4: nothing is chosen before a key of the card was pressed."""
    engine = stage.asking()
    async with playing(engine) as (app, pilot):
        app.screen.open_chat(EMIL)
        await settle(app, pilot)
        await pilot.press("f4", "enter", "enter")
        await pilot.pause()
        assert engine.calls == []
        assert "1 of 2" in screen_text(app)
        assert "go to an option first" in screen_text(app)
        await pilot.press("down", "enter")
        await pilot.pause()
        assert "2 of 2" in screen_text(app)


async def test_notices_cover_neither_the_message_nor_the_card() -> None:
    async with playing(stage.asking(), size=(80, 24)) as (app, pilot):
        app.screen.open_chat(ROOT)
        await settle(app, pilot)
        app.notify("A line that is long enough to need two rows of the screen, as refusals often do", timeout=60)
        app.notify("and another one", timeout=60)
        await settle(app, pilot)
        notices = [toast.region for toast in app.screen.query(Toast)]
        assert len(notices) == 2
        for widget in (app.screen.prompt, app.screen.query_one(QuestionCard)):
            assert not any(widget.region.overlaps(notice) for notice in notices), widget


async def test_a_card_without_the_focus_names_the_key_that_leads_to_it_and_not_those_that_would_do_nothing() -> None:
    async with playing(stage.asking()) as (app, pilot):
        app.screen.open_chat(ROOT)
        await settle(app, pilot)
        assert "F4 to answer: once, always or no" in screen_text(app)
        assert "allow once" not in screen_text(app)
        await pilot.press("f4")
        await settle(app, pilot)
        assert "a allow once" in screen_text(app)
        assert "F4 to answer" not in screen_text(app)
