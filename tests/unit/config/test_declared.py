"""What `check` says of all that stands beside the templates."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from tui.cli.main import app

SETTINGS = """
[budgets.user]
turns_per_day = 5

[[hooks]]
name = "tell"
on = "prompt:after"
actions = [{ type = "shell", command = ["no-such-program"] }]

[[hooks]]
on = "prompt:before"
gate = true
fallback = "allow"
actions = [{ type = "shell", command = ["true"] }]

[[schedules]]
every = "1h"
actions = [{ type = "shell", command = ["true"] }]
"""


@pytest.mark.parametrize(
    ("text", "said"),
    [(SETTINGS, "declared: 1 hook, 1 gate, 1 schedule, 1 budget, 1 shared MCP server"), ("", "1 shared MCP server")],
)
def test_check_counts_what_it_has_read_and_looks_for_programs(tmp_path: Path, text: str, said: str) -> None:
    folder = tmp_path / "templates"
    folder.mkdir()
    servers = "mcpServers: {one: {command: cat, shared: true}, same: {command: cat, shared: true}}"
    (folder / "desk.md").write_text(f"---\nname: desk\ndescription: d\n{servers}\n---\nHelp.\n")
    config = tmp_path / "bullpen.toml"
    config.write_text(text)
    checked = CliRunner().invoke(app, ["check", "--templates", str(folder), "--config", str(config)])
    assert checked.exit_code == 0, checked.output
    assert said in checked.stdout
    missing = "note: the hook tell: there is no program no-such-program here: each run of it fails"
    assert (missing in checked.stdout) == bool(text)
