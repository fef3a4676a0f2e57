"""`output`: schemas that cannot be used are told with file and line, and nothing is ever fetched for one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from supervisor.config.output_schema import MOST_CHARACTERS, find_mistakes, find_objection
from supervisor.config.template_file import read_template
from supervisor.config.template_folder import TemplateFile


def _nested(depth: int) -> dict[str, object]:
    found: dict[str, object] = {"a": 1}
    for _ in range(depth):
        found = {"a": found}
    return found


GOOD = {
    "type": "object",
    "properties": {"n": {"$ref": "#/$defs/n"}, "m": {"$ref": "#odd"}},
    "$defs": {"n": {"type": "integer"}, "m": {"$anchor": "odd", "type": "integer"}},
    "required": ["n"],
}


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        ({}, "must have type: object, not"),
        ({"type": "array"}, "must have type: object, not"),
        ({"type": "object", "properties": {"a": {"type": "intger"}}}, "is no JSON Schema: 'intger' is not valid"),
        ({"type": "object", "required": "a"}, "is no JSON Schema: 'a' is not of type 'array'"),
        ({"type": "object", "properties": {"a": {"$ref": "#/nowhere"}}}, "names '#/nowhere', which is not in this"),
        ({"type": "object", "properties": {"a": {"$ref": "http://127.0.0.1:1/x"}}}, "nothing is fetched"),
        ({"type": "object", "enum": [float("nan")]}, "is no JSON"),
        (
            {"type": "object", "properties": {"a": {"pattern": "(?=x)a"}}},
            "is no regular expression (without look-around",
        ),
        ({"type": "object", "patternProperties": {r"(a)\1": {}}}, "is no regular expression (without look-around"),
        ({"type": "object", "title": "x" * MOST_CHARACTERS}, "a schema has 100,000 at most"),
    ],
)
def test_what_is_no_schema_is_told(schema: dict[str, object], told: str) -> None:
    [(_, sentence)] = find_mistakes(schema)
    assert told.replace("'", "") in sentence.replace("'", "").replace('"', "")


def test_a_good_one_is_good() -> None:
    assert not [*find_mistakes(GOOD)]
    assert find_objection(GOOD, '{"n": 1, "m": 2}') == ""
    assert find_objection(GOOD, '{"n": 1, "m": "x"}').endswith("m: 'x' is not of type 'integer'")


def test_a_reference_elsewhere_is_not_followed_either_when_an_answer_is_judged() -> None:
    schema = {"type": "object", "properties": {"a": {"$ref": "http://127.0.0.1:1/x"}}}
    assert "cannot be held against the template's output" in find_objection(schema, '{"a": 1}')


def test_a_mistake_stands_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "a.md"
    path.write_text(
        "---\nname: a\ndescription: d\narchetype: tool\noutput:\n  type: object\n  properties:\n    n:\n"
        "      type: intger\n---\n"
    )
    (line,) = read_template(TemplateFile(path, "a.md")).mistake_lines()
    assert line.startswith("a.md:9: output.properties.n.type is no JSON Schema: 'intger' is not valid")


def _object(**properties: object) -> dict[str, object]:
    return {"type": "object", "properties": properties}


FORKS = {"anyOf": [{"$ref": "#"}, {"$ref": "#"}]}
DIALECT = {"$schema": "https://json-schema.org/draft/2020-12/schema"}


@pytest.mark.parametrize(
    ("schema", "answer", "told"),
    [
        (_object(a={"pattern": "^(a+)+$"}), {"a": "a" * 5_000 + "!"}, "does not fit the template's output: a: 'aaaa"),
        ({"type": "object", "patternProperties": {"^(a+)+$": False}}, {"a" * 50 + "!": 1}, ""),
        (
            {"type": "object", "patternProperties": {"^(a+)+$": {}}, "additionalProperties": False},
            {"a" * 50 + "!": 1},
            "Additional properties are not allowed",
        ),
        (_object(a={"uniqueItems": True}), {"a": [{"n": n} for n in range(20_000)]}, ""),
        (_object(a={"uniqueItems": True}), {"a": [{"n": 1, "m": 2}, {"m": 2, "n": 1.0}]}, "non-unique elements"),
        (_object(a={"uniqueItems": True}), {"a": [1, True, "1", [1]]}, ""),
        (_object(a=FORKS), _nested(40), "it takes more than 50,000 steps"),
        (DIALECT | _object(a=FORKS), _nested(40), "it takes more than 50,000 steps"),
    ],
    ids=["pattern", "properties", "additional", "unique", "not-unique", "kinds", "forks", "dialect"],
)
def test_no_answer_takes_longer_than_it_may(schema: dict[str, object], answer: object, told: str) -> None:
    """Everybody's turns stand still while one answer is looked at."""
    assert not [*find_mistakes(schema)]
    objection = find_objection(schema, json.dumps(answer))
    assert (told in objection) if told else not objection


@pytest.mark.parametrize("depth", [400, 100_000])
def test_an_answer_of_any_depth_is_no_end_of_the_program(depth: int) -> None:
    assert find_objection(_object(a={"$ref": "#"}), '{"a":' * depth + "1" + "}" * depth)
