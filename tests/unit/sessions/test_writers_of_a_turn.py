"""Each field of a turn has one writer: the one that its heading in `Turn.__init__` names."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from pathlib import Path

import pytest

import supervisor

ROOT = Path(supervisor.__file__).parent
TURN = ROOT / "sessions" / "turn.py"
HEADING = re.compile(r"# Written (?:by `(?P<who>[\w.]+)`|(?P<here>here))")
FIELD = re.compile(r"        self\.(\w+)(?::| =)")
HOMES = {"Session": "sessions.session", "": "sessions.turn"}
CALLED = {"turn", "head", "own", "current", "running", "first", "taken"}
"""What a turn is called in the code."""
CHANGING = {"append", "add", "extend", "clear", "pop", "remove", "update"}


def read_headings() -> dict[str, str]:
    """Field → the module that writes it; the empty name for those that are fixed when a turn is made."""
    source = TURN.read_text("utf-8")
    body = source[source.index("def __init__") : source.index("def __repr__")]
    writer, found = "", {}
    for line in body.splitlines():
        if heading := HEADING.search(line):
            writer = HOMES.get(heading["who"] or "", heading["who"] or "")
        elif field := FIELD.match(line):
            found[field[1]] = writer
    return found


def find_writers(fields: set[str]) -> dict[str, set[str]]:
    """Field → the modules that assign it, or change what it holds."""
    writers: defaultdict[str, set[str]] = defaultdict(set)
    for path in ROOT.rglob("*.py"):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            written = None
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store | ast.Del):
                written = node
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CHANGING:
                written = node.func.value if isinstance(node.func.value, ast.Attribute) else None
            if written is not None and written.attr in fields and _is_turn(written.value, path):
                writers[written.attr].add(module)
    return writers


def _is_turn(node: ast.expr, path: Path) -> bool:
    name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
    return name in CALLED or name.endswith("_turn") or (name == "self" and path == TURN)


HEADINGS = read_headings()
WRITERS = find_writers(set(HEADINGS))


def test_the_headings_are_read() -> None:
    assert {"", "sessions.turn", "sessions.session", "instance.turns", "recovery.offers"} <= set(HEADINGS.values())
    assert WRITERS["served"], "assignments are found"


@pytest.mark.parametrize("field", sorted(HEADINGS))
def test_a_field_is_written_where_its_heading_says(field: str) -> None:
    """By no other class; `Turn.__init__` gives each its first value."""
    assert WRITERS[field] - {"sessions.turn"} <= {HEADINGS[field]}, f"{field} is written by {WRITERS[field]}"
