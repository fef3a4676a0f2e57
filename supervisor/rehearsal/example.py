"""A value that fits a JSON Schema: the answer in a form of an agent that has `output`.

Simple parts of a schema are met: types, enumerations, properties, bounds, formats, alternatives and references. What
only a search could meet (`pattern`, `not`, `if`) is not looked at.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from typing import Any

DEEP = 6
"""Levels below which only what is required is filled in."""
DEEPEST = 40
"""Levels at which a schema that requires itself is given up."""
WORDS = "made up in rehearsal"
_FORMATS = {
    "date-time": "2026-05-04T09:30:00Z",
    "date": "2026-05-04",
    "time": "09:30:00Z",
    "email": "ana@example.org",
    "uri": "https://example.org/",
    "hostname": "example.org",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uuid": "6f1c0d9e-54c5-4a7e-8f0b-0c5d1c2b3a49",
    "duration": "PT30M",
}


def example_of(schema: Mapping[str, Any], dice: random.Random) -> Any:
    return _value(schema, schema, dice, 0)


def _value(schema: Any, root: Mapping[str, Any], dice: random.Random, depth: int) -> Any:
    if not isinstance(schema, Mapping) or depth > DEEPEST:
        return None
    schema = _resolve(schema, root)
    if "const" in schema:
        return schema["const"]
    if choices := schema.get("enum") or schema.get("examples"):
        return dice.choice(list(choices))
    if "default" in schema:
        return schema["default"]
    match _kind(schema):
        case "object":
            return _object(schema, root, dice, depth)
        case "array":
            return _array(schema, root, dice, depth)
        case "integer":
            return int(_number(schema, 1))
        case "number":
            return _number(schema, 0)
        case "boolean":
            return dice.random() < 0.5
        case "null":
            return None
    return _text(schema)


def _resolve(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema with its references followed, and the first of its alternatives chosen."""
    for _ in range(DEEPEST):
        target = schema.get("$ref")
        parts = [found for found in schema.get("allOf") or () if isinstance(found, Mapping)]
        if isinstance(target, str):
            parts.append(_follow(target, root))
        for key in ("oneOf", "anyOf"):
            parts += [found for found in (schema.get(key) or ())[:1] if isinstance(found, Mapping)]
        schema = {key: value for key, value in schema.items() if key not in ("$ref", "allOf", "oneOf", "anyOf")}
        if not parts:
            return schema
        for part in parts:
            schema = _joined(schema, part)
    return schema


def _joined(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    joined = {**other, **one}
    joined["required"] = [*one.get("required", ()), *other.get("required", ())]
    joined["properties"] = {**other.get("properties", {}), **one.get("properties", {})}
    return {key: value for key, value in joined.items() if value or key not in ("required", "properties")}


def _follow(target: str, root: Mapping[str, Any]) -> Mapping[str, Any]:
    place: Any = root
    for part in filter(None, target.removeprefix("#").split("/")):
        name = part.replace("~1", "/").replace("~0", "~")
        place = place.get(name) if isinstance(place, Mapping) else None
    return place if isinstance(place, Mapping) else {}


def _kind(schema: Mapping[str, Any]) -> str:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = kind[0] if kind else None
    if isinstance(kind, str):
        return kind
    if "properties" in schema or "required" in schema:
        return "object"
    return "array" if "items" in schema or "prefixItems" in schema else "string"


def _object(schema: Mapping[str, Any], root: Mapping[str, Any], dice: random.Random, depth: int) -> dict[str, Any]:
    properties = schema.get("properties") or {}
    required = [name for name in schema.get("required") or () if isinstance(name, str)]
    names = dict.fromkeys([*(properties if depth < DEEP else ()), *required])
    return {name: _value(properties.get(name, {}), root, dice, depth + 1) for name in names}


def _array(schema: Mapping[str, Any], root: Mapping[str, Any], dice: random.Random, depth: int) -> list[Any]:
    first = list(schema.get("prefixItems") or ())
    least = schema.get("minItems", 1 if depth < DEEP else 0)
    count = min(max(least, len(first)), schema.get("maxItems", max(least, len(first))))
    items = schema.get("items", {})
    return [_value(first[at] if at < len(first) else items, root, dice, depth + 1) for at in range(count)]


def _number(schema: Mapping[str, Any], step: float) -> float:
    """The least that is allowed from 1 on, else what is nearest to that."""
    step = schema.get("multipleOf", step)
    low = schema.get("minimum", schema.get("exclusiveMinimum", -math.inf))
    high = schema.get("maximum", schema.get("exclusiveMaximum", math.inf))
    value: float = min(max(low, 1), high)
    if step:
        value = math.ceil(value / step) * step
        value -= step if value > high else 0
    apart = step or min(1.0, (high - low) / 2)
    if value == schema.get("exclusiveMinimum"):
        value += apart
    if value == schema.get("exclusiveMaximum"):
        value -= apart
    return value


def _text(schema: Mapping[str, Any]) -> str:
    text = _FORMATS.get(str(schema.get("format")), WORDS)
    least, most = schema.get("minLength", 0), schema.get("maxLength", 1_000_000)
    return (text + " " + WORDS * (least // len(WORDS) + 1))[:least] if len(text) < least else text[:most]
