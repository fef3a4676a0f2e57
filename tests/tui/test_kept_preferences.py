"""Theme, sort, filter and scope outlive the program."""

from __future__ import annotations

from pathlib import Path

import pytest

from supervisor import SessionKey
from tests.tui import stage
from tests.tui.stage import ANA, BEN
from tests.tui.theatre import playing, screen_text, settle, told
from tui.kept.drafts import FILE as DRAFTS
from tui.kept.drafts import DraftFile
from tui.kept.preferences import FILE, PreferenceFile

pytestmark = pytest.mark.anyio


async def test_the_next_start_looks_as_the_last_one_was_left(tmp_path: Path) -> None:
    kept = PreferenceFile(tmp_path)
    async with playing(stage.busy(), kept=kept) as (app, pilot):
        await pilot.press("M", "M", "1", "down", "down", "0", "2", "/", *"ticket", "enter")
        app.theme = "nord"
        await settle(app, pilot)
        left = app.screen.sessions.keys
        app.exit()
    async with playing(stage.busy(), kept=kept) as (app, pilot):
        await settle(app, pilot)
        assert app.theme == "nord"
        assert app.screen.sessions.sorting == ("memory", False)
        assert app.screen.sessions.filter_text == "ticket"
        assert "only helpdesk" in screen_text(app)
        assert app.screen.sessions.keys == left


async def test_what_is_not_there_any_more_is_left_out(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text('{"theme": "gone", "sort": {"sessions": ["gone", true]}, "scope": "gone"}')
    async with playing(stage.busy(), kept=PreferenceFile(tmp_path)) as (app, _pilot):
        assert app.theme == "bullpen-dark"
        assert app.screen.sessions.sorting[0] is None
        assert app.screen.sessions.row_count == 9


async def test_a_broken_file_is_told_once_and_the_dashboard_works(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("{")
    async with playing(stage.busy(), kept=PreferenceFile(tmp_path)) as (app, _pilot):
        assert FILE in told(app)
        assert len(told(app).splitlines()) == 1
        assert app.screen.sessions.row_count == 9


async def test_what_was_not_sent_is_in_its_message_box_after_the_next_start(tmp_path: Path) -> None:
    """Of an open tab, of a closed one, and of a conversation that has no session yet."""
    drafts, unborn = DraftFile(tmp_path), SessionKey("helpdesk", "zoe", "first")
    async with playing(stage.busy(), drafts=drafts) as (app, pilot):
        for key, text in ((ANA, "to ana"), (BEN, "to ben"), (unborn, "to zoe")):
            app.screen.open_chat(key) if app.screen is not app.chats else app.chats.open([key])
            await settle(app, pilot)
            await pilot.press(*text)
        await pilot.press("f10", "escape")
        app.exit()
    assert drafts.path.stat().st_mode & 0o777 == 0o600
    engine = stage.busy()
    async with playing(engine, drafts=drafts) as (app, pilot):
        app.screen.open_chats([ANA, BEN, unborn])
        await settle(app, pilot)
        assert {key: pane.prompt.text for key, pane in app.chats.panes.items() if pane.prompt.text} == {
            ANA: "to ana", BEN: "to ben",
        } | ({unborn: "to zoe"} if unborn in app.chats.panes else {})  # fmt: skip
        app.chats.close_tab(BEN)
        del engine.sessions[BEN]
        engine.feed.touch_session(BEN)
        await settle(app, pilot)
        await app.operations.forget_user("ana")
        app.exit()
    assert drafts.load() == ({unborn: "to zoe"}, "")


async def test_a_broken_file_of_drafts_is_told_once_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / DRAFTS).write_text("{")
    async with playing(stage.busy(), drafts=DraftFile(tmp_path)) as (app, _pilot):
        assert DRAFTS in told(app)
        app.exit()
    assert (tmp_path / DRAFTS).read_text() == "{"


async def test_drafts_that_no_disk_took_are_kept_as_soon_as_one_does(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "state"
    async with playing(stage.busy(), drafts=DraftFile(folder)) as (app, pilot):
        app.open_chats([ANA])
        await settle(app, pilot)
        await pilot.press(*"half")
        for _ in range(3):
            app._keep_drafts()
        assert sum("unsent" in record.message for record in caplog.records) == 1, "it is logged once"
        folder.mkdir(mode=0o700)
        app._keep_drafts()
        assert DraftFile(folder).load() == ({ANA: "half"}, "")
