"""`output`: schemas that cannot be used are told with file and line, and nothing is ever fetched for one."""

from __future__ import annotations

from pathlib import Path

import pytest

from supervisor.config.output_schema import MOST_CHARACTERS, find_mistakes, find_objection
from supervisor.config.template_file import read_template
from supervisor.config.template_folder import TemplateFile

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
