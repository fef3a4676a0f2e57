"""Limits that are changed live: named with the value that holds now, refused in place."""

from __future__ import annotations

import pytest
from textual.widgets import Input

from supervisor import Refused
from tests.tui import troubles
from tests.tui.theatre import command, playing, screen_text, settle, told
from tui.screens.dashboard.dashboard import DashboardScreen
from tui.screens.dialogs.ask_text import AskTextScreen

pytestmark = pytest.mark.anyio


@pytest.mark.far
@pytest.mark.parametrize(
    ("line", "call"),
    [
        ("set helpdesk.maxClients 8", ("adjust", "helpdesk", "maxClients", "8")),
        ("set helpdesk.pool.idleTtl 5m", ("adjust", "helpdesk", "pool.idleTtl", "5m")),
        ("set max_agents 40", ("adjust", "", "max_agents", "40")),
    ],
)
async def test_a_limit_is_set_by_a_line(line: str, call: tuple[str, ...]) -> None:
    """S2.27: changed live, of an instance and of the host."""
    engine = troubles.parked()
    async with playing(engine) as (app, pilot):
        await pilot.press(":", *line, "enter")
        await settle(app, pilot)
        assert engine.calls == [call]
        assert isinstance(app.screen, DashboardScreen)
        assert f"is {call[-1]} until the next restart" in told(app)


@pytest.mark.far
async def test_a_word_in_place_of_a_value_is_told_with_its_number() -> None:
    """A name before the dot that is no agent's and no section's is answered with the nearest agent."""
    engine = troubles.parked()
    engine.live_limits = {"helpdesk": {"pool.maxClients": "5"}, "": {"budgets.user.cost_per_day": "none"}}
    async with playing(engine) as (app, pilot):
        await pilot.press(":", *"set helpdesk.maxClients configured", "enter")
        await settle(app, pilot)
        assert "helpdesk.pool.maxClients is 5 again, as configured" in told(app)
        await pilot.press(":", *"set budgets.user.cost_per_day default", "enter")
        await settle(app, pilot)
        assert "budgets.user.cost_per_day is none, the default, until the next restart" in told(app)
        await pilot.press(":", *"set helpdsk.maxClients 3", "enter")
        await pilot.pause()
        assert "no agent helpdsk; did you mean helpdesk?" in screen_text(app)


@pytest.mark.far
async def test_a_refused_limit_is_answered_in_place_and_the_line_stays() -> None:
    engine = troubles.parked()
    async with playing(engine) as (app, pilot):
        await pilot.press(":", *"set helpdesk.maxCleints 8")
        engine.refuses_with = Refused("maxCleints is not a limit; did you mean pool.maxClients?")
        await pilot.press("enter")
        await pilot.pause()
        assert isinstance(app.screen, AskTextScreen)
        assert "did you mean pool.maxClients?" in screen_text(app)
        assert engine.calls == []


@pytest.mark.far
async def test_the_present_value_is_shown_while_a_limit_is_typed() -> None:
    async with playing(troubles.parked()) as (app, pilot):
        await pilot.press(":", *"set helpdesk.maxClients ")
        await pilot.pause()
        assert "helpdesk.pool.maxClients is 5 now" in screen_text(app)


@pytest.mark.parametrize(
    ("typed", "line"),
    [
        ("set helpdesk.maxC", "set helpdesk.maxClients 5"),
        ("set helpdesk.pool.i", "set helpdesk.pool.idleTtl 10m"),
        ("set max_", "set max_agents 20"),
        ("pause l", "pause lookup"),
    ],
)
async def test_a_line_is_completed_with_its_present_value(typed: str, line: str) -> None:
    async with playing(troubles.parked()) as (app, pilot):
        await pilot.press(":", *typed)
        await settle(app, pilot)
        await pilot.press("right")
        await pilot.pause()
        field = app.screen.query_one("#line", Input)
        assert field.value == line
        assert field.selected_text == (line.split()[-1] if line.startswith("set") else ""), "it is typed over"


@pytest.mark.parametrize(
    ("line", "answer"),
    [("set", "set what?"), ("set helpdesk.maxClients", "to what?"), ("set nosuch.maxClients 3", "no agent")],
)
async def test_half_a_line_is_not_sent(line: str, answer: str) -> None:
    engine = troubles.parked()
    async with playing(engine) as (app, pilot):
        await command(app, pilot, line)
        assert answer in screen_text(app)
        assert engine.calls == []


async def test_limits_stand_in_the_description_of_an_instance_and_of_the_host() -> None:
    async with playing(troubles.parked(), size=(120, 50)) as (app, pilot):
        await pilot.press("1")
        app.screen.instances.move_to("helpdesk")
        await pilot.press("d")
        await pilot.pause()
        assert "pool: maxClients 5, spares 1, idleTtl 10m" in screen_text(app)
        await pilot.press("escape", "H")
        await pilot.pause()
        assert "max_agents 20" in screen_text(app)
