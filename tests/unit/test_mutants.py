"""The mistakes that `make mutants` makes: each is one, is small, and is made where something runs."""

from __future__ import annotations

import ast
import math
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
    if found := items[:1]:
        total = found[0]
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


def test_unit_tests_are_run_before_those_with_an_engine_and_none_is_left_out() -> None:
    main = pytest.importorskip("tests.mutants.__main__", reason="`make mutants` installs what it needs")
    unit, engine = "tests/unit/a.py", "tests/engine/b.py"
    assert main.in_stages((engine, unit)) == [(unit,), (engine,)]
    assert main.in_stages((engine,)) == [(engine,)]
    for target in TARGETS:
        assert sorted(sum(main.in_stages(target.tests), ())) == sorted(target.tests)


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


@pytest.mark.parametrize(("busy", "verdict"), [(False, "killed"), (True, "unsure")])
@pytest.mark.parametrize(
    ("code", "printed"), [(None, "it took too long"), (1, "FAILED a.py::b - Failed: Timeout (>60")]
)
def test_a_mutant_that_takes_too_long_is_noticed_only_where_the_unchanged_code_does_not(
    tmp_path: Path, code: int | None, printed: str, busy: bool, verdict: str
) -> None:
    """On a machine that has become busy since the tests were timed, everything takes too long."""
    main = pytest.importorskip("tests.mutants.__main__", reason="`make mutants` installs what it needs")
    copy = tmp_path / "0"
    copy.mkdir()
    (copy / "module.py").write_text(MODULE)

    class Bench(main.Bench):  # type: ignore[misc, name-defined]
        def _run(self, copy: Path, tests: tuple[str, ...], seconds: float, **_: bool) -> tuple[int | None, str]:
            is_changed = (copy / "module.py").read_text() != MODULE
            ran.append((is_changed, tests))
            return (code, printed) if is_changed or busy else (0, "")

    ran: list[tuple[bool, tuple[str, ...]]] = []
    bench = Bench(tmp_path, 1, math.inf)
    bench._free.put(copy)
    mutation = next(main.find_mutations(copy, "module.py"))
    assert bench.try_out(mutation, ("a.py", "c.py")).verdict == verdict
    assert ran == [(True, ("a.py", "c.py")), (False, ("a.py", "c.py") if code is None else ("a.py::b",))]
    assert (copy / "module.py").read_text() == MODULE
