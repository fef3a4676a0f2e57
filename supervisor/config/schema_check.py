"""Holds values against JSON Schemas in a bounded number of steps, also for hostile schemas and values.

The value is a model's, and so perhaps a user's: it is held against the schema on the loop that all sessions share.
`jsonschema` searches patterns with Python's `re`, which takes exponential time on `(a+)+$`, compares all elements of
an array with each other where they are to be unique, and follows references that fork at each step without an end.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from supervisor.text.patterns import compile_pattern

MOST_STEPS = 50_000
"""Keywords of the schema that are held against parts of a value: some tenths of a second at most. An answer of a model
has a few thousand parts."""
REFERENCE = 10
"""Steps of a reference, which takes as much longer as another keyword."""

Check = Callable[[Any, Any, Any, Mapping[str, Any]], Any]


class TooManySteps(Exception):
    """The value is too large for the schema, or the schema never comes to an end."""


def find_error(schema: Mapping[str, Any], value: object) -> Any:
    """The first thing in the value that the schema does not allow, as a `jsonschema.ValidationError`; None when it
    allows all of it. Nothing is fetched for a reference. Raises `TooManySteps`, `RecursionError`, or what `jsonschema`
    raises for a reference that leads nowhere."""
    from jsonschema.validators import extend, validator_for
    from referencing import Registry

    left = MOST_STEPS

    def count(check: Check, cost: int) -> Check:
        def look(validator: Any, wanted: Any, instance: Any, within: Mapping[str, Any]) -> Any:
            nonlocal left
            left -= cost
            if left < 0:
                raise TooManySteps(f"it takes more than {MOST_STEPS:,} steps")
            return check(validator, wanted, instance, within)

        return look

    found = validator_for(schema)
    checks = {**found.VALIDATORS, **_OWN}
    bounded = extend(found, {name: count(check, _cost(name)) for name, check in checks.items()})
    # With a registry of its own, which is empty, nothing is looked up elsewhere. Where a schema inside names its
    # dialect, `jsonschema` would go on with the class of that dialect.
    return next(bounded(_without_dialect(schema), registry=Registry()).iter_errors(value), None)


def _cost(keyword: str) -> int:
    return REFERENCE if keyword.endswith("Ref") or keyword == "$ref" else 1


def _without_dialect(schema: Any) -> Any:
    match schema:
        case Mapping():
            return {
                name: _without_dialect(inner)
                for name, inner in schema.items()
                if name != "$schema" or not isinstance(inner, str)
            }
        case list():
            return [_without_dialect(inner) for inner in schema]
    return schema


@lru_cache(maxsize=1_000)
def _search(pattern: str) -> Callable[[str], object]:
    try:
        return compile_pattern(pattern)
    except ValueError:
        # With look-around or a back-reference: `output` refuses it, but a tool of the SDK may bring one along.
        return re.compile(pattern).search


def _error(words: str) -> Any:
    from jsonschema import ValidationError

    return ValidationError(words)


def _pattern(validator: Any, wanted: Any, instance: Any, within: Mapping[str, Any]) -> Iterator[Any]:
    if validator.is_type(instance, "string") and not _search(wanted)(instance):
        yield _error(f"{instance!r} does not match {wanted!r}")


def _pattern_properties(validator: Any, wanted: Any, instance: Any, within: Mapping[str, Any]) -> Iterator[Any]:
    if validator.is_type(instance, "object"):
        for pattern, inner in wanted.items():
            for name, one in instance.items():
                if _search(pattern)(name):
                    yield from validator.descend(one, inner, path=name, schema_path=pattern)


def _additional_properties(validator: Any, wanted: Any, instance: Any, within: Mapping[str, Any]) -> Iterator[Any]:
    if not validator.is_type(instance, "object"):
        return
    patterns, known = within.get("patternProperties", {}), within.get("properties", {})
    extras = [one for one in instance if one not in known and not any(_search(pattern)(one) for pattern in patterns)]
    if validator.is_type(wanted, "object"):
        for extra in extras:
            yield from validator.descend(instance[extra], wanted, path=extra)
    elif not wanted and extras:
        yield _error(f"Additional properties are not allowed ({', '.join(map(repr, extras[:5]))})")


def _unique_items(validator: Any, wanted: Any, instance: Any, within: Mapping[str, Any]) -> Iterator[Any]:
    if wanted and validator.is_type(instance, "array") and len({_spell(one) for one in instance}) < len(instance):
        yield _error(f"{instance!r} has non-unique elements")


def _spell(value: object) -> str:
    """Equal for what JSON Schema takes for equal: 1 and 1.0, and objects in any order."""
    return json.dumps(_plain(value), sort_keys=True)


def _plain(value: object) -> object:
    match value:
        case float() if value.is_integer():
            return int(value)
        case list():
            return [_plain(one) for one in value]
        case dict():
            return {name: _plain(one) for name, one in value.items()}
    return value


_OWN: Mapping[str, Check] = {
    "pattern": _pattern,
    "patternProperties": _pattern_properties,
    "additionalProperties": _additional_properties,
    "uniqueItems": _unique_items,
}
