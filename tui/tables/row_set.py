"""The rows behind a table: what was given, and what is shown after filter and sort. No widgets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from tui.tables.layout import Column
from tui.wording.cells import Row, text_of


class RowBook:
    """Every method that changes what is shown returns the rows that were shown before."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self._columns = [column.key for column in columns]
        self._states = {word for column in columns for word in column.words}
        self._named = [index for index, column in enumerate(columns) if column.words or column.is_name]
        self._rows: dict[str, Row] = {}
        self._needle = ""
        self._indexes: dict[str, int] = {}
        self.sort_column: str | None = None
        self.is_reversed = False
        self.shown: list[Row] = []
        """Top to bottom. Never changed in place."""

    @property
    def keys(self) -> set[str]:
        """Every key, shown or not."""
        return set(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def has(self, key: str) -> bool:
        """Whether there is a row with this key, shown or not."""
        return key in self._rows

    def index_of(self, key: str | None) -> int | None:
        """The index at which the key's row is shown; None when it is not."""
        return None if key is None else self._indexes.get(key)

    def replace(self, rows: Sequence[Row]) -> Sequence[Row]:
        self._rows = {row.key: row for row in rows}
        return self._arrange()

    def merge(self, rows: Iterable[Row]) -> Sequence[Row]:
        for row in rows:
            self._rows[row.key] = row
        return self._arrange()

    def sort_by(self, column: str | None, reverse: bool) -> Sequence[Row]:
        """Raises `ValueError` for a column that does not exist."""
        if column is not None and column not in self._columns:
            raise ValueError(f"no column {column!r}; there are {', '.join(self._columns)}")
        self.sort_column, self.is_reversed = column, reverse
        return self._arrange()

    def filter_by(self, text: str) -> Sequence[Row]:
        self._needle = text.casefold()
        return self._arrange()

    def _arrange(self) -> Sequence[Row]:
        before = self.shown
        shown = list(self._rows.values())
        if needle := self._needle.removeprefix("!"):
            wanted = not self._needle.startswith("!")
            columns = self._named if needle in self._states else None
            shown = [row for row in shown if (needle in text_of(row, columns).casefold()) is wanted]
        if self.sort_column is not None:
            shown = _sorted(shown, self._columns.index(self.sort_column), self.is_reversed)
        self.shown = shown
        self._indexes = {row.key: index for index, row in enumerate(shown)}
        return before


def _sorted(rows: list[Row], index: int, reverse: bool) -> list[Row]:
    def value(row: Row) -> Any:
        return row.sort[index] if index < len(row.sort) else None

    known = [row for row in rows if value(row) is not None]
    unknown = [row for row in rows if value(row) is None]
    return sorted(known, key=value, reverse=reverse) + unknown
