"""The line of keys at the lower edge: one widget, drawn anew only when it says something else; the mouse presses its
keys."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.strip import Strip

from tests.tui import stage
from tests.tui.theatre import playing, screen_text, settle
from tui.app import BullpenApp
from tui.screens.dialogs.confirm import ConfirmScreen
from tui.widgets.fittedfooter import FittedFooter, LineKey

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("every_frame")]


def words(app: BullpenApp) -> list[str]:
    return [key.word for key in line_of(app).keys]


def line_of(app: BullpenApp) -> FittedFooter:
    return app.screen.query_one(FittedFooter)


async def point_at(pilot: Pilot[Any], word: str, act: Callable[..., Any]) -> None:
    """The pilot's click or hover, in the middle of the word."""
    app = pilot.app
    (row,) = app.screen._compositor.render_strips()[-1:]
    await act(None, offset=(row.text.index(word) + len(word) // 2, app.size.height - 1))
    await pilot.pause()


async def test_the_line_of_keys_is_drawn_anew_only_for_other_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """The focus moves all the time."""
    drawn = 0
    draw = FittedFooter.render_line

    def counting(self: FittedFooter, y: int) -> Strip:
        nonlocal drawn
        drawn += 1
        return draw(self, y)

    monkeypatch.setattr(FittedFooter, "render_line", counting)
    async with playing(stage.asking()) as (app, pilot):
        await settle(app, pilot)
        before, drawn_before = words(app), drawn
        app.screen.refresh_bindings()
        await settle(app, pilot)
        assert drawn == drawn_before
        await pilot.press("z" if app.screen.focused is None else "/")
        await settle(app, pilot)
        assert words(app) != before
        assert drawn > drawn_before


async def test_a_narrow_line_shows_fewer_keys_and_the_list_of_all_of_them() -> None:
    async with playing(stage.busy(), size=(120, 24)) as (app, pilot):
        await settle(app, pilot)
        wide = words(app)
        assert wide[-1] == "palette"
        await pilot.resize_terminal(30, 24)
        await settle(app, pilot)
        assert 0 < len(words(app)) < len(wide)
        assert "help" in words(app)
        assert "palette" not in words(app)


async def test_a_click_on_a_key_of_the_line_presses_it() -> None:
    async with playing(stage.busy()) as (app, pilot):
        await settle(app, pilot)
        await point_at(pilot, "drain", pilot.click)
        await settle(app, pilot)
        assert isinstance(app.screen, ConfirmScreen)


async def test_a_click_beside_the_keys_and_on_a_key_that_is_off_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    bells = 0

    def bell() -> None:
        nonlocal bells
        bells += 1

    async with playing(stage.busy()) as (app, pilot):
        await settle(app, pilot)
        monkeypatch.setattr(app, "bell", bell)
        front = app.screen
        await pilot.click(None, offset=(90, app.size.height - 1))
        assert bells == 0
        line = line_of(app)
        line._keys = [key._replace(is_enabled=key.word != "drain") for key in line._keys]
        line.refresh()
        await pilot.pause()
        await point_at(pilot, "drain", pilot.click)
        assert bells == 1
        assert app.screen is front


async def test_the_key_under_the_mouse_is_explained() -> None:
    async with playing(stage.busy()) as (app, pilot):
        await settle(app, pilot)
        line = line_of(app)
        tips: dict[str, LineKey] = {key.word: key for key in line.keys}
        for word in ("new", "quit", "palette"):
            await point_at(pilot, word, pilot.hover)
            assert line.tooltip == tips[word].tooltip != ""
        await pilot.hover(None, offset=(90, app.size.height - 1))
        assert line.tooltip is None
        await point_at(pilot, "quit", pilot.hover)
        await pilot.hover(None, offset=(5, 5))
        assert line.tooltip is None
        assert "quit" in screen_text(app)
