"""Where the operator types: enter sends, the arrows walk through what was sent before."""

from __future__ import annotations

from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import TextArea

LARGE_PASTE = 8_000
"""Characters. A larger paste is shown as a short name and put in when the prompt is sent."""

LEFT_TO_THE_SCREEN = frozenset(
    {"ctrl+k", "ctrl+s", "ctrl+q", "ctrl+f", "ctrl+y", "pageup", "pagedown", "f6", "f7", "escape"}
)
"""Keys that an editor would take, and that mean something else here."""


def _without(bindings: list[BindingType], keys: frozenset[str]) -> list[BindingType]:
    kept: list[BindingType] = []
    for binding in Binding.make_bindings(bindings):
        if binding.key not in keys:
            kept.append(binding)
    return kept


class PromptInput(TextArea, inherit_bindings=False):
    """One to eight lines of text. Says `Submitted`; the screen decides, and keeps what was sent with `accept`."""

    DEFAULT_CSS = """
    PromptInput {
        height: auto;
        min-height: 3;
        max-height: 10;
        scrollbar-size-vertical: 1;
    }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+j,shift+enter,alt+enter", "newline", "New line", show=False),
        Binding("tab", "leave", show=False),
        *_without(TextArea.BINDINGS, LEFT_TO_THE_SCREEN),
    ]

    class Left(Message):
        """Tab in an empty box."""

    class Submitted(Message):
        """Enter on something that is not only spaces. The input is empty now, or shows the draft that an earlier prompt
        stood in front of."""

        def __init__(self, prompt: PromptInput, text: str) -> None:
            super().__init__()
            self.prompt = prompt
            self.text = text

        @property
        def control(self) -> PromptInput:
            return self.prompt

    def __init__(
        self,
        *,
        placeholder: str = "Message · enter sends · ctrl+j new line",
        name: str | None = None,
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        super().__init__(
            placeholder=placeholder,
            soft_wrap=True,
            tab_behavior="focus",
            show_line_numbers=False,
            highlight_cursor_line=False,
            name=name,
            id=id,
            classes=classes,
        )
        self.sent: list[str] = []
        """What was accepted, oldest first."""
        self._recalled: int | None = None
        self._draft = ""
        self._pastes: dict[str, str] = {}

    @property
    def full_text(self) -> str:
        """The text with large pastes put in."""
        return self._put_in(self.text)

    @property
    def draft(self) -> str:
        """What is being written, with large pastes put in: not an earlier prompt that is only looked at."""
        is_looked_at = self._recalled is not None and self.text == self.sent[self._recalled]
        return self._put_in(self._draft) if is_looked_at else self.full_text

    def _put_in(self, text: str) -> str:
        for token, pasted in self._pastes.items():
            text = text.replace(token, pasted)
        return text

    def accept(self, text: str) -> bool:
        """Keeps a prompt in the history. False when it stands there as the latest already."""
        is_new = bool(text) and (not self.sent or self.sent[-1] != text)
        if is_new:
            self.sent.append(text)
        self._recalled = None
        return is_new

    def take_out(self, text: str) -> None:
        """Takes a prompt that was refused out of the history, unless it is being looked at."""
        if text in self.sent and self._recalled is None:
            del self.sent[len(self.sent) - 1 - self.sent[::-1].index(text)]

    def give_back(self, text: str) -> None:
        """Puts words that were not sent before what has been written since, and goes on behind them. The focus stays
        where it is: the words may come back while the operator writes to another session."""
        self.text = f"{text}\n{self.text}" if self.text.strip() else text
        self.move_cursor(self.document.end)

    def go_on_with(self, text: str) -> None:
        """Puts words that are being written elsewhere behind what stands here: the next letter goes behind them."""
        self.text = f"{self.text}\n{text}" if self.text.strip() else text
        self.move_cursor(self.document.end)

    def clear_words(self) -> None:
        """Forgets what is being written and what was sent."""
        self.text = self._draft = ""
        self._recalled = None
        self._pastes.clear()
        self.sent = []

    async def _on_key(self, event: events.Key) -> None:
        # Not a priority binding: that one would overtake letters still on their way here, and send half a prompt.
        if event.key == "enter":
            event.stop()
            event.prevent_default()
            self.action_submit()
        else:
            await super()._on_key(event)

    def action_submit(self) -> None:
        text = self.full_text
        if not text.strip():
            return
        # A draft that an earlier prompt stood in front of comes back.
        self.text = self._draft if self._recalled is not None else ""
        self.move_cursor(self.document.end)
        if not self.text:
            self._pastes.clear()
        self._recalled, self._draft = None, ""
        self.post_message(self.Submitted(self, text))

    def action_leave(self) -> None:
        """Leaves an empty prompt. With text in it, tab counts as a slip, because the next letter would answer a
        card."""
        if self.text:
            self.notify("tab leaves an empty message only; F4 goes to the question", markup=False, timeout=3)
        else:
            self.post_message(self.Left())

    def action_newline(self) -> None:
        self.insert("\n")
        self.scroll_cursor_visible()

    # History

    def action_cursor_up(self, select: bool = False) -> None:
        if not select and self.navigator.is_first_wrapped_line(self.cursor_location) and self._recall(-1):
            return
        super().action_cursor_up(select)

    def action_cursor_down(self, select: bool = False) -> None:
        if not select and self.navigator.is_last_wrapped_line(self.cursor_location) and self._recall(1):
            return
        super().action_cursor_down(select)

    def _recall(self, by: int) -> bool:
        """Shows an earlier or a later prompt; past the latest stands what was being written. False at either end."""
        newest = len(self.sent)
        at = newest if self._recalled is None else self._recalled
        to = at + by
        if not 0 <= to <= newest:
            return False
        if at == newest:
            self._draft = self.text
        self._recalled = None if to == newest else to
        self.text = self._draft if to == newest else self.sent[to]
        self.move_cursor(self.document.end)
        return True

    # Pasting

    def on_paste(self, event: events.Paste) -> None:
        if len(event.text) <= LARGE_PASTE:
            return
        event.prevent_default()
        event.stop()
        lines = event.text.count("\n") + 1
        token = f"[pasted {len(self._pastes) + 1}: {lines:,} lines, {len(event.text):,} characters]"
        self._pastes[token] = event.text
        self.insert(token)
