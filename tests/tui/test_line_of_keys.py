"""The line of keys at the lower edge costs something only when it says something else."""

from __future__ import annotations

import pytest
from textual.widgets._footer import FooterKey

from tests.tui import stage
from tests.tui.theatre import playing, settle
from tui.widgets.fittedfooter import FittedFooter

pytestmark = pytest.mark.anyio


async def test_the_line_of_keys_is_made_anew_only_for_other_keys() -> None:
    """Each key of it is a widget, and the focus moves all the time."""
    async with playing(stage.asking()) as (app, pilot):
        await settle(app, pilot)
        footer = app.screen.query_one(FittedFooter)

        def keys() -> list[FooterKey]:
            return list(footer.query(FooterKey))

        before = keys()
        app.screen.refresh_bindings()
        await settle(app, pilot)
        assert keys() == before
        await pilot.press("z" if app.screen.focused is None else "/")
        await settle(app, pilot)
        assert [key.description for key in keys()] != [key.description for key in before]
        await pilot.resize_terminal(60, 24)
        await settle(app, pilot)
        assert 0 < len(keys()) < len(before)
