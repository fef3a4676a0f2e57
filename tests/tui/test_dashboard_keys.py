"""Keys of the dashboard: each verb reaches the engine with the right target, and only when it was meant."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace
from textual.widgets import Input

from supervisor import InstanceState, NotAccepting, SessionKey, SessionState, SlotState, WhyWaiting
from tests.tui import stage
from tests.tui.stage import ANA, BEN, CARO, EMIL, NOW, ROOT
from tests.tui.theatre import command, playing, screen_text, settle, told
from tui.app import BullpenApp
from tui.screens.chat.chat import ChatScreen
from tui.screens.dashboard.dashboard import DashboardScreen
from tui.screens.dialogs.confirm import ConfirmScreen
from tui.tables.rows import session_id
from tui.widgets.question_card import PermissionCard
from tui.wording.verbs import VERBS, Where

pytestmark = pytest.mark.anyio


async def test_a_key_that_can_do_nothing_here_says_why() -> None:
    """Also where several verbs share it."""
    engine = stage.busy()
    engine.put(replace(engine.instances["admin"], state=InstanceState.STOPPED))
    async with playing(engine) as (app, pilot):
        app.screen.sessions.move_to(session_id(EMIL))
        for key in ("x", "X", "K", "R", "Z", "h", "i"):
            before = told(app)
            await pilot.press(key)
            await settle(app, pilot)
            assert told(app) == "\n".join(filter(None, (before, idle_of(key))))
        await pilot.press("1")
        app.screen.instances.move_to("admin")
        await pilot.press("D")
        await settle(app, pilot)
        assert told(app).endswith(idle_of("D"))
        await pilot.press("p")
        await settle(app, pilot)
        assert engine.calls == [("resume", "admin")]


def idle_of(key: str) -> str:
    return next(verb.idle for verb in VERBS if verb.key == key and verb.where is Where.DASHBOARD and verb.idle)


async def test_a_notice_is_shown_once_also_behind_a_dialog() -> None:
    async with playing(stage.busy()) as (app, pilot):
        app.notify("it has been told", timeout=60, markup=False)
        await settle(app, pilot)
        assert screen_text(app).count("it has been told") == 1
        await pilot.press("H")
        await settle(app, pilot)
        app.notify("and once more", timeout=60, markup=False)
        await settle(app, pilot)
        for words in ("it has been told", "and once more"):
            assert screen_text(app).count(words) == 1
        await pilot.press("escape")
        await settle(app, pilot)
        for words in ("it has been told", "and once more"):
            assert screen_text(app).count(words) == 1


def on_session(app: Any, key: SessionKey) -> None:
    app.screen.sessions.move_to(session_id(key))


@pytest.mark.parametrize(
    ("press", "call"),
    [
        (["p", "right", "enter"], ("pause", "helpdesk")),
        (["D", "right", "enter"], ("drain", "helpdesk")),
        (["K", "right", "enter"], ("kill", "helpdesk")),
        (["X", "right", "enter"], ("clear_queue", "helpdesk", None)),
        (["s", "backspace", "7", "enter"], ("scale", "helpdesk", 7)),
    ],
)
async def test_a_key_over_an_instance_acts_on_that_instance(press: list[str], call: tuple[Any, ...]) -> None:
    """D3: the instance under the cursor, whatever else is on the screen."""
    engine = stage.busy()
    async with playing(engine) as (app, pilot):
        await pilot.press("1")
        app.screen.instances.move_to("helpdesk")
        await pilot.press(*press)
        await pilot.pause()
        assert engine.calls == [call]


@pytest.mark.parametrize(
    ("state", "key"),
    [
        (InstanceState.PAUSED, "p"),
        (InstanceState.STOPPED, "p"),
        (InstanceState.DRAINING, "D"),
        (InstanceState.DRAINED, "D"),
        (InstanceState.DRAINED, "p"),
    ],
)
async def test_the_same_key_takes_back_what_it_did(state: InstanceState, key: str) -> None:
    """S1.17: drain is reversible; so are pause and stop."""
    engine = stage.busy()
    engine.put(replace(engine.instances["helpdesk"], state=state))
    async with playing(engine) as (app, pilot):
        await pilot.press("1")
        app.screen.instances.move_to("helpdesk")
        await pilot.press(key)
        await pilot.pause()
        assert engine.calls == [("resume", "helpdesk")]


async def test_four_stops_on_four_keys_are_never_confused() -> None:
    """D3: interrupt, clear queue, drain and kill from one and the same row."""
    engine = stage.busy()
    async with playing(engine) as (app, pilot):
        on_session(app, BEN)
        await pilot.press("x", "right", "enter")
        await pilot.press("X", "right", "enter")
        await pilot.press("D", "right", "enter")
        await pilot.press("K", "right", "enter")
        await pilot.pause()
        assert engine.calls == [
            ("interrupt", BEN, "t-13"),
            ("clear_queue", "helpdesk", BEN),
            ("drain", "helpdesk"),
            ("kill_client", "helpdesk-4"),
        ]


async def test_kill_over_a_client_ends_that_client_only() -> None:
    engine = stage.busy()
    async with playing(engine) as (app, pilot):
        await pilot.press("3")
        app.screen.clients.move_to("helpdesk-6")
        await pilot.press("K")
        await pilot.pause()
        assert "a spare" in screen_text(app)
        await pilot.press("right", "enter")
        await pilot.pause()
        assert engine.calls == [("kill_client", "helpdesk-6")]


@pytest.mark.parametrize("key", ["D", "K", "X"])
async def test_enter_on_a_confirmation_changes_nothing(key: str) -> None:
    """Cancel is the default button of everything that ends something."""
    engine = stage.busy()
    async with playing(engine) as (app, pilot):
        await pilot.press("1")
        app.screen.instances.move_to("helpdesk")
        await pilot.press(key)
        await pilot.pause()
        assert isinstance(app.screen, ConfirmScreen)
        await pilot.press("enter")
        await pilot.pause()
        assert isinstance(app.screen, DashboardScreen)
        assert engine.calls == []


async def test_a_confirmation_names_the_target_and_what_dies() -> None:
    engine = stage.busy()
    async with playing(engine) as (app, pilot):
        await pilot.press("1")
        app.screen.instances.move_to("helpdesk")
        await pilot.press("K")
        await pilot.pause()
        text = screen_text(app)
        for fact in ("Kill helpdesk?", "2 running turns", "3 waiting turns", "5 clients, 1.0G"):
            assert fact in text
        # While the operator thinks, work goes on.
        row = engine.instances["helpdesk"]
        engine.put(replace(row, active_sessions=1, waiting=0))
        await settle(app, pilot)
        app.screen.count_again()
        await pilot.pause()
        text = screen_text(app)
        assert "1 running turn is cut off" in text
        assert "waiting turn" not in text


async def test_killing_everything_wants_a_typed_word() -> None:
    engine = stage.busy()
    async with playing(engine) as (app, pilot):
        await pilot.press(":", *"kill all", "enter")
        await pilot.pause()
        confirm = app.screen.query_one("#confirm")
        assert confirm.disabled
        app.screen.query_one("#typed", Input).focus()
        await pilot.press(*"all")
        await pilot.pause()
        assert not confirm.disabled
        await pilot.click("#confirm")
        await pilot.pause()
        assert sorted(engine.calls) == [("kill", name) for name in ("admin", "clerk", "helpdesk", "lookup")]


async def test_a_verb_that_cannot_be_done_does_nothing() -> None:
    """A hibernated session has no turn to interrupt, no process to kill and nothing to hibernate."""
    engine = stage.busy()
    async with playing(engine) as (app, pilot):
        on_session(app, stage.MIRA)
        await pilot.press("x", "K", "h", "X")
        await pilot.pause()
        assert engine.calls == []
        assert isinstance(app.screen, DashboardScreen)


async def test_a_refusal_is_told_and_harmless() -> None:
    engine = stage.busy()
    async with playing(engine) as (app, pilot):
        await pilot.press("1")
        engine.refuses_with = NotAccepting("[/] admin is being killed")
        await pilot.press("p", "right", "enter")
        await pilot.pause()
        assert told(app) == "[/] admin is being killed"


async def test_a_widget_that_does_not_clean_its_text_is_filtered() -> None:
    """R5: the line filter is the last gate; a toast shows a refusal as it came."""
    engine = stage.busy()
    async with playing(engine) as (app, pilot):
        await pilot.press("1")
        engine.refuses_with = NotAccepting("no \x1b]52;c;aGk=\x07 entry")
        await pilot.press("p", "right", "enter")
        await settle(app, pilot)
        assert "entry" in screen_text(app)
        assert not set(screen_text(app)) & set("\x1b\x07")


async def test_questions_stand_on_top_and_i_opens_the_oldest() -> None:
    """D4: one inbox over all sessions."""
    async with playing(stage.asking(), size=(80, 24)) as (app, pilot):
        assert app.screen.inbox.display
        await pilot.press("i")
        await pilot.pause()
        assert isinstance(app.screen, ChatScreen)
        assert app.screen.key == ROOT
        assert app.focused is app.screen.query_one(PermissionCard)


async def test_no_question_no_inbox() -> None:
    engine = stage.asking()
    async with playing(engine) as (app, pilot):
        for question in list(engine.questions):
            engine.remove_question(question)
        await settle(app, pilot)
        assert not app.screen.inbox.display


HOSTILE = [
    "[/]",
    "[/nope]",
    "[@click=app.quit]x[/]",
    "[link=http://x]y",
    "\x1b[2J\x1b]52;c;aGk=\x07",
    "a\u202eb\u200b",
    "line\nbreak\tand more",
    "\ud800",
]


KEYS_ON_A_ROW = ["enter", "d", "X", "ctrl+p", "3", "delete"]


@pytest.mark.parametrize(
    ("press", "texts"),
    [
        *((key, HOSTILE[number % 2 :: 2]) for number, key in enumerate(KEYS_ON_A_ROW)),
        *(pytest.param(key, HOSTILE, marks=pytest.mark.exhaustive) for key in KEYS_ON_A_ROW),
    ],
)
async def test_untrusted_text_neither_crashes_nor_acts(press: str, texts: list[str]) -> None:
    """R5: ids, prompts, notes and tool names come from outside, and stand on every screen."""
    engine = stage.busy()
    async with playing(engine) as (app, pilot):
        for text in texts:
            key = SessionKey("helpdesk", text, text)
            engine.put(
                replace(engine.instances["helpdesk"], note=text, state=InstanceState.DRAINING),
                stage.session(
                    key,
                    state=SessionState.WAITING,
                    why=WhyWaiting.NO_SLOT,
                    waiting=(stage.waiting(1, WhyWaiting.NO_SLOT, 90, text),),
                    note=text,
                    client_id="helpdesk-66",
                ),
                stage.client("helpdesk-66", key, tool=text, note=text, state=SlotState.CLOSING),
                replace(stage.PERMISSION, key=key, tool=text, summary=text, detail=text, always=text),
            )
            await settle(app, pilot)
            on_session(app, key)
            await pilot.press(press)
            await settle(app, pilot)
            assert app.is_running
            assert app.return_code is None
            assert not set(screen_text(app)) & set("\x1b\x07\u202e\u200b\ud800")
            assert engine.calls == []
            while len(app.screen_stack) > 1:
                app.screen.dismiss(None)
                await pilot.pause()
            await pilot.press("2")


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("frobnicate helpdesk", "no verb"),
        ("drain nobody", "nothing is called"),
        ("scale helpdesk many", "whole number"),
        ("interrupt helpdesk", "nothing is called"),
    ],
)
async def test_a_wrong_command_is_answered_in_place(line: str, answer: str) -> None:
    engine = stage.busy()
    async with playing(engine) as (app, pilot):
        await command(app, pilot, line)
        assert answer in screen_text(app)
        assert engine.calls == []


async def test_a_second_drain_says_that_it_interrupts() -> None:
    """S1.17: a second request escalates; that is never a surprise."""
    engine = stage.draining()
    async with playing(engine) as (app, pilot):
        await pilot.press(":", *"drain helpdesk", "enter")
        await pilot.pause()
        assert "2 running turns are interrupted" in screen_text(app)
        await pilot.press("right", "enter")
        await pilot.pause()
        assert engine.calls == [("drain", "helpdesk")]


async def test_a_cut_feed_comes_back_with_a_fresh_snapshot() -> None:
    """R4: a reader that fell behind sees the present, not a mixture."""
    engine = stage.busy()
    async with playing(engine) as (app, pilot):
        del engine.sessions[ANA]
        for _ in range(5_001):
            engine.happen(stage_event())
        await settle(app, pilot)
        assert session_id(ANA) not in app.screen.sessions.keys
        assert app.screen.sessions.row_count == 8


def stage_event() -> Any:
    from supervisor import SessionClosed

    return SessionClosed(at=NOW, instance="helpdesk", user="ana", session="ticket-4711")


@pytest.mark.parametrize("key", [BEN, CARO], ids=["running", "waiting for a client"])
async def test_a_turn_is_stopped_only_after_a_question(key: SessionKey) -> None:
    """D3: whether or not its row was chosen, and also before the turn has a client."""
    engine = stage.busy()
    async with playing(engine) as (app, pilot):
        on_session(app, key)
        await pilot.press("x", "enter")
        await pilot.pause()
        assert engine.calls == []
        await pilot.press("x", "right", "enter")
        await pilot.pause()
        assert engine.calls == [("interrupt", key, engine.sessions[key].stoppable)]


async def test_the_list_of_keys_opens_anew_at_its_first_line_in_the_colours_and_the_size_of_the_moment() -> None:
    """It is kept while it is closed."""

    def picture(app: BullpenApp) -> list[str]:
        return [str(list(strip)) for strip in app.screen._compositor.render_strips()]

    async with playing(stage.busy(), (120, 24)) as (app, pilot):
        await pilot.press("question_mark", "end", "escape")
        app.theme = "textual-light"
        await pilot.resize_terminal(80, 24)
        await pilot.press("question_mark")
        await pilot.pause()
        kept = picture(app)
        assert "Keys" in screen_text(app)
        assert "asking" in screen_text(app)
    async with playing(stage.busy(), (80, 24)) as (app, pilot):
        app.theme = "textual-light"
        await pilot.press("question_mark")
        await pilot.pause()
        assert picture(app) == kept
