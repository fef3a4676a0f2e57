"""Hooks of a file: what the CLI gets of them, and what is refused because it would not run."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from supervisor.api.errors import ConfigurationError
from supervisor.config.hooks import compile_hooks, find_mistakes, project_of
from supervisor.config.templates import load_template


@pytest.mark.parametrize(
    ("written", "sentence"),
    [
        ("[x]", "hooks[0] must be a mapping of keys, not 'x'"),
        ("guard", "hooks must be a mapping of keys, not 'guard'"),
        ("{PreToolUse: x}", "hooks.PreToolUse must be a list, not 'x'"),
        ("{PreToolUse: [x]}", "hooks.PreToolUse[0] must be a mapping with hooks, not 'x'"),
        ("{PreToolUse: [{matcher: Bash}]}", "hooks.PreToolUse[0] needs hooks, a list, and has nothing"),
        ("{PreToolUse: [{matcher: 5, hooks: []}]}", "hooks.PreToolUse[0].matcher must be text, not 5"),
        (
            "{PreToolUse: [{hooks: [{command: x}]}]}",
            "hooks.PreToolUse[0].hooks[0] must have a type: command, prompt, agent",
        ),
        ("{PreToolUse: [{hooks: [{type: command}]}]}", "hooks.PreToolUse[0].hooks[0] needs command, a text"),
        (
            "{PreToolUse: [{hooks: [{type: command, command: x, timeout: soon}]}]}",
            "hooks.PreToolUse[0].hooks[0].timeout must be a number of seconds, not 'soon'",
        ),
        ("{PreToolUs: []}", "hooks.PreToolUs is no event of Claude Code; did you mean PreToolUse?"),
    ],
)
def test_a_guard_that_would_not_run_refuses_its_file(tmp_path: Path, written: str, sentence: str) -> None:
    path = tmp_path / "a.md"
    path.write_text(f"---\nname: a\ndescription: d\nhooks: {written}\n---\n")

    with pytest.raises(ConfigurationError) as raised:
        load_template(path)

    (mistake,) = raised.value.mistakes
    assert mistake.startswith(f"a.md:4: {sentence}")


def test_hooks_without_end_are_told_and_not_written_out() -> None:
    bomb: list[object] = ["x"]
    for _ in range(60):
        bomb = [bomb, bomb]

    assert len(list(find_mistakes({"PreToolUse": bomb}))) == 1
    assert not list(find_mistakes({"Other": bomb})), "what is passed over costs nothing"


def test_commands_run_in_the_project_and_a_guard_that_cannot_start_refuses(tmp_path: Path) -> None:
    (tmp_path / "there.sh").write_text("exit 0")
    entry = {"matcher": "Bash", "hooks": [{"type": "command", "command": "COMMAND"}]}

    def code(event: str, command: str, folder: Path = tmp_path) -> int:
        hooks = compile_hooks({event: [entry], "Other": [entry], "SessionEnd": None}, folder)
        assert list(hooks) == [event]
        text = hooks[event][0]["hooks"][0]["command"].replace("COMMAND", command)
        return subprocess.run(["/bin/sh", "-c", text], cwd="/", capture_output=True, check=False).returncode

    assert code("PreToolUse", "test -f there.sh") == 0
    assert code("PreToolUse", 'test -f "$CLAUDE_PROJECT_DIR/there.sh"; exit $?') == 0
    assert code("PreToolUse", "exit 1") == 1
    assert code("PreToolUse", "exit 2") == 2
    assert code("PreToolUse", "./missing.sh") == 2
    assert code("PreToolUse", "./there.sh") == 2, "it may not be executed"
    assert code("PreToolUse", "(") == 2
    assert code("PreToolUse", "true", tmp_path / "gone") == 2
    assert code("Stop", "./missing.sh") == 127, "a turn is not held up for ever"


def test_the_project_is_the_folder_with_the_claude_directory(tmp_path: Path) -> None:
    assert project_of(tmp_path / "p/.claude/agents/sub/a.md") == tmp_path / "p"
    assert project_of(tmp_path / "templates/a.md") == tmp_path / "templates"
