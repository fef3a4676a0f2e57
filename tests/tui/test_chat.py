"""The chat: prompts, answers, interrupts, and what never happens by accident."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from supervisor import (
    Allow,
    Choose,
    Conversation,
    Deny,
    Prompt,
    Saturated,
    SessionKey,
    SessionState,
    Source,
    WhyWaiting,
)
from tests.tui import stage
from tests.tui.stage import ANA, DORA, EMIL, ROOT
from tests.tui.theatre import HandClock, playing, screen_text, settle, told
from tui.screens.chat import ChatScreen
from tui.screens.dashboard import DashboardScreen
from tui.widgets.question import QuestionCard

pytestmark = pytest.mark.anyio


async def test_a_prompt_goes_to_its_session_as_the_operators() -> None:
    """D2: the operator chats into any session, and every message is labelled by its source."""
    engine = stage.busy()
    async with playing(engine) as (app, pilot):
        app.screen.open_chat(DORA)
        await pilot.pause()
        await pilot.press(*"hello", "enter")
        await pilot.pause()
        assert engine.calls == [
            ("submit", Prompt("helpdesk", "hello", user="dora", session="vpn", source=Source.OPERATOR))
        ]
        assert app.screen.prompt.text == ""


async def test_a_refused_prompt_stays_in_the_input() -> None:
    engine = stage.busy()
    error = Saturated("helpdesk", total=5, active=5, idle=0, waiting=50, retry_after=12, why="the queue is full")
    async with playing(engine) as (app, pilot):
        app.screen.open_chat(DORA)
        await pilot.pause()
        engine.refuses_with = error
        await pilot.press(*"help [/] me", "enter")
        await pilot.pause()
        assert app.screen.prompt.text == "help [/] me"
        assert told(app) == str(error)
        assert engine.calls == []


@pytest.mark.parametrize(("key", "answer"), [("a", Allow()), ("A", Allow(always=True))])
async def test_a_focused_card_answers_with_one_key(key: str, answer: Allow) -> None:
    """D4: the question is answered by its id, in place."""
    engine = stage.asking()
    async with playing(engine) as (app, pilot):
        app.screen.open_chat(ROOT)
        await settle(app, pilot)
        await pilot.press(key)
        await pilot.pause()
        assert engine.calls == [("answer", "q-1", answer)]


async def test_denying_asks_for_the_reason() -> None:
    engine = stage.asking()
    async with playing(engine) as (app, pilot):
        app.screen.open_chat(ROOT)
        await settle(app, pilot)
        await pilot.press("d", *"not now", "enter")
        await pilot.pause()
        assert engine.calls == [("answer", "q-1", Deny("not now"))]


async def test_leaving_the_reason_denies_nothing() -> None:
    engine = stage.asking()
    async with playing(engine) as (app, pilot):
        app.screen.open_chat(ROOT)
        await settle(app, pilot)
        await pilot.press("d", "escape")
        await pilot.pause()
        assert engine.calls == []


async def test_typing_in_the_prompt_answers_no_question() -> None:
    """A card that arrives while something is being typed does not take the focus away."""
    engine = stage.busy()
    async with playing(engine) as (app, pilot):
        app.screen.open_chat(ROOT)
        await pilot.pause()
        await pilot.press(*"Add ")
        engine.put(
            stage.PERMISSION,
            replace(engine.sessions[ROOT], state=SessionState.ASKING, questions=("q-1",)),
        )
        await settle(app, pilot)
        assert app.screen.query(QuestionCard)
        await pilot.press(*"aAd")
        await pilot.pause()
        assert engine.calls == []
        assert app.screen.prompt.text == "Add aAd"


async def test_always_is_not_possible_where_it_is_not_on_offer() -> None:
    engine = stage.asking()
    engine.put(replace(stage.PERMISSION, always=""))
    async with playing(engine) as (app, pilot):
        app.screen.open_chat(ROOT)
        await settle(app, pilot)
        await pilot.press("A")
        await pilot.pause()
        assert engine.calls == []


async def test_choices_are_answered_item_by_item() -> None:
    """AskUserQuestion: numbers choose; where several are allowed they mark, and enter takes them."""
    engine = stage.asking()
    async with playing(engine) as (app, pilot):
        app.screen.open_chat(EMIL)
        await settle(app, pilot)
        await pilot.press("2")
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
        await pilot.press("o", *"a tablet", "enter")
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
        engine.remove_question("q-1")
        await settle(app, pilot)
        assert not app.screen.query(QuestionCard)
        assert app.screen.prompt.has_focus


async def test_escape_interrupts_a_running_turn_and_goes_back_when_none_runs() -> None:
    """The footer says which of the two it is; a turn of somebody else is stopped by the second press."""
    engine = stage.busy()
    async with playing(engine) as (app, pilot):
        app.screen.open_chat(ANA)
        await settle(app, pilot)
        assert "interrupt" in screen_text(app).splitlines()[-1]
        await pilot.press("escape")
        await pilot.pause()
        assert engine.calls == []
        assert "esc again" in told(app)
        await pilot.press("escape")
        await pilot.pause()
        assert engine.calls == [("interrupt", ANA)]
        assert isinstance(app.screen, ChatScreen)

        engine.put(replace(engine.sessions[ANA], state=SessionState.IDLE, turn_id="", turn_started_at=None))
        await settle(app, pilot)
        assert "interrupt" not in screen_text(app).splitlines()[-1]
        await pilot.press("escape")
        await pilot.pause()
        assert isinstance(app.screen, DashboardScreen)
        assert engine.calls == [("interrupt", ANA)]


async def test_a_late_second_escape_is_a_first_one_and_the_operators_own_turn_needs_none() -> None:
    engine = stage.busy()
    clock = HandClock()
    own = SessionKey("helpdesk", "operator", "chat-1")
    engine.put(replace(engine.sessions[ANA], key=own))
    async with playing(engine, clock=clock) as (app, pilot):
        app.screen.open_chat(ANA)
        await settle(app, pilot)
        await pilot.press("escape")
        clock.now += 5
        await pilot.press("escape")
        await pilot.pause()
        assert engine.calls == []
        await pilot.press("ctrl+b")
        await settle(app, pilot)
        app.screen.open_chat(own)
        await settle(app, pilot)
        await pilot.press("escape")
        await pilot.pause()
        assert engine.calls == [("interrupt", own)]


async def test_words_that_were_not_sent_are_there_when_the_chat_is_opened_again() -> None:
    engine = stage.busy()
    async with playing(engine) as (app, pilot):
        app.screen.open_chat(DORA)
        await settle(app, pilot)
        await pilot.press(*"half a", "ctrl+b")
        await settle(app, pilot)
        app.screen.open_chat(DORA)
        await settle(app, pilot)
        assert app.screen.prompt.text == "half a"


async def test_a_refused_prompt_does_not_take_the_place_of_a_draft() -> None:
    engine = stage.busy()
    async with playing(engine) as (app, pilot):
        app.screen.open_chat(DORA)
        await settle(app, pilot)
        await pilot.press(*"later", "ctrl+b")
        app.operations.keep_unsent(DORA, "refused")
        await settle(app, pilot)
        app.screen.open_chat(DORA)
        await settle(app, pilot)
        assert app.screen.prompt.text == "refused\nlater"


async def test_a_first_escape_for_one_turn_does_not_count_for_the_next() -> None:
    engine = stage.busy()
    async with playing(engine) as (app, pilot):
        app.screen.open_chat(ANA)
        await settle(app, pilot)
        await pilot.press("escape")
        engine.put(replace(engine.sessions[ANA], turn_id="t-next"))
        await settle(app, pilot)
        await pilot.press("escape")
        await pilot.pause()
        assert engine.calls == []


async def test_what_became_of_the_last_turn_is_not_said_of_the_next() -> None:
    engine = stage.busy()
    engine.put(replace(engine.sessions[ANA], note="interrupted by somebody"))
    async with playing(engine) as (app, pilot):
        app.screen.open_chat(ANA)
        await settle(app, pilot)
        assert "interrupted by somebody" not in screen_text(app).splitlines()[0]


@pytest.mark.parametrize("asked", [ROOT, EMIL])
async def test_words_typed_on_a_card_answer_nothing(asked: SessionKey) -> None:
    """D4: whoever takes the card for the message has letters in their words that are keys of the card."""
    engine = stage.asking()
    async with playing(engine) as (app, pilot):
        app.screen.open_chat(asked)
        await settle(app, pilot)
        await pilot.press(*"hello Adam and 2 more", "enter")
        await pilot.pause()
        assert engine.calls == []
        assert isinstance(app.screen, ChatScreen)
        assert "tab goes to the message" in told(app)


async def test_the_chat_says_that_others_wait_for_the_operator() -> None:
    engine = stage.asking()
    async with playing(engine) as (app, pilot):
        app.screen.open_chat(ROOT)
        await settle(app, pilot)
        assert "1 other waits for you" in screen_text(app)


async def test_leaving_a_running_turn_lets_it_run() -> None:
    """R4: the screen is a reader; its going changes nothing."""
    engine = stage.busy()
    async with playing(engine) as (app, pilot):
        app.screen.open_chat(ANA)
        await pilot.pause()
        await pilot.press("ctrl+b")
        await pilot.pause()
        assert isinstance(app.screen, DashboardScreen)
        assert engine.calls == []


async def test_the_reply_grows_on_the_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    # On a busy machine one look at the conversation is slow, and the next one would wait.
    monkeypatch.setattr("tui.widgets.transcript.SLOW", math.inf)
    engine = stage.busy()
    talk = engine.conversations[ANA] = Conversation()
    async with playing(engine) as (app, pilot):
        app.screen.open_chat(ANA)
        await pilot.pause()
        talk.stream("half a sen", "t-12")
        app.screen.refresh_transcript()
        await pilot.pause()
        assert "half a sen" in screen_text(app)
        talk.stream("tence", "t-12")
        app.screen.refresh_transcript()
        await pilot.pause()
        assert "half a sentence" in screen_text(app)


async def test_a_new_chat_opens_before_its_session_exists() -> None:
    engine = stage.empty()
    async with playing(engine) as (app, pilot):
        await pilot.press("n")
        await pilot.pause()
        await pilot.press("enter")
        await pilot.pause()
        assert isinstance(app.screen, ChatScreen)
        await pilot.press(*"hi", "enter")
        await pilot.pause()
        sent = engine.calls[0][1]
        assert (sent.user, sent.text, sent.source) == ("operator", "hi", Source.OPERATOR)
        engine.conversations[app.screen.key] = Conversation()
        engine.conversations[app.screen.key].stream("hello", "t-new")
        app.screen.refresh_transcript()
        await pilot.pause()
        assert "hello" in screen_text(app)


async def test_events_are_kept_while_a_chat_is_in_front() -> None:
    from supervisor import SessionOpened
    from tui.widgets.eventline import EventLog

    engine = stage.busy()
    async with playing(engine) as (app, pilot):
        dashboard = app.screen
        app.screen.open_chat(ANA)
        await pilot.pause()
        engine.happen(SessionOpened(at=stage.NOW, instance="helpdesk", user="zoe", session="z"))
        await settle(app, pilot)
        assert any("zoe" in line for line in dashboard.query_one(EventLog).lines)


async def test_the_dashboard_is_up_to_date_when_the_chat_is_left() -> None:
    engine = stage.busy()
    async with playing(engine) as (app, pilot):
        app.screen.open_chat(ANA)
        await pilot.pause()
        engine.put(replace(engine.sessions[DORA], state=SessionState.FAILED, note="crashed in the meantime"))
        await settle(app, pilot)
        await pilot.press("ctrl+b")
        await settle(app, pilot)
        assert "crashed in the meantime"[:12] in screen_text(app)


async def test_the_dashboard_is_up_to_date_when_a_chat_that_a_dialog_opened_is_left() -> None:
    engine = stage.busy()
    async with playing(engine) as (app, pilot):
        await pilot.press("n")
        await pilot.pause()
        await pilot.press("enter")
        await settle(app, pilot)
        assert isinstance(app.screen, ChatScreen)
        engine.put(replace(engine.sessions[DORA], state=SessionState.FAILED, note="crashed in the meantime"))
        await settle(app, pilot)
        await pilot.press("ctrl+b")
        await pilot.pause()
        assert "crashed in the meantime"[:12] in screen_text(app)


async def test_escape_leaves_a_question_alone_and_goes_back() -> None:
    """A caller's turn that waits for an answer is not thrown away by the key that means "back"."""
    engine = stage.asking()
    async with playing(engine) as (app, pilot):
        app.screen.open_chat(ROOT)
        await settle(app, pilot)
        await pilot.press("escape")
        await settle(app, pilot)
        assert isinstance(app.screen, DashboardScreen)
        assert engine.calls == []


async def test_an_enter_meant_for_something_else_answers_no_choice() -> None:
    """D4: nothing is chosen before a key of the card was pressed."""
    engine = stage.asking()
    async with playing(engine) as (app, pilot):
        app.screen.open_chat(EMIL)
        await settle(app, pilot)
        await pilot.press("enter", "enter")
        await pilot.pause()
        assert engine.calls == []
        assert "1 of 2" in screen_text(app)
        await pilot.press("down", "enter")
        await pilot.pause()
        assert "2 of 2" in screen_text(app)


async def test_the_age_of_a_waiting_prompt_goes_on() -> None:
    """Time goes by on the screen also while nothing happens."""
    engine = stage.busy()
    clock = HandClock()
    async with playing(engine, clock=clock) as (app, pilot):
        queued = next(row for row in engine.sessions.values() if row.waiting and row.turn_id)
        app.screen.open_chat(queued.key)
        await settle(app, pilot)
        assert "session-busy" in screen_text(app)
        clock.now = queued.waiting[0].queued_at + 47
        await settle(app, pilot)
        assert "session-busy 47s" in screen_text(app)


async def test_a_name_that_cannot_be_is_refused_in_the_dialog() -> None:
    """S3.3-5: before a conversation is opened that could never be."""
    engine = stage.busy()
    async with playing(engine) as (app, pilot):
        await pilot.press("n")
        await settle(app, pilot)
        app.screen.query_one("#session").value = "../é"
        await pilot.press("enter")
        await settle(app, pilot)
        assert "“../é” must be" in screen_text(app)
        assert not isinstance(app.screen, ChatScreen)


async def test_a_prompt_without_a_slot_says_who_has_them() -> None:
    """Why waiting, and behind it: it may be the operator who is waited for."""
    engine = stage.asking()
    waiting = next(row for row in engine.sessions.values() if row.why is WhyWaiting.NO_SLOT)
    async with playing(engine, size=(160, 36)) as (app, pilot):
        app.screen.open_chat(waiting.key)
        await settle(app, pilot)
        pool = engine.instances[waiting.key.instance].pool
        assert f"{pool.total} of {pool.max_clients} clients taken, {pool.asking} by questions" in screen_text(app)
