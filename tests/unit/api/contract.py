"""Values of every type of the contract, for Hypothesis, made from the types' own fields."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import is_dataclass
from enum import Enum
from functools import cache
from types import ModuleType
from typing import Any, Union, get_args, get_origin, get_type_hints

from hypothesis import strategies as st

from supervisor.api import changes, entries, events, hook_rows, snapshot
from supervisor.api import types as api_types
from supervisor.api.codec import FAMILIES

MODULES: tuple[ModuleType, ...] = (api_types, entries, events, snapshot, changes, hook_rows)
"""Whatever they define crosses."""
SCALARS = {
    str: st.text(max_size=12),
    int: st.integers(0, 2**53),
    float: st.floats(allow_nan=False, min_value=0, max_value=1e9),
    bool: st.booleans(),
    type(None): st.none(),
}


def kinds() -> list[type]:
    """Every dataclass and named tuple of the contract, but what only its kinds stand for."""
    return [
        kind
        for module in MODULES
        for kind in vars(module).values()
        if isinstance(kind, type) and kind.__module__ == module.__name__ and (is_dataclass(kind) or is_named(kind))
        if kind not in FAMILIES or kind in FAMILIES[kind]
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
