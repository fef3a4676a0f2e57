"""The mistakes that `make mutants` makes: each is one, is small, and is made where something runs."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.mutants.targets import TARGETS, check_targets

ROOT = Path(__file__).parents[2]
MODULE = '''"""Text: 1 + 1."""

LIMIT = 3


def count(items: list[int | None], most: int = 5) -> int | None:
    total: int | None = 0
    for item in items:
        if item is not None and item < most:
            tell(
                "größer",
                item,
            )
            total += item
    assert total >= 0, "counted"
    return total


class Thing:
    def __init__(self) -> None:
        self.is_new = True

    def __repr__(self) -> str:
        return f"<Thing {1 + 1}>"

    def use(self) -> None:
        self.is_new = False
'''


def test_what_is_mutated_and_the_tests_for_it_are_where_the_list_says() -> None:
    """A file that moves takes its line along."""
    check_targets(ROOT)
    modules = [module for target in TARGETS for module in target.modules]
    assert len(modules) == len(set(modules))


def test_each_mutant_is_one_change_of_what_runs(tmp_path: Path) -> None:
    mutations = pytest.importorskip("tests.mutants.mutations", reason="`make mutants` installs what it needs")
    (tmp_path / "module.py").write_text(MODULE)
    changes = set()
    for mutation in mutations.find_mutations(tmp_path, "module.py"):
        mutated = mutation.apply(MODULE)
        ast.parse(mutated)
        changes.add((mutation.operator, mutations.tell_change("module.py", MODULE, mutated)))
        assert "LIMIT = 3" in mutated
        assert "-> int | None" in mutated
        assert "total: int | None" in mutated
        assert 'assert total >= 0, "counted"' in mutated
        assert "{1 + 1}" in mutated
        assert "self.is_new = True" in mutated or mutation.operator == "ReplaceTrueWithFalse"
    removed = {change for operator, change in changes if operator == mutations.REMOVAL}
    assert len(removed) == 3, "the call, the sum and the change of the attribute"
    assert any('-                "größer",' in change and "+            pass" in change for change in removed)
    assert {operator for operator, _ in changes} >= {"ReplaceAndWithOr", "ReplaceComparisonOperator_IsNot_Is", "AddNot"}
