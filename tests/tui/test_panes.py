"""Several conversations at once: tabs and panes, who is spoken to, and that no word gets lost or goes astray."""

from __future__ import annotations

import random
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import anyio
import pytest
from msgspec.structs import replace
from textual import events
from textual.pilot import Pilot

from supervisor import Asked, NotRecorded, Prompt, Replied, SessionKey, SessionState, Source
from supervisor.conversation import Conversation
from tests.tui import stage
from tests.tui.stage import ANA, BEN, CLERK, DORA, EMIL, MIRA, ROOT
from tests.tui.stage_engine import NOW, StageEngine, StageTicket
from tests.tui.theatre import HandClock, playing, screen_text, settle, told
from tests.waiting import until
from tui.app import BullpenApp
from tui.screens.chat.chat import ChatScreen
from tui.screens.chat.panes import PanesScreen
from tui.screens.dashboard.dashboard import DashboardScreen
from tui.screens.dialogs.ask_text import AskTextScreen
from tui.terminal.clipboard import CopyFile
from tui.transcript.transcript import Transcript
from tui.widgets.prompt import PromptInput

pytestmark = pytest.mark.anyio

LARGE, MIDDLE, SMALL = (200, 50), (120, 36), (80, 24)


def sent(engine: StageEngine) -> list[tuple[SessionKey, str]]:
    prompts = [call[1] for call in engine.calls if call[0] == "submit"]
    return [(SessionKey(prompt.agent, prompt.user, prompt.session), prompt.text) for prompt in prompts]


def in_sight(app: BullpenApp) -> list[SessionKey]:
    """By what is drawn, in the order of reading."""
    panes = [pane for pane in app.chats.panes.values() if pane.display and pane.is_attached]
    return [pane.key for pane in sorted(panes, key=lambda pane: (pane.region.y, pane.region.x))]


def burst(app: BullpenApp, *keys: str) -> None:
    """Keys that arrive faster than anything is done about them."""
    for key in keys:
        character = key if len(key) == 1 else "\r" if key == "enter" else None
        event = events.Key(key, character)
        event.set_sender(app)
        assert app._driver is not None
        app._driver.send_message(event)


def words(text: str) -> list[str]:
    """In order of their numbers: a click may have put the cursor before what was there."""
    return sorted(re.findall(r"w\d+", text))


async def resize(app: BullpenApp, pilot: Pilot[Any], size: tuple[int, int]) -> None:
    await pilot.resize_terminal(*size)
    await settle(app, pilot)


async def test_as_many_panes_as_can_be_read() -> None:
    async with playing(stage.busy(), size=LARGE) as (app, pilot):
        app.open_chats([ANA, BEN, DORA, EMIL, MIRA])
        await settle(app, pilot)
        assert in_sight(app) == [ANA, BEN, DORA, EMIL]
        await resize(app, pilot, MIDDLE)
        assert in_sight(app) == [ANA, BEN]
        await resize(app, pilot, SMALL)
        assert in_sight(app) == [ANA]
        await pilot.press("f7")
        assert "two panes need" in told(app)


async def test_what_is_drawn_before_the_message_of_a_larger_terminal_is_what_was_laid_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with playing(stage.busy(), size=SMALL) as (app, pilot):
        app.open_chats([ANA, BEN, DORA, EMIL])
        await settle(app, pilot)
        with monkeypatch.context() as patch:
            patch.setattr(PanesScreen, "on_resize", lambda self: None)
            await resize(app, pilot, LARGE)
            app.chats.refresh_transcript()
            assert in_sight(app) == [ANA]
        app.chats.on_resize()
        await settle(app, pilot)
        assert in_sight(app) == [ANA, BEN, DORA, EMIL]


async def test_f7_goes_from_one_pane_to_two_to_four_and_back() -> None:
    async with playing(stage.busy(), size=LARGE) as (app, pilot):
        for key in (ANA, BEN, DORA, EMIL, MIRA):
            app.open_chats([key])
        await settle(app, pilot)
        counts = [len(in_sight(app))]
        for _ in range(3):
            await pilot.press("f7")
            await settle(app, pilot)
            counts.append(len(in_sight(app)))
        assert counts == [1, 2, 4, 1]
        assert app.chats.key == MIRA


async def test_resizing_to_the_smallest_and_back_keeps_panes_and_drafts() -> None:
    keys = [ANA, BEN, DORA, EMIL]
    async with playing(stage.busy(), size=LARGE) as (app, pilot):
        app.open_chats(keys)
        await settle(app, pilot)
        for key in keys:
            await pilot.press(*key.user, "f6")
        for size in (SMALL, MIDDLE, LARGE):
            await resize(app, pilot, size)
        assert in_sight(app) == keys
        assert [app.chats.panes[key].prompt.text for key in keys] == [key.user for key in keys]


async def test_coming_back_shows_the_same_tabs_panes_and_drafts_and_opens_none_twice() -> None:
    async with playing(stage.busy(), size=LARGE) as (app, pilot):
        app.open_chats([ANA, BEN])
        await settle(app, pilot)
        await pilot.press(*"half a", "f6", *"other", "escape")
        await settle(app, pilot)
        assert isinstance(app.screen, DashboardScreen)
        app.screen.open_chat(BEN)
        await settle(app, pilot)
        assert app.chats.deck.tabs == [ANA, BEN]
        assert in_sight(app) == [ANA, BEN]
        assert [app.chats.panes[key].prompt.text for key in (ANA, BEN)] == ["half a", "other"]
        assert app.chats.prompt.has_focus
        assert app.chats.key == BEN
        await pilot.press("escape", "-")
        await settle(app, pilot)
        assert isinstance(app.screen, ChatScreen)


async def test_a_closed_tab_keeps_its_draft_with_its_pastes_and_the_last_one_closed_leaves() -> None:
    async with playing(stage.busy(), size=SMALL) as (app, pilot):
        app.open_chats([ANA])
        await settle(app, pilot)
        paste = "x" * 20_000 + "\nend"
        await pilot.press(*"see ")
        app.chats.prompt.post_message(events.Paste(paste))
        await pilot.pause()
        await pilot.press("f10")
        await settle(app, pilot)
        assert isinstance(app.screen, DashboardScreen)
        assert not app.chats.panes
        app.open_chats([ANA])
        await settle(app, pilot)
        assert app.chats.prompt.full_text == f"see {paste}"


async def test_a_recalled_prompt_does_not_take_the_place_of_the_draft_of_a_closed_tab() -> None:
    engine = stage.busy()
    async with playing(engine, size=SMALL) as (app, pilot):
        app.open_chats([DORA])
        await settle(app, pilot)
        await pilot.press(*"one", "enter", *"draft", "up", "enter")
        assert [text for _, text in sent(engine)] == ["one", "one"]
        assert app.chats.prompt.text == "draft", "nor of one that goes on"
        await pilot.press("up")
        assert app.chats.prompt.text == "one"
        await pilot.press("f10")
        await settle(app, pilot)
        app.open_chats([DORA])
        await settle(app, pilot)
        assert app.chats.prompt.text == "draft"
        await pilot.press("up")
        assert app.chats.prompt.text == "one", "and what was sent is still recalled"
        await pilot.press("down")
        assert app.chats.prompt.text == "draft"


async def test_the_arrows_recall_what_the_operator_said_in_this_session_before() -> None:
    engine = stage.busy()
    talk = engine.conversations[DORA] = Conversation()
    for text, source in (("mine", Source.OPERATOR), ("a caller's", Source.CALLER)):
        talk.append(Asked(at=NOW, turn_id="t-1", text=text, source=source, user="dora"))
    async with playing(engine, size=LARGE) as (app, pilot):
        app.open_chats([DORA, BEN])
        await settle(app, pilot)
        await pilot.press("up")
        assert app.chats.prompt.text == "mine"
        await pilot.press("f6", "up")
        assert app.chats.prompt.text == "", "another session has its own"


async def test_keys_that_come_in_one_burst_go_to_the_pane_that_the_keys_before_chose() -> None:
    engine = stage.busy()
    async with playing(engine, size=LARGE) as (app, pilot):
        app.open_chats([ANA, BEN, DORA])
        await settle(app, pilot)
        burst(app, *"one", "f6", *"two", "enter", "f6", *"three", "enter", "ctrl+pagedown", "enter")
        await until(lambda: len(engine.calls) == 3, within=60)
        await pilot.pause()
        assert sorted(sent(engine)) == [(ANA, "one"), (BEN, "two"), (DORA, "three")]


ACTS = ("keys", "keys", "type", "type", "type", "enter", "enter", "click", "size", "ask", "open")
KEYS = ("f6", "shift+f6", "f7", "ctrl+pagedown", "ctrl+pageup", "f5", "f10", "escape")


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.exhaustive) for seed in range(1, 8))])
async def test_every_prompt_goes_to_the_session_named_on_the_message_box(seed: int) -> None:
    """Random opens, closes, moves, sizes, arrivals and words; no draft is lost and no word goes elsewhere."""
    dice = random.Random(seed)
    engine, keys = stage.asking(), [ANA, BEN, DORA, EMIL, MIRA, ROOT]
    drafts: dict[SessionKey, str] = defaultdict(str)
    expected: list[tuple[SessionKey, str]] = []
    async with playing(engine, size=LARGE) as (app, pilot):
        chats = app.chats
        app.open_chats(dice.sample(keys, 3))
        await settle(app, pilot)
        for step in range(40):
            if not isinstance(app.screen, ChatScreen):
                app.open_chats(dice.sample(keys, dice.choice([1, 1, 2, 4])))
                await settle(app, pilot)
            match dice.choice(ACTS):
                case "keys":
                    await pilot.press(dice.choice(KEYS))
                case "type" if chats.prompt.has_focus:
                    word = f"w{step}"
                    drafts[chats.key] += word
                    await pilot.press(*word)
                case "enter" if chats.prompt.has_focus:
                    title = str(chats.prompt.border_title)
                    key = SessionKey(*title.removeprefix("▶ to: ").split(" / "))
                    assert title.startswith("▶")
                    if chats.prompt.text:
                        expected.append((key, chats.prompt.text))
                        assert words(chats.prompt.text) == words(drafts[key])
                        drafts[key] = ""
                    await pilot.press("enter")
                case "click":
                    shown = in_sight(app)
                    pane = chats.panes[dice.choice(shown)]
                    await pilot.click(pane.prompt)
                case "size":
                    await pilot.resize_terminal(*dice.choice([LARGE, MIDDLE, SMALL]))
                case "ask":
                    if "q-1" in engine.questions:
                        engine.remove_question("q-1")
                    else:
                        engine.put(stage.PERMISSION, replace(engine.sessions[ROOT], questions=("q-1",)))
                case "open":
                    app.open_chats([dice.choice(keys)])
            await settle(app, pilot)
            assert sent(engine) == expected
            if isinstance(app.screen, ChatScreen):
                focused = app.screen.focused
                assert focused is not None
                assert chats.pane in focused.ancestors_with_self
                boxes = [box for box in chats.query(PromptInput) if str(box.border_title).startswith("▶")]
                assert boxes == ([chats.prompt] if chats.prompt.has_focus else [])
        assert not [call for call in engine.calls if call[0] != "submit"]
        for key in keys:
            kept = chats.panes[key].prompt.draft if key in chats.panes else app.operations.unsent.get(key, "")
            assert words(kept) == words(drafts[key])


async def test_a_prompt_that_could_not_be_recorded_comes_back_to_its_pane_and_takes_no_focus() -> None:
    engine = stage.busy()
    async with playing(engine, size=LARGE) as (app, pilot):
        app.open_chats([ANA, BEN])
        await settle(app, pilot)
        engine.journal.is_written = anyio.Event()
        await pilot.press(*"lost", "enter", "f6", *"be")
        engine.journal.fails_with = NotRecorded("the disk is full")
        engine.journal.is_written.set()
        await until(lambda: app.chats.panes[ANA].prompt.text == "lost", within=60)
        await pilot.press(*"n")
        assert app.chats.panes[BEN].prompt.text == "ben"
        assert app.chats.panes[BEN].prompt.has_focus


@pytest.mark.parametrize("is_open", [False, True])
async def test_an_employees_first_prompt_leads_to_its_one_session(is_open: bool) -> None:
    """Its key changes at the first prompt; where that session is open already, the two tabs become one."""
    engine = stage.busy()
    chat = SessionKey("clerk", "operator", "chat-1")

    async def submit(prompt: Prompt) -> StageTicket:
        engine.calls.append(("submit", prompt))
        return StageTicket("t-new", CLERK, engine.journal)

    engine.submit = submit  # type: ignore[method-assign]
    async with playing(engine, size=LARGE) as (app, pilot):
        app.open_chats([CLERK, chat] if is_open else [chat, ANA])
        await settle(app, pilot)
        if is_open:
            await pilot.press(*"draft", "f6")
        assert app.chats.key == chat
        burst(app, *"file it", "enter", *"and")
        await until(lambda: engine.calls, within=60)
        await settle(app, pilot)
        assert app.chats.deck.tabs == ([CLERK] if is_open else [CLERK, ANA])
        assert app.chats.key == CLERK
        # What is typed before the engine has answered stands in the pane that becomes one with the other.
        words = app.chats.panes[CLERK].prompt.text
        assert words.replace("\n", "") == ("draftand" if is_open else "and")
        assert str(app.chats.prompt.border_title) == "▶ to: clerk / clerk / desk"


async def test_a_session_closed_under_an_open_pane_leaves_the_screen_and_the_draft_stays() -> None:
    engine = stage.busy()
    talk = engine.conversations[DORA] = Conversation()
    talk.append(Replied(at=NOW, turn_id="t-1", text="a secret"))
    async with playing(engine, size=LARGE) as (app, pilot):
        app.open_chats([DORA, BEN])
        await settle(app, pilot)
        app.chats.refresh_transcript()
        await settle(app, pilot)
        assert "a secret" in screen_text(app)
        await pilot.press(*"draft")
        row = engine.sessions.pop(DORA)
        del engine.conversations[DORA]
        engine.feed.touch_session(DORA)
        await settle(app, pilot)
        app.chats.refresh_transcript()
        await settle(app, pilot)
        assert "a secret" not in screen_text(app)
        assert "This session was closed" in screen_text(app)
        assert app.chats.prompt.text == "draft"
        engine.conversations[DORA] = Conversation()
        engine.conversations[DORA].append(Replied(at=NOW, turn_id="t-1", text="begun anew"))
        engine.put(replace(row, created_at=NOW))
        await settle(app, pilot)
        app.chats.refresh_transcript()
        await settle(app, pilot)
        assert "begun anew" in screen_text(app)


async def test_a_question_in_a_hidden_tab_marks_it_until_it_is_answered_anywhere() -> None:
    engine = stage.busy()
    async with playing(engine, size=SMALL) as (app, pilot):
        app.open_chats([ROOT])
        app.open_chats([ANA])
        await settle(app, pilot)
        engine.put(stage.PERMISSION, replace(engine.sessions[ROOT], questions=("q-1",)))
        await settle(app, pilot)
        assert "◐" in screen_text(app).splitlines()[0]
        await pilot.press(*"aAd")
        assert engine.calls == []
        engine.remove_question("q-1")
        await settle(app, pilot)
        assert "◐" not in screen_text(app).splitlines()[0]
        await pilot.press("ctrl+pageup")
        await settle(app, pilot)
        assert not app.chats.pane.dock.cards()


async def test_new_replies_and_failures_mark_a_tab_until_it_was_looked_at() -> None:
    engine = stage.busy()
    async with playing(engine, size=LARGE) as (app, pilot):
        for key in (DORA, BEN, ANA):
            app.open_chats([key])
            await settle(app, pilot)
        engine.put(
            replace(engine.sessions[DORA], turns=5),
            replace(engine.sessions[BEN], turns=9, state=SessionState.FAILED),
        )
        await settle(app, pilot)
        line = screen_text(app).splitlines()[0]
        assert "•2" in line
        assert "✕" in line
        await pilot.press("ctrl+pageup")
        await settle(app, pilot)
        await pilot.press("ctrl+pageup")
        await settle(app, pilot)
        line = screen_text(app).splitlines()[0]
        assert "•" not in line
        assert "✕" not in line


async def test_f5_goes_round_the_sessions_that_need_the_operator_and_answers_nothing() -> None:
    engine = stage.asking()
    async with playing(engine, size=SMALL) as (app, pilot):
        app.open_chats([ANA])
        await settle(app, pilot)
        seen = []
        for _ in range(3):
            await pilot.press("f5", *"aAd1")
            await settle(app, pilot)
            seen.append(app.chats.key)
            assert app.chats.prompt.has_focus
        assert seen == [ROOT, EMIL, ROOT]
        assert engine.calls == []
        assert app.chats.deck.tabs == [ANA, ROOT, EMIL]


async def test_a_click_chooses_a_tab_a_pane_and_the_cross_closes() -> None:
    async with playing(stage.busy(), size=LARGE) as (app, pilot):
        app.open_chats([ANA, BEN, DORA])
        await settle(app, pilot)
        await pilot.click(app.chats.panes[DORA].prompt)
        await settle(app, pilot)
        assert app.chats.key == DORA
        await pilot.click("#tabs", offset=(3, 0))
        await settle(app, pilot)
        assert app.chats.key == ANA
        cross = screen_text(app).splitlines()[0].index("×")
        await pilot.click("#tabs", offset=(cross, 0))
        await settle(app, pilot)
        assert app.chats.deck.tabs == [BEN, DORA]
        assert app.chats.prompt.has_focus


async def test_twenty_tabs_are_opened_walked_through_and_closed_while_they_stream() -> None:
    engine = stage.busy()
    keys = [SessionKey("helpdesk", "operator", f"chat-{number}") for number in range(20)]
    for key in keys:
        engine.put(stage.session(key))
        engine.conversations[key] = Conversation()
    async with playing(engine, size=SMALL) as (app, pilot):
        for key in keys:
            app.open_chats([key])
        await settle(app, pilot)
        for number, key in enumerate(keys):
            engine.conversations[key].stream(f"word {number}", "t-1")
        await pilot.press("ctrl+pagedown")
        await settle(app, pilot)
        line = screen_text(app).splitlines()[0]
        assert line.strip().startswith("1 chat-0 ×")
        assert "›" in line
        while app.chats.deck.tabs:
            app.chats.close_tab(app.chats.deck.tabs[-1])
            app.chats.refresh_transcript()
        await settle(app, pilot)
        assert isinstance(app.screen, DashboardScreen)
        assert not app.chats.query(Transcript)


async def test_what_is_out_of_sight_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hidden tabs cost nothing, and neither does anything while the dashboard is in front."""
    engine = stage.busy()
    for key in (ANA, BEN, DORA):
        engine.conversations[key] = Conversation()
    read: list[object] = []
    plain = Transcript.refresh_from_engine

    def spied(self: Transcript) -> bool:
        read.append(self.conversation)
        return plain(self)

    async with playing(engine, size=SMALL) as (app, pilot):
        for key in (ANA, BEN, DORA):
            app.open_chats([key])
            await settle(app, pilot)
            app.chats.refresh_transcript()
        await settle(app, pilot)
        monkeypatch.setattr(Transcript, "refresh_from_engine", spied)
        read.clear()
        app.chats.refresh_transcript()
        assert app.chats.panes[DORA].transcript.conversation is not None
        assert {id(each) for each in read} == {id(app.chats.panes[DORA].transcript.conversation)}
        await pilot.press("escape")
        await settle(app, pilot)
        read.clear()
        app.chats.refresh_transcript()
        assert read == []


async def test_a_search_says_which_of_how_many_and_esc_ends_it_before_it_leaves() -> None:
    engine = stage.busy()
    talk = engine.conversations[DORA] = Conversation()
    for number in range(29):
        talk.append(Replied(at=NOW, turn_id="t-1", text=f"needle {number}"))
    async with playing(engine, size=SMALL) as (app, pilot):
        app.open_chats([DORA])
        await settle(app, pilot)
        app.chats.refresh_transcript()
        await pilot.press("ctrl+f", *"NEEDLE", "enter")
        await settle(app, pilot)
        assert "“NEEDLE” 29 of 29" in screen_text(app)
        await pilot.press("f3", "f3", "f3")
        await settle(app, pilot)
        assert "3 of 29" in screen_text(app)
        talk.append(Replied(at=NOW, turn_id="t-1", text="one more needle"))

        def has_come() -> bool:
            app.chats.refresh_transcript()
            return "3 of 30" in screen_text(app)

        await until(has_come)
        await pilot.press("f3")
        await settle(app, pilot)
        assert "4 of 30" in screen_text(app)
        await pilot.press("escape")
        await settle(app, pilot)
        assert "of 30" not in screen_text(app)
        assert isinstance(app.screen, ChatScreen)
        await pilot.press("escape")
        await settle(app, pilot)
        assert isinstance(app.screen, DashboardScreen)


async def test_a_copy_is_in_a_private_file_too_and_the_text_can_be_shown_plainly(tmp_path: Path) -> None:
    engine = stage.busy()
    talk = engine.conversations[DORA] = Conversation()
    talk.append(Replied(at=NOW, turn_id="t-1", text="a [/] reply\ud800"))
    file = tmp_path / "copied.txt"
    file.write_text("of a run that was cut off")
    app = BullpenApp(engine, rehearsal=True, clock=HandClock(), copies=CopyFile(file))
    async with app.run_test(size=SMALL, notifications=True) as pilot:
        assert not file.exists()
        app.open_chats([DORA])
        await settle(app, pilot)
        app.chats.refresh_transcript()
        await pilot.press("ctrl+y")
        await pilot.pause()
        assert file.read_text() == "a [/] reply?"
        assert file.stat().st_mode & 0o777 == 0o600
        assert str(file) in told(app)
        await pilot.press("f12")
        await settle(app, pilot)
        assert "a [/] reply" in screen_text(app)
        assert "╭" not in screen_text(app)
        await pilot.press("escape")
        await settle(app, pilot)
        assert isinstance(app.screen, ChatScreen)
    assert app._exception is None
    assert not file.exists(), "nothing of it stays behind"


async def test_a_copy_that_no_file_takes_is_still_sent_to_the_terminal(tmp_path: Path) -> None:
    copies = CopyFile(tmp_path / "gone" / "copied.txt")
    app = BullpenApp(stage.busy(), rehearsal=True, clock=HandClock(), copies=copies)
    async with app.run_test(size=SMALL, notifications=True) as pilot:
        app.copy("text", "the text")
        await pilot.pause()
        assert app.clipboard == "text"
        assert "copied the text ·" in told(app)
        assert "gone" not in told(app)


async def test_of_a_forgotten_user_no_draft_no_prompt_and_no_copy_is_kept(tmp_path: Path) -> None:
    engine, file = stage.busy(), tmp_path / "copied.txt"
    app = BullpenApp(engine, rehearsal=True, clock=HandClock(), copies=CopyFile(file))
    async with app.run_test(size=LARGE) as pilot:
        app.open_chats([DORA, BEN])
        await settle(app, pilot)
        await pilot.press(*"sent", "enter", *"draft")
        app.copy("what Dora was told", "the reply")
        await app.operations.forget_user("dora")
        del engine.sessions[DORA]
        engine.feed.touch_session(DORA)
        await settle(app, pilot)
        assert app.chats.deck.tabs == [BEN]
        assert DORA not in app.operations.unsent
        assert not file.exists()
        app.open_chats([DORA])
        await settle(app, pilot)
        await pilot.press("up")
        assert app.chats.prompt.text == ""


async def test_one_prompt_goes_to_every_pane_in_sight_through_the_palette() -> None:
    engine = stage.busy()
    async with playing(engine, size=LARGE) as (app, pilot):
        app.open_chats([ANA, BEN, DORA])
        app.open_chats([EMIL])
        await settle(app, pilot)
        await pilot.press("ctrl+p", *"every pane", "enter")
        await until(lambda: isinstance(app.screen, AskTextScreen), within=60)
        assert "helpdesk/ben/ticket-4712" in screen_text(app)
        await pilot.press(*"all of you", "enter")
        await settle(app, pilot)
        assert {key for key, _ in sent(engine)} == {ANA, BEN, DORA, EMIL}
        assert {text for _, text in sent(engine)} == {"all of you"}


async def test_ages_go_on_in_every_pane_in_sight() -> None:
    engine, clock = stage.busy(), HandClock()
    async with playing(engine, size=LARGE, clock=clock) as (app, pilot):
        app.open_chats([ANA, ROOT])
        await settle(app, pilot)
        clock.now += 60
        await settle(app, pilot)
        text = screen_text(app)
        assert "for 1m14" in text
        assert "for 2m06" in text


async def test_a_theme_chosen_on_the_dashboard_is_seen_in_the_chats_that_were_open() -> None:
    async with playing(stage.busy(), size=SMALL) as (app, pilot):
        app.open_chats([ANA])
        await settle(app, pilot)
        before = app.chats.transcript.styles.background
        await pilot.press("escape")
        app.theme = "textual-light"
        await settle(app, pilot)
        app.open_chats([])
        await settle(app, pilot)
        assert app.chats.transcript.styles.background != before
