"""The screen over an engine that does not answer yet: everything of the screen goes on, and nothing is lost."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from supervisor import ActionTaken, Refused
from supervisor.conversation import Conversation
from tests.far_engine import FarEngine, Line
from tests.tui import stage
from tests.tui.stage import DORA, ROOT
from tests.tui.stage_engine import NOW, StageEngine
from tests.tui.theatre import HandClock, screen_text, settle, told
from tests.waiting import until
from tui.app import BullpenApp
from tui.screens.chat.chat import ChatScreen
from tui.screens.dashboard.command_line import CommandScreen
from tui.screens.dashboard.dashboard import DashboardScreen
from tui.widgets.preview import Preview

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


@asynccontextmanager
async def far_from(
    engine: StageEngine, size: tuple[int, int] = (120, 36)
) -> AsyncIterator[tuple[BullpenApp, Pilot[Any], Line]]:
    """The rows have arrived, and nothing more does until the line is released."""
    far = FarEngine(engine, line=Line(1, 0.0, 0.002))
    app = BullpenApp(far, rehearsal=True, clock=HandClock())
    async with app.run_test(size=size, notifications=True) as pilot:
        await far.quiet()
        await pilot.pause()
        far.line.hold()
        yield app, pilot, far.line
        far.line.release()
        await far.quiet()
    far.close()
    assert app._exception is None


async def test_keys_dialogs_and_chats_work_while_no_answer_comes() -> None:
    engine = stage.busy()
    engine.conversations[DORA] = Conversation()
    engine.live_limits = {"helpdesk": {"pool.maxClients": "5"}, "": {"max_agents": "40"}}
    async with far_from(engine) as (app, pilot, line):
        await pilot.press("1", "p", "y", "question_mark", "escape", "2", "j", "space", "escape")
        assert isinstance(app.screen, DashboardScreen)
        await pilot.press("colon", *"set helpdesk.maxC")
        assert "pool.maxClients 5" in screen_text(app) or "maxClients 5" in screen_text(app), "from what is known"
        await pilot.press("escape")
        app.open_chats([DORA])
        await pilot.pause()
        assert isinstance(app.screen, ChatScreen)
        assert str(DORA) in screen_text(app)
        assert app.chats.transcript.conversation is None, "it has not arrived"
        await pilot.press(*"hello", "enter", *"and more")
        assert app.chats.prompt.text == "and more"
        await pilot.press("ctrl+j", "escape")
        assert isinstance(app.screen, DashboardScreen)
        assert engine.calls == [], "nothing has reached the engine"
        line.release()
        await until(lambda: len(engine.calls) == 2)
        assert [call[0] for call in engine.calls] == ["pause", "submit"], "in the order of the keys"
        await until(lambda: app.chats.panes[DORA].transcript.conversation is not None)


async def test_many_verbs_reach_a_slow_engine_in_the_order_of_the_keys() -> None:
    engine = stage.busy()
    async with far_from(engine) as (app, pilot, line):
        app.open_chats([DORA])
        await pilot.pause()
        words = [f"word {number}" for number in range(6)]
        for text in words:
            await pilot.press(*text, "enter")
        await pilot.press("up")
        assert app.chats.prompt.text == words[-1], "what is on its way can be recalled"
        line.release()
        await until(lambda: len(engine.calls) == len(words))
        assert [call[1].text for call in engine.calls] == words


async def test_a_prompt_that_is_refused_late_comes_back_before_what_was_typed_since() -> None:
    engine = stage.busy()
    async with far_from(engine) as (app, pilot, line):
        app.open_chats([DORA])
        await pilot.pause()
        engine.refuses_with = Refused("helpdesk is drained")
        await pilot.press(*"first", "enter", *"second")
        line.release()
        await until(lambda: "helpdesk is drained" in told(app))
        assert app.chats.prompt.text == "first\nsecond"
        assert app.chats.prompt.sent.count("first") == 0


async def test_an_answer_that_is_refused_late_brings_the_question_back_and_takes_no_focus() -> None:
    engine = stage.asking()
    async with far_from(engine) as (app, pilot, line):
        app.open_chats([ROOT])
        await pilot.pause()
        engine.refuses_with = Refused("the journal cannot be written")
        await pilot.press("f4")
        await pilot.press("a")
        dock = app.chats.pane.dock
        assert dock.oldest is None, "it counts as answered"
        await pilot.press(*"axy")
        assert app.chats.prompt.text == "axy", "its letters answer nothing twice"
        line.release()
        await until(lambda: "the journal cannot be written" in told(app))
        assert dock.oldest is not None
        assert app.screen.focused is app.chats.prompt
        await pilot.press("f4", "a")
        await until(lambda: engine.calls)
        assert engine.calls[0][:2] == ("answer", "q-1")


async def test_the_preview_shows_the_row_where_the_cursor_has_come_to_rest() -> None:
    engine = stage.busy()
    for key in engine.sessions:
        engine.conversations[key] = Conversation()
        engine.conversations[key].stream(f"words of {key.user}", "t")
    async with far_from(engine, size=(180, 50)) as (app, pilot, line):
        await pilot.press("3", "j", "j", "k", "j")
        await settle(app, pilot)
        line.release()

        def shows_its_words() -> bool:
            # Asked anew each time: the cursor rests a moment later where the machine is busy.
            row = app.screen._previewed
            return row is not None and f"words of {row.key.user}" in screen_text(app)

        await until(shows_its_words)
        row = app.screen._previewed
        assert row is not None
        assert str(row.key) in str(app.screen.query_one(Preview).border_title)


async def test_a_limit_that_is_refused_late_is_told_on_the_screen_where_the_operator_is_by_then() -> None:
    engine = stage.busy()
    async with far_from(engine) as (app, pilot, line):
        engine.refuses_with = Refused("maxClients must be a whole number")
        await pilot.press("colon", *"set helpdesk.maxClients x", "enter")
        await until(lambda: not isinstance(app.screen, CommandScreen))
        await pilot.press("question_mark")
        line.release()
        await until(lambda: "must be a whole number" in told(app))
        await pilot.press("escape", "colon")
        assert app.screen.query_one("#line", Input).value == "set helpdesk.maxClients x", "it need not be typed again"
        await pilot.press("escape", "colon")
        assert app.screen.query_one("#line", Input).value == ""


async def test_leaving_waits_for_what_was_told_last() -> None:
    engine = stage.empty()
    async with far_from(engine) as (app, pilot, line):
        await pilot.press("1", "p", "y", "ctrl+q")
        await pilot.pause()
        assert app.return_code is None
        line.release()
        await until(lambda: app.return_code == 0)
        assert [call[0] for call in engine.calls] == ["pause"]


async def test_a_limit_that_another_operator_changed_is_known_without_being_asked_for() -> None:
    engine = stage.busy()
    engine.live_limits = {name: {"pool.maxClients": "5"} for name in engine.instances}
    async with far_from(engine) as (app, pilot, line):
        line.release()
        await pilot.press("1", "d")
        assert "pool.maxClients" in screen_text(app)
        await pilot.press("escape")
        engine.live_limits = {name: {"pool.maxClients": "77"} for name in engine.instances}
        engine.happen(ActionTaken(at=NOW, verb="set", detail="maxClients 77"))
        await until(lambda: app.bridge.limits["admin"]["pool.maxClients"] == "77")
        await pilot.press("d")
        assert "77" in screen_text(app)
