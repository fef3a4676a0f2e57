"""Python functions as entries of `tools`: what a signature says, and what is told of those that cannot be used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from supervisor.api.errors import ConfigurationError
from supervisor.api.tools import RunContext, tool
from supervisor.config.loading import load_for, templates_for
from supervisor.config.settings import Settings
from supervisor.config.template_file import read_template
from supervisor.config.template_folder import TemplateFile, find_template_files
from supervisor.config.template_sources import find_sources
from supervisor.config.tool_functions import FunctionMistake, FunctionTool, read_function

SOURCE = '''
from typing import Annotated
from supervisor import RunContext, tool

def reserve(context: RunContext, room: Annotated[str, "Its number."], seats: int = 2) -> str:
    """Reserves a room."""
    return f"{context.user} has {room} for {seats}"

@tool(read_only=True, timeout=20, name="rooms")
async def list_rooms() -> list[str]:
    return ["1", "2"]

def untyped(room) -> str: ...
def starred(*rooms: str) -> str: ...
def odd(room: "Nowhere") -> str: ...
def strange(work: type(lambda: 0)) -> str: ...
class Room: ...
limit = 3
'''


@pytest.fixture
def agents(tmp_path: Path) -> Path:
    """A folder of templates with a module of tools; the module is called as no other test calls one."""
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "booking.py").write_text(SOURCE)
    return tmp_path


def _read(agents: Path, reference: str) -> FunctionTool:
    return read_function(reference, agents / "desk.md")


def _write(agents: Path, tools: str) -> None:
    (agents / "desk.md").write_text(f"---\nname: desk\ndescription: d\ntools:\n{tools}---\nYou help.\n")


def _mistakes(agents: Path) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        templates_for(Settings(templates_dir=agents))
    return list(caught.value.mistakes)


def test_a_function_is_read_once_until_its_module_changes(agents: Path) -> None:
    """Its template is checked, described and prepared with it."""
    first = _read(agents, "booking:reserve")
    assert _read(agents, "booking:reserve") is first
    (agents / "tools" / "booking.py").write_text(SOURCE.replace("Reserves a room", "Holds a room"))
    assert (first.description, _read(agents, "booking:reserve").description) == ("Reserves a room.", "Holds a room.")


def test_the_schema_has_every_argument_but_the_context(agents: Path) -> None:
    """The model is told types, defaults and descriptions, and can neither see nor set whose call it is (S3.6)."""
    found = _read(agents, "booking:reserve")
    assert found.name == "reserve"
    assert found.description == "Reserves a room."
    assert found.schema == {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "room": {"type": "string", "title": "Room", "description": "Its number."},
            "seats": {"type": "integer", "title": "Seats", "default": 2},
        },
        "required": ["room"],
    }
    context = RunContext("desk", "ana", "s", "t", agents)
    given = found.validate({"room": "7", "seats": "3", "context": {"user": "eve"}})
    assert found.call(context, given) == "ana has 7 for 3"


def test_an_author_declares_name_time_out_and_that_it_only_reads(agents: Path) -> None:
    found = _read(agents, "booking:list_rooms")
    assert (found.name, found.declared.timeout, found.declared.read_only, found.is_async) == ("rooms", 20, True, True)
    assert _read(agents, "booking:reserve").declared.timeout == 300


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf"), True, "5"])
def test_a_time_out_is_a_positive_number_of_seconds(timeout: Any) -> None:
    with pytest.raises(ValueError, match="positive number of seconds"):
        tool(timeout=timeout)


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("bokking:reserve", "cannot be used: bokking is no module; did you mean booking?"),
        ("booking:reserv", "names no function: booking has no reserv; did you mean booking:reserve?"),
        ("booking:untyped", r"has no type hint for room: .* \(booking.py:\d+\)$"),
        ("booking:starred", r"takes \*rooms: name every argument"),
        ("booking:odd", "has type hints that cannot be read: name 'Nowhere' is not defined"),
        ("booking:strange", "has a type hint that no JSON can be read as"),
        ("booking:Room", "names no function, but a type"),
        ("booking:limit", "names no function, but an int"),
        ("json.nowhere:dumps", "json.nowhere is no module"),
    ],
)
def test_what_cannot_be_a_tool_is_told_with_the_nearest_name(agents: Path, reference: str, words: str) -> None:
    with pytest.raises(FunctionMistake, match=words):
        _read(agents, reference)


def test_a_module_that_fails_is_told_with_what_it_raised(agents: Path) -> None:
    (agents / "tools" / "broken_tool.py").write_text("def f(:\n")
    (agents / "tools" / "leaving_tool.py").write_text("raise SystemExit(3)\n")
    (agents / "tools" / "lacking_tool.py").write_text("import no_such_library\n")
    (agents / "tools" / "dividing_tool.py").write_text("import json\n\nfraction = 1 / 0\n")
    with pytest.raises(FunctionMistake, match=r"ZeroDivisionError: division by zero \(dividing_tool.py:3\)$"):
        _read(agents, "dividing_tool:f")
    with pytest.raises(FunctionMistake, match=r"cannot be imported: SyntaxError: .*\(broken_tool.py:1\)"):
        _read(agents, "broken_tool:f")
    with pytest.raises(FunctionMistake, match=r"cannot be imported: SystemExit: 3 \(leaving_tool.py:1\)$"):
        _read(agents, "leaving_tool:f")
    with pytest.raises(FunctionMistake, match=r"cannot be imported: ModuleNotFoundError: .*no_such_library"):
        _read(agents, "lacking_tool:f")


def test_a_module_that_python_finds_elsewhere_is_not_hidden(agents: Path) -> None:
    """A file `tools/json.py` must neither be taken for Python's own module nor stand in its place."""
    (agents / "tools" / "json.py").write_text("def f() -> str: ...\n")
    with pytest.raises(FunctionMistake, match=r"a module that Python finds elsewhere: rename .*/tools/json\.py$"):
        _read(agents, "json:f")


def test_two_folders_may_have_a_module_of_the_same_name(agents: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    (other / "tools").mkdir(parents=True)
    (other / "tools" / "booking.py").write_text('def reserve() -> str:\n    return "other"\n')
    context = RunContext("desk", "ana", "s", "t", agents)
    first = _read(agents, "booking:reserve")
    assert read_function("booking:reserve", other / "desk.md").call(context, {}) == "other"
    assert _read(agents, "booking:reserve").call(context, {"room": "1"}) == "ana has 1 for 2"
    assert first.call(context, {"room": "1"}) == "ana has 1 for 2"


def test_an_edited_module_is_imported_anew_and_has_another_version(agents: Path) -> None:
    """The implementation is part of what is prepared (S4.23), also where neither size nor second of the file tells."""
    context = RunContext("desk", "ana", "s", "t", agents)
    before = _read(agents, "booking:reserve")
    (agents / "tools" / "booking.py").write_text(SOURCE.replace("has {room}", "got{room} "))
    after = _read(agents, "booking:reserve")
    assert before.version != after.version
    assert before.call(context, {"room": "1"}) == "ana has 1 for 2"
    assert after.call(context, {"room": "1"}) == "ana got1  for 2"


def test_a_mistake_stands_with_its_file_and_line(agents: Path) -> None:
    _write(agents, "  - Read\n  - booking:reserve\n  - booking:reserv\n")
    assert _mistakes(agents) == [
        "desk.md:7: tools[2] booking:reserv names no function: booking has no reserv; did you mean booking:reserve?"
    ]


def test_two_functions_of_one_name_are_a_mistake(agents: Path) -> None:
    (agents / "tools" / "booking_two.py").write_text("def reserve() -> str: ...\n")
    _write(agents, "  - booking:reserve\n  - booking_two:reserve\n")
    assert "has the name of booking:reserve" in _mistakes(agents)[0]


def test_the_server_of_the_functions_keeps_its_name(agents: Path) -> None:
    (agents / "desk.md").write_text(
        "---\nname: desk\ndescription: d\ntools: booking:reserve\nmcpServers:\n  bullpen:\n    command: x\n---\n"
    )
    (mistake,) = _mistakes(agents)
    assert mistake.startswith("desk.md:6: mcpServers.bullpen has the name of bullpen's own server (bullpen)")


@pytest.mark.parametrize(
    ("written", "of_cli"),
    [("'*, booking:reserve'", None), ("booking:reserve", ()), ("Read, booking:reserve", ("Read",))],
)
def test_functions_stand_beside_some_all_or_none_of_the_other_tools(
    agents: Path, written: str, of_cli: tuple[str, ...] | None
) -> None:
    (agents / "desk.md").write_text(f"---\nname: desk\ndescription: d\ntools: {written}\n---\nYou help.\n")
    loaded = load_for(Settings(templates_dir=agents))
    (template,) = loaded.templates
    assert template.functions == ("booking:reserve",)
    assert template.cli_tools == of_cli
    assert not loaded.notes
    assert not template.brackets.servers.find_objection("mcp__bullpen__reserve")


def test_functions_of_a_plugins_agent_are_neither_run_nor_imported(agents: Path) -> None:
    """A plugin is other people's."""
    plugin = agents / "kit"
    (plugin / ".claude-plugin").mkdir(parents=True)
    (plugin / ".claude-plugin" / "plugin.json").write_text('{"name": "kit"}')
    (plugin / "agents" / "tools").mkdir(parents=True)
    (plugin / "agents" / "tools" / "theirs.py").write_text("open('/nonexistent/ran', 'w')\n")
    (plugin / "agents" / "a.md").write_text("---\nname: a\ndescription: d\ntools: theirs:f\n---\n")
    (file,) = [one for one in find_template_files(agents).files if one.prefix]
    reading = read_template(TemplateFile(file.path, file.shown, file.prefix))
    assert reading.template is not None
    assert reading.template.functions == ()
    assert "theirs:f: functions of a plugin's agent are not run" in reading.mistake_lines()[0]


def test_a_tool_of_the_sdk_is_one_too(agents: Path) -> None:
    (agents / "tools" / "of_the_sdk.py").write_text(
        "from claude_agent_sdk import tool\n"
        "@tool('greet', 'Greets.', {'name': str})\n"
        "async def greet(given, context):\n"
        "    return {'content': [{'type': 'text', 'text': context.user + given['name']}]}\n"
    )
    found = _read(agents, "of_the_sdk:greet")
    assert (found.name, found.description, found.is_of_sdk) == ("greet", "Greets.", True)
    assert found.schema["required"] == ["name"]
    with pytest.raises(ValueError, match="'name' is a required property"):
        found.validate({})


def test_modules_of_functions_are_what_clients_are_made_from(agents: Path) -> None:
    """An edited module reaches clients as an edited template does."""
    _write(agents, "  - booking:reserve\n")
    (template,) = load_for(Settings(templates_dir=agents)).templates
    assert find_sources(template, {}) == {str(agents / "tools"), str(agents / "tools" / "booking.py")}
