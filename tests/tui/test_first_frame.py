"""What is shown first, and what is made ready behind it."""

from __future__ import annotations

from typing import Any

import pytest
from textual.css.stylesheet import Stylesheet

from supervisor import BullpenError
from tests.tui import stage
from tests.tui.stage_engine import StageEngine
from tests.tui.theatre import playing, settle
from tests.waiting import until
from tui.app import BullpenApp
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


async def test_no_screen_is_below_the_dashboard_and_no_sheet_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    again: list[Stylesheet] = []
    monkeypatch.setattr(Stylesheet, "reparse", again.append)
    async with playing(stage.busy()) as (app, _):
        await until(app.painted.is_set)
        assert [type(one) for one in app.screen_stack] == [DashboardScreen]
        assert again == []
        assert app.screen.styles.background.hex == app.theme_variables["background"], "in the colours that were chosen"


async def test_an_engine_that_is_out_of_reach_is_one_line_and_no_screen(capfd: pytest.CaptureFixture[str]) -> None:
    class OutOfReach(StageEngine):
        async def watch(self) -> Any:
            raise BullpenError("it does not answer")

    app = BullpenApp(OutOfReach(), rehearsal=True)
    await app.run_async(headless=True)
    assert app.return_code == 1
    assert app.screen_stack == []
    assert capfd.readouterr().err == "it does not answer\n"


async def test_the_list_of_keys_is_mounted_before_it_is_wanted_and_shown_only_then() -> None:
    async with playing(stage.busy()) as (app, pilot):
        app.prepare_help()
        await settle(app, pilot)
        prepared = app.get_screen("help")
        assert prepared.is_running
        assert len(prepared.query(KeyTable)) == 2
        assert [type(one) for one in app.screen_stack] == [DashboardScreen]
        await pilot.press("question_mark")
        await settle(app, pilot)
        assert app.screen is prepared
        assert isinstance(app.screen, HelpScreen)
        await pilot.press("escape")
        await settle(app, pilot)
        assert isinstance(app.screen, DashboardScreen)
