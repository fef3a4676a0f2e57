"""What a template needs of this host and does not find is told beforehand, and is no mistake of the file."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from supervisor.config import host_notes
from supervisor.config.host_notes import find_host_notes
from supervisor.config.settings import Settings
from supervisor.config.template import Template
from supervisor.engine.doctor import _examine_templates
from tui.cli.main import app

PATH = {"PATH": str(Path(sys.executable).parent)}


def sentences(tmp_path: Path, environ: dict[str, str], **keys: object) -> list[str]:
    made = Template.model_validate({"name": "desk", "description": "d", "path": tmp_path / "desk.md"} | keys)
    return [sentence for _, sentence in find_host_notes(made, environ)]


@pytest.mark.parametrize(
    ("server", "told"),
    [
        ({"command": "no-such-program", "shared": True}, "there is no program no-such-program on the PATH"),
        ({"command": "no-such-program"}, "there is no program no-such-program on the PATH"),
        ({"command": "./serve", "shared": True}, "there is no program ./serve in "),
        ({"command": "./serve"}, ""),
        ({"command": sys.executable}, ""),
        ({"command": Path(sys.executable).name}, ""),
        ({"command": "${PROGRAM:-no-such-program}"}, "there is no program no-such-program on the PATH"),
        ({"command": "${PROGRAM}"}, "the variable PROGRAM is not set"),
        (
            {"url": "https://x.example", "headers": {"A": "Bearer ${KEY}"}, "shared": True},
            "the variable KEY is not set",
        ),
        ({"url": "https://x.example", "headers": {"A": "Bearer ${PATH}"}}, ""),
    ],
)
def test_a_program_and_a_variable_that_are_not_there_are_told(
    tmp_path: Path, server: dict[str, object], told: str
) -> None:
    found = sentences(tmp_path, PATH, mcpServers={"time": server})
    assert len(found) == bool(told)
    assert not told or (found[0].startswith("mcpServers.time: ") and told in found[0])


def test_a_mode_that_is_refused_to_root_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mode = {"permissionMode": "bypassPermissions"}
    monkeypatch.setattr(host_notes.os, "geteuid", lambda: 0)
    assert "refuses to start so as root" in sentences(tmp_path, {}, **mode)[0]
    assert not sentences(tmp_path, {"IS_SANDBOX": "1"}, **mode)
    assert not sentences(tmp_path, {}, **mode, env={"IS_SANDBOX": "1"})
    assert not sentences(tmp_path, {})
    monkeypatch.setattr(host_notes.os, "geteuid", lambda: 1000)
    assert not sentences(tmp_path, {}, **mode)


def test_check_notes_it_and_doctor_finds_it(tmp_path: Path) -> None:
    """A file that is in order stays in order: the host may be another tomorrow."""
    lines = ["name: desk", "description: d", "mcpServers:", "  time: {command: no-such-program, shared: true}"]
    (tmp_path / "desk.md").write_text("\n".join(["---", *lines, "---", "Help.", ""]))
    checked = CliRunner().invoke(app, ["check", "--templates", str(tmp_path)])
    assert checked.exit_code == 0
    assert "note: desk.md:5: mcpServers.time: there is no program no-such-program on the PATH" in checked.stdout
    hook = {"on": "prompt:after", "actions": [{"type": "shell", "command": ["no-such-program"]}]}
    settings = Settings.model_validate({"templates_dir": tmp_path, "hooks": [hook]})
    findings = [one for one in _examine_templates(settings) if not one.is_good]
    assert [one.subject for one in findings] == ["templates", "hooks"]
    assert all("no-such-program" in one.text for one in findings)
