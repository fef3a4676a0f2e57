"""The list dialog: what is no row of the dashboard, current while it is open, and every cell whole on enter."""

from __future__ import annotations

import pytest

from supervisor import ActionTaken, JournalFailed
from tests.tui import stage
from tests.tui.stage_engine import StageEngine
from tests.tui.theatre import playing, screen_text
from tests.waiting import until
from tui.operator.listings import LISTINGS, Listing
from tui.screens.dialogs.describe import DescribeScreen
from tui.screens.dialogs.listing import ListingScreen
from tui.wording.columns import fit

pytestmark = pytest.mark.anyio


class Audited(StageEngine):
    done: tuple[ActionTaken, ...] = ()
    fails = False

    async def audit(self, count: int = 100) -> tuple[ActionTaken, ...]:
        if self.fails:
            raise JournalFailed("the disk is full")
        return self.done


def action(number: int, **ids: str) -> ActionTaken:
    return ActionTaken(at=1_700_000_000.0 + number, verb="pause", detail=f"because {number} \x1b[31mred", **ids)


def engine_of(*done: ActionTaken) -> Audited:
    engine = Audited()
    engine.put(*stage.busy().instances.values(), *stage.busy().sessions.values())
    engine.done = done
    return engine


async def test_a_list_shows_a_line_for_each_row_and_stays_current() -> None:
    """Also at 80 columns, where cells give way; control characters never reach the screen."""
    engine = engine_of()
    async with playing(engine, size=(80, 24)) as (app, pilot):
        await pilot.press(":", *"audit", "enter")
        await until(lambda: "no operator has done anything yet" in screen_text(app))
        assert isinstance(app.screen, ListingScreen)
        engine.done = tuple(action(number, instance="helpdesk") for number in range(40))
        await until(lambda: "because 2" in screen_text(app))
        assert "\x1b" not in screen_text(app)
        assert "WHEN" in screen_text(app)
        await pilot.press("G")
        await until(lambda: "because 39" in screen_text(app))
        await pilot.press("enter")
        assert isinstance(app.screen, DescribeScreen)
        assert "because 39 �[31mred" in screen_text(app)
        await pilot.press("escape", "escape")
        assert not isinstance(app.screen, ListingScreen)


async def test_the_cursor_stays_when_rows_come() -> None:
    engine = engine_of(*(action(number, instance="helpdesk") for number in range(5)))
    async with playing(engine) as (app, pilot):
        await pilot.press(":", *"audit", "enter")
        await until(lambda: "because 4" in screen_text(app))
        await pilot.press("down", "down")
        engine.done = (*engine.done, action(5, instance="admin"))
        await until(lambda: "because 5" in screen_text(app))
        await pilot.press("enter")
        assert "because 2" in screen_text(app)


async def test_what_cannot_be_read_is_told_in_its_place() -> None:
    engine = engine_of()
    engine.fails = True
    async with playing(engine) as (app, pilot):
        await pilot.press(":", *"audit", "enter")
        await until(lambda: "the disk is full" in screen_text(app))
        engine.fails = False
        await until(lambda: "no operator has done anything yet" in screen_text(app))


def test_columns_give_way_the_last_first_and_then_the_widest() -> None:
    lines = fit([("WHEN", "WHAT", "DETAIL"), ("12:00", "a" * 30, "b" * 60)], 50)
    assert lines[1] == f"12:00  {'a' * 20}…  {'b' * 19}…"
    assert fit([("A", "B"), ("1", "2")], 40) == ["A  B", "1  2"]
    assert all(len(line) <= 10 for line in fit([("A" * 20, "B" * 20, "C" * 20)], 10))
    assert fit([("A",), ("日本語日本語",)], 9)[1] == "日本語日…"


@pytest.mark.parametrize("listing", LISTINGS.values(), ids=lambda listing: listing.name)
def test_every_list_has_a_title_headings_and_a_sentence_for_none(listing: Listing) -> None:
    assert listing.title
    assert listing.none
    assert all(column == column.upper() for column in listing.columns)
