"""Cells as aligned lines of text."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len

from tui.wording.sanitize import clean_cell

GAP = "  "
NARROWEST, LAST_KEEPS = 6, 20
"""Cells that a column keeps, unless all its texts are shorter; and the last one, as long as others can give way."""


def fit(rows: Sequence[Sequence[str]], room: int) -> list[str]:
    """One line of at most `room` cells for each row, its columns below each other. Where there is no room for all, the
    last column gives way first, then the widest; each cut ends in `…`. All rows have as many cells, at least one."""
    cells = [[clean_cell(text) for text in row] for row in rows]
    widths = [max(map(cell_len, column)) for column in zip(*cells, strict=True)]
    excess = sum(widths) + len(GAP) * (len(widths) - 1) - room
    given = max(0, min(excess, widths[-1] - LAST_KEEPS))
    widths[-1] -= given
    excess -= given
    while excess > 0:
        widest = max(range(len(widths)), key=widths.__getitem__)
        second = max((width for number, width in enumerate(widths) if number != widest), default=NARROWEST)
        step = min(excess, max(1, widths[widest] - max(second, NARROWEST)))
        if widths[widest] <= NARROWEST:
            break
        widths[widest] -= step
        excess -= step
    lines = []
    for row in cells:
        shown = [clean_cell(text, width) for text, width in zip(row, widths, strict=True)]
        padded = [text + " " * (width - cell_len(text)) for text, width in zip(shown, widths, strict=True)]
        lines.append(clean_cell(GAP.join(padded).rstrip(), max(room, 1)))
    return lines
