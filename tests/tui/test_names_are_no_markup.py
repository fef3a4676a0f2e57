"""Names of instances are other people's words: whatever is in them is shown as it is, and is no markup."""

from __future__ import annotations

import pytest

from supervisor import SessionKey
from tests.tui import stage
from tests.tui.stage_engine import StageEngine
from tests.tui.theatre import playing, screen_text, settle

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("name", ["[/x] [red]Rev", "日本語レビュー", "a" * 200])
async def test_every_name_can_be_looked_at_chatted_with_and_acted_on(name: str) -> None:
    engine = StageEngine()
    engine.put(stage.instance(name, sessions=1))
    key = SessionKey(name, "ana", "default")
    engine.put(stage.session(key))
    async with playing(engine) as (app, pilot):
        await settle(app, pilot)
        assert name[:3] in screen_text(app)
        for keys in (
            ["1", "d", "escape"],
            ["1", "enter"],
            ["escape"],
            ["slash", "left_square_bracket", "slash", "escape"],
        ):
            await pilot.press(*keys)
            await settle(app, pilot)
        await pilot.press("1", "K")
        await settle(app, pilot)
        assert name[:3] in screen_text(app)
        await pilot.press("escape", "2", "enter")
        await settle(app, pilot)
        assert name[:3] in screen_text(app)
