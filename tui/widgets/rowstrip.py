"""One row of a table as styled segments. Pure: styles come in, segments go out."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style

from tui.filters import clean_cell
from tui.widgets.columns import Column, Placed, Row, parts_of


def compose_cells(
    row: Row, columns: Sequence[Column], placed: Sequence[Placed], base: Style, ink: Callable[[str], Style]
) -> list[Segment]:
    """The cells of a row at their places; every text is cleaned and cut to its column."""
    segments: list[Segment] = []
    x = 0
    for place in placed:
        if place.x > x:
            segments.append(Segment(" " * (place.x - x), base))
        room = place.width
        parts: list[Segment] = []
        for part in parts_of(row.cells[place.index]) if place.index < len(row.cells) else ():
            if room <= 0:
                break
            text = clean_cell(part.text, room)
            parts.append(Segment(text, base + ink(part.style) if part.style else base))
            room -= cell_len(text)
            if text.endswith("…") and not part.text.endswith("…"):
                break
        if room > 0:
            at = 0 if columns[place.index].align == "right" else len(parts)
            parts.insert(at, Segment(" " * room, base))
        segments.extend(parts)
        x = place.x + place.width
    return segments


def compose_titles(
    columns: Sequence[Column],
    placed: Sequence[Placed],
    sorting: tuple[str | None, bool],
    style: Style,
    sorted_ink: Style,
) -> list[Segment]:
    """The header's titles. The arrow of the sorted column may stand in the gap beside it."""
    column_sorted, is_reversed = sorting
    segments: list[Segment] = []
    x = 0
    for place in placed:
        column = columns[place.index]
        is_sorted = column.key == column_sorted
        text = clean_cell(column.title, place.width)
        if is_sorted:
            arrow = "▼" if is_reversed else "▲"
            text = arrow + text if column.align == "right" else text + arrow
        begin = place.x if column.align == "left" else place.x + place.width - cell_len(text)
        segments.append(Segment(" " * (begin - x), style))
        segments.append(Segment(text, style + sorted_ink if is_sorted else style))
        x = begin + cell_len(text)
    return segments
