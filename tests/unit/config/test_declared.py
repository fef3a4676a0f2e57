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


def test_check_notes_limits_and_schemas_that_are_allowed_and_mostly_a_slip(tmp_path: Path) -> None:
    """S1.13: also where the settings have made the limit so."""
    folder = tmp_path / "templates"
    folder.mkdir()
    lines = [
        "name: desk",
        "description: d",
        "concurrency: {maxSessions: 2}",
        "output:",
        "  type: object",
        "  properties: {about: {type: string}, rows: {type: array, items: {properties: {at: {}}, required: [at, by]}}}",
        "  required: [abuot, rows]",
    ]
    (folder / "desk.md").write_text("\n".join(["---", *lines, "---", "Help."]))
    config = tmp_path / "bullpen.toml"
    told = {}
    for text in ("", "[instances.desk.pool]\nmaxClients = 1\n"):
        config.write_text(text)
        checked = CliRunner().invoke(app, ["check", "--templates", str(folder), "--config", str(config)])
        assert checked.exit_code == 0, checked.output
        told[text] = [line.strip() for line in checked.stdout.splitlines() if "note:" in line]
    plain, limited = told.values()
    assert plain == [
        "note: desk.md:7: output.properties.rows.items.required names 'by', which is not among the properties",
        "note: desk.md:8: output.required names 'abuot', which is not among the properties; did you mean 'about'?",
    ]
    [note] = [line for line in limited if line not in plain]
    assert "pool.maxClients is 1, fewer than concurrency.maxSessions (2): no more than 1 of its turns" in note
