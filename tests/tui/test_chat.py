"""The chat: prompts, answers, interrupts, and what never happens by accident."""

from __future__ import annotations

import math

import pytest
from msgspec.structs import replace

from supervisor import Prompt, Saturated, SessionKey, SessionState, Source, WhyWaiting
from supervisor.conversation import Conversation
from tests.tui import stage, troubles
from tests.tui.stage import ANA, CARO, DORA, LOOKUP, ROOT
from tests.tui.theatre import HandClock, playing, screen_text, settle, told
from tests.waiting import until
from tui.screens.chat.chat import ChatScreen
from tui.screens.chat.pane import OF_ONE_CALL
from tui.screens.chat.readiness import AGAIN
from tui.screens.dashboard.dashboard import DashboardScreen
from tui.tables.rows import session_id
from tui.widgets.offer_card import OfferCard

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


async def test_a_session_whose_chat_opens_is_got_ready() -> None:
    engine = stage.busy()
    engine.conversations[ANA] = Conversation()
    async with playing(engine) as (app, _):
        app.screen.open_chat(ANA)
        await until(lambda: engine.warmed == [ANA])


async def test_a_client_that_sleeps_is_woken_by_opening_its_chat_and_by_nothing_else() -> None:
    """Looking reads rows and words alone: filtered, sorted, previewed, described, hovered over, chosen to be ended."""
    engine = stage.resting()
    engine.conversations[DORA] = Conversation()
    async with playing(engine, size=(200, 50)) as (app, pilot):
        await pilot.press("/", *"dormant", "enter")
        assert app.screen.sessions.keys == (session_id(DORA),)
        await pilot.hover(app.screen.sessions, offset=(30, 1))
        await pilot.press("home", "d", "escape", "H", "escape", "M", "space", "x", "escape", "h", "escape")
        await until(lambda: engine.glimpsed > 0)
        await pilot.press("3", "d", "escape", "K", "escape")
        await settle(app, pilot)
        assert engine.warmed == []
        await pilot.press("2", "enter")
        await until(lambda: engine.warmed == [DORA])


async def test_a_client_that_falls_asleep_while_its_chat_is_open_is_woken_by_the_first_letter() -> None:
    engine, clock = stage.resting(), HandClock()
    engine.conversations[DORA] = Conversation()
    async with playing(engine, clock=clock) as (app, pilot):
        app.screen.open_chat(DORA)
        await until(lambda: engine.warmed == [DORA])
        clock.now += AGAIN
        await pilot.press("h", "i")
        await until(lambda: engine.warmed == [DORA, DORA])
        engine.put(replace(engine.sessions[DORA], state=SessionState.IDLE))
        clock.now += AGAIN
        await settle(app, pilot)
        await pilot.press("!")
        await settle(app, pilot)
        assert engine.warmed == [DORA, DORA], "it is awake"


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


async def test_escape_goes_one_step_back_and_stops_nothing() -> None:
    """From the card to the message, from there to the dashboard; also while a turn runs."""
    engine = stage.asking()
    async with playing(engine) as (app, pilot):
        app.screen.open_chat(ROOT)
        await settle(app, pilot)
        await pilot.press("f4", "escape")
        await settle(app, pilot)
        assert app.screen.prompt.has_focus
        await pilot.press("escape")
        await settle(app, pilot)
        assert isinstance(app.screen, DashboardScreen)
        app.screen.open_chat(ANA)
        await settle(app, pilot)
        await pilot.press("escape")
        await settle(app, pilot)
        assert isinstance(app.screen, DashboardScreen)
        assert engine.calls == []


@pytest.mark.parametrize("asked", [ANA, CARO, ROOT], ids=["running", "waiting for a client", "asking"])
async def test_the_key_that_stops_a_turn_asks_first_and_stops_the_turn_it_named(asked: SessionKey) -> None:
    engine = stage.asking()
    async with playing(engine) as (app, pilot):
        app.screen.open_chat(asked)
        await settle(app, pilot)
        turn = engine.sessions[asked].stoppable
        await pilot.press("f9", "enter")
        await pilot.pause()
        assert engine.calls == []
        await pilot.press("f9")
        engine.put(replace(engine.sessions[asked], turn_id="t-next", waiting=()))
        await settle(app, pilot)
        await pilot.press("right", "enter")
        await pilot.pause()
        assert engine.calls == [("interrupt", asked, turn)]


async def test_the_key_that_stops_a_turn_does_nothing_when_there_is_none() -> None:
    engine = stage.busy()
    async with playing(engine) as (app, pilot):
        app.screen.open_chat(DORA)
        await settle(app, pilot)
        assert "stop turn" not in screen_text(app).splitlines()[-1]
        await pilot.press("f9")
        await pilot.pause()
        assert isinstance(app.screen, ChatScreen)


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


async def test_what_became_of_the_last_turn_is_not_said_of_the_next() -> None:
    engine = stage.busy()
    engine.put(replace(engine.sessions[ANA], note="interrupted by somebody"))
    async with playing(engine) as (app, pilot):
        app.screen.open_chat(ANA)
        await settle(app, pilot)
        assert "interrupted by somebody" not in screen_text(app).splitlines()[0]


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
    monkeypatch.setattr("tui.transcript.transcript.SLOW", math.inf)
    engine = stage.busy()
    talk = engine.conversations[ANA] = Conversation()
    async with playing(engine) as (app, pilot):
        app.screen.open_chat(ANA)
        await pilot.pause()
        talk.stream("half a sen", "t-12")
        await settle(app, pilot)
        app.screen.refresh_transcript()
        await pilot.pause()
        assert "half a sen" in screen_text(app)
        talk.stream("tence", "t-12")
        await settle(app, pilot)
        app.screen.refresh_transcript()
        await pilot.pause()
        assert "half a sentence" in screen_text(app)


async def test_events_are_kept_while_a_chat_is_in_front() -> None:
    from supervisor import SessionOpened
    from tui.widgets.event_log import EventLog

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


async def test_a_prompt_without_a_slot_says_who_has_them() -> None:
    """Why waiting, and behind it: it may be the operator who is waited for."""
    engine = stage.asking()
    waiting = next(row for row in engine.sessions.values() if row.why is WhyWaiting.NO_SLOT)
    async with playing(engine, size=(160, 36)) as (app, pilot):
        app.screen.open_chat(waiting.key)
        await settle(app, pilot)
        words = "5 of 5 clients are taken (maxClients), 1 of them waits for you: :set helpdesk.maxClients on the dash"
        assert words in screen_text(app)


async def test_a_command_of_the_dashboard_typed_as_a_message_is_held_until_enter_says_it_again() -> None:
    engine = stage.busy()
    async with playing(engine) as (app, pilot):
        app.screen.open_chat(DORA)
        await pilot.press(*":compact", "enter")
        await pilot.pause()
        assert engine.calls == []
        assert app.screen.prompt.text == ":compact"
        assert ":compact is a command of the dashboard" in told(app)
        await pilot.press("enter", *":smile", "enter")
        await pilot.pause()
        assert [call[1].text for call in engine.calls] == [":compact", ":smile"]
        assert app.screen.prompt.text == ""


async def test_a_key_that_can_do_nothing_now_says_why() -> None:
    async with playing(stage.busy()) as (app, pilot):
        app.screen.open_chat(DORA)
        for key, words in (
            ("f4", "no question to go to"),
            ("f5", "no other session needs you"),
            ("f6", "one pane is in sight"),
            ("f8", "no prompt waits"),
            ("f9", "no turn runs"),
            ("ctrl+pagedown", "one conversation is open"),
        ):
            await pilot.press(key)
            await until(lambda words=words: words in told(app))
        assert app.screen.prompt.has_focus


async def test_that_a_session_ends_with_its_turn_is_told_before_words_are_lost_in_it() -> None:
    """S1.2: nothing of a call is kept. What was typed and not sent is."""
    engine = stage.busy()
    engine.put(replace(engine.sessions[LOOKUP], ends_with_turn=True, state=SessionState.WORKING, turn_id="t-9"))
    engine.conversations[LOOKUP] = Conversation()
    async with playing(engine) as (app, pilot):
        app.screen.open_chat(DORA)
        await settle(app, pilot)
        assert OF_ONE_CALL not in screen_text(app)
        app.screen.open([LOOKUP])
        await settle(app, pilot)
        await pilot.press(*"one thing more", "enter", *"and this")
        await settle(app, pilot)
        assert OF_ONE_CALL in screen_text(app)
        del engine.sessions[LOOKUP]
        engine.feed.touch_session(LOOKUP)
        await settle(app, pilot)
        assert "call-88 has ended with its turn: what was said there is gone, with your message “one th" in told(app)
        assert app.screen.prompt.text == "and this"
        assert OF_ONE_CALL not in screen_text(app), "a session that begins now is kept"


async def test_what_was_written_for_a_session_that_is_closed_does_not_go_without_a_word() -> None:
    engine = stage.busy()
    async with playing(engine) as (app, pilot):
        app.screen.open_chat(DORA)
        await settle(app, pilot)
        await pilot.press(*"not yet sent", "f10")
        await settle(app, pilot)
        del engine.sessions[DORA]
        engine.feed.touch_session(DORA)
        await settle(app, pilot)
        assert "helpdesk/dora/vpn is closed: what you had written for it goes with it: “not yet sent”" in told(app)


async def test_the_keys_of_a_chat_are_told_in_its_help_and_while_they_can_do_something() -> None:
    """What does nothing here is not told as a key of every screen."""
    engine = troubles.aftermath()
    engine.put(replace(engine.sessions[ANA], waiting=(stage.waiting(1, WhyWaiting.STARTING, 3, "one more"),)))
    async with playing(engine, size=(200, 60)) as (app, pilot):
        app.screen.open_chat(ANA)
        await settle(app, pilot)
        footer = screen_text(app).rstrip().splitlines()[-1]
        assert "F8 withdraw" in footer
        assert "F4 interrupted turn" in footer
        await pilot.press("f4")
        await settle(app, pilot)
        assert isinstance(app.focused, OfferCard)
        assert "F4" not in screen_text(app).rstrip().splitlines()[-1], "one is there already"
        await pilot.press("f1")
        await settle(app, pilot)
        shown = screen_text(app)
        assert shown.index("One step back") < shown.index("R ") < shown.index("Dashboard: look")
        anywhere = shown[shown.index("Anywhere") : shown.index("Dashboard: look")]
        assert "^p" in anywhere
        assert "?" not in anywhere
        await pilot.press("f1", "escape", "escape", "question_mark")
        await settle(app, pilot)
        shown = screen_text(app)
        assert shown.index("asking") < shown.index("Open the chat of the row") < shown.index("One step back")
