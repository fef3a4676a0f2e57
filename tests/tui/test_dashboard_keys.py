"""Keys of the dashboard: each verb reaches the engine with the right target, and only when it was meant."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from textual.widgets import Input

from supervisor import InstanceState, NotAccepting, SessionKey, SessionState, SlotState, WhyWaiting
from tests.tui import stage
from tests.tui.stage import ANA, BEN, CARO, DORA, NOW, ROOT
from tests.tui.theatre import HandClock, command, playing, screen_text, settle, told
from tui.app import BullpenApp
from tui.screens.chat.chat import ChatScreen
from tui.screens.dashboard.dashboard import DashboardScreen
from tui.screens.dialogs.confirm import ConfirmScreen
from tui.screens.dialogs.quit import DrainingScreen, QuitScreen
from tui.tables.rows import session_id
from tui.widgets.question_card import PermissionCard

pytestmark = pytest.mark.anyio


def on_session(app: Any, key: SessionKey) -> None:
    app.screen.sessions.move_to(session_id(key))


@pytest.mark.parametrize(
    ("press", "call"),
    [
        (["p", "right", "enter"], ("pause", "helpdesk")),
        (["D", "right", "enter"], ("drain", "helpdesk")),
        (["K", "right", "enter"], ("kill", "helpdesk")),
        (["X", "right", "enter"], ("clear_queue", "helpdesk", None)),
        (["s", "backspace", "7", "enter"], ("scale", "helpdesk", 7)),
    ],
)
async def test_a_key_over_an_instance_acts_on_that_instance(press: list[str], call: tuple[Any, ...]) -> None:
    """D3: the instance under the cursor, whatever else is on the screen."""
    engine = stage.busy()
    async with playing(engine) as (app, pilot):
        await pilot.press("1")
        app.screen.instances.move_to("helpdesk")
        await pilot.press(*press)
        await pilot.pause()
        assert engine.calls == [call]


@pytest.mark.parametrize(
    ("state", "key"),
    [
        (InstanceState.PAUSED, "p"),
        (InstanceState.STOPPED, "p"),
        (InstanceState.DRAINING, "D"),
        (InstanceState.DRAINED, "D"),
        (InstanceState.DRAINED, "p"),
    ],
)
async def test_the_same_key_takes_back_what_it_did(state: InstanceState, key: str) -> None:
    """S1.17: drain is reversible; so are pause and stop."""
    engine = stage.busy()
    engine.put(replace(engine.instances["helpdesk"], state=state))
    async with playing(engine) as (app, pilot):
        await pilot.press("1")
        app.screen.instances.move_to("helpdesk")
        await pilot.press(key)
        await pilot.pause()
        assert engine.calls == [("resume", "helpdesk")]


async def test_four_stops_on_four_keys_are_never_confused() -> None:
    """D3: interrupt, clear queue, drain and kill from one and the same row."""
    engine = stage.busy()
    async with playing(engine) as (app, pilot):
        on_session(app, BEN)
        await pilot.press("x", "right", "enter")
        await pilot.press("X", "right", "enter")
        await pilot.press("D", "right", "enter")
        await pilot.press("K", "right", "enter")
        await pilot.pause()
        assert engine.calls == [
            ("interrupt", BEN, "t-13"),
            ("clear_queue", "helpdesk", BEN),
            ("drain", "helpdesk"),
            ("kill_client", "helpdesk-4"),
        ]


async def test_kill_over_a_client_ends_that_client_only() -> None:
    engine = stage.busy()
    async with playing(engine) as (app, pilot):
        await pilot.press("3")
        app.screen.clients.move_to("helpdesk-6")
        await pilot.press("K")
        await pilot.pause()
        assert "a spare" in screen_text(app)
        await pilot.press("right", "enter")
        await pilot.pause()
        assert engine.calls == [("kill_client", "helpdesk-6")]


@pytest.mark.parametrize("key", ["D", "K", "X"])
async def test_enter_on_a_confirmation_changes_nothing(key: str) -> None:
    """Cancel is the default button of everything that ends something."""
    engine = stage.busy()
    async with playing(engine) as (app, pilot):
        await pilot.press("1")
        app.screen.instances.move_to("helpdesk")
        await pilot.press(key)
        await pilot.pause()
        assert isinstance(app.screen, ConfirmScreen)
        await pilot.press("enter")
        await pilot.pause()
        assert isinstance(app.screen, DashboardScreen)
        assert engine.calls == []


async def test_a_confirmation_names_the_target_and_what_dies() -> None:
    engine = stage.busy()
    async with playing(engine) as (app, pilot):
        await pilot.press("1")
        app.screen.instances.move_to("helpdesk")
        await pilot.press("K")
        await pilot.pause()
        text = screen_text(app)
        for fact in ("Kill helpdesk?", "2 running turns", "3 waiting turns", "5 clients, 1.0G"):
            assert fact in text
        # While the operator thinks, work goes on.
        row = engine.instances["helpdesk"]
        engine.put(replace(row, active_sessions=1, waiting=0))
        await settle(app, pilot)
        app.screen.count_again()
        await pilot.pause()
        text = screen_text(app)
        assert "1 running turn is cut off" in text
        assert "waiting turn" not in text


async def test_killing_everything_wants_a_typed_word() -> None:
    engine = stage.busy()
    async with playing(engine) as (app, pilot):
        await pilot.press(":", *"kill all", "enter")
        await pilot.pause()
        confirm = app.screen.query_one("#confirm")
        assert confirm.disabled
        app.screen.query_one("#typed", Input).focus()
        await pilot.press(*"all")
        await pilot.pause()
        assert not confirm.disabled
        await pilot.click("#confirm")
        await pilot.pause()
        assert sorted(engine.calls) == [("kill", name) for name in ("admin", "clerk", "helpdesk", "lookup")]


async def test_a_verb_that_cannot_be_done_does_nothing() -> None:
    """A hibernated session has no turn to interrupt, no process to kill and nothing to hibernate."""
    engine = stage.busy()
    async with playing(engine) as (app, pilot):
        on_session(app, stage.MIRA)
        await pilot.press("x", "K", "h", "X")
        await pilot.pause()
        assert engine.calls == []
        assert isinstance(app.screen, DashboardScreen)


async def test_a_refusal_is_told_and_harmless() -> None:
    engine = stage.busy()
    async with playing(engine) as (app, pilot):
        await pilot.press("1")
        engine.refuses_with = NotAccepting("[/] admin is being killed")
        await pilot.press("p", "right", "enter")
        await pilot.pause()
        assert told(app) == "[/] admin is being killed"


async def test_a_widget_that_does_not_clean_its_text_is_filtered() -> None:
    """R5: the line filter is the last gate; a toast shows a refusal as it came."""
    engine = stage.busy()
    async with playing(engine) as (app, pilot):
        await pilot.press("1")
        engine.refuses_with = NotAccepting("no \x1b]52;c;aGk=\x07 entry")
        await pilot.press("p", "right", "enter")
        await settle(app, pilot)
        assert "entry" in screen_text(app)
        assert not set(screen_text(app)) & set("\x1b\x07")


async def test_rows_do_not_move_under_the_hand_of_the_operator() -> None:
    """Needs-you first, but a row keeps its place while the operator works in the table."""
    engine, clock = stage.busy(), HandClock()
    async with playing(engine, clock=clock) as (app, pilot):
        await pilot.press("down", "down")
        sessions = app.screen.sessions
        before, under = sessions.keys, sessions.cursor_key
        engine.put(replace(engine.sessions[DORA], state=SessionState.FAILED, note="crashed"))
        clock.now += 1.5
        await settle(app, pilot)
        assert sessions.keys == before
        assert sessions.is_disordered

        clock.now += 10
        await settle(app, pilot)
        assert sessions.keys[0] == session_id(DORA)
        assert sessions.cursor_key == under


async def test_equals_sorts_at_once() -> None:
    engine, clock = stage.busy(), HandClock()
    async with playing(engine, clock=clock) as (app, pilot):
        await pilot.press("down")
        engine.put(replace(engine.sessions[DORA], state=SessionState.FAILED, note="crashed"))
        await settle(app, pilot)
        await pilot.press("=")
        assert app.screen.sessions.keys[0] == session_id(DORA)


async def test_a_shifted_letter_sorts_by_a_column_and_again_reverses() -> None:
    async with playing(stage.busy()) as (app, pilot):
        await pilot.press("M")
        assert app.screen.sessions.keys[0] == session_id(ANA)
        await pilot.press("M")
        assert app.screen.sessions.keys[0] != session_id(ANA)


async def test_sessions_stand_needs_you_first() -> None:
    async with playing(stage.asking()) as (app, _pilot):
        assert app.screen.sessions.keys[:3] == (session_id(ROOT), session_id(stage.EMIL), session_id(CARO))


async def test_filter_shows_matches_and_its_inverse_the_rest() -> None:
    async with playing(stage.busy()) as (app, pilot):
        await pilot.press("/", *"admin", "enter")
        assert set(app.screen.sessions.keys) == {session_id(ROOT), session_id(stage.MIRA)}
        await pilot.press("escape", "/", *"!admin", "enter")
        await pilot.pause()
        assert app.screen.sessions.row_count == 7
        await pilot.press("escape")
        assert app.screen.sessions.row_count == 9


async def test_typing_a_filter_triggers_no_verb() -> None:
    engine = stage.busy()
    async with playing(engine) as (app, pilot):
        await pilot.press("/", *"xpDKXhsn")
        assert engine.calls == []
        assert isinstance(app.screen, DashboardScreen)


async def test_zero_narrows_to_one_instance_and_widens_again() -> None:
    async with playing(stage.busy()) as (app, pilot):
        app.screen.instances.move_to("admin")
        await pilot.press("0")
        assert set(app.screen.sessions.keys) == {session_id(ROOT), session_id(stage.MIRA)}
        assert app.screen.clients.keys == ("admin-2",)
        await pilot.press("0")
        assert app.screen.sessions.row_count == 9


async def test_questions_stand_on_top_and_i_opens_the_oldest() -> None:
    """D4: one inbox over all sessions."""
    async with playing(stage.asking(), size=(80, 24)) as (app, pilot):
        assert app.screen.inbox.display
        await pilot.press("i")
        await pilot.pause()
        assert isinstance(app.screen, ChatScreen)
        assert app.screen.key == ROOT
        assert app.focused is app.screen.query_one(PermissionCard)


async def test_no_question_no_inbox() -> None:
    engine = stage.asking()
    async with playing(engine) as (app, pilot):
        for question in list(engine.questions):
            engine.remove_question(question)
        await settle(app, pilot)
        assert not app.screen.inbox.display


HOSTILE = [
    "[/]",
    "[/nope]",
    "[@click=app.quit]x[/]",
    "[link=http://x]y",
    "\x1b[2J\x1b]52;c;aGk=\x07",
    "a\u202eb\u200b",
    "line\nbreak\tand more",
    "\ud800",
]


@pytest.mark.parametrize("press", [["enter"], ["d"], ["X"], ["ctrl+p"], ["3"], ["delete"]])
async def test_untrusted_text_neither_crashes_nor_acts(press: list[str]) -> None:
    """R5: ids, prompts, notes and tool names come from outside, and stand on every screen."""
    engine = stage.busy()
    async with playing(engine) as (app, pilot):
        for text in HOSTILE:
            key = SessionKey("helpdesk", text, text)
            engine.put(
                replace(engine.instances["helpdesk"], note=text, state=InstanceState.DRAINING),
                stage.session(
                    key,
                    state=SessionState.WAITING,
                    why=WhyWaiting.NO_SLOT,
                    waiting=(stage.waiting(1, WhyWaiting.NO_SLOT, 90, text),),
                    note=text,
                    client_id="helpdesk-66",
                ),
                stage.client("helpdesk-66", key, tool=text, note=text, state=SlotState.CLOSING),
                replace(stage.PERMISSION, key=key, tool=text, summary=text, detail=text, always=text),
            )
            await settle(app, pilot)
            on_session(app, key)
            await pilot.press(*press)
            await settle(app, pilot)
            assert app.is_running
            assert app.return_code is None
            assert not set(screen_text(app)) & set("\x1b\x07\u202e\u200b\ud800")
            assert engine.calls == []
            while len(app.screen_stack) > 2:
                app.screen.dismiss(None)
                await pilot.pause()
            await pilot.press("2")


async def test_a_clean_house_is_left_at_once() -> None:
    async with playing(stage.empty()) as (app, pilot):
        await pilot.press("ctrl+q")
        await pilot.pause()
        assert app.return_code == 0


async def test_quitting_says_what_would_end_and_enter_stays() -> None:
    engine = stage.busy()
    async with playing(engine) as (app, pilot):
        await pilot.press("ctrl+q")
        await pilot.pause()
        assert isinstance(app.screen, QuitScreen)
        assert "4 running turns would be cut off" in screen_text(app)
        engine.put(replace(engine.instances["clerk"], active_sessions=0))
        await settle(app, pilot)
        app.screen.count_again()
        assert "3 running turns would be cut off" in screen_text(app), "it counts again while it is open"
        await pilot.press("enter")
        await pilot.pause()
        assert app.return_code is None
        assert engine.calls == []


async def test_drain_and_quit_leaves_when_everything_is_drained() -> None:
    """S1.17, design §5: the dialog offers drain, and the program goes when the engine says so."""
    engine = stage.busy()
    async with playing(engine) as (app, pilot):
        await pilot.press("ctrl+q", "right", "enter")
        await pilot.pause()
        assert isinstance(app.screen, DrainingScreen)
        assert sorted(call for call in engine.calls if call[0] == "drain") == [
            ("drain", name) for name in ("admin", "clerk", "helpdesk", "lookup")
        ]
        assert app.return_code is None
        engine.everything_drained.set()
        await pilot.pause()
        await pilot.pause()
        assert app.return_code == 0


async def test_the_drain_before_quitting_is_taken_back_as_it_was() -> None:
    engine = stage.busy()
    engine.put(replace(engine.instances["clerk"], state=InstanceState.PAUSED))
    async with playing(engine) as (app, pilot):
        await pilot.press("ctrl+q", "right", "enter")
        await pilot.pause()
        engine.calls.clear()
        await pilot.press("u")
        await pilot.pause()
        assert isinstance(app.screen, DashboardScreen)
        assert ("pause", "clerk") in engine.calls
        assert {call[1] for call in engine.calls if call[0] == "resume"} == set(engine.instances)
        engine.everything_drained.set()
        await pilot.pause()
        assert app.return_code is None


async def test_a_drain_before_quitting_can_be_looked_after() -> None:
    """Whoever holds it up may be waiting for an answer; it goes on, and ctrl+q shows it again."""
    engine, clock = stage.busy(), HandClock()
    async with playing(engine, clock=clock) as (app, pilot):
        await pilot.press("ctrl+q", "right", "enter")
        await pilot.pause()
        await pilot.press("enter")
        await pilot.pause()
        assert isinstance(app.screen, DashboardScreen)
        clock.now += 1
        await settle(app, pilot)
        assert "ENDS WHEN DRAINED" in screen_text(app)
        app.open_chats([ANA])
        await settle(app, pilot)
        assert "ENDS WHEN DRAINED" in screen_text(app), "also in a chat"
        await pilot.press("ctrl+q")
        await pilot.pause()
        assert isinstance(app.screen, DrainingScreen)
        await pilot.press("escape")
        await pilot.pause()
        assert not [call for call in engine.calls if call[0] == "resume"]
        engine.everything_drained.set()
        await pilot.pause()
        await pilot.pause()
        assert app.return_code == 0


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("frobnicate helpdesk", "no verb"),
        ("drain nobody", "nothing is called"),
        ("scale helpdesk many", "whole number"),
        ("interrupt helpdesk", "nothing is called"),
    ],
)
async def test_a_wrong_command_is_answered_in_place(line: str, answer: str) -> None:
    engine = stage.busy()
    async with playing(engine) as (app, pilot):
        await command(app, pilot, line)
        assert answer in screen_text(app)
        assert engine.calls == []


async def test_a_second_drain_says_that_it_interrupts() -> None:
    """S1.17: a second request escalates; that is never a surprise."""
    engine = stage.draining()
    async with playing(engine) as (app, pilot):
        await pilot.press(":", *"drain helpdesk", "enter")
        await pilot.pause()
        assert "2 running turns are interrupted" in screen_text(app)
        await pilot.press("right", "enter")
        await pilot.pause()
        assert engine.calls == [("drain", "helpdesk")]


async def test_a_cut_feed_comes_back_with_a_fresh_snapshot() -> None:
    """R4: a reader that fell behind sees the present, not a mixture."""
    engine = stage.busy()
    async with playing(engine) as (app, pilot):
        del engine.sessions[ANA]
        for _ in range(5_001):
            engine.happen(stage_event())
        await settle(app, pilot)
        assert session_id(ANA) not in app.screen.sessions.keys
        assert app.screen.sessions.row_count == 8


def stage_event() -> Any:
    from supervisor import SessionClosed

    return SessionClosed(at=NOW, instance="helpdesk", user="ana", session="ticket-4711")


async def test_a_table_that_nobody_touches_shows_its_top() -> None:
    """D1: who needs the operator stands on top, also when the row that was there first has sunk."""
    engine = stage.busy()
    clock = HandClock()
    async with playing(engine, clock=clock) as (app, pilot):
        assert app.screen.sessions.cursor_key == session_id(CARO)
        on_session(app, DORA)
        engine.put(replace(engine.sessions[BEN], state=SessionState.FAILED))
        clock.now += 10
        await settle(app, pilot)
        assert app.screen.sessions.keys[0] == session_id(BEN)
        assert app.screen.sessions.cursor_key == session_id(DORA)
        clock.now += 60
        engine.put(replace(engine.sessions[CARO], state=SessionState.IDLE, waiting=()))
        await settle(app, pilot)
        clock.now += 2
        await settle(app, pilot)
        assert app.screen.sessions.cursor_key == session_id(BEN)


@pytest.mark.parametrize("key", [BEN, CARO], ids=["running", "waiting for a client"])
async def test_a_turn_is_stopped_only_after_a_question(key: SessionKey) -> None:
    """D3: whether or not its row was chosen, and also before the turn has a client."""
    engine = stage.busy()
    async with playing(engine) as (app, pilot):
        on_session(app, key)
        await pilot.press("x", "enter")
        await pilot.pause()
        assert engine.calls == []
        await pilot.press("x", "right", "enter")
        await pilot.pause()
        assert engine.calls == [("interrupt", key, engine.sessions[key].stoppable)]


async def test_the_instance_that_the_panes_are_narrowed_to_is_not_left_by_itself() -> None:
    engine = stage.busy()
    clock = HandClock()
    async with playing(engine, clock=clock) as (app, pilot):
        await pilot.press("1")
        app.screen.instances.move_to("helpdesk")
        await pilot.press("0")
        clock.now += 120
        engine.put(replace(engine.instances["admin"], note="something new"))
        await settle(app, pilot)
        assert app.screen.instances.cursor_key == "helpdesk"
        assert "only helpdesk" in screen_text(app)


async def test_the_list_of_keys_opens_anew_at_its_first_line_in_the_colours_and_the_size_of_the_moment() -> None:
    """It is kept while it is closed."""

    def picture(app: BullpenApp) -> list[str]:
        return [str(list(strip)) for strip in app.screen._compositor.render_strips()]

    async with playing(stage.busy(), (120, 24)) as (app, pilot):
        await pilot.press("question_mark", "end", "escape")
        app.theme = "textual-light"
        await pilot.resize_terminal(80, 24)
        await pilot.press("question_mark")
        await pilot.pause()
        kept = picture(app)
        assert "Keys" in screen_text(app)
        assert "asking" in screen_text(app)
    async with playing(stage.busy(), (80, 24)) as (app, pilot):
        app.theme = "textual-light"
        await pilot.press("question_mark")
        await pilot.pause()
        assert picture(app) == kept
