"""The dashboard's views: a preview where there is room, one pane alone on demand, and a log with a past."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace
from textual.color import Color

from supervisor import (
    ActionTaken,
    Asked,
    ClientEnding,
    ClientGone,
    Done,
    InstanceChanged,
    InstanceState,
    QuestionAsked,
    QuestionClosed,
    QuestionOutcome,
    QuestionPosed,
    QuestionSettled,
    Replied,
    SessionKey,
    SessionState,
    Source,
    TurnFinished,
    TurnQueued,
    TurnStarted,
    Usage,
)
from supervisor.conversation import Conversation
from tests.tui import stage
from tests.tui.stage import ANA, BEN, DORA, NOW
from tests.tui.stage_engine import StageEngine
from tests.tui.theatre import HandClock, playing, screen_text, settle, told
from tui.screens.chat.chat import ChatScreen
from tui.screens.dashboard.dashboard import DashboardScreen
from tui.tables.layout import Column, lay_out
from tui.tables.rows import session_id
from tui.widgets.event_log import EventLog

pytestmark = pytest.mark.anyio

IDS = {"instance": "helpdesk", "user": "ana", "session": "ticket-4711"}


def talking() -> StageEngine:
    engine = stage.busy()
    talk = engine.conversations[ANA] = Conversation()
    talk.append(Asked(at=NOW - 9, turn_id="t-12", text="My VPN drops", source=Source.CALLER, user="ana"))
    talk.append(Replied(at=NOW - 8, turn_id="t-12", text="Let me look at the log"))
    return engine


def log_of(app: Any) -> EventLog:
    return app.screen.query_one(EventLog)


# What the row is about


async def test_a_row_tells_the_prompt_and_then_the_newest_line() -> None:
    engine = stage.busy()
    engine.put(replace(engine.sessions[DORA], about="How do I print?", latest="Use the tray"))
    async with playing(engine, size=(200, 50)) as (app, _pilot):
        row = next(line for line in screen_text(app).splitlines() if "dora" in line)
        assert "How do I print? › Use th" in row


def test_names_get_their_room_before_anything_else() -> None:
    columns = (
        Column("session", "session", 6, flex=1, is_name=True),
        Column("why", "why", 10, flex=8),
        Column("cost", "cost", 6, priority=1),
    )
    by_key = {columns[one.index].key: one.width for one in lay_out(columns, 40, names={0: 20})}
    assert by_key == {"session": 20, "why": 12, "cost": 6}
    by_key = {columns[one.index].key: one.width for one in lay_out(columns, 36, names={0: 20})}
    assert by_key == {"session": 20, "why": 15}
    by_key = {columns[one.index].key: one.width for one in lay_out(columns, 40, names={0: 8})}
    assert by_key == {"session": 8, "why": 24, "cost": 6}
    by_key = {columns[one.index].key: one.width for one in lay_out(columns, 22, names={0: 20})}
    assert by_key == {"session": 11, "why": 10}


async def test_a_long_name_is_cut_in_its_middle() -> None:
    engine = stage.busy()
    engine.put(stage.session(SessionKey("helpdesk", "ana", "quarterly-report-of-the-whole-department-2026-07")))
    async with playing(engine, size=(80, 24)) as (app, pilot):
        await settle(app, pilot)
        row = next(line for line in screen_text(app).splitlines() if "-07" in line)
        assert "quar" in row
        assert "…" in row


async def test_the_list_of_keys_scrolls_by_pages() -> None:
    async with playing(stage.busy(), size=(80, 24)) as (app, pilot):
        await pilot.press("question_mark", "pagedown")
        await pilot.pause()
        assert app.screen.query_one("#box").scroll_offset.y > 5


@pytest.mark.parametrize("key", ["down", "up"])
async def test_a_row_of_the_inbox_is_described(key: str) -> None:
    async with playing(stage.asking()) as (app, pilot):
        await pilot.press("4", key, "d")
        await pilot.pause()
        assert not isinstance(app.screen, DashboardScreen)


async def test_what_is_not_known_of_a_process_is_not_shown_as_nothing() -> None:
    engine = stage.busy()
    engine.put(replace(engine.clients["helpdesk-7"], pid=0, memory_bytes=0, processes=0))
    async with playing(engine, size=(120, 40)) as (app, pilot):
        await pilot.press("3")
        app.screen.clients.move_to("helpdesk-7")
        for press in ("K", "d"):
            await pilot.press(press)
            await pilot.pause()
            assert "pid 0" not in screen_text(app)
            assert "0B" not in screen_text(app)
            await pilot.press("escape")
            await pilot.pause()


# Preview


async def test_the_preview_says_with_which_provider_and_model_a_session_runs_where_that_is_not_the_usual_one() -> None:
    """S5.12"""
    engine = talking()
    async with playing(engine, size=(200, 50)) as (app, pilot):
        app.screen.sessions.move_to(session_id(ANA))
        await settle(app, pilot)
        assert "provider" not in screen_text(app)
        engine.put(replace(engine.sessions[ANA], provider="second", model="opus"))
        await settle(app, pilot)
        assert "Preview · helpdesk/ana/ticket-4711 · provider second, model opus" in screen_text(app)


async def test_the_preview_follows_the_cursor_and_the_reply() -> None:
    engine = talking()
    async with playing(engine, size=(200, 50)) as (app, pilot):
        app.screen.sessions.move_to(session_id(ANA))
        await settle(app, pilot)
        assert "› My VPN drops" in screen_text(app)
        engine.conversations[ANA].stream("It **is** the `clock`", "t-12")
        engine.put(replace(engine.sessions[ANA], last_activity_at=NOW))
        await settle(app, pilot)
        assert "It is the clock" in screen_text(app)
        app.screen.sessions.move_to(session_id(DORA))
        await settle(app, pilot)
        assert "nothing has been said yet" in screen_text(app)


async def test_the_preview_tells_an_answered_question_from_an_open_one() -> None:
    engine = talking()
    talk = engine.conversations[ANA]
    for name in ("q-old", "q-new"):
        talk.append(QuestionPosed(at=NOW, turn_id="t-12", question=replace(stage.PERMISSION, id=name, key=ANA)))
    talk.append(
        QuestionClosed(
            at=NOW, turn_id="t-12", question_id="q-old", outcome=QuestionOutcome.DENIED, answer="not today", by="rita"
        )
    )
    async with playing(engine, size=(200, 50)) as (app, pilot):
        app.screen.sessions.move_to(session_id(ANA))
        await settle(app, pilot)
        shown = screen_text(app)
        assert "→ denied: not today" in shown
        assert shown.count("◐ asks: ") == 1


async def test_the_preview_asks_only_when_something_has_changed() -> None:
    engine, clock = talking(), HandClock()
    async with playing(engine, size=(200, 50), clock=clock) as (app, pilot):
        app.screen.sessions.move_to(session_id(ANA))
        await settle(app, pilot)
        engine.glimpsed = 0
        for _ in range(5):
            clock.now += 1.5
            engine.put(replace(engine.sessions[BEN], last_activity_at=clock.now))
            await settle(app, pilot)
        assert engine.glimpsed == 0


@pytest.mark.parametrize("size", [(80, 24), (159, 50), (200, 44)])
async def test_without_room_there_is_no_preview_and_no_cost(size: tuple[int, int]) -> None:
    engine = talking()
    async with playing(engine, size=size) as (app, pilot):
        app.screen.sessions.move_to(session_id(ANA))
        await settle(app, pilot)
        assert not app.screen.query_one("#preview").display
        assert engine.glimpsed == 0


# Room


async def test_clients_never_crowd_out_sessions() -> None:
    engine = stage.busy()
    for number in range(40):
        engine.put(stage.session(SessionKey("helpdesk", f"user-{number}", "s")))
        engine.put(stage.client(f"helpdesk-{100 + number}", None))
    async with playing(engine, size=(120, 36)) as (app, pilot):
        await settle(app, pilot)
        assert app.screen.sessions.size.height > 2 * app.screen.clients.size.height


@pytest.mark.parametrize(
    ("key", "pane"), [("1", "instances"), ("2", "sessions"), ("3", "clients"), ("5", "events"), ("4", "inbox")]
)
@pytest.mark.parametrize("size", [(80, 24), (120, 36), (200, 50)])
async def test_z_gives_one_pane_the_screen_and_escape_takes_it_back(key: str, pane: str, size: tuple[int, int]) -> None:
    async with playing(stage.asking(), size=size) as (app, pilot):
        before = screen_text(app)
        await pilot.press(key, "z")
        await pilot.pause()
        shown = app.screen.query_one(f"#{pane}")
        assert shown.region.height >= size[1] - 3
        assert shown.region.width == size[0]
        await pilot.press("escape", "2")
        await pilot.pause()
        await pilot.pause()
        assert screen_text(app).splitlines()[1:-1] == before.splitlines()[1:-1]


async def test_the_key_of_another_pane_gives_that_one_the_screen() -> None:
    async with playing(stage.busy()) as (app, pilot):
        await pilot.press("2", "z", "3")
        await pilot.pause()
        assert app.focused is app.screen.clients
        assert app.screen.clients.region.height >= 36 - 3
        assert not app.screen.sessions.display


# The log of events


async def test_the_log_begins_with_what_earlier_runs_did() -> None:
    engine = stage.busy()
    done = Done("", Usage(), 4.2)
    engine.past_events = (
        TurnFinished(at=NOW - 90_000, turn="t-1", outcome=done, **IDS),
        ActionTaken(at=NOW - 80_000, verb="drain", instance="helpdesk"),
    )
    async with playing(engine) as (app, pilot):
        await pilot.press("l")
        await pilot.pause()
        text = screen_text(app)
        assert "helpdesk/ana/ticket-4711  turn done in 4.2 s" in text
        assert "operator: drain" in text
        assert "20 Sep 13:13:20" in text


async def test_one_thing_is_one_line_whatever_its_steps() -> None:
    engine = stage.busy()
    async with playing(engine) as (app, pilot):
        engine.happen(
            TurnQueued(at=NOW, turn="t-1", source=Source.CALLER, **IDS),
            TurnStarted(at=NOW, turn="t-1", waited=0.1, acquisition="hot", **IDS),
            QuestionAsked(at=NOW, question=stage.PERMISSION, **IDS),
            QuestionSettled(at=NOW, question=stage.PERMISSION, outcome=QuestionOutcome.APPROVED, by="operator", **IDS),
            TurnFinished(at=NOW, turn="t-1", outcome=Done("", Usage(), 2.0), **IDS),
            *(
                ClientEnding(at=NOW, client="helpdesk-3", step=step, reason="killed", **IDS)
                for step in ("interrupt", "disconnect", "terminate", "kill")
            ),
            ClientGone(at=NOW, client="helpdesk-3", reason="killed", seconds=0.3, **IDS),
            ActionTaken(at=NOW, verb="drain", instance="admin"),
            InstanceChanged(at=NOW, instance="admin", state=InstanceState.DRAINING),
        )
        await settle(app, pilot)
        assert log_of(app).lines == (
            "helpdesk/ana/ticket-4711  Bash approved by operator",
            "helpdesk/ana/ticket-4711  turn done in 2.0 s",
            "helpdesk-3  gone after 0.3 s (killed)",
            "admin  is draining",
        )


async def test_the_log_has_a_filter_of_its_own() -> None:
    engine = stage.busy()
    async with playing(engine) as (app, pilot):
        paused = InstanceState.PAUSED
        engine.happen(*(InstanceChanged(at=NOW, instance=name, state=paused) for name in engine.instances))
        await settle(app, pilot)
        await pilot.press("l", "/", *"clerk", "enter")
        await pilot.pause()
        assert len(log_of(app).lines) == 1
        assert "Events · 1 of 4" in screen_text(app)
        assert app.screen.sessions.filter_text == ""
        assert app.focused is log_of(app)
        await pilot.press("escape", "escape")
        await pilot.pause()
        assert len(log_of(app).lines) == 4


async def test_enter_on_a_line_opens_its_session() -> None:
    engine = stage.busy()
    async with playing(engine) as (app, pilot):
        engine.happen(
            TurnFinished(at=NOW, turn="t-1", outcome=Done("", Usage(), 2.0), **IDS),
            InstanceChanged(at=NOW, instance="admin", state=InstanceState.PAUSED),
        )
        await settle(app, pilot)
        await pilot.press("l", "enter")
        await pilot.pause()
        assert isinstance(app.screen, DashboardScreen)
        assert "about no session" in told(app)
        await pilot.press("up", "enter")
        await pilot.pause()
        assert isinstance(app.screen, ChatScreen)
        assert app.screen.key == ANA


async def test_the_log_follows_until_an_older_line_is_chosen() -> None:
    engine = stage.busy()
    async with playing(engine) as (app, pilot):

        def happen(count: int) -> None:
            engine.happen(*(TurnFinished(at=NOW, turn=f"n-{count}-{one}", outcome=Done("", Usage(), one), **IDS)
                            for one in range(40)))  # fmt: skip

        happen(1)
        await settle(app, pilot)
        await pilot.press("l")
        await pilot.pause()
        assert log_of(app).is_at_end
        await pilot.press("home")
        happen(2)
        await settle(app, pilot)
        assert log_of(app)._top == 0
        await pilot.press("end")
        happen(3)
        await settle(app, pilot)
        assert log_of(app).is_at_end


async def test_amber_is_only_for_what_needs_the_operator() -> None:
    """A busy, draining, paused dashboard with a turn that waits long shows none of it."""
    engine = stage.draining()
    async with playing(engine, size=(200, 50)) as (app, pilot):
        engine.happen(InstanceChanged(at=NOW, instance="admin", state=InstanceState.PAUSED))
        await settle(app, pilot)
        variables = app.get_css_variables()
        amber = [Color.parse(variables[name]).hex.lower() for name in ("warning", "text-warning")]
        assert not any(one in app.export_screenshot().lower() for one in amber)
        engine.put(replace(engine.sessions[DORA], state=SessionState.ASKING, questions=("q-1",)), stage.PERMISSION)
        await settle(app, pilot)
        assert any(one in app.export_screenshot().lower() for one in amber)
