"""A file of Claude Code's gives the same agent here: prompt, model and tools that reach the model."""

from __future__ import annotations

from pathlib import Path

import pytest

from supervisor.config.template import Template
from supervisor.rehearsal import Rehearsal
from tests.acceptance.agent_files import QUICK, find_differences
from tests.acceptance.terminal import run_bullpen
from tests.acceptance.test_terminal import ask


@pytest.mark.anyio
async def test_one_file_of_each_kind_reaches_the_model_as_with_claude_code(tmp_path: Path) -> None:
    """`make probes` asks the whole table."""
    async with Rehearsal(pace=0.01, keep=1_000) as rehearsal:
        assert await find_differences(QUICK, rehearsal, tmp_path) == []


def test_a_bad_file_is_named_on_the_screen_and_an_agent_of_any_name_answers(tmp_path: Path) -> None:
    """One start of the program: what was left out stands in the header, and `H` says why."""
    folder = tmp_path / "templates"
    folder.mkdir()
    (folder / "bad.md").write_text("---\nname: bad\ndescription: d\nmaxTurns: no\n---\nYou fail.\n")
    (folder / "good.md").write_text("---\nname: Report Writer\ndescription: d\ntools: Read\n---\nYou write.\n")
    arguments = ["--rehearsal", "--templates", str(folder), "--state", str(tmp_path / "state")]

    with run_bullpen(arguments) as terminal:
        terminal.wait_for("REHEARSAL", "Report Wr", "1 file left out (H)")
        terminal.press("H")
        terminal.wait_for("left out", "bad.md:4: maxTurns must be a whole number")
        terminal.press("\x1b")
        terminal.until(lambda: "kept in" not in terminal.text, "the facts closed")
        ask(terminal, "[[say: of any name]]", "of any name", "── done")
        # It is followed while it runs: the bad one is mended, and a change of the good one is told.
        (folder / "bad.md").write_text("---\nname: mended\ndescription: d\n---\nYou work.\n")
        terminal.press("\x1b")
        terminal.wait_for("mended", "opened: a new template")
        terminal.until(lambda: "left out (H)" not in terminal.text, "no file is left out")
        (folder / "good.md").write_text("---\nname: Report Writer\ndescription: d\ntools: Grep\n---\nYou sing.\n")
        terminal.wait_for("template rolled out: 1 client replaced")

    (workspace,) = (tmp_path / "state" / "rehearsal" / "workspaces").iterdir()
    assert workspace.name == Template(name="Report Writer", description="d").slug
