"""Fills the last column of docs/requirements.md: which tests cite each promise in their docstrings.

The ids and the promises are written by hand; a test fails when the column is out of date.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "requirements.md"
NOT_YET = "*not yet*"

_ID = re.compile(r"\b([SRD]\d?)\.?(\d+)(?:[–-](\d+))?(?!\d)")
_NAMED = re.compile(r"\bS4\.(?:MCP|route)\b")
"""Ids with a word in place of a number."""
_ROW = re.compile(r"^\| (?P<id>[SRD][^|]*?) \| (?P<promise>[^|]*?) \|[^|]*\|$")


def read_ids(text: str) -> set[str]:
    """`S3.13–16` is four ids; `R5` and `S4.MCP` are one each."""
    found = set(_NAMED.findall(text))
    for part, first, last in _ID.findall(_NAMED.sub("", text)):
        dot = "." if len(part) == 2 else ""
        found |= {f"{part}{dot}{number}" for number in range(int(first), int(last or first) + 1)}
    return found


def find_proofs() -> Iterator[tuple[str, set[str]]]:
    """Every test that cites something, as (`folder/file::name`, ids); without `::name` where the whole file does."""
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        file = str(path.relative_to(ROOT / "tests"))
        module = ast.parse(path.read_text(encoding="utf-8"))
        if ids := read_ids(ast.get_docstring(module) or ""):
            yield file, ids
        for node in ast.walk(module):
            is_test = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
            if is_test and (ids := read_ids(ast.get_docstring(node) or "")):
                yield f"{file}::{node.name}", ids


def fill(page: str) -> str:
    proofs = list(find_proofs())
    lines = []
    for line in page.splitlines():
        if (row := _ROW.match(line)) is not None:
            wanted = read_ids(row["id"])
            names = [f"`{name}`" for name, ids in proofs if ids & wanted]
            line = f"| {row['id']} | {row['promise']} | {'<br>'.join(names) or NOT_YET} |"
        lines.append(line)
    return "\n".join(lines) + "\n"


def main() -> None:
    PAGE.write_text(fill(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    print(PAGE.relative_to(ROOT))


if __name__ == "__main__":
    main()
