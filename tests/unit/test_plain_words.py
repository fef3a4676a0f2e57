"""Sentences name who does a thing: a newcomer is not left to guess who `nobody` or `whoever` is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]
RIDDLES = re.compile(r"\b(nobody|somebody|anybody|everybody|whoever)\b", re.IGNORECASE)
SOURCES = [
    path
    for package in ("supervisor", "tui", "scripts", "benchmarks")
    for path in sorted((ROOT / package).rglob("*.py"))
    if "rehearsal" not in path.parts and path.name != "make_screenshots.py"  # what simulated people say
]
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]


def test_code_messages_and_documents_name_who_is_meant() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in [*SOURCES, *DOCUMENTS]
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if RIDDLES.search(line)
    ]
    assert not found, "say who: a caller, an operator, another session, no process, …\n" + "\n".join(found)
