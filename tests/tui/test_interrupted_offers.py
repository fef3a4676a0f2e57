"""Turns that a restart interrupted: seen at once, decided on with one key and a question, told when refused."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from supervisor import SessionState, UnknownTarget
from tests.tui import stage, troubles
from tests.tui.stage import ANA, CARO, DORA
from tests.tui.stage_engine import NOW, StageEngine
from tests.tui.theatre import playing, screen_text, settle, told
from tui.screens.chat.chat import ChatScreen
from tui.screens.dashboard.dashboard import DashboardScreen
from tui.screens.dialogs.confirm import ConfirmScreen
from tui.tables.rows import session_id
from tui.widgets.offer_card import OfferCard

pytestmark = pytest.mark.anyio

KEYS = [("R", "replay"), ("Z", "drop_offer")]


def only_offers() -> StageEngine:
    engine = troubles.aftermath()
    for question in list(engine.questions):
        engine.remove_question(question)
    return engine


@pytest.mark.parametrize("size", [(80, 24), (120, 36)])
async def test_an_operator_who_comes_after_a_crash_sees_at_once_what_waits_for_a_decision(
    size: tuple[int, int],
) -> None:
    """R2: header and inbox count the interrupted turns."""
    async with playing(troubles.aftermath(), size=size) as (app, _pilot):
        text = screen_text(app)
        assert "↺ 3 interrupted" in text.splitlines()[0]
        assert "5 waiting for you · 3 interrupted by a restart" in text
        assert app.screen.inbox.row_count == 5


async def test_without_questions_the_inbox_shows_the_offers() -> None:
    async with playing(only_offers()) as (app, pilot):
        assert app.screen.inbox.display
        await pilot.press("i")
        await pilot.pause()
        assert isinstance(app.screen, ChatScreen)
        assert app.screen.key == ANA


@pytest.mark.far
@pytest.mark.parametrize(("key", "verb"), KEYS)
async def test_a_key_asks_first_and_then_decides(key: str, verb: str) -> None:
    """R2: replay and drop, from the row of the session and from the inbox."""
    engine = only_offers()
    async with playing(engine) as (app, pilot):
        app.screen.sessions.move_to(session_id(CARO))
        await pilot.press(key)
        await pilot.pause()
        assert isinstance(app.screen, ConfirmScreen)
        assert engine.calls == []
        await pilot.press("right", "enter")
        await settle(app, pilot)
        assert engine.calls == [(verb, CARO)]
        await pilot.press("4", key, "right", "enter")
        await settle(app, pilot)
        assert engine.calls[1:] == [(verb, ANA)]


@pytest.mark.parametrize(("key", "verb"), KEYS)
async def test_enter_alone_decides_nothing(key: str, verb: str) -> None:
    engine = only_offers()
    async with playing(engine) as (app, pilot):
        app.screen.sessions.move_to(session_id(ANA))
        await pilot.press(key, "enter")
        await pilot.pause()
        assert isinstance(app.screen, DashboardScreen)
        assert engine.calls == []


async def test_a_replay_says_that_tools_may_act_a_second_time() -> None:
    async with playing(only_offers()) as (app, pilot):
        app.screen.sessions.move_to(session_id(ANA))
        await pilot.press("R")
        await pilot.pause()
        text = " ".join(screen_text(app).split())
        assert "act a second time" in text
        assert "Can you do it for me?" in text


async def test_a_session_without_an_offer_has_neither_key() -> None:
    engine = only_offers()
    async with playing(engine) as (app, pilot):
        app.screen.sessions.move_to(session_id(DORA))
        await pilot.press("R", "Z")
        await pilot.pause()
        assert isinstance(app.screen, DashboardScreen)
        assert engine.calls == []


@pytest.mark.parametrize(
    ("word", "verb"), [("replay", "replay"), pytest.param("drop", "drop_offer", marks=pytest.mark.exhaustive)]
)
async def test_the_same_can_be_typed(word: str, verb: str) -> None:
    engine = only_offers()
    async with playing(engine) as (app, pilot):
        await pilot.press(":", *f"{word} helpdesk/ana/ticket-4711", "enter")
        await pilot.pause()
        await pilot.press("right", "enter")
        await settle(app, pilot)
        assert engine.calls == [(verb, ANA)]
        await pilot.press(":", *f"{word} helpdesk/dora/vpn", "enter")
        await pilot.pause()
        assert "has no interrupted turn" in screen_text(app)


@pytest.mark.far
@pytest.mark.parametrize(("key", "verb"), KEYS)
async def test_the_chat_has_a_card_with_the_same_keys(key: str, verb: str) -> None:
    engine = only_offers()
    async with playing(engine) as (app, pilot):
        app.screen.open_chat(ANA)
        await settle(app, pilot)
        text = screen_text(app)
        assert "Interrupted by a restart at" in text
        assert "dropped in 58m" in text
        await pilot.press("f4", key)
        await pilot.pause()
        await pilot.press("right", "enter")
        await settle(app, pilot)
        assert engine.calls == [(verb, ANA)]


@pytest.mark.far
@pytest.mark.parametrize("typed", ["", "Hi "])
async def test_typing_in_the_message_decides_nothing(typed: str) -> None:
    engine = only_offers()
    before = replace(engine.sessions[ANA], offer=None, state=SessionState.IDLE)
    interrupted = engine.sessions[ANA]
    engine.put(before)
    async with playing(engine) as (app, pilot):
        app.screen.open_chat(ANA)
        await settle(app, pilot)
        await pilot.press(*typed)
        engine.put(interrupted)
        await settle(app, pilot)
        assert app.screen.query(OfferCard)
        await pilot.press(*"RZ")
        assert app.screen.prompt.text == f"{typed}RZ"
        assert isinstance(app.screen, ChatScreen)


@pytest.mark.far
async def test_a_decided_offer_leaves_and_the_prompt_has_the_focus() -> None:
    engine = only_offers()
    async with playing(engine) as (app, pilot):
        app.screen.open_chat(ANA)
        await settle(app, pilot)
        await pilot.press("f4")
        assert app.screen.query_one(OfferCard).has_focus
        engine.put(replace(engine.sessions[ANA], offer=None, state=SessionState.IDLE))
        await settle(app, pilot)
        assert not app.screen.query(OfferCard)
        assert app.screen.prompt.has_focus


@pytest.mark.far
async def test_a_decision_that_came_too_late_is_told() -> None:
    engine = only_offers()
    async with playing(engine) as (app, pilot):
        app.screen.sessions.move_to(session_id(ANA))
        await pilot.press("Z")
        engine.refuses_with = UnknownTarget("helpdesk/ana/ticket-4711 has no interrupted turn on offer")
        await pilot.press("right", "enter")
        await settle(app, pilot)
        assert told(app) == "helpdesk/ana/ticket-4711 has no interrupted turn on offer"


@pytest.mark.far
async def test_a_replay_that_cannot_be_recorded_is_told() -> None:
    """R2: it counts when it is recorded."""
    engine = only_offers()
    engine.journal.fails_with = UnknownTarget("the journal cannot be written: disk full")
    async with playing(engine) as (app, pilot):
        app.screen.sessions.move_to(session_id(ANA))
        await pilot.press("R", "right", "enter")
        await settle(app, pilot)
        assert "disk full" in told(app)


async def test_an_interrupted_turn_can_be_filtered_and_described() -> None:
    async with playing(troubles.aftermath()) as (app, pilot):
        await pilot.press("/", *"interrupted", "enter")
        assert set(app.screen.sessions.keys) == {session_id(ANA), session_id(CARO), session_id(stage.MIRA)}
        app.screen.sessions.move_to(session_id(CARO))
        await pilot.press("d")
        await pilot.pause()
        text = screen_text(app)
        assert "interrupted by a restart at 14:11: R replays, Z drops" in text
        assert "“The printer" in text


async def test_an_offer_that_expired_meanwhile_says_so() -> None:
    engine = only_offers()
    engine.put(replace(engine.sessions[ANA], offer=troubles.offer(ANA, "late", expires_at=NOW - 1)))
    async with playing(engine) as (app, pilot):
        app.screen.open_chat(ANA)
        await settle(app, pilot)
        assert "dropped now" in screen_text(app)


@pytest.mark.parametrize(
    "press",
    [
        ["R"],
        ["i", "d"],
        *(pytest.param(keys, marks=pytest.mark.exhaustive) for keys in (["Z"], ["d"], ["enter"], ["4", "d"])),
    ],
)
async def test_an_interrupted_prompt_neither_crashes_nor_acts(press: list[str]) -> None:
    """R5: its text comes from outside and stands on every screen."""
    engine = only_offers()
    async with playing(engine) as (app, pilot):
        for text in (
            "[/nope]",
            "[@click=app.quit]x[/]",
            "\x1b[2J\x1b]52;c;aGk=\x07",
            "a\u202eb",
            "line\nbreak",
            "\ud800",
        ):
            engine.put(replace(engine.sessions[ANA], offer=troubles.offer(ANA, text)))
            await settle(app, pilot)
            app.screen.sessions.move_to(session_id(ANA))
            await pilot.press(*press)
            await settle(app, pilot)
            assert app.is_running
            assert not set(screen_text(app)) & set("\x1b\x07\u202e\ud800")
            assert engine.calls == []
            await pilot.press("escape", "escape", "escape")
            await settle(app, pilot)
            assert isinstance(app.screen, DashboardScreen)
