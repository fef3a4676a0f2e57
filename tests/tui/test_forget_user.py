"""A person is forgotten from the dashboard: only after the name was typed once more."""

from __future__ import annotations

import pytest
from textual.widgets import Button, Input

from tests.tui import troubles
from tests.tui.theatre import playing, screen_text, settle
from tui.screens.dialogs.ask_text import AskTextScreen

pytestmark = pytest.mark.anyio


async def test_forgetting_a_user_wants_the_name_typed_and_says_what_goes() -> None:
    engine = troubles.parked()
    async with playing(engine) as (app, pilot):
        user = next(iter(app.bridge.sessions)).user
        count = sum(key.user == user for key in app.bridge.sessions)
        await pilot.press(":", *f"forget {user}", "enter")
        await settle(app, pilot)
        assert f"Forget {user}?" in screen_text(app)
        assert f"{count} session" in screen_text(app)
        assert "What was said to clerk stays" in screen_text(app)
        assert app.screen.query_one("#confirm", Button).disabled
        assert app.focused is app.screen.query_one("#typed", Input)
        await pilot.press(*user[:-1], "enter")
        await settle(app, pilot)
        assert engine.calls == []
        await pilot.press(user[-1], "enter")
        await settle(app, pilot)
        assert engine.calls == [("forget_user", user)]


async def test_a_user_without_a_session_is_told_in_place() -> None:
    engine = troubles.parked()
    async with playing(engine) as (app, pilot):
        await pilot.press(":", *"forget nobody-here", "enter")
        await settle(app, pilot)
        assert isinstance(app.screen, AskTextScreen)
        assert "no session is nobody-here's" in screen_text(app)
        assert engine.calls == []
