"""A scroll view over blocks: draws what is in sight, and keeps its place while heights become exact."""

from __future__ import annotations

from collections.abc import Sequence

from rich.segment import Segment
from textual.geometry import Size
from textual.reactive import reactive
from textual.selection import Selection
from textual.strip import Strip

from tui.tables.line_view import LineView
from tui.transcript.block_layout import Stack
from tui.transcript.blocks import Block
from tui.transcript.highlight import tint
from tui.transcript.search import Finder
from tui.transcript.text_drawing import Paint

GUTTER = 2
"""Cells left of the text: the bar and a space."""
WIDEST_TEXT = 116
"""Lines longer than this are hard to read; a wider view leaves room at the right."""
HINT = " ↓ new "

Shown = tuple[Strip | None, str, str, bool]
"""One line on screen: its text, the block's bar and background, whether the cursor is on it."""
NOTHING: Shown = (None, "", "", False)


class BlockView(LineView):
    """Follows the end while the end is in sight; otherwise the text in sight stays where it is."""

    has_news: reactive[bool] = reactive(False, repaint=False)
    """Something arrived below what is in sight."""

    def __init__(self, *, name: str | None = None, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(name=name, id=id, classes=classes)
        self.is_following = True
        self.finder: Finder | None = None
        self._stack = Stack((), Paint(80, self.ink, self.ground, is_dark=True))
        self._shown: list[Shown] = []
        self._spot: tuple[Block, int] | None = None
        self._is_settling = False

    # The cursor is a line: a block and an offset in it, or the last line, whichever that is.

    @property
    def cursor_line(self) -> int:
        if self._spot is not None and (index := self._stack.index_of(self._spot[0])) is not None:
            height = self._stack.starts[index + 1] - self._stack.starts[index]
            return self._stack.starts[index] + min(self._spot[1], height - 1)
        return max(0, self._stack.total - 1)

    @property
    def cursor_block(self) -> Block | None:
        return self._block_at(self.cursor_line)

    def _block_at(self, line: int) -> Block | None:
        return self._stack.blocks[self._stack.locate(line)[0]] if len(self._stack) else None

    def put_cursor(self, line: int) -> None:
        """Puts the cursor on a line and scrolls it into sight. On the last line it stays at the end."""
        last = self._stack.total - 1
        line = max(0, min(line, last))
        self._spot = None
        if 0 <= line < last:
            index, offset = self._stack.locate(line)
            self._spot = (self._stack.blocks[index], offset)
        self.is_following = self._spot is None
        self._reveal(line)
        self._repaint_changed()

    def _reveal(self, line: int) -> None:
        top, height = self.scroll_offset.y, max(1, self.size.height)
        if line < top:
            self.scroll_to(y=line, animate=False, force=True)
        elif line >= top + height:
            self.scroll_to(y=line - height + 1, animate=False, force=True)

    # Keeping the place

    def restack(self, blocks: Sequence[Block]) -> None:
        """Shows these blocks. What is in sight stays in sight, or the end does."""
        anchor = self._anchor()
        self._stack = Stack(blocks, self._stack.paint)
        self._settle(anchor)

    def _anchor(self) -> tuple[Block, int] | None:
        if not len(self._stack):
            return None
        index, offset = self._stack.locate(self.scroll_offset.y)
        return self._stack.blocks[index], offset

    def _settle(self, anchor: tuple[Block, int] | None) -> None:
        """Draws what is in sight and a page around it, then puts the anchor (or the end) back in its place."""
        stack, height = self._stack, self.size.height
        if not height:
            return
        at, offset = None, 0
        if not self.is_following and len(stack):
            at = stack.index_of(anchor[0]) if anchor is not None else None
            if at is None or anchor is None:
                at, offset = stack.locate(self.scroll_offset.y)
            else:
                offset = anchor[1]
            offset = stack.settle(at, offset)
            stack.draw_down(at, offset + height * 2)
            stack.draw_up(at - 1, height)
        else:
            stack.draw_up(len(stack) - 1, height * 2)
        self._is_settling = True
        try:
            if self.virtual_size.height != stack.total:
                self.virtual_size = Size(0, stack.total)
            y = self.max_scroll_y if at is None else stack.starts[at] + offset
            if y != self.scroll_offset.y:
                self.scroll_to(y=y, animate=False, force=True)
        finally:
            self._is_settling = False
        self._repaint_changed()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        if self._is_settling or round(old_value) == round(new_value):
            return
        self.is_following = self.is_at_end
        if self.is_following:
            self.has_news = False
        self._settle(self._anchor())
        top = self.scroll_offset.y
        line = max(top, min(self.cursor_line, top + self.size.height - 1))
        if line != self.cursor_line:
            index, offset = self._stack.locate(line)
            self._spot = None if line == self._stack.total - 1 else (self._stack.blocks[index], offset)

    def on_resize(self) -> None:
        width = min(WIDEST_TEXT, self.size.width - GUTTER - 1)
        if width != self._stack.paint.width:
            self._repaper()
        else:
            self._settle(self._anchor())

    def forget_strips(self) -> None:
        if self.size.height:
            self._repaper()

    def _repaper(self) -> None:
        """A new width or a new theme: everything in sight is drawn again, the rest when it comes into sight."""
        anchor = self._anchor()
        width = min(WIDEST_TEXT, self.size.width - GUTTER - 1)
        paint = Paint(width, self.ink, self.ground, is_dark=self.app.current_theme.dark)
        self._stack = Stack(self._stack.blocks, paint)
        self._settle(anchor)
        self.refresh()

    # Drawing

    def _repaint_changed(self) -> None:
        has_cursor = self.has_focus or self.finder is not None
        top, cursor = self.scroll_offset.y, self.cursor_line if has_cursor else -1
        now = [self._line(top + y, cursor) for y in range(self.size.height)]
        for y, line in enumerate(now):
            if y >= len(self._shown) or self._shown[y] != line:
                self.repaint_line(y)
        self._shown = now

    def _line(self, line: int, cursor: int = -1) -> Shown:
        if line >= self._stack.total:
            return NOTHING
        is_cursor = line == cursor
        index, offset = self._stack.locate(line)
        block = self._stack.blocks[index]
        lines = block.draw(self._stack.paint)
        if not 0 <= offset - block.gap < len(lines):
            return (None, "", "", is_cursor)
        return lines[offset - block.gap], block.rail, block.ground, is_cursor

    @property
    def hint_x(self) -> int:
        """The column at which the hint about news begins, on the last line in sight."""
        return max(0, self.scrollable_content_region.width - len(HINT))

    def watch_has_news(self) -> None:
        self.repaint_line(self.size.height - 1)

    def watch_has_focus(self, focus: bool) -> None:
        super().watch_has_focus(focus)
        self._repaint_changed()

    def render_line(self, y: int) -> Strip:
        shown = self._shown[y] if y < len(self._shown) else NOTHING
        strip = self._compose_line(self.scroll_offset.y + y, shown)
        if self.has_news and y == self.size.height - 1:
            hint = self.rich_style + self.ink("hint") + self.ground("hint")
            strip = Strip([*strip.crop(0, self.hint_x), Segment(HINT, hint)])
        return strip

    def _compose_line(self, line: int, shown: Shown) -> Strip:
        text, rail, ground, is_cursor = shown
        base = self.rich_style
        if ground:
            base = base + self.ground(ground)
        if is_cursor:
            base = base + self.ground("cursor")
        width = self.size.width
        if text is None:
            return Strip.blank(width, base)
        text = self._marked(text, line, is_cursor).apply_style(base).apply_offsets(0, line)
        gutter = [Segment("▌" if rail else " ", base + self.ink(rail)), Segment(" ", base)]
        return Strip([*gutter, *text]).adjust_cell_length(width, base)

    def _marked(self, text: Strip, line: int, is_cursor: bool) -> Strip:
        if self.finder is not None and (spans := self.finder.spans(text.text)):
            role = "match-current" if is_cursor else "match"
            text = tint(text, spans, self.ink(role) + self.ground(role))
        selection = self.text_selection
        if selection is not None and (span := selection.get_span(line)) is not None:
            begin, end = span
            style = self.screen.get_component_rich_style("screen--selection")
            text = tint(text, [(begin, len(text.text) if end == -1 else end)], style)
        return text

    # Selecting text with the mouse

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        first = 0 if selection.start is None else selection.start.y
        last = self._stack.total - 1 if selection.end is None else selection.end.y
        lines: list[str] = []
        for line in range(max(0, first), min(last, self._stack.total - 1) + 1):
            strip = self._line(line)[0]
            text = "" if strip is None else strip.text
            span = selection.get_span(line)
            if span is not None:
                begin, end = span
                lines.append(text[begin : None if end == -1 else end].rstrip())
        return "\n".join(lines), "\n"
