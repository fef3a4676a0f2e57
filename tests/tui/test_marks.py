"""Marks: a verb applies to what is marked, as it was when the key was pressed, and to nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from supervisor import InstanceState, NotAccepting, Refused, SessionKey, SessionState
from tests.tui import stage, troubles
from tests.tui.stage import ANA, BEN, CARO, CLERK, DORA, LOOKUP, ROOT
from tests.tui.theatre import playing, screen_text, settle, told
from tui.screens.dashboard.dashboard import DashboardScreen
from tui.screens.dialogs.broadcast import BroadcastScreen
from tui.screens.dialogs.confirm import ConfirmScreen
from tui.tables.rows import session_id

pytestmark = pytest.mark.anyio


async def mark(app: Any, pilot: Any, *keys: SessionKey) -> None:
    for key in keys:
        app.screen.sessions.move_to(session_id(key))
        await pilot.press("space")


@pytest.mark.parametrize(
    ("key", "marked", "calls"),
    [
        ("x", (ANA, BEN), [("interrupt", ANA, "t-12"), ("interrupt", BEN, "t-13")]),
        ("X", (CARO, CLERK), [("clear_queue", "helpdesk", CARO), ("clear_queue", "clerk", CLERK)]),
        ("K", (ANA, ROOT), [("kill_client", "helpdesk-3"), ("kill_client", "admin-2")]),
        ("D", (ROOT, CLERK), [("drain", "admin"), ("drain", "clerk")]),
        ("p", (ROOT, CLERK), [("pause", "admin"), ("pause", "clerk")]),
        ("delete", (DORA, LOOKUP), [("close_session", DORA), ("close_session", LOOKUP)]),
    ],
)
async def test_a_verb_asks_once_and_tells_every_marked_row(
    key: str, marked: tuple[SessionKey, ...], calls: list[tuple[Any, ...]]
) -> None:
    engine = stage.busy()
    async with playing(engine) as (app, pilot):
        await mark(app, pilot, *marked)
        app.screen.sessions.move_to(session_id(stage.EMIL))
        await pilot.press(key)
        await pilot.pause()
        assert isinstance(app.screen, ConfirmScreen)
        names = {str(next((one for one in call if isinstance(one, SessionKey)), call[1])) for call in calls}
        assert all(name in screen_text(app) for name in names)
        assert engine.calls == []
        await pilot.press("right", "enter")
        await pilot.pause()
        assert sorted(engine.calls, key=str) == sorted(calls, key=str)
        assert f"all {len(calls)} done" in told(app)
        assert isinstance(app.screen, DashboardScreen)


async def test_the_confirmation_lists_memory_and_turns_in_flight() -> None:
    async with playing(stage.busy()) as (app, pilot):
        await mark(app, pilot, ANA, BEN)
        await pilot.press("x")
        await pilot.pause()
        text = screen_text(app)
        assert "helpdesk/ana/ticket-4711: 412M, its turn runs" in text
        assert "helpdesk/ben/ticket-4712: 231M, its turn runs, 1 turn waits" in text
        assert "together 643M of memory, 2 turns in flight" in text


async def test_the_targets_are_those_of_the_moment_the_key_was_pressed() -> None:
    """Rows move, turns end and marks go while the question is on the screen."""
    engine = stage.busy()
    async with playing(engine) as (app, pilot):
        await mark(app, pilot, ANA, BEN)
        await pilot.press("x")
        await pilot.pause()
        engine.put(replace(engine.sessions[DORA], state=SessionState.FAILED, last_activity_at=stage.NOW))
        engine.put(replace(engine.sessions[BEN], turn_id="t-later"))
        await settle(app, pilot)
        await pilot.press("right", "enter")
        await pilot.pause()
        assert sorted(engine.calls) == [("interrupt", ANA, "t-12"), ("interrupt", BEN, "t-13")]
        assert "1 of 2 done" in told(app)
        assert "helpdesk/ben/ticket-4712: the turn has ended already" in told(app)


async def test_the_row_under_the_cursor_is_frozen_as_well() -> None:
    engine = stage.busy()
    async with playing(engine) as (app, pilot):
        app.screen.sessions.move_to(session_id(ANA))
        await pilot.press("x")
        await pilot.pause()
        del engine.sessions[ANA]
        engine.feed.touch_session(ANA)
        await settle(app, pilot)
        await pilot.press("right", "enter")
        await pilot.pause()
        assert engine.calls == [("interrupt", ANA, "t-12")]
        assert f"no session {ANA}" in told(app)


async def test_a_refusal_of_one_leaves_the_others_and_is_one_line() -> None:
    engine = stage.busy()
    async with playing(engine) as (app, pilot):
        await mark(app, pilot, ROOT, CLERK)
        await pilot.press("p")
        engine.refuses_with = NotAccepting("the bullpen is closed")
        await pilot.press("right", "enter")
        await pilot.pause()
        assert [call[0] for call in engine.calls] == ["pause"]
        assert "1 of 2 done" in told(app)
        assert "the bullpen is closed" in told(app)


async def test_marks_survive_refresh_sort_filter_and_scope_and_vanish_with_their_rows() -> None:
    engine = stage.busy()
    async with playing(engine) as (app, pilot):
        await mark(app, pilot, ANA, ROOT)
        sessions = app.screen.sessions
        both = {session_id(ANA), session_id(ROOT)}
        engine.put(replace(engine.sessions[ANA], turns=99))
        await settle(app, pilot)
        await pilot.press("M", "/", *"rita", "enter")
        assert sessions.marked == both
        assert "✓ 2 marked (1 not shown)" in screen_text(app)
        assert [one.key for one in sessions.marked_things] == [ROOT, ANA], (
            "a verb applies to what the filter hides as well"
        )
        app.screen.instances.move_to("admin")
        await pilot.press("0")
        assert sessions.marked == both
        await pilot.press("0")
        del engine.sessions[ANA]
        engine.feed.touch_session(ANA)
        await settle(app, pilot)
        assert sessions.marked == {session_id(ROOT)}
        assert "✓ 1 marked" in screen_text(app)


async def test_escape_clears_the_marks_and_then_the_filter() -> None:
    async with playing(stage.busy()) as (app, pilot):
        await pilot.press("/", *"helpdesk", "enter")
        await mark(app, pilot, ANA, BEN)
        await pilot.press("z", "escape")
        assert app.screen.instances.display, "the zoom goes before the marks"
        assert app.screen.sessions.marked
        await pilot.press("1", "escape")
        assert not app.screen.sessions.marked, "those of another pane, where this one has none"
        assert app.screen.sessions.filter_text == "helpdesk"
        await pilot.press("escape")
        assert app.screen.sessions.filter_text == ""


async def test_a_verb_that_fits_some_of_the_marked_rows_says_how_many_it_leaves_out() -> None:
    engine = stage.busy()
    async with playing(engine) as (app, pilot):
        await mark(app, pilot, ANA, DORA)
        await pilot.press("x")
        await pilot.pause()
        assert "1 marked row is left out" in screen_text(app)
        await pilot.press("right", "enter")
        await pilot.pause()
        assert engine.calls == [("interrupt", ANA, "t-12")]


async def test_marked_instances_are_scaled_by_one_answer() -> None:
    engine = stage.busy()
    async with playing(engine) as (_app, pilot):
        await pilot.press("1", "space", "space", "s", "backspace", "7", "enter")
        await pilot.pause()
        assert engine.calls == [("scale", "admin", 7), ("scale", "clerk", 7)]


async def test_hibernating_and_taking_back_ask_only_for_marked_rows() -> None:
    engine = stage.busy()
    engine.put(replace(engine.instances["clerk"], state=InstanceState.PAUSED))
    async with playing(engine) as (app, pilot):
        app.screen.sessions.move_to(session_id(DORA))
        await pilot.press("h")
        assert engine.calls == [("hibernate", DORA)]
        await pilot.press("1", "down", "space", "p")
        await pilot.pause()
        assert isinstance(app.screen, ConfirmScreen)
        await pilot.press("right", "enter")
        assert engine.calls[1:] == [("resume", "clerk")]


async def test_marked_offers_are_replayed_together() -> None:
    engine = troubles.aftermath()
    async with playing(engine) as (app, pilot):
        offers = [session_id(key) for key in app.bridge.offers]
        for key in offers:
            app.screen.sessions.move_to(key)
            await pilot.press("space")
        await pilot.press("R")
        await pilot.pause()
        await pilot.press("right", "enter")
        await pilot.pause()
        assert sorted(call[0] for call in engine.calls) == ["replay"] * len(offers)


async def test_describing_marked_rows_shows_every_one() -> None:
    async with playing(stage.busy(), size=(120, 80)) as (app, pilot):
        await mark(app, pilot, ANA, BEN)
        await pilot.press("d")
        await pilot.pause()
        text = screen_text(app)
        assert "2 marked rows" in text
        assert str(ANA) in text
        assert str(BEN) in text


async def test_enter_opens_every_marked_session_side_by_side() -> None:
    async with playing(stage.busy(), size=(200, 50)) as (app, pilot):
        await mark(app, pilot, ANA, BEN)
        await pilot.press("enter")
        await settle(app, pilot)
        assert set(app.chats.panes) == {ANA, BEN}


async def test_a_message_goes_to_three_marked_sessions_in_six_keys() -> None:
    engine = stage.busy()
    async with playing(engine) as (app, pilot):
        await pilot.press("home", "space", "space", "space", "B")
        await pilot.pause()
        assert isinstance(app.screen, BroadcastScreen)
        assert "Send to 3 sessions" in screen_text(app)
        await pilot.press(*"stop now", "enter")
        await pilot.pause()
        sent = [call[1] for call in engine.calls if call[0] == "submit"]
        assert len({(prompt.user, prompt.session) for prompt in sent}) == 3
        assert {prompt.text for prompt in sent} == {"stop now"}
        assert "broadcast: all 3 sent" in told(app)


async def test_a_one_time_call_of_a_tool_is_left_out_of_a_broadcast_and_named() -> None:
    """A second turn would keep it alive, and hold one of the tool's clients."""
    engine = stage.busy()
    call = SessionKey("lookup", "ben", "call-88x")
    engine.put(stage.session(call, ends_with_turn=True))
    async with playing(engine) as (app, pilot):
        await mark(app, pilot, ANA, call)
        await pilot.press("B")
        await pilot.pause()
        assert isinstance(app.screen, BroadcastScreen)
        assert "left out: lookup/ben/call-" in told(app)
        await pilot.press(*"stop", "enter")
        await pilot.pause()
        assert [call[1].user for call in engine.calls if call[0] == "submit"] == [ANA.user]


async def test_words_that_one_session_refuses_wait_in_its_chat() -> None:
    engine = stage.busy()
    async with playing(engine) as (app, pilot):
        await mark(app, pilot, ANA, BEN)
        await pilot.press("B", *"hello")
        engine.refuses_with = Refused("no room")
        await pilot.press("enter")
        await pilot.pause()
        assert "1 of 2 sent" in told(app)
        assert "hello" in app.operations.unsent.values()
