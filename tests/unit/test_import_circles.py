"""No module imports another that imports it: neither at the top, nor in a function, nor for types alone, nor by name.

The contracts of `pyproject.toml` see the rooms; circles inside a room, and through a name in a string, are seen here.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]
LATE = re.compile(r"(?:supervisor|tui)(?:\.\w+)*")
"""A string that is the whole name of a module: for `import_late`, `importlib.import_module` and the like."""


def modules() -> dict[str, Path]:
    found = {}
    for package in ("supervisor", "tui"):
        for path in (ROOT / package).rglob("*.py"):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def named(tree: ast.AST) -> Iterator[str]:
    """Everything that may be the name of a module, or of what is in one."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call):
            for given in node.args:
                if isinstance(given, ast.Constant) and LATE.fullmatch(str(given.value)):
                    yield given.value


def imports(sources: dict[str, str]) -> dict[str, set[str]]:
    """Module → the modules that it names."""

    def home(name: str) -> str:
        while name and name not in sources:
            name = name.rpartition(".")[0]
        return name

    return {
        module: {home(name) for name in named(ast.parse(source))} - {"", module} for module, source in sources.items()
    }


def find_circle(sources: dict[str, str]) -> list[str]:
    """The modules of one circle, in order; empty when there is none."""
    try:
        TopologicalSorter(imports(sources)).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def find_relative(source: str) -> list[int]:
    """Lines of imports that begin at their own package: what they name is not seen here."""
    return [node.lineno for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ImportFrom) and node.level]


def test_every_import_names_its_module_whole() -> None:
    assert not {name: lines for name, path in modules().items() if (lines := find_relative(path.read_text()))}


@pytest.mark.parametrize("source", ["from . import a", "from .a import b", "def late():\n    from .. import a"])
def test_an_import_that_begins_at_its_own_package_is_seen(source: str) -> None:
    assert find_relative(source)
    assert not find_relative("from supervisor import upper")


def test_no_module_is_in_a_circle() -> None:
    assert not find_circle({name: path.read_text() for name, path in modules().items()})


@pytest.mark.parametrize(
    "back",
    [
        "from supervisor import upper",
        "import supervisor.upper",
        "def late() -> None:\n    from supervisor.upper import anything",
        "if TYPE_CHECKING:\n    from supervisor.upper import Anything",
        "async def late() -> None:\n    await import_late('supervisor.upper')",
    ],
)
def test_a_circle_is_seen_however_it_is_closed(back: str) -> None:
    sources = {"supervisor": "", "supervisor.lower": back, "supervisor.upper": "from supervisor.lower import one"}
    assert set(find_circle(sources)) == {"supervisor.lower", "supervisor.upper"}
    assert not find_circle(sources | {"supervisor.lower": "from supervisor import _version"})
