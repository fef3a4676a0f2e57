"""A name that a package or a module hands on is written once: in the import that brings it."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]
SOURCES = [path for package in ("supervisor", "tui") for path in sorted((ROOT / package).rglob("*.py"))]


def test_no_module_lists_by_hand_what_it_hands_on() -> None:
    listed = [
        str(path.relative_to(ROOT))
        for path in SOURCES
        for node in ast.parse(path.read_text("utf-8")).body
        if isinstance(node, ast.Assign)
        and any(isinstance(target, ast.Name) and target.id == "__all__" for target in node.targets)
        and isinstance(node.value, ast.List | ast.Tuple)
    ]
    assert not listed, "write `from … import name as name` instead"


@pytest.mark.parametrize("package", ["supervisor", "supervisor.rehearsal", "tui.screens.dialogs"])
def test_every_name_that_is_imported_late_is_where_its_package_says(package: str) -> None:
    module = importlib.import_module(package)
    names = ast.parse(Path(str(module.__file__)).read_text("utf-8"))
    late = [
        alias.name
        for block in names.body
        if isinstance(block, ast.If)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    ]
    assert late
    for name in late:
        assert hasattr(module, name), name
    with pytest.raises(AttributeError):
        module.nothing_of_that_name  # noqa: B018
