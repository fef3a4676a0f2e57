"""The mistakes that `make mutants` makes: each is one, is small, and is made where something runs."""

from __future__ import annotations

import ast
import math
from pathlib import Path
from typing import Any

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


class Machine:
    """Says what each run of the tests does, in place of running them."""

    def __init__(self, folder: Path, main: Any, *results: tuple[int | None, str]) -> None:
        self.ran: list[tuple[bool, tuple[str, ...]]] = []
        """Whether the code was changed, and the tests."""
        self.left = list(results)
        copy = folder / "0"
        copy.mkdir()
        (copy / "module.py").write_text(MODULE)
        machine = self

        class Bench(main.Bench):  # type: ignore[misc, name-defined]
            def _run(self, copy: Path, tests: tuple[str, ...], seconds: float, **_: bool) -> tuple[int | None, str]:
                machine.ran.append(((copy / "module.py").read_text() != MODULE, tests))
                return machine.left.pop(0)

        bench = Bench(folder, 1, math.inf)
        bench._free.put(copy)
        mutation = next(main.find_mutations(copy, "module.py"))
        self.verdict: str = bench.try_out(mutation, ("a.py", "c.py")).verdict
        assert (copy / "module.py").read_text() == MODULE
        assert not self.left


@pytest.mark.parametrize(("unchanged", "verdict"), [((0, ""), "killed"), ((None, ""), "unsure"), ((1, ""), "unsure")])
@pytest.mark.parametrize("result", [(None, "it took too long"), (1, "FAILED tests/a.py::b - Failed: Timeout (>60")])
def test_a_mutant_that_takes_too_long_is_noticed_only_where_the_unchanged_code_does_not(
    tmp_path: Path, result: tuple[int | None, str], unchanged: tuple[int | None, str], verdict: str
) -> None:
    """On a machine that has become busy since the tests were timed, everything takes too long."""
    main = pytest.importorskip("tests.mutants.__main__", reason="`make mutants` installs what it needs")
    machine = Machine(tmp_path, main, result, unchanged)
    assert machine.verdict == verdict
    again = ("a.py", "c.py") if result[0] is None else ("tests/a.py::b",)
    assert machine.ran == [(True, ("a.py", "c.py")), (False, again)]


@pytest.mark.parametrize(("again", "verdict"), [((1, ""), "killed"), ((0, ""), "unsure")])
def test_a_mutant_is_noticed_by_a_test_that_fails_again(tmp_path: Path, again: tuple[int, str], verdict: str) -> None:
    """One that fails now and then, on a busy machine, fails for any mutant."""
    main = pytest.importorskip("tests.mutants.__main__", reason="`make mutants` installs what it needs")
    output = "ERROR    supervisor.log:1 it failed\nFAILED tests/engine/a.py::b[x - y] - assert 1"
    machine = Machine(tmp_path, main, (1, output), again)
    assert machine.verdict == verdict
    assert machine.ran[1] == (True, ("tests/engine/a.py::b[x - y]",))
