"""Nothing that is typed into a conversation answers a question, at any speed and whenever the question arrives."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from textual import events

from supervisor import Allow, Deny, Question, SessionState
from tests.tui import stage
from tests.tui.stage import EMIL, ROOT
from tests.tui.theatre import arrived, playing, screen_text, settle, told
from tests.waiting import until
from tui.app import BullpenApp

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

LETTERS = st.text(st.sampled_from("aaAAd12oRZy "), min_size=1, max_size=5)
"""Mostly keys of the cards."""
MESSAGES = st.lists(
    st.tuples(
        st.sampled_from(["permission", "choice", "goes", ""]),
        st.sampled_from([True, True, False]),
        st.lists(LETTERS, min_size=1, max_size=3).map("\t".join),
        st.sampled_from(["\n", "\n", ""]),
    ),
    max_size=6,
)
"""Of each message: what comes or goes before it, whether a pause follows in which that is painted, its words, with a
slip onto the tab key between them, and whether it is sent."""


async def type_at_once(app: BullpenApp, text: str) -> None:
    """As one read of the terminal; returns when all of it has had its effect."""
    for character in text:
        key = {"\n": "enter", "\t": "tab", " ": "space"}.get(character, character)
        app.post_message(events.Key(key, "\r" if character == "\n" else character))
    await until(lambda: app.inputs._settling is None, within=20)


def arrive(engine: stage.StageEngine, name: str) -> None:
    """A question comes, or one goes without an answer of the operator's."""
    if name == "goes":
        if engine.questions:
            engine.remove_question(next(iter(engine.questions)))
    elif name:
        first = stage.PERMISSION if name == "permission" else replace(stage.CHOICE, key=ROOT)
        question: Question = replace(first, id=f"{first.id}-{len(engine.calls)}-{len(engine.questions)}")
        ids = (*engine.sessions[ROOT].questions, question.id)
        engine.put(question, replace(engine.sessions[ROOT], state=SessionState.ASKING, questions=ids))


@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
@given(MESSAGES)
@example([("permission", True, "All right, next", "\n"), ("permission", True, "and then", "\n")])
@example([("choice", True, "1 more", "\n"), ("permission", False, "do it", "")])
async def test_nothing_typed_into_the_message_is_an_answer(messages: list[tuple[str, bool, str, str]]) -> None:
    """Each message is typed in one burst."""
    engine = stage.busy()
    async with playing(engine) as (app, pilot):
        app.screen.open_chat(ROOT)
        await pilot.pause()
        for arrival, is_painted, words, end in messages:
            arrive(engine, arrival)
            app.flush()
            if is_painted:
                await settle(app, pilot)
            await type_at_once(app, f"{words}{end}")
        await settle(app, pilot)
        assert [call for call in engine.calls if call[0] == "answer"] == []
        assert app.screen.prompt.has_focus


async def test_a_key_that_was_pressed_before_the_card_was_on_the_screen_decides_nothing() -> None:
    """A question that arrives in the moment in which the operator goes to "the oldest one"."""
    engine = stage.busy()
    async with playing(engine) as (app, pilot):
        app.screen.open_chat(ROOT)
        await settle(app, pilot)
        arrive(engine, "permission")
        await arrived(app)
        app.flush()
        app.post_message(events.Key("f4", None))
        await type_at_once(app, "a")
        await settle(app, pilot)
        assert engine.calls == []
        assert "before the question was on the screen" in told(app)
        await pilot.press("a")
        await pilot.pause()
        assert [call[0] for call in engine.calls] == ["answer"]


async def test_a_question_that_is_opened_by_its_row_takes_the_next_key_however_fast_it_comes() -> None:
    """Over a slow line all three keys arrive at once: the row was before the operator's eyes. A second answer is for
    a card that has been seen."""
    engine = stage.asking()
    async with playing(engine) as (app, pilot):
        await type_at_once(app, "iiaa")
        await settle(app, pilot)
        assert engine.calls == [("answer", "q-1", Allow())]


async def test_one_key_opens_the_oldest_question_and_its_letter_answers_however_fast_it_comes() -> None:
    """The row was before the operator's eyes; the same key once more changes nothing."""
    engine = stage.asking()
    async with playing(engine) as (app, pilot):
        await type_at_once(app, "idnot today\n")
        await settle(app, pilot)
        assert engine.calls == [("answer", "q-1", Deny("not today"))]


async def test_a_question_that_came_while_the_key_was_on_its_way_is_listed_first() -> None:
    """Neither it nor its agent gets the letters that were typed before it was on the screen."""
    engine = stage.busy()
    async with playing(engine) as (app, pilot):
        read = [events.Key(letter, letter) for letter in "ia"]
        arrive(engine, "permission")
        await settle(app, pilot)
        for key in read:
            app.post_message(key)
        await until(lambda: app.inputs._settling is None, within=20)
        assert app.focused is app.screen.inbox
        await type_at_once(app, "ia")
        await settle(app, pilot)
        assert [call[:2] for call in engine.calls] == [("answer", next(iter(engine.questions)))]


async def test_words_for_a_question_that_is_settled_meanwhile_are_not_lost() -> None:
    """The reason of a denial, and an answer in one's own words, are in the message then."""
    engine = stage.asking()
    async with playing(engine) as (app, pilot):
        await pilot.press("i", "d", *"too late")
        engine.remove_question("q-1")
        await settle(app, pilot)
        assert "It was settled meanwhile" in screen_text(app), "the dialog stays: letters are on their way to it"
        await pilot.press("enter")
        await settle(app, pilot)
        assert app.screen.prompt.text == "too late"
        assert "settled meanwhile" in told(app)
        await pilot.press("escape", "i", "o", *"blue")
        engine.remove_question("q-2")
        await settle(app, pilot)
        assert "It was settled meanwhile" in screen_text(app)
        await pilot.press("enter")
        await settle(app, pilot)
        assert app.screen.key == EMIL
        assert app.screen.prompt.text == "blue"
        assert engine.calls == []


async def test_an_answer_on_the_whole_screen_to_a_question_that_is_gone_is_told() -> None:
    engine = stage.asking()
    async with playing(engine) as (app, pilot):
        await pilot.press("i", "enter")
        engine.remove_question("q-1")
        await settle(app, pilot)
        await pilot.press("a")
        await settle(app, pilot)
        assert "nothing was answered" in told(app)
        assert app.screen.prompt.text == ""
        assert engine.calls == []


async def test_tab_in_an_empty_message_goes_to_the_card_and_in_the_middle_of_words_nowhere() -> None:
    engine = stage.asking()
    async with playing(engine) as (app, pilot):
        app.screen.open_chat(EMIL)
        await settle(app, pilot)
        await pilot.press("x", "tab", "1")
        assert app.screen.prompt.text == "x1"
        await pilot.press("backspace", "backspace", "tab", "2")
        await pilot.pause()
        assert app.screen.prompt.text == ""
        assert not app.screen.prompt.has_focus
