"""Every command under every bad condition: one clear line, the right exit code, no traceback, nothing that hangs.

Each case is the program in a process of its own: started by itself where its streams, its interpreter or its start are
what is bad, and otherwise forked from one that has imported it. What it prints acts on no terminal (R5).
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from supervisor.text.characters import FORBIDDEN
from tests.acceptance import forked
from tests.acceptance.terminal import Terminal

ROOT = Path(__file__).resolve().parents[2]
BULLPEN = f"{shlex.quote(sys.executable)} -m tui"

TEMPLATE = """\
---
name: desk
description: a test agent
tools: Read
pool: {spares: 0}
---
You help.
"""
COMMANDS = {
    "version": "--version",
    "help": "--help",
    "help of ask": "ask --help",
    "check": "check",
    "doctor": "doctor --rehearsal",
    "ask": "ask desk '[[say: forty-two]]' --rehearsal",
}
THOSE_THAT_DIFFER = [
    pytest.param(command, id=name, marks=[] if name in ("version", "check", "ask") else pytest.mark.exhaustive)
    for name, command in COMMANDS.items()
]
"""One that is over before anything is loaded, one that prints and one that runs an agent; the others are exhaustive."""
ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"}
EXHAUSTIVE = pytest.mark.exhaustive
"""A start of the program is half a second of a processor: `make test` tries each command and each condition, and leaves
the rest of the table to `make soak`."""
PATIENCE = 60.0
"""Seconds until a command that hangs has failed; the machine may be busy."""


@dataclass
class Place:
    """A folder of templates, and a program that starts beside it without anybody's credentials."""

    folder: Path
    environ: dict[str, str] = field(default_factory=dict)
    bullpen: str = BULLPEN
    """How a shell starts it."""

    def __post_init__(self) -> None:
        self.templates = self.folder / "templates"
        self.templates.mkdir()
        (self.templates / "desk.md").write_text(TEMPLATE)
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("ANTHROPIC_", "CLAUDE", "BULLPEN_", "AGENT_", "PYTHON", "LC_", "LANG"))
            and not name.lower().endswith("_proxy")
        }
        self.environ = {
            **inherited,
            "HOME": str(self.folder),
            "XDG_STATE_HOME": str(self.folder / "state"),
            "PYTHONPATH": str(ROOT),
            "LANG": "C.UTF-8",
        }

    def run(self, script: str, *, cwd: Path | None = None, **environ: str) -> subprocess.CompletedProcess[bytes]:
        """A line of bash. `bullpen` in it is the program; `TMPDIR` lies in the folder, so that details are found."""
        temporary = self.folder / "tmp"
        temporary.mkdir(exist_ok=True)
        return subprocess.run(
            ["bash", "-c", f'set -o pipefail\nbullpen() {{ {self.bullpen} "$@"; }}\n{script}'],
            cwd=cwd or self.folder,
            env={**self.environ, "TMPDIR": str(temporary), **environ},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PATIENCE,
        )


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture
def quick_place(tmp_path: Path) -> Place:
    """Where nothing is bad but what is given to the program."""
    return Place(tmp_path, bullpen=shlex.join(forked.bullpen()))


def printed(answer: subprocess.CompletedProcess[bytes]) -> str:
    """Both streams, after a look at what no command may print."""
    text = answer.stdout.decode() + answer.stderr.decode()
    assert "Traceback" not in text
    assert "internal error" not in text
    assert re.findall(f"[\r{FORBIDDEN}]", text) == []
    return text


def one_line(answer: subprocess.CompletedProcess[bytes]) -> str:
    printed(answer)
    assert answer.stdout == b""
    (line,) = answer.stderr.decode().splitlines()
    assert line.startswith("bullpen: ")
    assert answer.returncode == 2
    return line


# Streams that are closed, full, or read by nobody

WRITTEN = {
    ("full", "help"),
    ("full", "check"),
    ("full", "doctor"),
    ("full", "ask"),
    ("closed", "ask"),
    ("closed", "check"),
}
"""By `make test`."""


@pytest.mark.parametrize(
    ("sink", "command"),
    [
        pytest.param(sink, command, id=f"{state}-{name}", marks=[] if (state, name) in WRITTEN else EXHAUSTIVE)
        for state, sink in (("closed", ">&-"), ("full", ">/dev/full"))
        for name, command in COMMANDS.items()
    ],
)
def test_output_that_cannot_be_written_is_one_line(place: Place, command: str, sink: str) -> None:
    line = one_line(place.run(f"bullpen {command} {sink}"))
    assert "could not be written: " in line
    if command.startswith("ask desk") and sink == ">/dev/full":
        assert line == "bullpen: the answer could not be written: No space left on device"


@pytest.mark.parametrize("command", THOSE_THAT_DIFFER)
def test_a_reader_who_leaves_is_told_nothing(place: Place, command: str) -> None:
    answer = place.run(f"bullpen {command} | exec 0<&-")
    assert printed(answer) == ""
    assert answer.returncode == 141


@pytest.mark.parametrize(
    "sink",
    [
        "2>&-",
        pytest.param("2>/dev/full", marks=EXHAUSTIVE),
        "2> >(exec 0<&-)",
        pytest.param("<&- 2>&-", marks=EXHAUSTIVE),
    ],
)
def test_without_standard_error_the_answer_is_still_whole_and_alone(place: Place, sink: str) -> None:
    """What is told on standard error never lands in the answer."""
    answer = place.run(f"bullpen ask desk '[[say: forty-two]]' --rehearsal {sink}")
    assert (answer.stdout, answer.returncode) == (b"forty-two\n", 0)
    failed = place.run(f"bullpen check --templates nowhere {sink}")
    assert (failed.stdout, failed.returncode) == (b"", 2)


def test_a_closed_input_is_an_empty_prompt(place: Place) -> None:
    assert "empty" in one_line(place.run("bullpen ask desk - --rehearsal <&-"))


@pytest.mark.parametrize(
    ("source", "word"),
    [("printf 'a\\xff'", "UTF-8"), ("printf ''", "empty"), ("cat /dev/zero", "4,000,000")],
    ids=["no text", "nothing", "endless"],
)
def test_a_prompt_that_is_no_prompt_is_one_line(quick_place: Place, source: str, word: str) -> None:
    assert word in one_line(quick_place.run(f"set +o pipefail; {source} | bullpen ask desk - --rehearsal"))


# Texts that would act on the terminal


def test_check_shows_a_description_without_what_would_act_on_the_terminal(quick_place: Place) -> None:
    attack = '"\\e]52;c;aGk=\\a\\e[31mred\\e[2J \\u202e rtl \\u0085 forged: all good"'
    (quick_place.templates / "desk.md").write_text(TEMPLATE.replace("a test agent", attack))
    answer = quick_place.run("bullpen check")
    lines = printed(answer).splitlines()
    assert answer.returncode == 0
    assert len(lines) == 5
    assert "red rtl" in lines[1]
    assert all(name in lines[-1] for name in ("desk.md", "⟨ESC⟩", "⟨U+202E⟩", "⟨U+0085⟩"))


def test_a_file_name_forges_no_line_and_two_names_look_different(quick_place: Place) -> None:
    names = ["a\nbullpen: all good.md", "a\x1b]0;x\x07.md", "a\u202eb.md", "a\u200bb.md", os.fsdecode(b"a\xffb.md")]
    for name in names:
        (quick_place.templates / name).write_text("no front matter")
    answer = quick_place.run("bullpen check")
    lines = [line for line in printed(answer).splitlines() if "front matter" in line]
    assert len(lines) == len(set(lines)) == len(names)
    assert all(line.startswith("  note: a") for line in lines)


@pytest.mark.parametrize(
    "arguments",
    ["$'--\\e[2J'", "$'che\\e]0;x\\ack'", "$'\\xff'", "check $'--templates=\\e[2J'",
     "check --templates $'/a\\nbullpen: good'",
     "check --config $'\\xff\\u202e'", "ask $'\\e[2J' hi --rehearsal", "ask desk hi --user $'\\u202e' --rehearsal",
     "ask desk $'\\xff' --rehearsal", "check --templates", "ask desk", "check $'\\u0301\\u0301'"],
)  # fmt: skip
def test_an_argument_that_is_wrong_is_echoed_on_one_line(quick_place: Place, arguments: str) -> None:
    one_line(quick_place.run(f"bullpen {arguments}"))


@pytest.mark.parametrize(
    ("variable", "value"),
    [("BULLPEN_CONFIG", "\udcff\x1b[2J"), ("BULLPEN_MAX_AGENTS", "\x1b[2J\n"), ("BULLPEN_TEMPLATES_DIR", "\udcff"),
     ("BULLPEN_\x1b[2J", "1"), ("BULLPEN_DESK_MAX_SESSIONS", "\u202e1")],
)  # fmt: skip
def test_a_variable_that_is_wrong_is_echoed_on_one_line(quick_place: Place, variable: str, value: str) -> None:
    one_line(quick_place.run("bullpen check", **{variable: value}))


def test_no_command_prints_a_password_of_an_address(quick_place: Place) -> None:
    addresses = {
        "ANTHROPIC_API_KEY": "dummy",
        "ANTHROPIC_BASE_URL": "https://user:secret@gate.example:8443/path?token=secret",
        "HTTPS_PROXY": "http://someone:secret@proxy.example:3128",
    }
    answer = quick_place.run("bullpen doctor", **addresses)
    assert "secret" not in printed(answer)
    assert "for https://gate.example:8443, through http://proxy.example:3128" in answer.stdout.decode()


# Terminals that have few characters, or none


@pytest.mark.parametrize("command", THOSE_THAT_DIFFER)
def test_on_an_ascii_terminal_other_characters_are_escapes(place: Place, command: str) -> None:
    (place.templates / "desk.md").write_text(TEMPLATE.replace("a test agent", "„naïve“ 日本"), encoding="utf-8")
    answer = place.run(f"bullpen {command.replace('forty-two', 'naïve')}", **ASCII)
    assert printed(answer).isascii()
    assert answer.returncode == 0
    if "say" in command:
        assert answer.stdout == b"na\\xefve\n"


@pytest.mark.parametrize("name", ["dumb", "unknown", ""])
def test_the_dashboard_on_a_terminal_that_cannot_be_drawn_on_is_one_line(place: Place, name: str) -> None:
    terminal = Terminal(
        [sys.executable, "-m", "tui", "demo", "--state", str(place.folder / "state")], environ={"TERM": name}
    )
    try:
        assert terminal.wait() == 2
        terminal.until(lambda: "needs a terminal" in terminal.text, "line")
        assert b"\x1b" not in bytes(terminal.written)
    finally:
        terminal.close()


@pytest.mark.parametrize("size", [(1, 1), pytest.param((2, 40), marks=EXHAUSTIVE), (300, 2)])
def test_the_dashboard_lives_on_any_size_of_terminal(place: Place, size: tuple[int, int]) -> None:
    terminal = Terminal(
        [sys.executable, "-m", "tui", "demo", "--state", str(place.folder / "state")],
        columns=size[0],
        lines=size[1],
    )
    try:
        terminal.until(lambda: b"\x1b[?1049h" in terminal.written, "screen")
        drawn = len(terminal.written)
        terminal.until(lambda: len(terminal.written) > drawn + 20, "pictures")
        terminal.signal(signal.SIGTERM)
        assert terminal.wait() == 143
        terminal.assert_sane()
        assert b"Traceback" not in bytes(terminal.written)
    finally:
        terminal.close()


# Places that are not what they should be


@pytest.mark.parametrize(
    "command",
    [
        "check",
        pytest.param("doctor --rehearsal", marks=EXHAUSTIVE),
        "ask desk '[[say: x]]' --rehearsal",
        pytest.param("--version", marks=EXHAUSTIVE),
    ],
)
def test_a_deleted_working_directory_is_no_hindrance(place: Place, command: str) -> None:
    where = f"--templates {place.templates}" if command != "--version" else ""
    answer = place.run(f"mkdir gone; cd gone; rmdir ../gone; bullpen {command} {where}")
    printed(answer)
    assert answer.returncode == 0, answer.stderr


def test_a_relative_path_in_a_deleted_working_directory_is_one_line(quick_place: Place) -> None:
    line = one_line(quick_place.run("mkdir gone; cd gone; rmdir ../gone; bullpen check --templates templates"))
    assert "deleted" in line


ODD = {
    "fifo": "mkfifo odd",
    "device": "ln -s /dev/zero odd",
    "loop": "ln -s odd odd",
    "directory": "mkdir odd",
    "socket": f"{shlex.quote(sys.executable)} -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"odd\")'",
    "giant": "truncate -s 100M odd",
    "dangling": "ln -s nowhere odd",
}


TRIED = {
    "--config odd": set(ODD),
    "": {"fifo", "giant"},
    "--templates odd": {"fifo", "directory"},
    "template": {"fifo", "directory", "loop", "device"},
}
"""By `make test`: what is read in the same way need not be tried with each."""


@pytest.mark.parametrize(
    ("use", "making"),
    [
        pytest.param(use, making, id=f"{use}-{name}", marks=[] if name in tried else EXHAUSTIVE)
        for use, tried in TRIED.items()
        for name, making in ODD.items()
    ],
)
def test_what_is_no_file_of_settings_or_templates_is_told_at_once(quick_place: Place, making: str, use: str) -> None:
    """Named on the command line, as the `bullpen.toml` that lies there, and as a template among others."""
    if use == "--templates odd" and "mkdir" in making:
        assert "no templates" in one_line(quick_place.run(f"{making}; bullpen check {use}"))
        return
    move = {"": "mv odd bullpen.toml;", "template": "mv odd templates/odd.md;"}.get(use, "")
    answer = quick_place.run(f"{making}; {move} bullpen check {use if move == '' else ''}")
    if use == "template" and "mkdir" in making:
        assert (answer.returncode, answer.stderr) == (0, b""), "a folder is looked into, whatever its name"
        return
    if use == "template":
        assert answer.stdout.startswith(b"1 template"), "the others are as good as before"
        answer.stdout = b""
    line = one_line(answer)
    assert "odd" in line or "bullpen.toml" in line


@pytest.mark.parametrize(
    "text",
    ['state_dir = "a\\u0000b"', "max_agents = " + "9" * 5000, "x = " + "[" * 5000, '"\\u001b[2J\\n" = 1', "\x00",
     "[instances.\"a\\u202e\"]\nturnTimeout = 60"],
    ids=["nul", "digits", "nested", "key", "binary", "name"],
)  # fmt: skip
def test_settings_that_cannot_be_used_are_one_line(quick_place: Place, text: str) -> None:
    (quick_place.folder / "bullpen.toml").write_text(text)
    one_line(quick_place.run("bullpen check"))


@pytest.mark.parametrize(
    "front",
    ["<<: [*a, *a]", "a: &a [*a]", "name: " + "x" * 70_000, "x: " + " " * 60_000 + "y: z",
     "? [a]\n: b", "\"\\e[2J\": 1"],
    ids=["alias", "itself", "long", "spaces", "key of a list", "escape"],
)  # fmt: skip
def test_a_template_that_cannot_be_used_is_one_line(quick_place: Place, front: str) -> None:
    (quick_place.templates / "desk.md").write_text(f"---\n{front}\n---\nx\n")
    printed(answer := quick_place.run("bullpen check"))
    assert answer.returncode == 2
    assert all(line.startswith(b"bullpen: desk.md:") for line in answer.stderr.splitlines())


def test_without_a_home_the_state_directory_must_be_named(place: Place) -> None:
    """As a user that the system does not know, with no HOME: there is no place for a state directory."""
    patch = "import os, pwd; pwd.getpwuid = lambda uid: pwd.getpwnam('nobody-of-that-name')"
    code = f"{patch}; import sys; sys.argv = ['bullpen', 'check', *sys.argv[1:]]; from tui.cli.main import main; main()"
    program = f"env -u HOME -u XDG_STATE_HOME {shlex.quote(sys.executable)} -c {shlex.quote(code)}"
    assert "home directory" in one_line(place.run(program))
    assert place.run(f"{program} --state {place.folder}/other").returncode == 0
