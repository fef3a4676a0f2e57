"""Which rows stand where: sort, filter, one instance, and a table that nobody touches."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from supervisor import SessionKey, SessionState
from tests.tui import stage
from tests.tui.stage import ANA, BEN, CARO, DORA, ROOT
from tests.tui.stage_engine import NOW
from tests.tui.test_dashboard_keys import on_session
from tests.tui.theatre import HandClock, playing, screen_text, settle
from tui.screens.dashboard.dashboard import DashboardScreen
from tui.tables.row_set import RowBook
from tui.tables.rows import SESSION_COLUMNS, session_id, session_key, session_row

pytestmark = pytest.mark.anyio


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

        await pilot.click(sessions, offset=(5, 3))
        engine.put(replace(engine.sessions[BEN], state=SessionState.FAILED, note="crashed"))
        clock.now += 1.5
        await settle(app, pilot)
        assert sessions.is_disordered, "a click is the hand as well"
        await pilot.press("1")
        clock.now += 1.5
        await settle(app, pilot)
        assert not sessions.is_disordered, "the hand has gone to another table"


async def test_equals_sorts_at_once() -> None:
    engine, clock = stage.busy(), HandClock()
    async with playing(engine, clock=clock) as (app, pilot):
        await pilot.press("down")
        engine.put(replace(engine.sessions[DORA], state=SessionState.FAILED, note="crashed"))
        await settle(app, pilot)
        await pilot.press("=")
        assert app.screen.sessions.keys[0] == app.screen.sessions.cursor_key == session_id(DORA)


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
        await pilot.press("3", "/", *"admin", "enter")
        assert app.screen.clients.has_focus, "it was begun there"
        assert app.screen.clients.row_count == 1


def test_a_filter_that_is_a_state_finds_that_state_and_names_and_no_text() -> None:
    """What a row is about may be out of sight: it would stand there without a reason."""
    engine = stage.busy()
    waits, talks = engine.sessions[CARO], replace(engine.sessions[DORA], about="I am still waiting for my laptop")
    named = replace(engine.sessions[BEN], key=BEN._replace(session="waiting-list"))
    book = RowBook(SESSION_COLUMNS)
    book.replace([session_row(row, None, None, NOW) for row in (waits, talks, named)])
    book.filter_by("Waiting")
    assert [row.key for row in book.shown] == [session_id(waits.key), session_id(named.key)]
    book.filter_by("!waiting")
    assert [row.key for row in book.shown] == [session_id(talks.key)]
    book.filter_by("waiting for")
    assert [row.key for row in book.shown] == [session_id(talks.key)]


async def test_typing_a_filter_triggers_no_verb() -> None:
    engine = stage.busy()
    async with playing(engine) as (app, pilot):
        await pilot.press("/", *"xpDKXhsn")
        assert engine.calls == []
        assert isinstance(app.screen, DashboardScreen)
        await pilot.press("escape")
        app.screen.action_filter()
        assert app.focused is app.screen.query_one("#filter"), "at once: the next key may be there already"


async def test_zero_narrows_to_one_instance_and_widens_again() -> None:
    async with playing(stage.busy()) as (app, pilot):
        app.screen.instances.move_to("admin")
        await pilot.press("0")
        assert set(app.screen.sessions.keys) == {session_id(ROOT), session_id(stage.MIRA)}
        assert app.screen.clients.keys == ("admin-2",)
        app.screen.instances.move_to("helpdesk")
        await pilot.pause()
        assert {session_key(row).instance for row in app.screen.sessions.keys} == {"helpdesk"}, (
            "it goes with the cursor"
        )
        await pilot.press("0")
        assert app.screen.sessions.row_count == 9


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


async def test_a_row_that_was_chosen_is_kept_until_the_table_was_left_alone_for_a_minute() -> None:
    """D1: any key keeps it. Going to the top means the top, whichever row that is."""
    engine, clock = stage.busy(), HandClock()

    async def fail(row: SessionKey) -> None:
        engine.put(replace(engine.sessions[row], state=SessionState.FAILED, note="crashed"))
        for seconds in (10, 2):
            clock.now += seconds
            await settle(app, pilot)
        assert sessions.keys[0] == session_id(row)

    async with playing(engine, clock=clock) as (app, pilot):
        sessions = app.screen.sessions
        await pilot.press("down")
        chosen = sessions.cursor_key
        clock.now += 50
        await pilot.press("f12")
        clock.now += 40
        await fail(DORA)
        assert sessions.cursor_key == chosen
        await pilot.press("g")
        await fail(BEN)
        assert sessions.cursor_key == session_id(BEN)


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


async def test_esc_clears_the_filter_that_the_screen_shows_whichever_pane_has_the_focus() -> None:
    """`ctrl+z` filters sessions from any pane; each pane's own filter goes first."""
    async with playing(stage.busy()) as (app, pilot):
        screen = app.screen
        assert isinstance(screen, DashboardScreen)
        sessions, log = screen.sessions, screen.log_of_events
        await pilot.press("5", "ctrl+z")
        assert (sessions.filter_text, log.filter_text) == ("failed", "")
        await pilot.press("ctrl+z")
        assert sessions.filter_text == "", "again: back"
        await pilot.press("ctrl+z", "escape")
        assert sessions.filter_text == ""
        await pilot.press("5", "/", *"turn", "enter", "ctrl+z", "escape")
        assert (sessions.filter_text, log.filter_text) == ("failed", "")
        await pilot.press("2", "escape", "5", "/", *"turn", "enter", "2", "escape")
        assert (sessions.filter_text, log.filter_text) == ("", "")
        await pilot.press("5", "/", *"turn", "enter", "2", "ctrl+z", "escape")
        assert (sessions.filter_text, log.filter_text) == ("", "turn")
