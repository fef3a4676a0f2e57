"""A table that follows the engine: it rebuilds only what it is told of, and keeps still under the operator's hand."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar, Generic, TypeVar

from textual import events, on
from textual.binding import Binding, BindingType

from tui.tables.layout import Column
from tui.tables.rows import BIGGEST_FIRST
from tui.tables.table import LineTable
from tui.wording.cells import Row

Thing = TypeVar("Thing")

HOLD_SECONDS = 5.0
"""So long after the last key or click in a table its rows keep their places."""
ATTENDED_SECONDS = 60.0
"""So long after a row was chosen the cursor keeps to it; then a table that shows its top goes back there."""


class LiveTable(LineTable, Generic[Thing]):
    """Rows of one kind of engine row.

    Without a column chosen, rows stand in `order`. That order is applied again only while the operator is not at work
    in the table: a row never leaves the place where the operator is about to press a key.
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "open", "open", key_display="⏎")]

    def __init__(
        self,
        columns: Sequence[Column],
        *,
        build: Callable[[Thing, float], Row],
        order: Callable[[Thing], tuple[Any, ...]],
        clock: Callable[[], float],
        title: str,
        empty: str,
        id: str,
        shows_top: bool = False,
        find: Callable[[str], Thing | None] | None = None,
    ) -> None:
        """With `shows_top`, the first row matters while the operator has not chosen another: it needs the operator.
        `find` gives what a row key stands for, also when the table is narrowed to other rows; None when it is gone."""
        super().__init__(columns, empty=empty, id=id)
        self._find = find
        self.border_title = title
        self._build = build
        self._order = order
        self._clock = clock
        self._shows_top = shows_top
        self._things: dict[str, Thing] = {}
        self._touched_at = self._chosen_at = float("-inf")
        self._is_disordered = False
        for column in columns:
            if column.sort_letter:
                binding = Binding(
                    column.sort_letter, f"order_by({column.key!r})", f"sort by {column.title}", show=False
                )
                self._bindings.key_to_bindings.setdefault(binding.key, []).append(binding)

    @property
    def thing(self) -> Thing | None:
        """What the row under the cursor stands for; None without a row."""
        return None if self.cursor_key is None else self._things.get(self.cursor_key)

    def has_row(self, key: str) -> bool:
        return super().has_row(key) or (self._find is not None and self._find(key) is not None)

    @property
    def marked_things(self) -> tuple[Thing, ...]:
        """What the marked rows stand for: first those that are shown, from top to bottom."""
        marked = self.marked
        if not marked:
            return ()
        keys = [key for key in self.keys if key in marked]
        keys += sorted(marked.difference(keys))
        found = (self._things.get(key) or (self._find(key) if self._find is not None else None) for key in keys)
        return tuple(thing for thing in found if thing is not None)

    @property
    def is_held(self) -> bool:
        """Whether the operator is at work in this table."""
        return self.has_focus and self._clock() - self._touched_at < HOLD_SECONDS

    @property
    def is_attended(self) -> bool:
        """The operator chose a row less than `ATTENDED_SECONDS` ago. After that the cursor goes back to the top row."""
        return not self._shows_top or self._clock() - self._chosen_at < ATTENDED_SECONDS

    @property
    def is_disordered(self) -> bool:
        """Whether rows are out of order, because the table is held."""
        return self._is_disordered

    def show_things(self, things: Iterable[Thing]) -> None:
        """Replaces everything."""
        now = self._clock()
        ordered = sorted(things, key=self._order)
        rows = [self._build(thing, now) for thing in ordered]
        self._things = {row.key: thing for row, thing in zip(rows, ordered, strict=True)}
        self._is_disordered = False
        self.set_rows(rows)

    def touch(self, changed: Iterable[Thing], gone: Iterable[str] = ()) -> None:
        """Rebuilds the rows that changed and drops those that are gone, by row key."""
        now = self._clock()
        dropped = [key for key in gone if self._things.pop(key, None) is not None]
        rows: list[Row] = []
        for thing in changed:
            row = self._build(thing, now)
            before = self._things.get(row.key)
            if before is None or self._order(before) != self._order(thing):
                self._is_disordered = True
            self._things[row.key] = thing
            rows.append(row)
        if dropped:
            self.set_rows([self._build(thing, now) for thing in self._things.values()])
        elif rows:
            self.update_rows(rows)

    def tick(self) -> None:
        """Brings the ages of the visible rows up to date, and the order while the operator is not at work here."""
        if self._is_disordered and not self.is_held:
            self.put_in_order()
            return
        if visible := self.keys_in_sight:
            now = self._clock()
            self.update_rows([self._build(self._things[key], now) for key in visible])

    def put_in_order(self) -> None:
        """Applies the order now."""
        self.show_things(list(self._things.values()))

    def order_by_need(self) -> None:
        """Goes back from a chosen column to the table's own order, and to its top."""
        self.sort_by(None)
        self.put_in_order()
        self.action_first()

    def action_order_by(self, column: str) -> None:
        chosen, is_reversed = self.sorting
        self.sort_by(column, not is_reversed if chosen == column else column in BIGGEST_FIRST)

    @on(LineTable.HeaderClicked)
    def order_by_clicked_column(self, event: LineTable.HeaderClicked) -> None:
        event.stop()
        self.action_order_by(event.column)

    def action_first(self) -> None:
        """Moves to the top row. The table then keeps showing its top as rows move."""
        super().action_first()
        self._chosen_at = float("-inf")

    def _go(self, index: int) -> None:
        self._chosen_at = self._clock()
        super()._go(index)

    def on_key(self) -> None:
        self._touched_at = self._clock()
        if self.is_attended:
            self._chosen_at = self._touched_at

    def on_mouse_down(self, event: events.MouseDown) -> None:
        self._touched_at = self._clock()
