"""Leaving: at once when nothing would be lost, else asked first, and taken back as it was."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from supervisor import InstanceState, WhyWaiting
from tests.tui import stage
from tests.tui.stage import ANA, EMIL
from tests.tui.theatre import HandClock, playing, screen_text, settle, told
from tests.waiting import until
from tui.operator import consequences
from tui.screens.dashboard.dashboard import DashboardScreen
from tui.screens.dialogs.quit import DrainingScreen, QuitScreen

pytestmark = pytest.mark.anyio


async def test_a_clean_bullpen_is_left_at_once() -> None:
    async with playing(stage.empty()) as (app, pilot):
        await pilot.press("ctrl+q")
        await pilot.pause()
        assert app.return_code == 0


async def test_quitting_says_what_would_end_and_enter_stays() -> None:
    engine = stage.busy()
    async with playing(engine) as (app, pilot):
        await pilot.press("ctrl+q")
        await pilot.pause()
        assert isinstance(app.screen, QuitScreen)
        assert "4 running turns would be cut off" in screen_text(app)
        engine.put(replace(engine.instances["clerk"], active_sessions=0))
        await settle(app, pilot)
        app.screen.count_again()
        assert "3 running turns would be cut off" in screen_text(app), "it counts again while it is open"
        await pilot.press("enter")
        await pilot.pause()
        assert app.return_code is None
        assert engine.calls == []


async def test_drain_and_quit_leaves_when_everything_is_drained() -> None:
    """S1.17, design §5: the dialog offers drain, and the program goes when the engine says so."""
    engine = stage.busy()
    async with playing(engine) as (app, pilot):
        await pilot.press("ctrl+q", "right", "enter")
        await pilot.pause()
        assert isinstance(app.screen, DrainingScreen)
        assert "what waits runs then" in " ".join(screen_text(app).split())
        assert sorted(call for call in engine.calls if call[0] == "drain") == [
            ("drain", name, "before end") for name in ("admin", "clerk", "helpdesk", "lookup")
        ]
        assert app.return_code is None
        engine.everything_drained.set()
        await pilot.pause()
        await pilot.pause()
        assert app.return_code == 0


@pytest.mark.parametrize("deadline", [0, 0.05])
async def test_drain_and_quit_leaves_when_the_time_to_drain_is_over(deadline: float) -> None:
    """R2: what is left then is for the end of bullpen, which keeps it."""
    engine = stage.busy()
    engine.put_host(drain_deadline=deadline)
    async with playing(engine) as (app, pilot):
        await pilot.press("ctrl+q", "right", "enter")
        await until(lambda: app.return_code == 0)
    assert not engine.everything_drained.is_set()


async def test_the_drain_before_quitting_is_taken_back_as_it_was() -> None:
    engine = stage.busy()
    engine.put(replace(engine.instances["clerk"], state=InstanceState.PAUSED))
    async with playing(engine) as (app, pilot):
        await pilot.press("ctrl+q", "right", "enter")
        await pilot.pause()
        engine.calls.clear()
        await pilot.press("u")
        await pilot.pause()
        assert isinstance(app.screen, DashboardScreen)
        assert ("pause", "clerk") in engine.calls
        assert {call[1] for call in engine.calls if call[0] == "resume"} == set(engine.instances)
        engine.everything_drained.set()
        await pilot.pause()
        assert app.return_code is None


async def test_a_drain_of_the_operators_is_taken_over_by_the_end_and_begins_anew_when_that_is_taken_back() -> None:
    """R2: at its own deadline it would cancel what waits, which the end keeps."""
    engine = stage.busy()
    engine.put(
        replace(engine.instances["clerk"], state=InstanceState.DRAINING),
        replace(engine.instances["admin"], state=InstanceState.DRAINING, is_removed=True),
    )
    async with playing(engine) as (app, pilot):
        await pilot.press("ctrl+q", "right", "enter")
        await pilot.pause()
        drained = sorted(call for call in engine.calls if call[0] == "drain")
        assert drained == [("drain", name, "before end") for name in ("clerk", "helpdesk", "lookup")]
        engine.calls.clear()
        await pilot.press("u")
        await app.verbs.idle()
        assert [call for call in engine.calls if call[1:2] == ("clerk",)] == [("resume", "clerk"), ("drain", "clerk")]
        assert not [call for call in engine.calls if call[1:2] == ("admin",)]


async def test_a_turn_whose_question_waits_without_a_client_counts_as_one_that_has_begun() -> None:
    """It is offered at the next start, as those that run are."""
    engine = stage.asking()
    detached = replace(
        engine.sessions[EMIL], turn_id="", client_id="", waiting=(stage.waiting(1, WhyWaiting.QUESTION, 540, "Which?"),)
    )
    engine.put(detached, replace(engine.instances["helpdesk"], waiting=engine.instances["helpdesk"].waiting + 1))
    async with playing(engine) as (app, _):
        bare = app.bridge.work()
        first, second, third = consequences.of_quit(app.bridge)[:3]
    assert first.startswith(f"{bare.running + 1} running turns would be cut off")
    assert second.startswith(f"{bare.asking + 1} of them wait for your answer")
    assert third.startswith(f"{bare.queued - 1} waiting turn")


async def test_ctrl_c_says_which_key_leaves() -> None:
    async with playing(stage.busy()) as (app, pilot):
        await pilot.press("ctrl+c")
        await settle(app, pilot)
        assert "ctrl+q leaves" in told(app)
        assert app.return_code is None


async def test_a_drain_before_quitting_can_be_looked_after() -> None:
    """Whoever holds it up may be waiting for an answer; it goes on, and ctrl+q shows it again."""
    engine, clock = stage.busy(), HandClock()
    async with playing(engine, clock=clock) as (app, pilot):
        await pilot.press("ctrl+q", "right", "enter")
        await pilot.pause()
        await pilot.press("enter")
        await pilot.pause()
        assert isinstance(app.screen, DashboardScreen)
        clock.now += 1
        await settle(app, pilot)
        assert "ENDS WHEN DRAINED" in screen_text(app)
        app.open_chats([ANA])
        await settle(app, pilot)
        assert "ENDS WHEN DRAINED" in screen_text(app), "also in a chat"
        await pilot.press("ctrl+q")
        await pilot.pause()
        assert isinstance(app.screen, DrainingScreen)
        await pilot.press("escape")
        await pilot.pause()
        assert not [call for call in engine.calls if call[0] == "resume"]
        engine.everything_drained.set()
        await pilot.pause()
        await pilot.pause()
        assert app.return_code == 0
