"""`allow` of a template: which of its own tools run without a question (S3.17)."""

from __future__ import annotations

from pathlib import Path

import pytest

from supervisor.api.errors import ConfigurationError
from supervisor.claude.options import compile_options
from supervisor.config.restrictions import describe_walls
from supervisor.config.settings import Settings
from supervisor.config.template import Template
from supervisor.config.templates import load_template

SERVERS = "mcpServers: {time: {command: cat}, time__more: {command: cat}, wiki: {command: cat}}"
SCHEDULE = "supervisor.tools.schedule:list_schedule"


def load(folder: Path, *lines: str) -> Template:
    path = folder / "desk.md"
    front = ["name: desk", "description: d", f"tools: 'Read, mcp__wiki, mcp__time, {SCHEDULE}'", SERVERS, *lines]
    path.write_text("\n".join(["---", *front, "---", "Help.", ""]))
    return load_template(path)


def test_functions_and_tools_of_servers_become_rules_of_the_cli(tmp_path: Path) -> None:
    made = load(tmp_path, f"allow: '{SCHEDULE}, mcp__wiki__*, mcp__time__now'")
    options = compile_options(made, Settings(state_dir=tmp_path), {})
    assert options.arguments["allowed_tools"] == ["mcp__bullpen__list_schedule", "mcp__time__now", "mcp__wiki"]
    assert f"without a question: {SCHEDULE}, mcp__wiki__*, mcp__time__now" in describe_walls(made)
    without = compile_options(load(tmp_path), Settings(state_dir=tmp_path), {})
    assert "allowed_tools" not in without.arguments
    assert without.digest != options.digest


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("Bash", "neither a function nor a tool of an MCP server"),
        ("mcp__wiki(a)", "neither a function nor a tool of an MCP server"),
        ("supervisor.tools.schedule:list_schedul", f"did you mean {SCHEDULE}?"),
        ("mcp__wikis", "a tool of no MCP server of this template"),
        ("mcp__wiki__f*", "names no tool"),
        ("mcp__time", "would allow the server time__more as well"),
        ("mcp__time__more", "may be of the server time or time__more"),
    ],
)
def test_what_cannot_stand_there_is_told(tmp_path: Path, word: str, told: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path, f"allow: ['{word}']")
    (line,) = caught.value.mistakes
    assert line.startswith("desk.md:6: allow names ")
    assert told in line
