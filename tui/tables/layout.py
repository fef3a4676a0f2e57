"""How a table divides its width among its columns. No widgets, no state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from msgspec import Struct

LONGEST_NAME = 28
"""Cells of a name that is shown whole where there is room to spare."""


class Column(NamedTuple):
    """What a table shows of each row, and where."""

    key: str
    title: str
    width: int
    """Cells; the least it gets when it is flexible."""
    align: Literal["left", "right"] = "left"
    flex: int = 0
    """Its share of the spare width; 0 keeps it at `width`."""
    priority: int = 0
    """The columns with the highest number are dropped first when the table is too narrow; 0 always stays."""
    sort_letter: str = ""
    """The key an app may bind to sorting by this column."""
    narrowest: int = 0
    """Cells down to which it gives way to names; 0 keeps it at `width`."""
    words: frozenset[str] = frozenset()
    """All that its cells may say, signs aside: a filter that is one of these means this column, and names."""
    is_name: bool = False
    """It holds names: it is made as wide as they are, before anything else gets the room, and one that is still too
    long is cut in its middle."""
    longest: int = LONGEST_NAME
    """Cells up to which a name is shown whole rather than another column."""


class Placed(Struct, frozen=True):
    """A column that is shown, and where."""

    index: int
    """Its place in `columns`, and so in `Row.cells`."""
    x: int
    width: int


def lay_out(
    columns: Sequence[Column], width: int, gap: int = 1, names: Mapping[int, int] | None = None
) -> tuple[Placed, ...]:
    """Places the columns that fit into `width` cells, `gap` between them, none wider than what is left. `names` tells
    how many cells the longest name in a column needs: other columns go and narrow first, then names are cut, and a
    column of names goes last."""
    kept = list(range(len(columns)))
    least = [
        max(column.width, min((names or {}).get(index, 0), column.longest)) if column.is_name else column.width
        for index, column in enumerate(columns)
    ]

    def needed() -> int:
        return sum(least[index] for index in kept) + gap * (len(kept) - 1)

    def drop(*, names_too: bool) -> None:
        while len(kept) > 1 and needed() > width:
            droppable = [
                index for index in kept if columns[index].priority and (names_too or not columns[index].is_name)
            ]
            if not droppable:
                break
            kept.remove(max(droppable, key=lambda index: (columns[index].priority, index)))

    drop(names_too=False)
    for index in kept:
        if columns[index].narrowest and needed() > width:
            least[index] -= min(least[index] - columns[index].narrowest, needed() - width)
    while needed() > width and (longer := [index for index in kept if least[index] > columns[index].width]):
        least[max(longer, key=lambda index: least[index])] -= 1
    drop(names_too=True)
    flex = [0 if column.is_name and names else column.flex for column in columns]
    if not any(flex[index] for index in kept):
        flex = [column.flex for column in columns]
    for index in kept:  # a quarter of what is left over makes a name whole that was kept short
        lacking = min((names or {}).get(index, 0), LONGEST_NAME) - least[index] if columns[index].is_name else 0
        least[index] += max(0, min(lacking, (width - needed()) // 4))
    spare = max(0, width - needed())
    shares = sum(flex[index] for index in kept)
    placed: list[Placed] = []
    x = 0
    for index in kept:
        extra = spare * flex[index] // shares if shares else 0
        spare -= extra
        shares -= flex[index]
        columns_width = min(least[index] + extra, max(0, width - x))
        placed.append(Placed(index, x, columns_width))
        x += columns_width + gap
    return tuple(placed)
