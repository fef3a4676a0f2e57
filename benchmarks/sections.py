"""The parts of docs/benchmarks.md that runs of their own write. Each stands between two marks; other runs keep it."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).parent.parent / "docs" / "benchmarks.md"
_SECTION = r"<!-- {0}: begin -->.*?<!-- {0}: end -->"


def write_section(name: str, text: str, page: Path = PAGE) -> None:
    """Puts the part of that name in its place, or at the end when the page has none yet."""
    section = f"<!-- {name}: begin -->\n{text.strip()}\n<!-- {name}: end -->"
    before = page.read_text("utf-8") if page.is_file() else ""
    after, count = re.subn(_SECTION.format(re.escape(name)), lambda _: section, before, flags=re.DOTALL)
    page.write_text(after if count else f"{before.rstrip()}\n\n{section}\n", "utf-8")


def sections_of(page: str) -> list[str]:
    """All such parts of a page, marks included, in their order."""
    found = re.finditer(r"<!-- (\w+): begin -->.*?<!-- \1: end -->", page, re.DOTALL)
    return [section[0] for section in found]
