"""Where each value of the settings was written: an option, a variable, or a line of `bullpen.toml`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from msgspec import structs

from supervisor.config.toml_file import TomlFile
from supervisor.config.validation import Location


@dataclass(frozen=True)
class Origins:
    """Where each setting was written: a file, a variable or an option. All are equal, so that settings with the same
    values are equal wherever they were written."""

    file: TomlFile = field(default_factory=TomlFile, compare=False)
    variables: Mapping[Location, str] = field(default_factory=dict, compare=False)
    """Value → the environment variable that says it."""
    options: Mapping[Location, str] = field(default_factory=dict, compare=False)
    """Value → the option of the command line that says it."""

    def option_of(self, location: Location) -> str:
        """`--listen`; empty when no option says this value."""
        return self.options.get(location, "")

    def of(self, location: Location) -> str:
        """`--listen`, `BULLPEN_MAX_AGENTS` or `bullpen.toml:7`: of the strongest source that says this value."""
        return self.options.get(location) or self.variables.get(location) or self.file.origin(location)

    def of_table(self, location: Location) -> str:
        """Where a table, or a value in it, is written: the file and line, else the first variable for one of its keys;
        empty when neither mentions it."""
        if location in self.file.lines:
            return self.file.origin(location)
        inside = (name for way, name in self.variables.items() if way[: len(location)] == location)
        above = self.file.origin(location) if location[:1] in self.file.lines else ""
        return next(inside, above)

    def without_items(self, table: str, dropped: Collection[int]) -> Origins:
        """A copy for settings that lack these items of a list of tables: line numbers follow the items that moved
        up."""
        lines: dict[Location, int] = {}
        for location, line in self.file.lines.items():
            if location[0] == table and len(location) > 1 and isinstance(index := location[1], int):
                if index in dropped:
                    continue
                location = (table, index - sum(one < index for one in dropped), *location[2:])
            lines[location] = line
        return replace(self, file=structs.replace(self.file, lines=lines))
