"""Draws docs/architecture.svg: the rooms of both packages, layer by layer, as the import contracts have them."""

from __future__ import annotations

import ast
import html
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "docs" / "architecture.svg"

WIDTH, ROW, GAP, MARGIN = 1180, 34, 6, 20
NAMES = 230
"""Pixels of the column with the rooms' names."""


def read_layers(package: str) -> list[list[str]]:
    """Rooms of a package, highest layer first; several in one layer import nothing of each other."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    contracts = settings["tool"]["importlinter"]["contracts"]
    (layers,) = [one["layers"] for one in contracts if one.get("containers") == [package]]
    return [[name.strip() for name in layer.split("|")] for layer in layers]


def describe(package: str, room: str) -> str:
    """The first sentence of the room's docstring."""
    path = ROOT / package / room
    source = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    docstring = ast.get_docstring(ast.parse(source.read_text("utf-8"))) or ""
    return " ".join(docstring.split("\n\n")[0].split()).split(". ")[0].rstrip(".")


def draw_package(package: str, top: int) -> tuple[list[str], int]:
    """The lines of one package, and where the next may begin."""
    y = top + 30
    lines = [f'<text x="{MARGIN}" y="{top + 18}" class="package">{package}/</text>']
    for layer in read_layers(package):
        height = ROW * len(layer)
        lines.append(f'<rect x="{MARGIN}" y="{y}" width="{WIDTH - 2 * MARGIN}" height="{height}" class="layer"/>')
        for number, room in enumerate(layer):
            base = y + number * ROW + 22
            lines.append(f'<text x="{MARGIN + 14}" y="{base}" class="room">{room}</text>')
            words = html.escape(describe(package, room))
            lines.append(f'<text x="{MARGIN + NAMES}" y="{base}" class="words">{words}</text>')
        y += height + GAP
    return lines, y + 16


def draw() -> str:
    upper, middle = draw_package("tui", MARGIN)
    rule = "the screen uses only what supervisor/__init__.py exports"
    wall = f'<text x="{MARGIN}" y="{middle + 6}" class="wall">{rule}</text>'
    lower, bottom = draw_package("supervisor", middle + 22)
    return "\n".join(_lines([*upper, wall, *lower], bottom)) + "\n"


def _lines(body: list[str], height: int) -> Iterator[str]:
    yield f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif">'
    yield "<style>.package{font-size:18px;font-weight:bold}.room{font-size:14px;font-weight:bold}"
    yield ".words{font-size:13px;fill:#333}.wall{font-size:13px;font-style:italic;fill:#8a4b00}"
    yield ".layer{fill:#eef3f8;stroke:#9db3c8}</style>"
    yield f'<rect width="{WIDTH}" height="{height}" fill="white"/>'
    yield from body
    yield "</svg>"


if __name__ == "__main__":
    TARGET.write_text(draw(), "utf-8")
    print(f"wrote {TARGET.relative_to(ROOT)}")
