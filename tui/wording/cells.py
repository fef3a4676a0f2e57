"""What stands in the rows of a table, before anything is laid out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple


class Cell(NamedTuple):
    """A text and how it is styled."""

    text: str
    style: str = ""
    """A role: `ok`, `busy`, `warn`, `error`, `dim`, `accent`, `asleep`, `strong`; empty is plain text."""
    stays: bool = False
    """The last one of a column, which is whole where the others have to be cut for it."""


Cells = Cell | tuple[Cell, ...]
"""What stands in one column of a row: one text, or several styled apart."""


class Row(NamedTuple):
    """One line of a table."""

    key: str
    cells: tuple[Cells, ...]
    sort: tuple[Any, ...] = ()
    """One comparable value per column, or None for "nothing", which sorts last."""


def parts_of(cells: Cells) -> tuple[Cell, ...]:
    return (cells,) if isinstance(cells, Cell) else cells


def text_of(row: Row, columns: Sequence[int] | None = None) -> str:
    """The row as a person would search for it; of some of its columns only, where they are given."""
    shown = row.cells if columns is None else [row.cells[index] for index in columns]
    return " ".join("".join(part.text for part in parts_of(cells)) for cells in shown)
