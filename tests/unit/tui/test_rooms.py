"""Each command is found in the module that the table names, and no other is imported for it."""

from __future__ import annotations

import subprocess
import sys

import pytest
import typer

from tui.cli.main import app
from tui.cli.rooms import ROOMS, read_room

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("room", ROOMS)
def test_the_table_names_every_command_of_its_module(room: str) -> None:
    assert tuple(read_room(room)) == ROOMS[room]


def test_all_commands_are_listed_and_each_is_there() -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    named = [name for names in ROOMS.values() for name in names]
    assert list(commands) == ["demo", "serve", "attach", *named]
    assert [commands[name].name for name in commands] == list(commands)
    assert "nothing" not in commands


def test_one_command_imports_no_module_of_others() -> None:
    code = (
        "import sys; sys.argv[1:] = ['status', '--help']; from tui.cli.main import app; app(standalone_mode=False); "
        "print([name for name in sys.modules if name.startswith('tui.cli.')], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert "'tui.cli.looking'" in done.stderr
    for room in set(ROOMS) - {"looking"}:
        assert f"'tui.cli.{room}'" not in done.stderr
