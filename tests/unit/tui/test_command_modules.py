"""Each command is found in the module that the table names, and no other is imported for it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from supervisor import ConfigurationError, Settings
from tui.cli import opening
from tui.cli.command_modules import COMMAND_MODULES, USUAL_WORDS, read_module
from tui.cli.main import app

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("module", COMMAND_MODULES)
def test_the_table_names_every_command_of_its_module(module: str) -> None:
    assert tuple(read_module(module)) == COMMAND_MODULES[module]


def test_all_commands_are_listed_and_each_is_there() -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    named = [name for names in COMMAND_MODULES.values() for name in names]
    assert list(commands) == ["demo", "serve", "attach", *named]
    assert [commands[name].name for name in commands] == list(commands)
    assert "nothing" not in commands


def test_a_usual_word_of_other_programs_names_a_command_and_is_none() -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    words = [word for some in USUAL_WORDS.values() for word in some]
    assert set(USUAL_WORDS) <= set(commands)
    assert len(words) == len(set(words)), "each means one command"
    assert set(words).isdisjoint(commands)


def test_one_command_imports_no_module_of_others() -> None:
    code = (
        "import sys; sys.argv[1:] = ['status', '--help']; from tui.cli.main import app; app(standalone_mode=False); "
        "print([name for name in sys.modules if name.startswith('tui.cli.')], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert "'tui.cli.queries'" in done.stderr
    for module in set(COMMAND_MODULES) - {"queries"}:
        assert f"'tui.cli.{module}'" not in done.stderr


def test_a_command_that_asks_a_running_bullpen_imports_nothing_of_templates_and_of_screens(tmp_path: Path) -> None:
    """Each module costs every such command: a shell's prompt and a script call them often."""
    code = "import sys; from tui.__main__ import main; from tui.cli import threads"
    stub = "threads.leave = lambda *_, **__: print(*sys.modules, file=sys.stderr)"
    command = f"sys.argv[1:] = ['status', '--state', {str(tmp_path)!r}]; main()"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}; {stub}; {command}"], capture_output=True, text=True, timeout=60
    )
    imported = done.stderr.split()
    assert "supervisor.remote.engine" in imported
    later = {"supervisor.config.template", "supervisor.routing", "supervisor.engine", "yaml"}
    later |= {"textual", "rich", "pygments", "click", "httpx._main", "claude_agent_sdk", "mcp", "fastapi", "uvicorn"}
    assert later.isdisjoint(imported)


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        (["hooks", "lst"], "No such command 'lst'. Did you mean 'list'? (bullpen hooks --help says what there is)"),
        (
            ["--url", "https://pool.example", "check"],
            "Invalid value: --url is for commands that ask a running bullpen, and for bullpen attach (bullpen --help "
            "says what there is)",
        ),
        (
            ["--url", "http://pool.example", "status"],
            "http://pool.example would show the token to the network: use https, or an ssh tunnel to 127.0.0.1",
        ),
        (["ask"], "Missing argument 'AGENT'. (bullpen ask --help says what there is)"),
        (
            ["scale", "desk", "zero"],
            "Invalid value for 'N': must be a whole number, not 'zero' (bullpen scale --help says what there is)",
        ),
        (
            ["audit", "--count", "0"],
            "Invalid value for '--count' / '-n': must be at least 1, not '0' (bullpen audit --help says what there is)",
        ),
        (["list"], "No such command 'list'. Did you mean 'sessions'? (bullpen --help says what there is)"),
        (["ps", "-a"], "No such command 'ps'. Did you mean 'status'? (bullpen --help says what there is)"),
        (["statu"], "No such command 'statu'. Did you mean 'status'? (bullpen --help says what there is)"),
    ],
)
def test_what_is_typed_wrong_is_one_line_that_names_the_help_of_its_command(typed: list[str], told: str) -> None:
    done = subprocess.run([sys.executable, "-m", "tui", *typed], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (2, f"bullpen: {told}\n")


def test_a_group_alone_lists_what_there_is(tmp_path: Path) -> None:
    typed = ["token", "--state", str(tmp_path)]
    done = subprocess.run([sys.executable, "-m", "tui", *typed], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "bullpen: there are no tokens: bullpen token new makes one\n")


def test_whatever_opens_a_bullpen_tells_every_mistake_that_check_tells(tmp_path: Path) -> None:
    """S1.13: those of `bullpen.toml` and those of templates, by file and line."""
    (tmp_path / "bullpen.toml").write_text(
        "[[schedules]]\nname = 'x'\ncron = 'never'\nactions = [{ type = 'agent', target = 'solo', text = 'hi' }]\n"
        "[instances.solo.pool]\nspare = 2\n[instances.nosuch]\n"
    )
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates/solo.md").write_text(
        "---\nname: solo\ndescription: d\ntools: Read, book:reserve\nmodle: opus\n---\nHelp.\n"
    )
    common = ["--rehearsal", "--config", str(tmp_path / "bullpen.toml"), "--state", str(tmp_path / "state")]
    told = {}
    for command in (["check"], ["ask", "solo", "hi"], ["chat", "solo"], ["route", "hi"], ["serve"], ["demo"], []):
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(tmp_path)
            failed = CliRunner().invoke(app, [*common, *command]).exception
        assert isinstance(failed, ConfigurationError), command
        told[" ".join(command)] = [line.partition(": ")[0] for line in failed.mistakes]
    expected = ["bullpen.toml:1", "bullpen.toml:6", "bullpen.toml:7", "solo.md:4", "solo.md:5"]
    assert told == dict.fromkeys(told, expected)


def test_the_readme_says_which_commands_take_which_common_options() -> None:
    """What it says of each option is tried with every command."""
    readme = " ".join((Path(__file__).parents[3] / "README.md").read_text("utf-8").split())
    without, besides, readers = re.search(  # type: ignore[union-attr]
        r"Every command but `(\w+)` takes `--config FILE`, `--state DIR` and, but for `(\w+)`, `--rehearsal`\. Those "
        r"that read templates take `--templates DIR` too: `bullpen` alone, ([^.]*)\.",
        readme,
    ).groups()
    takes: dict[str, set[str]] = {}
    for name, command in typer.main.get_command(app).commands.items():  # type: ignore[attr-defined]
        groups = getattr(command, "commands", {name: command})
        options = [{one for parameter in each.params for one in parameter.opts} for each in groups.values()]
        takes[name] = set.intersection(*options)
    everything = set(takes) - {without}
    assert {name for name in takes if {"--config", "--state"} <= takes[name]} == everything
    assert {name for name in takes if "--rehearsal" in takes[name]} == everything - {besides}
    assert {name for name in takes if "--templates" in takes[name]} == set(re.findall(r"`(\w+)`", readers))


@pytest.mark.parametrize(("typed", "is_rehearsal"), [("maybe\n\n", True), ("sure\nY\n", True), ("q\nno\n", False)])
def test_the_offer_of_a_rehearsal_says_which_answers_there_are(
    typed: str, is_rehearsal: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("supervisor.find_credentials", lambda _: "")
    monkeypatch.setattr(opening.sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr(opening.sys.stderr, "isatty", lambda: True)
    told: list[str] = []
    monkeypatch.setattr(opening, "tell", told.append)
    replies = iter(typed.splitlines())
    monkeypatch.setattr(opening.typer, "prompt", lambda *_, **__: next(replies))
    settings = Settings(state_dir=tmp_path)
    if is_rehearsal:
        assert opening.with_credentials(settings).rehearsal
    else:
        with pytest.raises(typer.Exit):
            opening.with_credentials(settings)
    assert told[1:] == ["say y (or press enter) for yes, n for no"]
