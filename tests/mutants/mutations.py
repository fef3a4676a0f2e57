"""Every small mistake that could be made in a module: those that Cosmic Ray knows, and a step that is left out.

Only inside functions: constants and tables are facts, and annotations are never evaluated.
"""

from __future__ import annotations

import ast
import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import parso
from cosmic_ray.ast import ast_nodes
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator

OPERATORS = (
    "AddNot",
    "ReplaceAndWithOr",
    "ReplaceOrWithAnd",
    "ReplaceTrueWithFalse",
    "ReplaceFalseWithTrue",
    "ReplaceBreakWithContinue",
    "ReplaceContinueWithBreak",
    "ReplaceUnaryOperator_Delete_Not",
    "ReplaceUnaryOperator_USub_UAdd",
    "NumberReplacer",
    "ZeroIterationForLoop",
    "ReplaceBinaryOperator_Add_Sub",
    "ReplaceBinaryOperator_Sub_Add",
    "ReplaceBinaryOperator_Mul_Div",
    "ReplaceComparisonOperator_Eq_NotEq",
    "ReplaceComparisonOperator_NotEq_Eq",
    "ReplaceComparisonOperator_Lt_LtE",
    "ReplaceComparisonOperator_Lt_GtE",
    "ReplaceComparisonOperator_LtE_Lt",
    "ReplaceComparisonOperator_LtE_Gt",
    "ReplaceComparisonOperator_Gt_GtE",
    "ReplaceComparisonOperator_Gt_LtE",
    "ReplaceComparisonOperator_GtE_Gt",
    "ReplaceComparisonOperator_GtE_Lt",
    "ReplaceComparisonOperator_Is_IsNot",
    "ReplaceComparisonOperator_IsNot_Is",
)
"""Of Cosmic Ray's: those after which the program still runs. `==` for `is` is the same for what we compare."""

Place = tuple[int, int]
"""Line from 1 and column from 0, in characters."""


@dataclass(frozen=True)
class Mutation:
    module: str
    operator: str
    occurrence: int
    place: Place

    def apply(self, source: str) -> str:
        """The module with the mistake in it."""
        if self.operator == REMOVAL:
            return _remove(source, self.occurrence)
        mutated: str | None = mutate_code(source, get_operator(f"core/{self.operator}")(), self.occurrence)
        assert mutated is not None, "it was found there"
        return mutated


REMOVAL = "RemoveStatement"


def find_mutations(root: Path, module: str) -> Iterator[Mutation]:
    source = (root / module).read_text(encoding="utf-8")
    tree = ast.parse(source)
    wanted, unwanted, named = _bodies(tree), _never_run(tree), _named_conditions(tree)
    nodes = list(ast_nodes(parso.parse(source)))
    for name in OPERATORS:
        operator = get_operator(f"core/{name}")()
        places = [place for node in nodes for place, _ in operator.mutation_positions(node)]
        for number, place in enumerate(places):
            is_code = name != "AddNot" or place not in named
            if is_code and _is_within(place, wanted) and not _is_within(place, unwanted):
                yield Mutation(module, name, number, place)
    for number, statement in enumerate(_removable(tree)):
        yield Mutation(module, REMOVAL, number, (statement.lineno, statement.col_offset))


def tell_change(module: str, before: str, after: str) -> str:
    """The lines that differ, as a diff."""
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), module, module, lineterm="", n=1)
    return "\n".join(list(lines)[2:])


def _bodies(tree: ast.AST) -> list[tuple[Place, Place]]:
    functions = [one for one in ast.walk(tree) if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)]
    return [((one.body[0].lineno, 0), _end(one.body[-1])) for one in functions if one.name != "__repr__"]


def _never_run(tree: ast.AST) -> list[tuple[Place, Place]]:
    """Annotations, and what only says that something cannot be."""
    found: list[ast.AST] = []
    for node in ast.walk(tree):
        match node:
            case ast.AnnAssign(annotation=annotation) | ast.arg(annotation=ast.expr() as annotation):
                found.append(annotation)
            case ast.FunctionDef(returns=ast.expr() as returns) | ast.AsyncFunctionDef(returns=ast.expr() as returns):
                found.append(returns)
            case ast.Assert() | ast.Raise(exc=ast.Call(func=ast.Name("AssertionError"))):
                found.append(node)
            case ast.FunctionDef(name="__repr__"):
                found.append(node)
    return [(_start(node), _end(node)) for node in found]


def _named_conditions(tree: ast.AST) -> set[Place]:
    """`if name := value`: with a `not` before it this is no Python, which any test would notice."""
    tests = [node.test for node in ast.walk(tree) if isinstance(node, ast.If | ast.While)]
    return {_start(test) for test in tests if isinstance(test, ast.NamedExpr)}


def _removable(tree: ast.AST) -> list[ast.stmt]:
    """Calls whose result nobody uses, and changes of attributes, in functions."""
    found = []
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef) or function.name == "__repr__":
            continue
        for node in ast.walk(function):
            match node:
                case ast.Expr(value=ast.Call() | ast.Await(value=ast.Call())):
                    found.append(node)
                case ast.Assign(targets=[ast.Attribute() | ast.Subscript(), *_]) | ast.AugAssign() | ast.Delete():
                    # What `__init__` sets up is missed by whatever reads it.
                    found += [] if function.name == "__init__" else [node]
    return sorted({id(node): node for node in found}.values(), key=_start)


def _remove(source: str, number: int) -> str:
    statement = _removable(ast.parse(source))[number]
    lines = source.splitlines(keepends=True)
    first, last = statement.lineno - 1, (statement.end_lineno or statement.lineno) - 1
    head = lines[first].encode()[: statement.col_offset].decode()
    tail = lines[last].encode()[statement.end_col_offset :].decode()
    return "".join([*lines[:first], f"{head}pass{tail}", *lines[last + 1 :]])


def _start(node: ast.AST) -> Place:
    return node.lineno, node.col_offset  # type: ignore[attr-defined]


def _end(node: ast.AST) -> Place:
    return node.end_lineno, node.end_col_offset  # type: ignore[attr-defined]


def _is_within(place: Place, ranges: list[tuple[Place, Place]]) -> bool:
    return any(start <= place < end for start, end in ranges)
