"""The command line after `:`: it completes from what the screen holds, and says what is wrong in place."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace
from textual.widgets import Input

from supervisor import Refused, SessionKey
from tests.tui import stage
from tests.tui.stage import ANA, CARO, ROOT
from tests.tui.stage_engine import StageEngine
from tests.tui.theatre import playing, screen_text, settle, told
from tui.screens.chat.chat import ChatScreen
from tui.screens.dashboard.typed_verbs import mistake_in
from tui.screens.dialogs.ask_text import AskTextScreen
from tui.screens.dialogs.confirm import ConfirmScreen
from tui.screens.dialogs.help import HelpScreen
from tui.screens.dialogs.new_chat import NewChatScreen
from tui.screens.dialogs.quit import QuitScreen
from tui.tables.rows import session_id

pytestmark = pytest.mark.anyio


def typed(app: Any) -> str:
    return app.screen.query_one("#line", Input).value


class CountingEngine(StageEngine):
    """Counts what is asked of it while a line is typed."""

    asked = 0

    async def limits(self, instance: str = "") -> dict[str, str]:
        self.asked += 1
        return {"pool.maxClients": "5"} if instance else {"max_agents": "40"}


async def test_tab_completes_what_is_certain_and_then_walks_through_what_fits() -> None:
    async with playing(stage.busy()) as (app, pilot):
        await pilot.press(":", *"hib", "tab")
        assert typed(app) == "hibernate "
        await pilot.press(*"admin", "tab")
        assert typed(app) == "hibernate admin/"
        await pilot.press("tab")
        first = typed(app)
        await pilot.press("tab")
        assert {first, typed(app)} == {"hibernate admin/rita/rotate-keys", "hibernate admin/mira/backup-report"}
        await pilot.press("shift+tab")
        assert typed(app) == first
        assert "hibernate admin/rita/rotate-keys" in screen_text(app)
        assert "hibernate admin/mira/backup-report" in screen_text(app)


async def test_a_part_of_a_name_is_completed_as_well() -> None:
    async with playing(stage.busy()) as (app, pilot):
        await pilot.press(":", *"open rotate", "tab")
        assert typed(app) == "open admin/rita/rotate-keys"


async def test_completing_asks_the_engine_nothing() -> None:
    engine = CountingEngine()
    engine.put(*stage.busy().instances.values(), *stage.busy().sessions.values())
    async with playing(engine) as (app, pilot):
        await pilot.press(":")
        await pilot.pause()
        engine.asked, watched = 0, engine.calls.copy()
        await pilot.press(*"set helpdesk.max", "tab", "tab")
        await pilot.pause()
        assert typed(app) == "set helpdesk.maxClients 5"
        await pilot.press("8")
        assert typed(app) == "set helpdesk.maxClients 8", "the present value is there to be typed over"
        assert engine.asked == 0
        assert engine.calls == watched


async def test_open_takes_any_part_that_means_one_session() -> None:
    async with playing(stage.busy()) as (app, pilot):
        await pilot.press(":", *"open PRINT", "enter")
        await pilot.pause()
        assert isinstance(app.screen, ChatScreen)
        assert app.screen.key == CARO


async def test_open_says_which_sessions_fit() -> None:
    async with playing(stage.busy(), size=(160, 40)) as (app, pilot):
        await pilot.press(":", *"open ticket", "enter")
        await pilot.pause()
        assert isinstance(app.screen, AskTextScreen)
        text = screen_text(app)
        assert "2 sessions fit 'ticket'" in text
        assert "helpdesk/ana/ticket-4711" in text
        assert "helpdesk/ben/ticket-4712" in text
        await pilot.press(*"-4711", "enter")
        await pilot.pause()
        assert isinstance(app.screen, ChatScreen)
        assert app.screen.key == ANA


async def test_a_whole_word_of_a_name_wins_over_a_part_of_another() -> None:
    engine = stage.busy()
    engine.put(stage.session(SessionKey("helpdesk", "banana", "x")))
    async with playing(engine) as (app, pilot):
        await pilot.press(":", *"open ana", "enter")
        await pilot.pause()
        assert isinstance(app.screen, ChatScreen)
        assert app.screen.key == ANA


async def test_new_takes_agent_and_user() -> None:
    async with playing(stage.busy()) as (app, pilot):
        await pilot.press(":", *"new clerk", "enter")
        await pilot.pause()
        assert isinstance(app.screen, NewChatScreen)
        await pilot.press("escape", ":", *"new nobody", "enter")
        await pilot.pause()
        assert "nothing is called 'nobody'" in screen_text(app)


async def test_sort_and_filter_can_be_typed() -> None:
    async with playing(stage.busy()) as (app, pilot):
        await pilot.press(":", *"sort memory", "enter")
        await pilot.pause()
        assert app.screen.sessions.sorting == ("memory", True)
        await pilot.press(":", *"filter admin", "enter")
        await pilot.pause()
        assert app.screen.sessions.row_count == 2
        assert "2 of 9" in screen_text(app)
        await pilot.press(":", *"filter", "enter", ":", *"sort needs-you", "enter")
        await pilot.pause()
        assert app.screen.sessions.row_count == 9
        assert app.screen.sessions.sorting[0] is None
        await pilot.press(":", *"sort colour", "enter")
        await pilot.pause()
        assert "sort by what? There are" in screen_text(app)


async def test_a_typed_stop_asks_as_its_key_does() -> None:
    engine = stage.busy()
    async with playing(engine) as (app, pilot):
        await pilot.press(":", *f"interrupt {ANA}", "enter")
        await pilot.pause()
        assert isinstance(app.screen, ConfirmScreen)
        assert engine.calls == []
        await pilot.press("right", "enter")
        assert engine.calls == [("interrupt", ANA, "t-12")]


async def test_a_verb_without_a_target_takes_the_marked_rows() -> None:
    engine = stage.busy()
    async with playing(engine) as (app, pilot):
        for key in (ANA, ROOT):
            app.screen.sessions.move_to(session_id(key))
            await pilot.press("space")
        await pilot.press(":", *"interrupt", "enter")
        await pilot.pause()
        await pilot.press("right", "enter")
        await pilot.pause()
        assert sorted(engine.calls) == [("interrupt", ROOT, "t-31"), ("interrupt", ANA, "t-12")]


async def test_help_and_the_way_out_can_be_typed() -> None:
    async with playing(stage.busy()) as (app, pilot):
        await pilot.press(":", *"help", "enter")
        await pilot.pause()
        assert isinstance(app.screen, HelpScreen)
        await pilot.press("escape", ":", *"q", "enter")
        await settle(app, pilot)
        assert isinstance(app.screen, QuitScreen)
        await pilot.press("escape", ":", *"quit now", "enter")
        await pilot.pause()
        assert "nothing stands behind it" in screen_text(app)


async def test_names_with_spaces_can_be_typed_and_completed() -> None:
    engine = stage.busy()
    engine.put(replace(engine.instances["helpdesk"], name="First Help"))
    async with playing(engine) as (_app, pilot):
        await pilot.press(":", *"scale Fi", "tab", *" 4", "enter")
        await pilot.pause()
        assert engine.calls == [("scale", "First Help", 4)]


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("scale nobody 3", "nothing is called 'nobody'; there are: helpdesk, admin, clerk, lookup"),
        ("scale helpdeks 3", "nothing is called 'helpdeks'; did you mean helpdesk?"),
        ("replay x", "nothing is called 'x'; there are: none"),
        ("hibernate x", "admin/rita/rotate-keys and 3 more: tab shows them"),
        ("drian helpdesk", "no verb 'drian'; did you mean drain?"),
        ("bogus", "no verb 'bogus'; there are: audit, broadcast, budgets"),
        ("forget anna", "did you mean ana?"),
        ("theme textual-drak", "did you mean textual-dark?"),
        ("open helpdesk/dora/vqn", "did you mean helpdesk/dora/vpn?"),
    ],
)
async def test_a_name_that_is_not_there_is_answered_with_those_that_are(line: str, answer: str) -> None:
    async with playing(stage.busy()) as (app, _pilot):
        assert answer in mistake_in(app.screen, line)


async def test_what_was_wrong_with_a_line_is_told_alone_and_only_of_that_line() -> None:
    """A forecast for a line that is refused, or the refusal of another line, would be read as true."""
    engine = stage.busy()
    async with playing(engine) as (app, pilot):
        await pilot.press("1", "s", "ctrl+u", *"abc", "enter")
        await pilot.pause()
        assert "a whole number from 1" in screen_text(app)
        await pilot.press("ctrl+u", *"99")
        await pilot.pause()
        assert "99 turns in parallel" in screen_text(app)
        assert "a whole number from 1" not in screen_text(app)
        await pilot.press("escape")
        engine.live_limits = {"": {}, "helpdesk": {"pool.maxClients": "5"}}
        await app.bridge.refresh_limits()
        await pilot.press(":", *"set helpdesk.maxClients frog")
        await pilot.pause()
        assert "pool.maxClients is 5 now" in screen_text(app)
        engine.refuses_with = Refused("maxClients: frog is no number")
        await pilot.press("enter")
        await settle(app, pilot)
        assert "frog is no number" in screen_text(app)
        assert "is 5 now" not in screen_text(app)
        await pilot.press("backspace")
        await pilot.pause()
        assert "frog is no number" not in screen_text(app)
        assert "is 5 now" in screen_text(app)


async def test_an_empty_inbox_says_so() -> None:
    async with playing(stage.busy()) as (app, pilot):
        for number, key in enumerate(["i", "4"], start=1):
            await pilot.press("z", key)
            await pilot.pause()
            assert told(app).count("the inbox is empty") == number
            assert app.focused is app.screen.sessions


async def test_a_notice_on_a_small_screen_is_seen_to_its_last_word_and_the_way_out_stays() -> None:
    async with playing(stage.asking(), size=(80, 24)) as (app, pilot):
        app.notify("the inbox is empty: no agent asks and no interrupted turn waits for you", markup=False)
        await settle(app, pilot)
        *above, footer = screen_text(app).rstrip("\n").splitlines()
        assert any(line.rstrip().endswith(" you") or " you " in line for line in above[-2:])
        assert "^q quit" in footer


async def test_the_headers_show_the_letters_that_sort() -> None:
    async with playing(stage.busy(), size=(150, 40)) as (app, pilot):
        await settle(app, pilot)
        table = app.screen.sessions
        header = table.render_line(0)
        underlined = "".join(part.text for part in header if part.style and part.style.underline)
        assert underlined.upper() == "".join(column.sort_letter for column in table.columns)
        for title in ("state", "instance", "user", "turns", "tokens", "cost", "memory", "last"):
            assert title in header.text
