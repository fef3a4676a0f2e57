"""One row of a table as styled segments. Pure: styles come in, segments go out."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style

from tui.tables.layout import Column, Placed
from tui.wording.cells import Row, parts_of
from tui.wording.format import cut_middle
from tui.wording.sanitize import clean_cell

UNDERLINED = Style(underline=True)


def compose_cells(
    row: Row, columns: Sequence[Column], placed: Sequence[Placed], base: Style, ink: Callable[[str], Style]
) -> list[Segment]:
    """The cells of a row at their places; every text is cleaned and cut to its column."""
    segments: list[Segment] = []
    x = 0
    for place in placed:
        if place.x > x:
            segments.append(Segment(" " * (place.x - x), base))
        room, is_name = place.width, columns[place.index].is_name
        parts: list[Segment] = []
        cells = parts_of(row.cells[place.index]) if place.index < len(row.cells) else ()
        staying = cells[-1] if cells and cells[-1].stays else None
        kept = 0 if staying is None else min(cell_len(staying.text), room)
        room -= kept
        for part in cells if staying is None else cells[:-1]:
            if room <= 0 and part.text.strip() and parts:
                parts[-1] = _with_sign(parts[-1])
                break
            if room <= 0 or (room == 1 and parts and parts[-1].text.endswith("…")):
                break  # one sign is enough that there is more
            text = cut_middle(clean_cell(part.text), room) if is_name else clean_cell(part.text, room)
            parts.append(Segment(text, base + ink(part.style) if part.style else base))
            room -= cell_len(text)
            if text.endswith("…") and not part.text.endswith("…"):
                break
        if staying is not None:
            parts.append(Segment(clean_cell(staying.text, kept), base + ink(staying.style)))
        if room > 0:
            at = 0 if columns[place.index].align == "right" else len(parts)
            parts.insert(at, Segment(" " * room, base))
        segments.extend(parts)
        x = place.x + place.width
    return segments


def _with_sign(part: Segment) -> Segment:
    """That there is more, where it fills the room to its last cell."""
    last = part.text[-1:]
    return part if last == "…" or cell_len(last) != 1 else Segment(f"{part.text[:-1]}…", part.style)


def compose_titles(
    columns: Sequence[Column],
    placed: Sequence[Placed],
    sorting: tuple[str | None, bool],
    style: Style,
    sorted_ink: Style,
    letter_ink: Style,
) -> list[Segment]:
    """The header's titles, with the letter that sorts by a column underlined. The arrow of the sorted column may
    stand in the gap beside it."""
    column_sorted, is_reversed = sorting
    segments: list[Segment] = []
    x = 0
    for place in placed:
        column = columns[place.index]
        is_sorted = column.key == column_sorted
        text = clean_cell(column.title, place.width)
        own = style + sorted_ink if is_sorted else style
        parts = _with_letter(text, column.sort_letter, own, own + letter_ink)
        if is_sorted:
            arrow = Segment("▼" if is_reversed else "▲", own)
            parts = [arrow, *parts] if column.align == "right" else [*parts, arrow]
        width = sum(cell_len(part.text) for part in parts)
        begin = place.x if column.align == "left" else place.x + place.width - width
        segments.append(Segment(" " * (begin - x), style))
        segments += parts
        x = begin + width
    return segments


def _with_letter(text: str, letter: str, style: Style, letter_style: Style) -> list[Segment]:
    at = text.lower().find(letter.lower()) if letter else -1
    if at < 0:
        return [Segment(text, style)]
    parts = (text[:at], style), (text[at], letter_style + UNDERLINED), (text[at + 1 :], style)
    return [Segment(part, ink) for part, ink in parts if part]
