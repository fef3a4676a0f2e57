"""`output` of a template: the JSON Schema that every answer fits. Nothing is ever fetched for one."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from supervisor.config.schema_check import find_error
from supervisor.config.validation import Location, nearest
from supervisor.text.cleaning import clean, one_line
from supervisor.text.patterns import compile_pattern
from supervisor.text.values import in_words

MOST_CHARACTERS = 100_000
"""Of a schema as JSON: it is one argument of a process."""
MOST_WORDS = 300


def find_mistakes(schema: Mapping[str, Any]) -> Iterator[tuple[Location, str]]:
    """(the way below `output`, the sentence that follows it)."""
    try:
        length = len(json.dumps(schema, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        yield (), f"is no JSON: {_words(error)}"
        return
    if length > MOST_CHARACTERS:
        yield (), f"holds {length:,} characters as JSON; a schema has {MOST_CHARACTERS:,} at most"
        return
    if schema.get("type") != "object":
        yield (), f"must have type: object, not {in_words(schema.get('type'))}: an answer is an object"
        return
    from jsonschema import SchemaError
    from jsonschema.validators import validator_for

    try:
        validator_for(schema).check_schema(schema)
    except SchemaError as error:
        yield tuple(error.absolute_path), f"is no JSON Schema: {_words(error.message)}"
        return
    except Exception as error:
        yield (), f"is no JSON Schema: {_words(error)}"
        return
    yield from _references(schema, schema, ())
    yield from _patterns(schema, ())


def find_unlisted(schema: object, way: Location = ()) -> Iterator[tuple[Location, str]]:
    """(the way below `output`, the sentence that follows it) for required properties that no part of the schema
    describes: allowed, and mostly a slip."""
    if not isinstance(schema, Mapping):
        return
    properties, required = schema.get("properties"), schema.get("required")
    if isinstance(properties, Mapping) and isinstance(required, list | tuple) and "patternProperties" not in schema:
        for name in required:
            if isinstance(name, str) and name not in properties:
                near = nearest(name, properties)
                remedy = f"; did you mean {in_words(near)}?" if near else ""
                yield (*way, "required"), f"names {in_words(name)}, which is not among the properties{remedy}"
    for key in ("properties", "$defs"):
        if isinstance(inner := schema.get(key), Mapping):
            for name, one in inner.items():
                yield from find_unlisted(one, (*way, key, str(name)))
    yield from find_unlisted(schema.get("items"), (*way, "items"))


def find_objection(schema: Mapping[str, Any], answer: str) -> str:
    """Why the answer is not one that the schema allows, in words; empty when it is."""
    if not answer:
        return "the model gave no answer in the form that the template's output asks for"
    try:
        value = json.loads(answer)
    except (ValueError, RecursionError):
        return f"its answer is no JSON that could be kept ({len(answer):,} characters)"
    try:
        error = find_error(schema, value)
    except Exception as mistake:
        return f"the answer cannot be held against the template's output: {_words(mistake)}"
    if error is not None:
        way = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.absolute_path).lstrip(".")
        return f"the answer does not fit the template's output: {way}{': ' if way else ''}{_words(error.message)}"
    return ""


def _patterns(value: object, way: Location) -> Iterator[tuple[Location, str]]:
    """Patterns that only Python's engine could search, in a time that the answer decides."""
    if isinstance(value, Mapping):
        pattern, properties = value.get("pattern"), value.get("patternProperties")
        found = [(pattern, (*way, "pattern"))] if isinstance(pattern, str) else []
        if isinstance(properties, Mapping):
            found += [(str(name), (*way, "patternProperties", str(name))) for name in properties]
        for one, place in found:
            try:
                compile_pattern(one)
            except ValueError as error:
                yield place, str(error)
        for key, inner in value.items():
            yield from _patterns(inner, (*way, str(key)))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _patterns(inner, (*way, index))


def _references(value: object, root: Mapping[str, Any], way: Location) -> Iterator[tuple[Location, str]]:
    if isinstance(value, Mapping):
        target = value.get("$ref")
        if isinstance(target, str) and not _is_there(target, root):
            yield (*way, "$ref"), f"names {in_words(target)}, which is not in this schema; nothing is fetched"
        for key, inner in value.items():
            yield from _references(inner, root, (*way, str(key)))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _references(inner, root, (*way, index))


def _is_there(target: str, root: Mapping[str, Any]) -> bool:
    if not target.startswith("#"):
        return False
    place: object = root
    for part in filter(None, target[1:].split("/")):
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(place, Mapping) and name in place:
            place = place[name]
        elif isinstance(place, list) and name.isdecimal() and int(name) < len(place):
            place = place[int(name)]
        else:
            return "/" not in target and _has_anchor(root, target[1:])
    return True


def _has_anchor(value: object, name: str) -> bool:
    if isinstance(value, Mapping):
        return value.get("$anchor") == name or any(_has_anchor(inner, name) for inner in value.values())
    return isinstance(value, list) and any(_has_anchor(inner, name) for inner in value)


def _words(error: object) -> str:
    return one_line(clean(str(error)), MOST_WORDS)
