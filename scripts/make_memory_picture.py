"""Draws docs/memory.svg from the table of figures in docs/memory.md."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "memory.md"
TARGET = ROOT / "docs" / "memory.svg"

WIDTH, ROW, BAR, TOP = 960, 44, 22, 64
NAMES, PANEL, SPACE = 190, 330, 60
"""Pixels: the column of names, the width of a panel's longest bar, and what stands between two panels."""


class Temperature(NamedTuple):
    name: str
    memory: float
    """MB."""
    swap: float
    """MB."""
    first_token: float
    """Milliseconds."""


def read() -> list[Temperature]:
    """The rows of the table, in the page's order."""
    table = PAGE.read_text("utf-8").split("<!-- figures")[1].split("<!-- end -->")[0]
    rows = re.findall(r"^\| ([^|]+?) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|$", table, re.MULTILINE)
    return [Temperature(name, float(memory), float(swap), float(token)) for name, memory, swap, token in rows]


def draw() -> str:
    rows = read()
    height = TOP + ROW * len(rows) + 16
    return "\n".join(_lines(rows, height)) + "\n"


def _lines(rows: list[Temperature], height: int) -> Iterator[str]:
    yield f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif">'
    yield "<style>text{font-size:14px;fill:#222}.title{font-weight:bold}.note{font-size:12px;fill:#666}"
    yield ".memory{fill:#4a7fae}.swap{fill:#c3d5e6}.token{fill:#8a6bb8}.axis{stroke:#999}</style>"
    yield f'<rect width="{WIDTH}" height="{height}" fill="white"/>'
    left, right = NAMES, NAMES + PANEL + SPACE
    yield from _heading(left, "memory of one idle client", "MB; pale: in swap")
    yield from _heading(right, "next prompt to first token", "milliseconds, the slowest")
    most_bytes = max(row.memory + row.swap for row in rows)
    longest = max(row.first_token for row in rows)
    for number, row in enumerate(rows):
        y = TOP + number * ROW
        base = y + BAR - 6
        yield f'<text x="{NAMES - 14}" y="{base}" text-anchor="end">{html.escape(row.name)}</text>'
        resident, swapped = (size / most_bytes * (PANEL - 60) for size in (row.memory, row.swap))
        yield _bar(left, y, resident, "memory")
        yield _bar(left + resident, y, swapped, "swap")
        words = f"{row.memory:g}" + (f" + {row.swap:g}" if row.swap else "")
        yield f'<text x="{left + resident + swapped + 8:.1f}" y="{base}">{words}</text>'
        time = row.first_token / longest * (PANEL - 40)
        yield _bar(right, y, time, "token")
        yield f'<text x="{right + time + 8:.1f}" y="{base}">{row.first_token:g}</text>'
    for x in (left, right):
        yield f'<line x1="{x}" y1="{TOP - 8}" x2="{x}" y2="{height - 16}" class="axis"/>'
    yield "</svg>"


def _heading(x: int, title: str, note: str) -> Iterator[str]:
    yield f'<text x="{x}" y="24" class="title">{title}</text>'
    yield f'<text x="{x}" y="42" class="note">{note}</text>'


def _bar(x: float, y: float, width: float, kind: str) -> str:
    return f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{BAR}" class="{kind}"/>'


if __name__ == "__main__":
    TARGET.write_text(draw(), "utf-8")
    print(f"wrote {TARGET.relative_to(ROOT)}")
