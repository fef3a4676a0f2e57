"""What goes wrong is told where it is looked for: parked pools, stalled turns, a journal that cannot be written."""

from __future__ import annotations

import re

import pytest
from msgspec.structs import replace

from supervisor import InstanceState, Limit, Refused, SessionState, WhyWaiting
from tests.tui import stage, troubles
from tests.tui.stage import ANA, BEN, CARO, DORA, LOOKUP, ROOT
from tests.tui.theatre import HandClock, playing, screen_text, settle, told, until
from tui.screens.chat.chat import ChatScreen
from tui.screens.dashboard.dashboard import DashboardScreen
from tui.tables.rows import session_id

pytestmark = pytest.mark.anyio

FULL = Refused("the journal cannot be written: disk full")


async def test_a_parked_pool_counts_down_where_it_stands() -> None:
    clock = HandClock()
    async with playing(troubles.parked(), clock=clock) as (app, pilot):
        assert "helpdesk: rate limit, tries again in 0:42" in screen_text(app)
        assert "△ 2 parked 0:42" in screen_text(app).splitlines()[0]
        clock.now += 5
        await settle(app, pilot)
        assert "helpdesk: rate limit, tries again in 0:37" in screen_text(app)


async def test_the_resume_key_lets_a_parked_pool_try_at_once() -> None:
    engine = troubles.parked()
    async with playing(engine) as (app, pilot):
        await pilot.press("1")
        app.screen.instances.move_to("helpdesk")
        await pilot.press("p")
        await pilot.pause()
        assert engine.calls == [("resume", "helpdesk")]


async def test_no_key_is_promised_while_the_engine_is_out_of_reach() -> None:
    """The title, the row and its description: what would do it does nothing then."""
    clock, engine = HandClock(), stage.busy()
    engine.put(stage.instance("admin", state=InstanceState.STOPPED, resume_does="opens it again"))
    async with playing(engine, size=(200, 50), clock=clock) as (app, pilot):
        assert "p opens it again" in screen_text(app)
        app.bridge._engine.trouble = "the engine is out of reach"
        clock.now += 1
        await settle(app, pilot)
        assert "NOT CONNECTED" in screen_text(app).splitlines()[0]
        assert "opens it" not in screen_text(app)
        app.screen.instances.move_to("admin")
        await pilot.press("1", "d")
        await pilot.pause()
        assert "again" not in screen_text(app).partition("state")[2].splitlines()[0]
        await pilot.press("escape")
        app.bridge._engine.trouble = ""
        clock.now += 1
        await settle(app, pilot)
        assert "p opens it again" in screen_text(app)


async def test_no_decision_is_promised_while_the_engine_is_out_of_reach() -> None:
    """R2: of turns that a restart interrupted, in the inbox, in their sessions' rows and in their description."""
    clock = HandClock()
    async with playing(troubles.aftermath(), size=(200, 50), clock=clock) as (app, pilot):
        promised = screen_text(app).count("R replays")
        assert promised >= 4, "in both tables"
        app.bridge._engine.trouble = "the engine is out of reach"
        clock.now += 1
        await settle(app, pilot)
        assert "NOT CONNECTED" in screen_text(app).splitlines()[0]
        assert "R replays" not in screen_text(app)
        app.screen.sessions.move_to(session_id(ANA))
        await pilot.press("2", "d")
        await pilot.pause()
        assert "interrupted by a restart" in screen_text(app)
        assert "R replays" not in screen_text(app)
        await pilot.press("escape")
        app.bridge._engine.trouble = ""
        clock.now += 1
        await settle(app, pilot)
        assert screen_text(app).count("R replays") == promised


async def test_who_waits_for_a_parked_pool_is_told_when_it_tries_again() -> None:
    async with playing(troubles.parked(), size=(160, 36)) as (app, pilot):
        app.screen.open_chat(CARO)
        await settle(app, pilot)
        assert "rate-limit 42s · tries again in 0:42" in screen_text(app)


async def test_no_chat_promises_a_key_while_the_engine_is_out_of_reach() -> None:
    """The title, the waiting prompt and the facts beside it: a parked pool, and one whose turns are all in use."""
    clock, engine = HandClock(), troubles.parked()
    full = engine.instances["admin"]
    engine.put(
        replace(full, limit=Limit("maxSessions", 3, 3), active_sessions=3),
        replace(engine.sessions[ROOT], state=SessionState.WAITING, why=WhyWaiting.NO_SLOT, turn_id=""),
    )
    async with playing(engine, size=(200, 50), clock=clock) as (app, pilot):
        promised = {LOOKUP: "p on the dashboard tries again", ROOT: "s on the dashboard raises it"}
        for key, words in promised.items():
            app.screen.open_chat(key)
            await settle(app, pilot)
            assert words in screen_text(app)
            app.bridge._engine.trouble = "the engine is out of reach"
            clock.now += 1
            await settle(app, pilot)
            assert "NOT CONNECTED" in screen_text(app).splitlines()[0]
            assert words not in screen_text(app)
            app.bridge._engine.trouble = ""
            clock.now += 1
            await settle(app, pilot)
            await pilot.press("escape")
            await until(lambda: not isinstance(app.screen, ChatScreen))


async def test_a_silent_turn_shows_its_clocks() -> None:
    async with playing(troubles.stalled(), size=(200, 50)) as (app, pilot):
        assert "⊝ 1 stalled" in screen_text(app)
        assert "silent 2m10  Bash 1m" in screen_text(app)
        app.screen.sessions.move_to(session_id(BEN))
        await pilot.press("d")
        await pilot.pause()
        text = " ".join(screen_text(app).split())
        assert "silent for 2m10, Bash since 1m50, cpu 0%" in text
        assert "last event 2m10 ago, Bash in flight for 1m50" in text


async def test_a_client_above_a_ceiling_has_a_letter() -> None:
    async with playing(troubles.stalled()) as (app, _pilot):
        text = screen_text(app)
        for marked in ("912M H", "412M S", "2.4G P", "+61M"):
            assert marked in text


@pytest.mark.parametrize("size", [(60, 20), (80, 24), (200, 50)])
async def test_a_full_disk_cannot_be_missed(size: tuple[int, int]) -> None:
    """On the dashboard and in every chat, at every width."""
    async with playing(troubles.full_disk(), size=size) as (app, pilot):
        words = "JOURNAL: disk full: no new prompts"
        assert words in screen_text(app).splitlines()[0]
        app.screen.open_chat(DORA)
        await settle(app, pilot)
        assert words in screen_text(app).splitlines()[0]


async def test_reserved_memory_stands_beside_the_used() -> None:
    async with playing(troubles.full_disk(), size=(200, 50)) as (app, _pilot):
        assert re.search(r"\d\.\d\+0\.6/8\.0G", screen_text(app).splitlines()[0])


async def test_a_prompt_that_cannot_be_recorded_comes_back_to_who_wrote_it() -> None:
    """R2: refused in one line, and no word is lost, those typed in the meantime included."""
    engine = troubles.full_disk()
    engine.journal.fails_with = FULL
    engine.journal.is_written = type(engine.journal.is_written)()
    async with playing(engine) as (app, pilot):
        app.screen.open_chat(DORA)
        await settle(app, pilot)
        await pilot.press(*"first", "enter")
        await pilot.press(*"second")
        assert app.screen.prompt.text == "second"
        engine.journal.is_written.set()
        await settle(app, pilot)
        assert app.screen.prompt.text == "first\nsecond"
        assert told(app) == str(FULL)


async def test_words_refused_after_the_chat_was_left_wait_in_it() -> None:
    engine = troubles.full_disk()
    engine.journal.fails_with = FULL
    engine.journal.is_written = type(engine.journal.is_written)()
    async with playing(engine) as (app, pilot):
        app.screen.open_chat(DORA)
        await settle(app, pilot)
        await pilot.press(*"help", "enter")
        await pilot.press("ctrl+b")
        await pilot.pause()
        engine.journal.is_written.set()
        await settle(app, pilot)
        assert isinstance(app.screen, DashboardScreen)
        assert told(app) == str(FULL)
        app.screen.open_chat(DORA)
        await settle(app, pilot)
        assert isinstance(app.screen, ChatScreen)
        assert app.screen.prompt.text == "help"


async def test_one_waiting_turn_can_be_withdrawn() -> None:
    """From its chat the newest, by a line whichever is named."""
    engine = troubles.parked()
    (newest,) = (turn.turn_id for turn in engine.sessions[CARO].waiting)
    async with playing(engine) as (app, pilot):
        await pilot.press(":", *"withdraw helpdesk/caro/printer 1", "enter")
        await settle(app, pilot)
        app.screen.open_chat(CARO)
        await settle(app, pilot)
        await pilot.press("f8")
        await settle(app, pilot)
        assert engine.calls == [("withdraw", newest), ("withdraw", newest)]
