"""The one table of the dashboard: instances, sessions, clients and questions are all shown in it.

It draws lines, not cells: a thousand rows cost what is visible, and a change costs the lines it changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from time import monotonic
from typing import ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.reactive import reactive
from textual.strip import Strip

from tui.tables.layout import Column as Column
from tui.tables.layout import Placed, lay_out
from tui.tables.line_view import LineView
from tui.tables.row_drawing import compose_cells, compose_titles
from tui.tables.row_set import RowBook
from tui.wording.cells import Cell as Cell
from tui.wording.cells import Cells, parts_of
from tui.wording.cells import Row as Row
from tui.wording.sanitize import clean_cell

GUTTER = 2
"""Cells at the left edge: the cursor's bar and the mark."""
WIDE = 110
"""From this width on columns stand two cells apart instead of one."""
KEPT_STRIPS = 512


class TableMessage(Message):
    """A message from a table to its screen. A selector in `@on` matches the table that sent it."""

    def __init__(self, table: LineTable) -> None:
        super().__init__()
        self.table = table

    @property
    def control(self) -> LineTable:
        return self.table


class LineTable(LineView, can_focus=True):
    """A table of frozen rows with a cursor that stays on its row's key, whatever happens around it."""

    PREFIX = "line-table"
    ALLOW_SELECT = False

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "line-table--header",
        "line-table--sorted",
        "line-table--letter",
        "line-table--cursor",
        "line-table--bar",
        "line-table--hover",
        "line-table--mark",
        "line-table--empty",
        "line-table--ok",
        "line-table--busy",
        "line-table--warn",
        "line-table--error",
        "line-table--dim",
        "line-table--accent",
        "line-table--asleep",
        "line-table--strong",
    }

    DEFAULT_CSS = """
    LineTable {
        height: 1fr;
        background: $surface;
        color: $foreground;
        & > .line-table--header { color: $text-muted; background: $panel; text-style: bold; }
        & > .line-table--sorted { color: $text-accent; text-style: bold; }
        & > .line-table--letter { color: $text-accent; text-style: bold underline; }
        & > .line-table--cursor { background: $foreground 8%; }
        & > .line-table--bar { color: $foreground 30%; }
        & > .line-table--hover { background: $foreground 4%; }
        & > .line-table--mark { color: $text-accent; text-style: bold; }
        & > .line-table--empty { color: $text-muted; }
        & > .line-table--ok { color: $text-success; }
        & > .line-table--busy { color: $text-primary; }
        & > .line-table--warn { color: $text-warning; text-style: bold; }
        & > .line-table--error { color: $text-error; text-style: bold; }
        & > .line-table--dim { color: $text-muted; }
        & > .line-table--accent { color: $text-accent; }
        & > .line-table--asleep { color: $text-success 75%; }
        & > .line-table--strong { text-style: bold; }
    }
    LineTable:focus {
        & > .line-table--cursor { background: $block-cursor-background; }
        & > .line-table--bar { color: $accent; }
    }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "Up", show=False),
        Binding("down,j", "move(1)", "Down", show=False),
        Binding("pageup", "page(-1)", "Page up", show=False),
        Binding("pagedown", "page(1)", "Page down", show=False),
        Binding("home,g", "first", "First", show=False),
        Binding("end,G", "last", "Last", show=False),
        Binding("enter", "open", "Open", show=False),
        Binding("space", "mark", "Mark", show=False),
    ]

    filter_text: reactive[str] = reactive("", init=False)
    """Only rows that contain this (whatever the case) are shown; a leading `!` shows the others."""

    empty: reactive[str] = reactive("", init=False)
    """Shown when there are no rows."""

    class CursorMoved(TableMessage):
        """The cursor stands on another row; `key` is None when there is none."""

        def __init__(self, table: LineTable, key: str | None) -> None:
            super().__init__(table)
            self.key = key

    class Opened(TableMessage):
        """Enter, or a double click, on a row."""

        def __init__(self, table: LineTable, key: str) -> None:
            super().__init__(table)
            self.key = key

    class MarksChanged(TableMessage):
        """Rows were marked or unmarked, or marked rows are gone."""

    class HeaderClicked(TableMessage):
        """A click on a column's title; sorting by it is the app's decision."""

        def __init__(self, table: LineTable, column: str) -> None:
            super().__init__(table)
            self.column = column

    def __init__(
        self,
        columns: Sequence[Column],
        *,
        empty: str = "nothing here",
        name: str | None = None,
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        super().__init__(name=name, id=id, classes=classes)
        self.columns = tuple(columns)
        self.set_reactive(LineTable.empty, empty)
        self._book = RowBook(self.columns)
        self._cursor = 0
        self._cursor_key: str | None = None
        self._hovered: int | None = None
        self._marked: set[str] = set()
        self._placed: tuple[Placed, ...] = ()
        self._placed_for = 0
        """The width that `_placed` was laid out for."""
        self._names: dict[int, int] = {}
        """Cells of the longest name seen in each column of names."""
        self._seen_since: dict[str, float] = {}
        """By row: when it was first drawn, in seconds of the steady clock, as events carry it."""
        self._strips: dict[tuple[str, bool, bool, bool], tuple[Row, Strip]] = {}

    # Rows

    @property
    def row_count(self) -> int:
        """Rows shown, after the filter."""
        return len(self._book.shown)

    @property
    def total_count(self) -> int:
        """Rows, before the filter."""
        return len(self._book)

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys shown, top to bottom."""
        return tuple(row.key for row in self._book.shown)

    def was_seen(self, key: str, at: float) -> bool:
        """Whether a row was on the screen before something that was pressed at that time of the steady clock."""
        return self._seen_since.get(key, float("inf")) < at

    @property
    def keys_in_sight(self) -> tuple[str, ...]:
        """The keys of the rows that the pane has room for where it is scrolled to."""
        top = self.scroll_offset.y
        return self.keys[top : top + max(0, self.size.height - 1)]

    def set_rows(self, rows: Sequence[Row]) -> None:
        """Replaces all rows; repaints the lines that look different."""
        self._measure_names(rows)
        self._change(self._book.replace(rows))

    def update_rows(self, rows: Iterable[Row]) -> None:
        """Replaces the rows of the same keys; appends those that are new."""
        rows = list(rows)
        self._measure_names(rows)
        self._change(self._book.merge(rows))

    def _measure_names(self, rows: Sequence[Row]) -> None:
        """Columns of names only grow: one that shrank with every row that goes would jump."""
        before = dict(self._names)
        for index, column in enumerate(self.columns):
            if column.is_name and rows:
                longest = max(_width(row.cells[index]) for row in rows if index < len(row.cells))
                self._names[index] = max(longest, self._names.get(index, 0))
        if before != self._names:
            self.forget_strips()
            self.refresh()

    def sort_by(self, column: str | None, reverse: bool = False) -> None:
        """Orders by a column's `Row.sort` value; None goes back to the order the rows were given in."""
        self._change(self._book.sort_by(column, reverse))
        self.repaint_line(0)

    @property
    def sorting(self) -> tuple[str | None, bool]:
        """The column sorted by, and whether the order is reversed."""
        return self._book.sort_column, self._book.is_reversed

    def watch_filter_text(self, text: str) -> None:
        self._change(self._book.filter_by(text))
        if not self._book.shown:
            self.refresh()

    def _change(self, before: Sequence[Row]) -> None:
        """Brings cursor and screen in line with the book, whose rows shown were `before`."""
        after = self._book.shown
        self._drop_marks()
        if len(self._seen_since) > len(self._book):
            self._seen_since = {key: at for key, at in self._seen_since.items() if self._book.has(key)}
        if len(before) != len(after):
            self.virtual_size = Size(0, len(after) + 1)
        was_at = self._cursor
        was_visible = self._is_visible(was_at)
        self._place_cursor(before)
        if self._cursor != was_at and was_visible:
            self._reveal_cursor()
        top = self.scroll_offset.y
        if not (before and after):
            self.refresh()
            return
        for line in range(max(0, self.size.height - 1)):
            index = top + line
            old = before[index] if index < len(before) else None
            new = after[index] if index < len(after) else None
            if old is not new and old != new:
                self._repaint_changed(line + 1, old, new)

    def _repaint_changed(self, y: int, old: Row | None, new: Row | None) -> None:
        """Of a row that stays where it was, only the cells that look different: most changes are an age or a size."""
        if old is None or new is None or old.key != new.key or len(old.cells) != len(new.cells):
            self.repaint_line(y)
            return
        for place in self._layout():
            if place.index < len(new.cells) and old.cells[place.index] != new.cells[place.index]:
                self.repaint_line(y, x=GUTTER + place.x, width=place.width)

    def _place_cursor(self, before: Sequence[Row]) -> None:
        index = None
        if not self.is_attended:
            index = 0
        elif self._cursor_key is not None:
            index = self._book.index_of(self._cursor_key)
        if index is None:
            index = max(0, min(self._cursor, self.row_count - 1))
        self._set_cursor(index)

    # Cursor

    @property
    def is_attended(self) -> bool:
        """Whether the cursor keeps to its row; else it stands on the first one, whichever that is."""
        return True

    @property
    def cursor_key(self) -> str | None:
        """The key of the row under the cursor; None when no row is shown."""
        return self._cursor_key

    def move_to(self, key: str) -> None:
        """Puts the cursor on a row. A key that is not shown changes nothing."""
        if (index := self._book.index_of(key)) is not None:
            self._go(index)

    def _go(self, index: int) -> None:
        self._set_cursor(max(0, min(index, self.row_count - 1)))
        self._reveal_cursor()

    def _set_cursor(self, index: int) -> None:
        shown = self._book.shown
        key = shown[index].key if index < len(shown) else None
        if index != self._cursor:
            self._repaint_row(self._cursor)
            self._cursor = index
            self._repaint_row(index)
        if key != self._cursor_key:
            self._cursor_key = key
            self._repaint_row(index)
            if self.is_attached:
                self.post_message(self.CursorMoved(self, key))

    def _reveal_cursor(self) -> None:
        top, height = self.scroll_offset.y, self._page_height
        if self._cursor < top:
            self.scroll_to(y=self._cursor, animate=False, force=True)
        elif self._cursor >= top + height:
            self.scroll_to(y=self._cursor - height + 1, animate=False, force=True)

    @property
    def _page_height(self) -> int:
        return max(1, self.size.height - 1)

    def _is_visible(self, index: int) -> bool:
        return 0 <= index - self.scroll_offset.y < self._page_height

    def _repaint_row(self, index: int) -> None:
        if self._is_visible(index):
            self.repaint_line(index - self.scroll_offset.y + 1)

    def action_move(self, lines: int) -> None:
        self._go(self._cursor + lines)

    def action_page(self, pages: int) -> None:
        self._go(self._cursor + pages * max(1, self._page_height - 1))

    def action_first(self) -> None:
        self._go(0)

    def action_last(self) -> None:
        self._go(self.row_count - 1)

    def action_open(self) -> None:
        if self._cursor_key is not None:
            self.post_message(self.Opened(self, self._cursor_key))

    # Marks

    @property
    def marked(self) -> frozenset[str]:
        """Keys of the marked rows, also of those the filter hides."""
        return frozenset(self._marked)

    def action_mark(self) -> None:
        if self._cursor_key is not None:
            self._marked ^= {self._cursor_key}
            self._repaint_row(self._cursor)
            self.action_move(1)
            self.post_message(self.MarksChanged(self))

    def clear_marks(self) -> None:
        if self._marked:
            self._marked.clear()
            self.refresh()
            self.post_message(self.MarksChanged(self))

    def has_row(self, key: str) -> bool:
        """Whether a row still exists, shown or not: a mark goes with its row."""
        return self._book.has(key)

    def _drop_marks(self) -> None:
        gone = {key for key in self._marked if not self.has_row(key)}
        if gone:
            self._marked -= gone
            self.post_message(self.MarksChanged(self))

    # Mouse

    def on_click(self, event: events.Click) -> None:
        offset = event.get_content_offset(self)
        if offset is None:
            return
        if offset.y == 0:
            for placed in self._placed:
                if placed.x <= offset.x - GUTTER < placed.x + placed.width:
                    self.post_message(self.HeaderClicked(self, self.columns[placed.index].key))
            return
        index = self.scroll_offset.y + offset.y - 1
        if index < self.row_count:
            self._go(index)
            if event.chain == 2:
                self.action_open()

    def on_mouse_move(self, event: events.MouseMove) -> None:
        offset = event.get_content_offset(self)
        row = None if offset is None or offset.y == 0 else self.scroll_offset.y + offset.y - 1
        self._hover(row)

    def on_leave(self) -> None:
        self._hover(None)

    def _hover(self, index: int | None) -> None:
        if index != self._hovered:
            for changed in (self._hovered, index):
                if changed is not None:
                    self._repaint_row(changed)
            self._hovered = index

    # Drawing

    def on_resize(self) -> None:
        self.forget_strips()
        if self._is_visible(self._cursor) is False and self._cursor_key is not None:
            self._reveal_cursor()

    def forget_strips(self) -> None:
        self._strips.clear()
        self._placed = ()

    def _layout(self) -> tuple[Placed, ...]:
        """For the width that is drawn, which may be known before the message of the resize has come."""
        if not self._placed or self._placed_for != self.size.width:
            self._strips.clear()
            self._placed_for = self.size.width
            gap = 2 if self.size.width >= WIDE else 1
            self._placed = lay_out(self.columns, self.size.width - GUTTER - 1, gap, self._names)
        return self._placed

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        base = self.rich_style
        if y == 0:
            style = base + self.ground("header") + self.ink("header")
            titles = compose_titles(
                self.columns, self._layout(), self.sorting, style, self.ink("sorted"), self.ink("letter")
            )
            return Strip([Segment(" " * GUTTER, style), *titles]).adjust_cell_length(width, style)
        shown = self._book.shown
        index = self.scroll_offset.y + y - 1
        if index < len(shown):
            self._seen_since.setdefault(shown[index].key, monotonic())
            return self._row_strip(shown[index], index, base, width)
        if not shown and y == max(1, self.size.height // 2):
            return self._empty_strip(base, width)
        return Strip.blank(width, base)

    def _row_strip(self, row: Row, index: int, base: Style, width: int) -> Strip:
        placed = self._layout()
        state = (index == self._cursor, index == self._hovered, row.key in self._marked)
        place = (row.key, *state)
        kept = self._strips.get(place)
        if kept is not None and kept[0] == row and kept[1].cell_length == width:
            return kept[1]
        is_cursor, is_hovered, is_marked = state
        if is_cursor:
            base = base + self.ground("cursor")
        elif is_hovered:
            base = base + self.ground("hover")
        segments = [
            Segment("▌" if is_cursor else " ", base + self.ink("bar")),
            Segment("✓" if is_marked else " ", base + self.ink("mark")),
            *compose_cells(row, self.columns, placed, base, self.ink),
        ]
        strip = Strip(segments).adjust_cell_length(width, base)
        if len(self._strips) >= KEPT_STRIPS:
            self._strips.clear()
        self._strips[place] = (row, strip)
        return strip

    def _empty_strip(self, base: Style, width: int) -> Strip:
        text = f"no row matches “{self.filter_text}”" if self.filter_text and self._book.keys else self.empty
        text = clean_cell(text, max(1, width - 2))
        strip = Strip([Segment(text, base + self.ink("empty"))])
        left = max(0, (width - strip.cell_length) // 2)
        return Strip([Segment(" " * left, base), *strip]).adjust_cell_length(width, base)


def _width(cells: Cells) -> int:
    """Cells that a name needs."""
    return sum(len(part.text) if part.text.isascii() else cell_len(part.text) for part in parts_of(cells))
