"""`bullpen.toml`: where it is, what it says, and on which line."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import platformdirs
from msgspec import Struct, field
from pydantic.alias_generators import to_camel

from supervisor.config.validation import Location
from supervisor.files.reading import read_file
from supervisor.text.cleaning import show_name

FILE_NAME = "bullpen.toml"

_PART = r"(?:[A-Za-z0-9_-]+|\"(?:[^\"\\]|\\.)*\"|'[^']*')"
_KEY = rf"(?P<name>{_PART}(?:\s*\.\s*{_PART})*)"
_TABLE = re.compile(rf"\s*\[{{1,2}}\s*{_KEY}\s*\]{{1,2}}\s*(#.*)?")
_PAIR = re.compile(rf"\s*{_KEY}\s*=")
_POSITION = re.compile(r"(?P<what>.*) \(at (?:line (?P<line>\d+), column \d+|end of document)\)", re.DOTALL)
_PATHS = ("state_dir", "templates_dir")
_GATEWAY_PATHS = ("tls_cert", "tls_key")


class TomlFile(Struct, frozen=True):
    """`bullpen.toml`, as it was read."""

    path: Path | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
    """With relative paths resolved against the file's folder, and the keys of instances as templates spell them."""
    lines: Mapping[Location, int] = field(default_factory=dict)
    mistakes: tuple[str, ...] = ()

    def origin(self, location: Location) -> str:
        """`bullpen.toml:7`: the line of the key, or of the nearest one above it."""
        while location and location not in self.lines:
            location = location[:-1]
        name = show_name(self.path.name) if self.path else "settings"
        return f"{name}:{self.lines[location]}" if location else name


def find_toml() -> Path | None:
    """The file in the current directory, else the user's, else None."""
    candidates = [working_directory() / FILE_NAME]
    with suppress(RuntimeError):  # no home directory is known
        candidates.append(Path(platformdirs.user_config_dir("bullpen")) / FILE_NAME)
    # What stands there and is no file is a mistake to tell, not a file that is missing.
    return next((path for path in candidates if os.path.lexists(path)), None)


def working_directory() -> Path:
    """The current directory; `.` when it has been deleted, so that nothing is found in it."""
    try:
        return Path.cwd()
    except OSError:
        return Path()


def read_toml(path: Path) -> TomlFile:
    """Reads the file; what is wrong with it as a whole is in `mistakes`."""
    import tomllib  # most starts find no file, and need none of it

    try:
        text = read_file(path).decode("utf-8-sig").replace("\r\n", "\n")
        data = tomllib.loads(text)
    except OSError as error:
        return TomlFile(path, mistakes=(f"{show_name(path)}: cannot be read: {error.strerror or error}",))
    except UnicodeDecodeError:
        return TomlFile(path, mistakes=(f"{show_name(path.name)}: is not UTF-8 text",))
    except RecursionError:
        return TomlFile(path, mistakes=(f"{show_name(path.name)}: is not valid TOML: it is nested too deeply",))
    except tomllib.TOMLDecodeError as error:
        found = _POSITION.fullmatch(str(error))
        line, what = (found["line"], found["what"]) if found else (None, str(error))
        where = f"{show_name(path.name)}:{line or len(text.splitlines())}"
        return TomlFile(path, mistakes=(f"{where}: is not valid TOML: {what}",))
    except ValueError as error:  # a number with thousands of digits
        return TomlFile(path, mistakes=(f"{show_name(path.name)}: is not valid TOML: {error}",))
    for name in _PATHS:
        if isinstance(value := data.get(name), str):
            data[name] = value if value.startswith("~") else path.parent / value
    if isinstance(gateway := data.get("gateway"), dict):
        for name in _GATEWAY_PATHS:
            if isinstance(value := gateway.get(name), str):
                gateway[name] = value if value.startswith("~") else path.parent / value
    if isinstance(providers := data.get("providers"), dict):
        for provider in providers.values():
            _anchor(provider, path.parent)
    lines = {_respell(location): line for location, line in _survey(text).items()}
    return TomlFile(path, _respell_instances(data), lines)


def _anchor(provider: object, folder: Path) -> None:
    """A `file:PATH` counts from the folder of the settings."""
    if not isinstance(provider, dict):
        return
    if isinstance(inner := provider.get("env"), dict):
        _anchor(inner, folder)
    for name, value in provider.items():
        if isinstance(value, str) and value.startswith("file:") and not value.startswith(("file:~", "file:/")):
            provider[name] = f"file:{folder / value.removeprefix('file:')}"


def _survey(text: str) -> dict[Location, int]:
    """The line of every table and key. TOML's parser keeps no positions, so that they are looked for in the text."""
    lines: dict[Location, int] = {}
    table: Location = ()
    last: dict[Location, int] = {}
    """Of each list of tables (`[[hooks]]`), the index of the last one."""
    for number, line in enumerate(text.splitlines(), 1):
        if found := _TABLE.fullmatch(line):
            table = _within(_parts(found["name"]), last)
            if line.lstrip().startswith("[["):
                last[table] = last.get(table, -1) + 1
                table = (*table, last[table])
            location = table
        elif found := _PAIR.match(line):
            location = (*table, *_parts(found["name"]))
        else:
            continue
        for length in range(1, len(location) + 1):
            lines.setdefault(location[:length], number)
    return lines


def _within(parts: tuple[str, ...], last: Mapping[Location, int]) -> Location:
    """The way of a table's name: what is in a list of tables is in the last one so far. For the list itself, without an
    index at its end."""
    way: Location = ()
    for number, part in enumerate(parts, start=1):
        way = (*way, part)
        if number < len(parts) and way in last:
            way = (*way, last[way])
    return way


def _parts(name: str) -> tuple[str, ...]:
    """`instances."code.reviewer"` → instances, code.reviewer."""
    return tuple(map(_unquote, re.findall(_PART, name)))


def _unquote(part: str) -> str:
    import tomllib

    try:
        return str(tomllib.loads(f"key = {part}")["key"]) if part[0] in "\"'" else part
    except tomllib.TOMLDecodeError:
        return part


def _respell(location: Location) -> Location:
    """The location with the keys of an instance in their documented spelling: `max_sessions` is read as
    `maxSessions`."""
    if len(location) in (3, 4) and location[0] == "instances" and isinstance(location[-1], str):
        return (*location[:-1], to_camel(str(location[-1])))
    return location


def _respell_instances(data: dict[str, Any]) -> dict[str, Any]:
    def respell(value: Any, *above: str) -> Any:
        if not isinstance(value, dict):
            return value
        return {_respell((*above, key))[-1]: respell(inside, *above, key) for key, inside in value.items()}

    return {key: respell(value, key) for key, value in data.items()}
