"""Theme, sort, filter and scope outlive the program."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tui import stage
from tests.tui.theatre import playing, screen_text, settle, told
from tui.preferences import FILE, PreferenceFile

pytestmark = pytest.mark.anyio


async def test_the_next_start_looks_as_the_last_one_was_left(tmp_path: Path) -> None:
    kept = PreferenceFile(tmp_path)
    async with playing(stage.busy(), kept=kept) as (app, pilot):
        await pilot.press("M", "M", "1", "down", "down", "0", "2", "/", *"ticket", "enter")
        app.theme = "nord"
        await settle(app, pilot)
        left = app.screen.sessions.keys
        app.exit()
    async with playing(stage.busy(), kept=kept) as (app, pilot):
        await settle(app, pilot)
        assert app.theme == "nord"
        assert app.screen.sessions.sorting == ("memory", False)
        assert app.screen.sessions.filter_text == "ticket"
        assert "only helpdesk" in screen_text(app)
        assert app.screen.sessions.keys == left


async def test_what_is_not_there_any_more_is_left_out(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text('{"theme": "gone", "sort": {"sessions": ["gone", true]}, "scope": "gone"}')
    async with playing(stage.busy(), kept=PreferenceFile(tmp_path)) as (app, _pilot):
        assert app.theme == "bullpen-dark"
        assert app.screen.sessions.sorting[0] is None
        assert app.screen.sessions.row_count == 9


async def test_a_broken_file_is_told_once_and_the_dashboard_works(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("{")
    async with playing(stage.busy(), kept=PreferenceFile(tmp_path)) as (app, _pilot):
        assert FILE in told(app)
        assert len(told(app).splitlines()) == 1
        assert app.screen.sessions.row_count == 9
