"""What the tab key offers, without a shell and without a bullpen."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from supervisor import load_settings
from tui.cli.completion.answer import TREE, main, suggest
from tui.cli.completion.names import find_state_dir
from tui.cli.completion.tree import describe
from tui.cli.main import app


def values(*words: str) -> list[str]:
    return [value for value, _ in suggest(words)]


def test_the_words_are_those_of_the_commands_as_they_are() -> None:
    """Made by scripts/make_completion.py."""
    assert json.loads(TREE.read_text("utf-8")) == json.loads(json.dumps(describe(app)))


def test_commands_options_and_fixed_words_are_completed_without_a_bullpen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BULLPEN_STATE_DIR", "/nowhere")
    assert values("hib") == ["hibernate"]
    assert values("--sta") == ["--state"]
    assert values("--state", "/x", "pau") == ["pause"]
    assert values("token", "") == ["new", "list", "revoke"]
    assert values("token", "new", "--ope") == ["--operator"]
    assert values("answer", "q-1", "al") == ["allow"]
    assert values("answer", "q-1", "allow", "d") == ["deny"], "a question of two parts"
    assert values("completion", "") == ["bash", "zsh", "fish"]
    assert values("status", "--state", "") == [":directories"]
    assert values("status", "--config", "b") == [":files"]
    assert values("pause", "") == []
    assert values("pause", "desk", "") == [], "one argument"
    assert values("nonsense", "x", "") == values(""), "no command was named yet"
    assert all(says for _, says in suggest([""]))


@pytest.mark.parametrize(
    ("line", "last", "told"),
    [
        ("bullpen hib", "hib", "hibernate"),
        ("bullpen --state '/a b' hib", "hib", "hibernate"),
        ("bullpen  interrupt   desk/ana@x.org/a:b", "b", "b1"),
        ("bullpen interrupt desk/ana@", "@", "x.org/a:b1"),
        ("bullpen pause Report\\ W", "Report\\ W", "Report\\ Writer"),
        ("bullpen pause 'Report W", "'Report W", "Report Writer"),
    ],
)
def test_bash_is_given_the_part_that_it_replaces(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], line: str, last: str, told: str
) -> None:
    names = [("desk/ana@x.org/a:b1", ""), ("Report Writer", ""), ("bad\x1b[2J", ""), ("bad\u202e", "")]
    monkeypatch.setattr("tui.cli.completion.names.find_names", lambda *_: names)
    main(["bash", line, last])
    assert capsys.readouterr().out == f"{told}\n"
    main(["bash", "bullpen pause bad", "bad"])
    assert capsys.readouterr().out == "", "what is not printable acts on the terminal, or hides"


def test_the_state_directory_is_the_one_that_the_commands_find(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BULLPEN_STATE_DIR", raising=False)
    monkeypatch.delenv("BULLPEN_CONFIG", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)
    assert find_state_dir({}) == load_settings().state_dir
    (tmp_path / "config/bullpen").mkdir(parents=True)
    (tmp_path / "config/bullpen/bullpen.toml").write_text('state_dir = "~/kept"')
    assert find_state_dir({}) == load_settings().state_dir == tmp_path / "kept"
    (tmp_path / "bullpen.toml").write_text('state_dir = "here"')
    assert find_state_dir({}) == load_settings().state_dir == tmp_path / "here"
    other = tmp_path / "config/other.toml"
    other.write_text('state_dir = "there"')
    assert find_state_dir({"--config": str(other)}) == load_settings(other).state_dir == tmp_path / "config/there"
    monkeypatch.setenv("BULLPEN_STATE_DIR", "named")
    assert find_state_dir({}) == load_settings().state_dir == tmp_path / "named"
    assert find_state_dir({"--state": "said"}) == load_settings(state_dir=Path("said")).state_dir


def test_an_answer_imports_next_to_nothing() -> None:
    """It is given at each press of a key."""
    code = "import sys; sys.argv[1:] = ['complete-words', 'words', 'pause', '']; from tui.__main__ import main; main()"
    heavy = "print(sorted({'typer', 'pydantic', 'anyio', 'httpx', 'asyncio', 'textual', 'rich'} & set(sys.modules)))"
    asked = subprocess.run([sys.executable, "-c", f"{code}; {heavy}"], capture_output=True, text=True, check=True)
    assert asked.stdout == "[]\n"
