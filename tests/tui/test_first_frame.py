"""What is shown first, and what is made ready behind it."""

from __future__ import annotations

import pytest

from tests.tui import stage
from tests.tui.theatre import playing, settle
from tests.waiting import until
from tui.screens.dashboard.dashboard import DashboardScreen
from tui.screens.dialogs.help import HelpScreen, KeyTable

pytestmark = pytest.mark.anyio


async def test_the_first_frame_is_told_when_it_has_the_rows() -> None:
    """Whatever waits for it takes nothing away from it."""
    async with playing(stage.busy()) as (app, _):
        await until(app.painted.is_set)
        assert isinstance(app.screen, DashboardScreen)
        assert app.screen.is_laid_out
        assert app.screen.query("LiveTable, Table")


async def test_the_list_of_keys_is_mounted_before_it_is_wanted_and_shown_only_then() -> None:
    async with playing(stage.busy()) as (app, pilot):
        app.prepare_help()
        await settle(app, pilot)
        prepared = app.get_screen("help")
        assert prepared.is_running
        assert len(prepared.query(KeyTable)) == 2
        assert [type(one) for one in app.screen_stack[1:]] == [DashboardScreen]
        await pilot.press("question_mark")
        await settle(app, pilot)
        assert app.screen is prepared
        assert isinstance(app.screen, HelpScreen)
        await pilot.press("escape")
        await settle(app, pilot)
        assert isinstance(app.screen, DashboardScreen)
