"""Answers in a form that are made up from a schema."""

from __future__ import annotations

import random
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from supervisor.rehearsal.directions import read_directions
from supervisor.rehearsal.example import example_of
from supervisor.rehearsal.reply import Say, Use
from supervisor.rehearsal.request import parse_request
from supervisor.rehearsal.script import decide

SORTER = {
    "type": "object",
    "properties": {"about": {"type": "string", "enum": ["account", "device", "other"]}, "urgent": {"type": "boolean"}},
    "required": ["about", "urgent"],
}
"""That of docs/templates.md."""


def one(schema: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {"it": schema}, "required": ["it"], **more}


@pytest.mark.parametrize(
    "schema",
    [
        SORTER,
        {"type": "object"},
        one({"type": "integer", "minimum": 7, "multipleOf": 5}),
        one({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}),
        one({"type": "number", "exclusiveMaximum": 1}),
        one({"type": "integer", "maximum": -3}),
        one({"type": "string", "minLength": 60, "maxLength": 61}),
        one({"type": "string", "maxLength": 3}),
        one({"type": "string", "format": "date"}),
        one({"type": ["null", "string"]}),
        one({"const": {"a": 1}}),
        one({"type": "array", "items": {"type": "integer"}, "minItems": 3}),
        one({"type": "array", "prefixItems": [{"type": "integer"}, {"type": "boolean"}], "items": False}),
        one({"type": "array", "maxItems": 0}),
        one({"oneOf": [{"type": "integer"}, {"type": "string"}]}),
        one({"allOf": [one({"type": "integer"}), {"required": ["b"], "properties": {"b": {"const": 2}}}]}),
        one({"$ref": "#/$defs/tree"}, **{"$defs": {"tree": one({"type": "array", "items": {"$ref": "#/$defs/tree"}})}}),
        {"type": "object", "additionalProperties": False, "properties": {"a": {}, "b": {"type": "null"}}},
        {"type": "object", "required": ["unsaid"]},
    ],
)
def test_it_fits_the_schema(schema: dict[str, Any]) -> None:
    validator = Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)
    for seed in range(5):
        validator.validate(example_of(schema, random.Random(seed)))


def test_a_schema_that_requires_itself_comes_to_an_end() -> None:
    schema = {"type": "object", "properties": {"it": {"$ref": "#"}}, "required": ["it"]}
    assert example_of(schema, random.Random(1))["it"]


def test_an_ordinary_prompt_is_answered_in_the_form_and_a_direction_says_which() -> None:
    body: dict[str, Any] = {
        "messages": [{"role": "user", "content": "My laptop is on fire"}],
        "tools": [{"name": "StructuredOutput", "input_schema": SORTER}],
    }
    (step,) = decide(parse_request(body, at=0.0), seed=1)
    assert isinstance(step, Use)
    Draft202012Validator(SORTER).validate(dict(step.input))
    given = read_directions('[[output: {"about": "device", "urgent": true, "more": [["]]"]]}]]').directions
    assert given == (Use("StructuredOutput", {"about": "device", "urgent": True, "more": [["]]"]]}),)
    assert read_directions("[[output: yes]]").mistakes
    del body["tools"]
    assert any(isinstance(one, Say) for one in decide(parse_request(body, at=0.0), seed=1))
