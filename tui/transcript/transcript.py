"""One widget for a whole conversation, however long: it draws what is in sight, and each finished block once."""

from __future__ import annotations

from collections.abc import Collection
from time import monotonic
from typing import ClassVar

from rich.segment import Segment
from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.strip import Strip

from supervisor import ConversationReader, Cursor
from tui.transcript.block_builder import Record
from tui.transcript.block_view import NOTHING, BlockView
from tui.transcript.search import Finder
from tui.transcript.tool_blocks import Card, ToolUse
from tui.wording.sanitize import clean_cell

SLOW = 0.03
"""Seconds. A refresh that took longer makes the next ones rarer, so that drawing takes a tenth of the time at most."""
RARER = 9


class Transcript(BlockView, can_focus=True):
    """Shows a `ConversationReader`, and follows it when `refresh_from_engine` is called."""

    PREFIX = "transcript"
    ALLOW_SELECT = True

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "transcript--operator",
        "transcript--caller",
        "transcript--hook",
        "transcript--agent",
        "transcript--engine",
        "transcript--asked",
        "transcript--tool",
        "transcript--question",
        "transcript--ok",
        "transcript--busy",
        "transcript--warn",
        "transcript--error",
        "transcript--dim",
        "transcript--strong",
        "transcript--open",
        "transcript--heading",
        "transcript--code",
        "transcript--code-block",
        "transcript--quote",
        "transcript--bullet",
        "transcript--link",
        "transcript--cursor",
        "transcript--match",
        "transcript--match-current",
        "transcript--hint",
        "transcript--empty",
    }

    DEFAULT_CSS = """
    Transcript {
        height: 1fr;
        background: $surface;
        color: $foreground;
        scrollbar-gutter: stable;
        & > .transcript--operator { color: $text-accent; }
        & > .transcript--caller { color: $text-primary; }
        & > .transcript--hook { color: $text-secondary; }
        & > .transcript--agent { color: $text-muted; }
        & > .transcript--engine { color: $text-muted; }
        & > .transcript--asked { background: $boost; }
        & > .transcript--tool { color: $text-secondary; text-style: bold; }
        & > .transcript--question { color: $text-warning; text-style: bold; }
        & > .transcript--ok { color: $text-success; }
        & > .transcript--busy { color: $text-primary; }
        & > .transcript--warn { color: $text-accent; }
        & > .transcript--error { color: $text-error; }
        & > .transcript--dim { color: $text-muted; }
        & > .transcript--strong { text-style: bold; }
        & > .transcript--open { color: $accent; }
        & > .transcript--heading { color: $text-primary; }
        & > .transcript--code { color: $text-accent; }
        & > .transcript--code-block { background: $boost; }
        & > .transcript--quote { color: $text-muted; text-style: italic; }
        & > .transcript--bullet { color: $text-primary; text-style: bold; }
        & > .transcript--link { text-style: underline; }
        & > .transcript--cursor { background: $foreground 9%; }
        & > .transcript--match { color: $text; background: $accent 35%; }
        & > .transcript--match-current { color: $text; background: $accent 75%; text-style: bold; }
        & > .transcript--hint { color: $text; background: $accent; text-style: bold; }
        & > .transcript--empty { color: $text-muted; }
    }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "line(-1)", "Up", show=False),
        Binding("down,j", "line(1)", "Down", show=False),
        Binding("pageup", "page(-1)", "Page up", show=False),
        Binding("pagedown", "page(1)", "Page down", show=False),
        Binding("home,g", "first", "Start", show=False),
        Binding("end,G", "last", "End", show=False),
        Binding("t,enter", "fold", "Fold or unfold", show=False),
        Binding("T", "fold_all", "Fold or unfold all tool calls", show=False),
        Binding("n", "match(1)", "Next match", show=False),
        Binding("N", "match(-1)", "Previous match", show=False),
    ]

    @property
    def own_keys(self) -> Collection[str]:
        """Keys that are commands here."""
        return self._bindings.key_to_bindings.keys()

    class Followed(Message):
        """The end came into sight, or went out of it."""

        def __init__(self, transcript: Transcript, is_following: bool) -> None:
            super().__init__()
            self.transcript = transcript
            self.is_following = is_following

        @property
        def control(self) -> Transcript:
            return self.transcript

    def __init__(
        self,
        *,
        empty: str = "Nothing has been said yet.",
        name: str | None = None,
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        super().__init__(name=name, id=id, classes=classes)
        self.empty = empty
        """Shown while the conversation is empty."""
        self._conversation: ConversationReader | None = None
        self._seen = Cursor()
        self._record = Record()
        self._not_before = 0.0

    # The conversation

    @property
    def conversation(self) -> ConversationReader | None:
        return self._conversation

    def show(self, conversation: ConversationReader | None) -> None:
        """Shows another conversation from its end; None shows nothing."""
        self._conversation = conversation
        self._seen = Cursor()
        self._record = Record()
        self._not_before = 0.0
        self._spot = None
        self.is_following, self.has_news = True, False
        self.finder = None
        self.restack(())
        self.refresh_from_engine()
        self.refresh()

    def refresh_from_engine(self) -> bool:
        """Takes in what was said since the last call. Returns whether anything was. Call it at 10 Hz or less."""
        if self._conversation is None:
            return False
        reading = self._conversation.read(self._seen)
        if not reading.entries and monotonic() < self._not_before:
            return False
        began = monotonic()
        self._seen = reading.cursor
        if not self._record.apply(reading):
            return False
        self.restack(self._record.blocks)
        if self.finder is not None and reading.entries:
            self.finder.renew(self._stack.blocks)
        if not self.is_following:
            self.has_news = True
        took = monotonic() - began
        self._not_before = monotonic() + took * RARER if took > SLOW else 0.0
        return True

    def text_of_last_reply(self) -> str:
        """The reply being streamed, or else the last one, as Markdown; empty when there is none."""
        return self._record.open_text or self._record.last_reply

    # Moving

    def action_line(self, lines: int) -> None:
        self.put_cursor(self.cursor_line + lines)

    def action_page(self, pages: int) -> None:
        step = pages * max(1, self.size.height - 2)
        line = self.cursor_line + step
        self.scroll_to(y=self.scroll_offset.y + step, animate=False, force=True)
        self.put_cursor(line)

    def action_first(self) -> None:
        self.put_cursor(0)

    def action_last(self) -> None:
        self.has_news = False
        self.put_cursor(self._stack.total - 1)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        was_following = self.is_following
        super().watch_scroll_y(old_value, new_value)
        if was_following is not self.is_following:
            self.post_message(self.Followed(self, self.is_following))

    # Folding

    def action_fold(self) -> None:
        """Folds or unfolds what the cursor stands on."""
        block = self.cursor_block
        if block is None or not block.can_fold:
            return
        block.toggle()
        index = self._stack.index_of(block)
        assert index is not None
        self._spot = (block, block.gap)
        self.is_following = False
        self.restack(self._stack.blocks)
        self.put_cursor(self._stack.starts[index] + block.gap)

    def action_fold_all(self) -> None:
        """Unfolds every tool call, or folds them all when none is folded."""
        tools = [block for block in self._stack.blocks if isinstance(block, ToolUse | Card)]
        unfold = any(tool.is_folded for tool in tools)
        for tool in tools:
            if tool.is_folded is unfold:
                tool.toggle()
        self.restack(self._stack.blocks)

    # Searching

    def search(self, text: str) -> int:
        """Marks every place that says this, whatever the case, and goes to the last one. Returns how many there are.

        An empty text ends the search.
        """
        self.finder = Finder(text, self._stack.blocks) if text else None
        self.refresh()
        if self.finder is None:
            return 0
        self.previous_match()
        return len(self.finder.matches)

    def next_match(self) -> bool:
        return self._step(1)

    def previous_match(self) -> bool:
        return self._step(-1)

    def action_match(self, by: int) -> None:
        self._step(by)

    def _step(self, by: int) -> bool:
        if self.finder is None:
            return False
        self.finder.renew(self._stack.blocks)
        if (found := self.finder.step(by)) is None:
            return False
        block, ordinal = found
        offset = self.finder.line_of(block, ordinal, self._stack.paint)
        if offset is None and block.can_fold and block.is_folded:
            block.toggle()
            offset = self.finder.line_of(block, ordinal, self._stack.paint)
        self.restack(self._stack.blocks)
        if (index := self._stack.index_of(block)) is None:
            return False
        line = self._stack.starts[index] + block.gap + (offset or 0)
        self.put_cursor(line)
        self.refresh()
        return True

    # Mouse

    def on_click(self, event: events.Click) -> None:
        offset = event.get_content_offset(self)
        if offset is None or self.text_selection is not None:
            return
        if self.has_news and offset.y == self.size.height - 1 and offset.x >= self.hint_x:
            self.action_last()
            return
        line = self.scroll_offset.y + offset.y
        if line >= self._stack.total:
            return
        self.put_cursor(line)
        index, within = self._stack.locate(line)
        block = self._stack.blocks[index]
        if block.can_fold and (block.is_folded or within == block.gap) and within >= block.gap:
            self.action_fold()

    # Drawing

    def render_line(self, y: int) -> Strip:
        if not len(self._stack) and y == self.size.height // 2 and self._line(0) == NOTHING:
            return self._empty_line()
        return super().render_line(y)

    def _empty_line(self) -> Strip:
        width, base = self.size.width, self.rich_style
        text = clean_cell(self.empty, max(1, width - 2))
        strip = Strip([Segment(text, base + self.ink("empty"))])
        left = Segment(" " * max(0, (width - strip.cell_length) // 2), base)
        return Strip([left, *strip]).adjust_cell_length(width, base)
