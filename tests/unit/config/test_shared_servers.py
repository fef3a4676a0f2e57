"""`mcpServers.NAME.shared`: what may be written, and how a server is told from another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from supervisor.claude.options import compile_options
from supervisor.config.settings import Settings
from supervisor.config.shared_servers import read_spec
from supervisor.config.template import Template
from supervisor.config.template_file import read_template
from supervisor.config.template_folder import TemplateFile


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        (
            "command: x\n    shared: maybe",
            "a.md:7: mcpServers.wiki.shared must be true, false, or a mapping of keys, not",
        ),
        ("command: x\n    shared: { maxCall: 2 }", "is not a key; did you mean maxCalls?"),
        ("command: x\n    shared: { maxCalls: 0 }", "must be at least 1, not"),
        ("shared: true", "a.md:5: mcpServers.wiki needs command, a text, or url, an address"),
        ("url: ftp://x\n    shared: true", "needs command, a text, or url, an address"),
        ("type: sse\n    url: http://x\n    shared: true", "a shared server is stdio or http"),
        ("command: x\n    args: -v\n    shared: true", "mcpServers.wiki.args must be a list of texts, not"),
        ("command: x\n    env: [A]\n    shared: true", "mcpServers.wiki.env must be a mapping of names to texts"),
    ],
)
def test_what_cannot_be_shared_is_told_with_its_line(tmp_path: Path, keys: str, told: str) -> None:
    path = tmp_path / "a.md"
    path.write_text(f"---\nname: a\ndescription: d\nmcpServers:\n  wiki:\n    {keys}\n---\n")
    (line,) = read_template(TemplateFile(path, "a.md")).mistake_lines()
    assert told in line


def test_equal_definitions_have_equal_digests_and_any_other_value_another() -> None:
    base: dict[str, Any] = {"command": "x", "args": ["a"], "env": {"T": "${T}"}, "shared": True}
    digest = read_spec(base, Path("/w"), {"T": "1"}).digest
    assert read_spec({**base, "shared": {}}, Path("/w"), {"T": "1"}).digest == digest
    for other in ({"command": "y"}, {"args": []}, {"env": {}}, {"shared": {"maxCalls": 2}}, {"cwd": "sub"}):
        assert read_spec({**base, **other}, Path("/w"), {"T": "1"}).digest != digest
    assert read_spec(base, Path("/w"), {"T": "2"}).digest != digest
    assert read_spec(base, Path("/v"), {"T": "1"}).digest != digest


def test_the_cli_is_told_of_servers_that_are_not_shared_alone(tmp_path: Path) -> None:
    servers = {"own": {"command": "x", "shared": False}, "all": {"command": "y", "shared": True}}
    template = Template.model_validate(
        {"name": "a", "description": "d", "path": tmp_path / "a.md", "mcpServers": servers}
    )
    assert compile_options(template, Settings(), {}).servers == {"own": {"command": "x"}}
