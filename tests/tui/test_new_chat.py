"""The dialog that begins a conversation."""

from __future__ import annotations

import pytest
from textual.widgets import Input

from supervisor import Archetype, Prompt, SessionKey, Source
from supervisor.conversation import Conversation
from tests.tui import stage
from tests.tui.stage import EMIL
from tests.tui.stage_engine import StageTicket
from tests.tui.theatre import playing, screen_text, settle
from tests.waiting import until
from tui.app import BullpenApp
from tui.screens.chat.chat import ChatScreen
from tui.screens.dialogs.new_chat import AgentList
from tui.widgets.question_card import ChoiceCard

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("size", [(80, 24), (120, 36)])
async def test_the_agent_of_a_new_chat_is_in_sight_however_small_the_screen(size: tuple[int, int]) -> None:
    async with playing(stage.busy(), size) as (_, pilot):
        await pilot.press("1", "end", "n")
        await pilot.pause()
        for key in ("", "tab", "shift+tab", "a", "l"):
            await pilot.press(*filter(None, [key]))
            await pilot.pause()
            agents = pilot.app.screen.query_one(AgentList)
            chosen = agents.highlighted
            assert chosen is not None
            assert agents.scroll_offset.y <= chosen < agents.scroll_offset.y + agents.scrollable_content_region.height
            assert chosen == (0 if key == "a" else 3)


async def test_letters_typed_one_after_the_other_name_an_agent() -> None:
    async with playing(stage.busy()) as (_, pilot):
        await pilot.press("n")
        await pilot.pause()
        for typed, expected in (("clerk", "clerk"), ("help", "helpdesk"), ("l", "lookup"), ("ad", "admin")):
            await pilot.press(*typed)
            agents = pilot.app.screen.query_one(AgentList)
            assert agents.highlighted is not None
            assert agents.get_option_at_index(agents.highlighted).id == expected


async def test_a_new_chat_opens_before_its_session_exists() -> None:
    engine = stage.empty()
    async with playing(engine) as (app, pilot):
        await pilot.press("n")
        await pilot.pause()
        await pilot.press("enter")
        await pilot.pause()
        assert isinstance(app.screen, ChatScreen)
        await pilot.press(*"hi", "enter")
        await pilot.pause()
        sent = engine.calls[0][1]
        assert (sent.user, sent.text, sent.source) == ("operator", "hi", Source.OPERATOR)
        engine.conversations[app.screen.key] = Conversation()
        engine.conversations[app.screen.key].stream("hello", "t-new")
        engine.put(stage.session(app.screen.key))
        await settle(app, pilot)
        app.screen.refresh_transcript()
        await pilot.pause()
        assert "hello" in screen_text(app)


async def test_a_name_that_cannot_be_is_refused_in_the_dialog() -> None:
    """S3.3-5: before a conversation is opened that could never be."""
    engine = stage.busy()
    async with playing(engine) as (app, pilot):
        await pilot.press("n")
        await settle(app, pilot)
        app.screen.query_one("#session").value = "../é"
        await pilot.press("enter")
        await settle(app, pilot)
        assert "“../é” must be" in screen_text(app)
        assert not isinstance(app.screen, ChatScreen)


def fields(app: BullpenApp) -> list[tuple[str, bool]]:
    """Value, and whether it cannot be changed."""
    return [(field.value, field.disabled) for field in app.screen.query(Input)]


async def test_the_chat_of_an_employee_is_the_one_session_that_all_share() -> None:
    """No user and no name of it can be chosen: the dialog says where the prompt goes."""
    engine = stage.busy()
    clerk = engine.instances["clerk"]
    assert clerk.archetype is Archetype.EMPLOYEE
    async with playing(engine) as (app, pilot):
        await pilot.press("n", *"helpdesk", *"clerk")
        await pilot.pause()
        assert "enter begins clerk/everyone/desk" in screen_text(app) or "goes on with clerk/everyone/desk" in (
            screen_text(app)
        )
        assert fields(app) == [("everyone", True), ("desk", True)]
        await pilot.press("h")
        await pilot.pause()
        assert fields(app) == [("operator", False), ("chat-1", False)]
        assert "enter begins helpdesk/operator/chat-1" in screen_text(app)
        await pilot.press("c", "enter")
        await settle(app, pilot)
        assert isinstance(app.screen, ChatScreen)
        assert app.screen.key == SessionKey("clerk", "everyone", "desk")


async def test_a_chat_goes_on_in_the_session_that_the_prompt_went_to_also_when_that_one_asks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An employee has one session for everyone: its card is mounted while keys from the terminal are still at work."""
    engine = stage.asking()

    async def submit(prompt: Prompt) -> StageTicket:
        return StageTicket("t-new", EMIL, engine.journal)

    monkeypatch.setattr(engine, "submit", submit)
    async with playing(engine) as (app, pilot):
        await pilot.press("n", "enter")
        await pilot.pause()
        assert isinstance(app.screen, ChatScreen)
        assert app.screen.key != EMIL
        await pilot.press(*"hi", "enter")
        await settle(app, pilot)
        assert app.screen.key == EMIL
        await until(lambda: app.screen.query(ChoiceCard))
        await settle(app, pilot)
        assert app.is_running
