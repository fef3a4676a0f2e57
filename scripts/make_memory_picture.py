"""Draws docs/memory.svg from the figures of docs/benchmarks.md, which `python -m benchmarks.temperatures` measures."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "benchmarks.md"
TARGET = ROOT / "docs" / "memory.svg"

WIDTH, ROW, BAR, TOP = 1010, 44, 22, 64
NAMES, PANEL, SPACE = 250, 280, 80
"""Pixels: the column of names, the width of a panel's longest bar, and what stands between two panels."""
SHOWN = {
    "hot": "hot",
    "asleep, swap on disk": "dormant, swap on disk",
    "asleep, swap compressed in memory (zswap)": "dormant, swap compressed",
    "hibernated: started with resume": "hibernated",
}
"""What the page calls them, and the picture."""


class Temperature(NamedTuple):
    name: str
    resident: float
    """MB."""
    compressed: float
    """MB of memory that hold what is in swap."""
    on_disk: float
    """MB."""
    usual: float
    """Milliseconds to the first token, the 50th percentile."""
    slow: float
    """The 95th."""


def read() -> list[Temperature]:
    """The rows of the table that were measured, in the page's order."""
    part = PAGE.read_text("utf-8").split("<!-- temperatures: begin -->")[1].split("<!-- temperatures: end -->")[0]
    found = []
    for line in part.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if cells[0] in SHOWN:
            held, swapped, times = (_numbers(cells[place]) for place in (1, 2, 4))
            compressed = held[1] if len(held) > 1 else 0.0
            disk = 0.0 if compressed else swapped[0]
            found.append(Temperature(SHOWN[cells[0]], held[0], compressed, disk, times[0], times[1]))
    return found


def _numbers(cell: str) -> list[float]:
    return [float(number) for number in re.findall(r"[\d.]+", cell)]


def draw() -> str:
    rows = read()
    return "\n".join(_lines(rows, TOP + ROW * len(rows) + 16)) + "\n"


def _lines(rows: list[Temperature], height: int) -> Iterator[str]:
    yield f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif">'
    yield "<style>text{font-size:14px;fill:#222}.title{font-weight:bold}.note{font-size:12px;fill:#666}"
    yield ".most{fill:#4a7fae}.some{fill:#8fb3d3}.rest{fill:#dde8f1}.usual{fill:#8a6bb8}.slow{fill:#d3c6e5}"
    yield ".axis{stroke:#999}</style>"
    yield f'<rect width="{WIDTH}" height="{height}" fill="white"/>'
    left, right = NAMES, NAMES + PANEL + SPACE
    yield from _heading(left, "one idle client, MB", "in memory; paler: compressed there; palest: on disk")
    yield from _heading(right, "next prompt to first token, ms", "p50; paler: p95. One client at a time")
    most = max(row.resident + row.compressed + row.on_disk for row in rows)
    longest = max(row.slow for row in rows)
    for number, row in enumerate(rows):
        y = TOP + number * ROW
        base = y + BAR - 6
        yield f'<text x="{NAMES - 14}" y="{base}" text-anchor="end">{html.escape(row.name)}</text>'
        x: float = left
        for size, kind in ((row.resident, "most"), (row.compressed, "some"), (row.on_disk, "rest")):
            width = size / most * PANEL
            yield _bar(x, y, width, kind)
            x += width
        words = " + ".join(f"{size:g}" for size in (row.resident, row.compressed, row.on_disk) if size) or "0"
        yield f'<text x="{x + 8:.1f}" y="{base}">{words}</text>'
        usual, slow = (time / longest * PANEL for time in (row.usual, row.slow))
        yield _bar(right, y, slow, "slow")
        yield _bar(right, y, usual, "usual")
        yield f'<text x="{right + slow + 8:.1f}" y="{base}">{row.usual:,.0f} / {row.slow:,.0f}</text>'
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
