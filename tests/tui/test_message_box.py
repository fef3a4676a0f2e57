"""Where the operator types."""

from __future__ import annotations

import pytest
from textual import events
from textual.app import App, ComposeResult
from textual.binding import Binding

from tui.widgets.prompt import LEFT_TO_THE_SCREEN, PromptInput

pytestmark = pytest.mark.anyio


class PromptApp(App[None]):
    BINDINGS = [Binding(key, f"say('{key}')") for key in ("ctrl+k", "ctrl+s", "escape", "pageup")]

    def __init__(self) -> None:
        super().__init__()
        self.prompt = PromptInput()
        self.sent: list[str] = []
        self.said: list[str] = []

    def compose(self) -> ComposeResult:
        yield self.prompt

    def on_mount(self) -> None:
        self.prompt.focus()

    def on_prompt_input_submitted(self, event: PromptInput.Submitted) -> None:
        self.sent.append(event.text)
        event.prompt.accept(event.text)

    def action_say(self, key: str) -> None:
        self.said.append(key)


async def test_enter_sends_and_ctrl_j_begins_a_line() -> None:
    app = PromptApp()
    async with app.run_test(size=(60, 20)) as pilot:
        await pilot.press("h", "i", "ctrl+j", "y", "o", "u", "enter", "enter")
        assert app.sent == ["hi\nyou"], "and an empty prompt is not sent"
        assert app.prompt.text == ""


async def test_it_grows_from_one_line_to_eight() -> None:
    app = PromptApp()
    async with app.run_test(size=(60, 30)) as pilot:
        await pilot.pause()
        assert app.prompt.content_size.height == 1
        for _ in range(4):
            await pilot.press("ctrl+j")
        await pilot.pause()
        assert app.prompt.content_size.height == 5
        for _ in range(20):
            await pilot.press("ctrl+j")
        await pilot.pause()
        assert app.prompt.content_size.height == 8


async def test_the_arrows_walk_through_what_was_sent_and_keep_the_draft() -> None:
    app = PromptApp()
    async with app.run_test(size=(60, 20)) as pilot:
        await pilot.press(*"one", "enter", *"two", "ctrl+j", *"lines", "enter", *"dra", "up")
        assert app.prompt.text == "two\nlines"
        await pilot.press("up")
        assert app.prompt.text == "two\nlines", "within a prompt of two lines the arrow moves"
        await pilot.press("up")
        assert app.prompt.text == "one"
        await pilot.press("up")
        assert app.prompt.text == "one", "there is nothing before the first"
        await pilot.press("down", "down")
        assert app.prompt.text == "dra"
        await pilot.press("down")
        assert app.prompt.text == "dra"


async def test_keys_of_the_screen_are_not_taken() -> None:
    app = PromptApp()
    async with app.run_test(size=(60, 20)) as pilot:
        await pilot.press(*"text", "ctrl+k", "ctrl+s", "escape", "pageup")
        assert app.said == ["ctrl+k", "ctrl+s", "escape", "pageup"]
        assert app.prompt.text == "text"
        assert not LEFT_TO_THE_SCREEN & set(app.prompt._bindings.key_to_bindings)


async def test_a_large_paste_is_named_and_sent_in_full() -> None:
    app = PromptApp()
    async with app.run_test(size=(60, 20)) as pilot:
        small, large = "a\nb", "x" * 500_000 + "\nend"
        app.post_message(events.Paste(small))
        app.post_message(events.Paste(large))
        await pilot.pause()
        assert app.prompt.text == "a\nb[pasted 1: 2 lines, 500,004 characters]"
        await pilot.press("enter")
        assert app.sent == [small + large]
