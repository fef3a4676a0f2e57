"""Values of every type of the contract, for Hypothesis, made from the types' own fields."""

from __future__ import annotations

import importlib
import pkgutil
import types
from collections.abc import Mapping
from enum import Enum
from functools import cache
from types import ModuleType
from typing import Any, Union, get_args, get_origin, get_type_hints

from hypothesis import strategies as st
from msgspec import Struct

from supervisor import api
from supervisor.api.codec import FAMILIES

MODULES: tuple[ModuleType, ...] = tuple(
    importlib.import_module(f"{api.__name__}.{module.name}") for module in pkgutil.iter_modules(api.__path__)
)
"""Whatever they define crosses, but for what `STAYS`."""
STAYS = {
    "Action": "declared in files, for hooks of the same process",
    "Comparison": "the same",
    "Hook": "the same",
    "Schedule": "the same",
    "Declared": "a tool's own words, for clients of the same process",
    "RunContext": "handed to a tool that bullpen itself calls",
    "EventName": "a line of a table of the program",
    "Verb": "the same",
}
"""Frozen, and never written as JSON by the codec."""
SCALARS = {
    str: st.text(max_size=12),
    int: st.integers(-(2**70), 2**70),
    float: st.floats(allow_nan=False, allow_infinity=False),
    bool: st.booleans(),
    type(None): st.none(),
}


def kinds() -> list[type]:
    """Every Struct and named tuple of the contract, but what only its kinds stand for."""
    return [
        kind
        for module in MODULES
        for kind in vars(module).values()
        if isinstance(kind, type)
        and kind.__module__ == module.__name__
        and (issubclass(kind, Struct) or is_named(kind))
        if (kind not in FAMILIES or kind in FAMILIES[kind]) and kind.__name__ not in STAYS
    ]


def is_named(kind: type) -> bool:
    return issubclass(kind, tuple) and hasattr(kind, "_fields")


def values_of(hint: Any) -> st.SearchStrategy[Any]:
    """Values with every field varied, those with a default too."""
    if hint in SCALARS:
        return SCALARS[hint]
    if hint in FAMILIES:
        return st.one_of(*(fields_of(kind) for kind in FAMILIES[hint]))
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        rest = [each for each in inner if each is not type(None)]
        return st.none() | values_of(rest[0] if len(rest) == 1 else Union[tuple(rest)])  # noqa: UP007 - made
    if origin is tuple and inner[1:] == (...,):
        return st.lists(values_of(inner[0]), max_size=2).map(tuple)
    if origin is tuple:
        return st.tuples(*map(values_of, inner))
    if origin is frozenset:
        return st.frozensets(values_of(inner[0]), max_size=2)
    if origin in (dict, Mapping):
        return st.dictionaries(values_of(inner[0]), values_of(inner[1]), max_size=2)
    if issubclass(hint, Enum):
        return st.sampled_from(hint)
    return fields_of(hint)


@cache
def fields_of(kind: type) -> st.SearchStrategy[Any]:
    return st.deferred(lambda: st.builds(kind, **{name: values_of(h) for name, h in get_type_hints(kind).items()}))
