"""What commands print: tables for people, JSON for programs."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from tui.cli.output import say, tell, write

GAP = "  "
WIDEST = 60
"""Cells of any column but the last."""


def show_table(headings: Sequence[str], rows: Iterable[Sequence[str]], *, none: str) -> None:
    """Aligned columns; on a terminal the last one is cut at its edge. `none` is told when there are no rows."""
    from rich.cells import cell_len

    from tui.wording.sanitize import clean_cell

    cells = [
        [clean_cell(text, WIDEST if number < len(row) - 1 else 1_000) for number, text in enumerate(row)]
        for row in rows
    ]
    if not cells:
        tell(none)
        return
    table = [list(headings), *cells]
    widths = [max(cell_len(row[number]) for row in table) for number in range(len(headings))]
    edge = shutil.get_terminal_size().columns if sys.stdout.isatty() else 0
    for row in table:
        padded = [text + " " * (width - cell_len(text)) for text, width in zip(row[:-1], widths, strict=False)]
        line = GAP.join([*padded, row[-1]]).rstrip()
        say(clean_cell(line, edge) if edge else line)


def show_listing(name: str, found: Any, *, as_json: bool) -> None:
    """Prints the engine's answer as the list of that name (`tui.operator.listings`)."""
    from tui.operator.listings import LISTINGS

    if as_json:
        show_json(found)
    else:
        listing = LISTINGS[name]
        show_table(listing.columns, listing.rows(found), none=listing.none)


def show_json(value: Any) -> None:
    """Prints the value as one line of JSON in ASCII: no text in it can control the terminal."""
    from supervisor import pack

    write(json.dumps(json.loads(pack(value))) + "\n")
