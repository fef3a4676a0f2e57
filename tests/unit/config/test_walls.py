"""The walls of a template: what they are by default, what contradicts them, and how they are told."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from pydantic import ValidationError
from typer.testing import CliRunner

from supervisor.api.errors import ConfigurationError
from supervisor.claude.options import compile_options
from supervisor.config.loading import templates_for
from supervisor.config.restrictions import SANDBOX_PROGRAMS, client_settings, describe_walls
from supervisor.config.settings import Settings
from supervisor.config.skills import find_skills, gather_skills, skill_folders
from supervisor.config.template import Template, is_confined
from supervisor.config.templates import load_template
from tui.cli.main import app

OF_BULLPEN = ("HOME", "CLAUDE_CONFIG_DIR", "CLAUDE_CODE_TMPDIR", "CLAUDE_CODE_SHELL_PREFIX", "LD_PRELOAD", "PWD")


def template(tmp_path: Path, **keys: object) -> Template:
    return Template.model_validate({"name": "desk", "description": "d", "path": tmp_path / "desk.md"} | keys)


def write(folder: Path, *lines: str) -> Path:
    path = folder / "desk.md"
    path.write_text("\n".join(["---", "name: desk", "description: d", *lines, "---", "Help.", ""]))
    return path


@pytest.mark.parametrize(
    ("keys", "confined"),
    [
        ({"tools": ["Read", "Write"]}, True),
        ({"tools": []}, True),
        ({"tools": ["Read", "Bash"]}, False),
        ({"tools": ["Bash(git:*)"]}, False),
        ({"tools": ["Monitor"]}, False),
        ({"tools": ["Bash"], "disallowedTools": ["Bash"]}, True),
        ({}, False),
        ({"disallowedTools": ["Bash"]}, True),
        ({"tools": ["Read"], "permissionMode": "bypassPermissions"}, False),
        ({"tools": ["Read"], "settings": ["user"]}, False),
        ({"tools": ["Bash"], "confine": True}, True),
        ({"tools": ["Read"], "confine": False}, False),
    ],
)
def test_a_template_is_confined_where_no_tool_of_it_runs_commands(
    tmp_path: Path, keys: dict[str, object], confined: bool
) -> None:
    """All tools include Bash."""
    made = template(tmp_path, **keys)
    assert is_confined(made) == confined
    options = compile_options(made, Settings(state_dir=tmp_path), {})
    assert ("restricted" in options.arguments["extra_args"]) == confined
    assert describe_walls(made)[0].startswith("confined" if confined else "not confined")


@pytest.mark.parametrize(
    ("lines", "mistake"),
    [
        (["confine: true", "permissionMode: bypassPermissions"], "desk.md:4: confine cannot be true"),
        (["confine: true", "settings: user"], "desk.md:5: settings are not read by a confined client"),
        (["tools: Read", "sandbox: true"], "desk.md:5: sandbox is for commands"),
        (["settings: users"], "desk.md:4: settings"),
        (["env: [A]"], "desk.md:4: env must be a mapping of names to values"),
        (["env: {BULLPEN_CLIENT: x}"], "desk.md:4: env cannot set 'BULLPEN_CLIENT'"),
        (["env: {'a b': x}"], "desk.md:4: env cannot set 'a b'"),
        *((["env:", f"  {name}: x"], f"desk.md:4: env cannot set '{name}'") for name in OF_BULLPEN),
        (["effort: extreme"], "desk.md:4: effort"),
        (["disallowedTools: {Bash: true}"], "desk.md:4: disallowedTools must be a list, or text with commas"),
        (["tools: Bash", "sandbox: {filesystem: x}"], "desk.md:5: sandbox.filesystem must be a mapping"),
        (
            ["tools: Bash", "sandbox: {filesystem: {denyRead: x}}"],
            "desk.md:5: sandbox.filesystem.denyRead must be a list",
        ),
    ],
)
def test_walls_that_contradict_each_other_are_refused_with_file_line_and_remedy(
    tmp_path: Path, lines: list[str], mistake: str
) -> None:
    with pytest.raises(ConfigurationError) as raised:
        load_template(write(tmp_path, *lines))
    assert raised.value.mistakes[0].startswith(mistake)
    assert len(raised.value.mistakes) == 1


def test_what_this_host_cannot_do_is_refused_before_anything_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("PATH", str(tmp_path))
    write(tmp_path, "env:", "  TOKEN: env:NOT_SET_ANYWHERE", "sandbox: true")
    with pytest.raises(ConfigurationError) as raised:
        templates_for(Settings(state_dir=tmp_path / "state", templates_dir=tmp_path))
    assert raised.value.mistakes == [
        "desk.md:5: env.TOKEN names the variable NOT_SET_ANYWHERE, which is not set; set it before bullpen is started",
        "desk.md:6: sandbox needs bwrap and socat on this host (packages bubblewrap and socat); nothing is started "
        "without it",
    ]


def test_an_unresolved_reference_is_refused_also_without_a_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"desk: env\.TOKEN names the variable MISSING"):
        compile_options(template(tmp_path, env={"TOKEN": "env:MISSING"}), Settings(state_dir=tmp_path), {}, environ={})


def test_a_secret_changes_the_digest_and_is_shown_nowhere(tmp_path: Path) -> None:
    made = template(tmp_path, env={"TOKEN": "env:T"}, mcpServers={"wiki": {"env": {"T": "${T}"}}})
    settings = Settings(state_dir=tmp_path)
    one, two = (compile_options(made, settings, {}, environ={"T": value}) for value in ("marmalade", "quicksand"))
    assert one.environment["TOKEN"] == one.servers["wiki"]["env"]["T"] == "marmalade"
    assert one.digest != two.digest
    for shown in (repr(one), repr(one.arguments), *describe_walls(made)):
        assert "marmalade" not in shown
    assert "env TOKEN: from env:T" in describe_walls(made)


def test_what_bullpen_sets_for_every_client_no_template_may_set(tmp_path: Path) -> None:
    """It would be overruled without a word, or the walls would stand somewhere else than the CLI."""
    options = compile_options(template(tmp_path, workspace=str(tmp_path / "shared")), Settings(state_dir=tmp_path), {})
    for name in options.environment:
        with pytest.raises(ValidationError, match=f"env cannot set '{name}'|cannot set '{name}'"):
            template(tmp_path, env={name: "0"})


def test_nothing_in_a_template_undoes_what_every_client_gets(tmp_path: Path) -> None:
    env = {"CLAUDE_CODE_DISABLE_AUTO_MEMORY": "0", "ANTHROPIC_BASE_URL": "http://elsewhere"}
    made = template(tmp_path).model_copy(update={"env": env})
    options = compile_options(made, Settings(state_dir=tmp_path), {"ANTHROPIC_BASE_URL": "http://here"})
    assert options.environment["CLAUDE_CODE_DISABLE_AUTO_MEMORY"] == "1"
    assert options.environment["ANTHROPIC_BASE_URL"] == "http://here"


def test_the_sandbox_keeps_sessions_apart_whatever_the_template_adds(tmp_path: Path) -> None:
    wanted = {"enabled": False, "filesystem": {"denyRead": ["/home"]}, "network": {"allowedDomains": ["example.org"]}}
    made = template(tmp_path, tools=["Bash"], sandbox=wanted)
    found = client_settings(
        made, config_dir=tmp_path / "claude", state_dir=tmp_path, workspace=tmp_path / "w", readable=(tmp_path / "s",)
    )["sandbox"]
    assert (found["enabled"], found["failIfUnavailable"], found["allowUnsandboxedCommands"]) == (True, True, False)
    assert found["network"] == {"allowedDomains": ["example.org"]}
    assert found["filesystem"]["denyRead"] == ["/home", str(tmp_path / "claude"), str(tmp_path)]
    assert found["filesystem"]["allowRead"] == [str(tmp_path / "w"), str(tmp_path / "s")]


def test_skills_are_found_with_the_users_settings_and_in_the_project_of_the_template(tmp_path: Path) -> None:
    user, project = tmp_path / "user", tmp_path / "project" / ".claude"
    for folder, name in ((user, "both"), (project, "both"), (project, "own")):
        (folder / "skills" / name).mkdir(parents=True)
        (folder / "skills" / name / "SKILL.md").write_text("x")
    folders = skill_folders(project / "agents", [user])
    found, missing = find_skills(["both", "own", "nowhere", "../own", ".."], folders)
    assert found == {"both": user / "skills" / "both", "own": project / "skills" / "own"}
    assert missing == ["nowhere", "../own", ".."]


def test_an_edited_skill_is_another_copy_and_the_same_one_is_copied_once(tmp_path: Path) -> None:
    skill = tmp_path / "memo"
    (skill / "more").mkdir(parents=True)
    (skill / "SKILL.md").write_text("one")
    (skill / "more" / "tool.sh").write_text("#!/bin/sh")
    (skill / "more" / "tool.sh").chmod(0o755)
    first = gather_skills({"memo": skill}, tmp_path / "copies")
    assert gather_skills({"memo": skill}, tmp_path / "copies") == first
    assert os.access(first / "skills" / "memo" / "more" / "tool.sh", os.X_OK)
    assert json.loads((first / ".claude-plugin" / "plugin.json").read_text())["name"] == "bullpen"
    (skill / "SKILL.md").write_text("two")
    assert gather_skills({"memo": skill}, tmp_path / "copies") != first
    assert len(list((tmp_path / "copies").iterdir())) == 2


def test_check_prints_the_walls_and_what_was_not_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_TOKEN", "marmalade")
    monkeypatch.setenv("CLAUDE_CONFIG_DIR", str(tmp_path / "none"))
    write(tmp_path, "tools: Read", "skills: nowhere", "settings: user", "env: {TOKEN: env:A_TOKEN, MODE: strict}")
    result = CliRunner().invoke(app, ["check", "--templates", str(tmp_path), "--state", str(tmp_path / "state")])
    assert result.exit_code == 0, result.output
    for line in (
        "not confined: file tools reach beyond its workspace where a human or a mode allows it",
        "settings read: user",
        "env TOKEN: from env:A_TOKEN",
        "env MODE: set in the template",
        "skill nowhere was not found in",
    ):
        assert line in result.output
    assert "marmalade" not in result.output
    assert SANDBOX_PROGRAMS == ("bwrap", "socat")
