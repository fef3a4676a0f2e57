"""What a template's clients are made from besides its own file: skills, modules of its functions, and files that `env`
takes values from."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from supervisor.config.restrictions import skills_looked_in
from supervisor.config.skills import find_skills
from supervisor.config.template import Template
from supervisor.config.tool_modules import FOLDER
from supervisor.files.paths import expand_home
from supervisor.files.reading import find_below


class Stamp(NamedTuple):
    """What tells one state of a file, or of the entries of a folder, from another."""

    mtime_ns: int
    size: int
    inode: int
    device: int


def take_stamps(paths: Iterable[str]) -> dict[str, Stamp | None]:
    """How they are now; None for what is not there. Links are followed."""
    return {path: _stamp(path) for path in paths}


def find_sources(template: Template, environment: Mapping[str, str]) -> frozenset[str]:
    """Files and folders, those included that are not there and would count if they were. `environment` is laid over
    this process's own."""
    return frozenset([*_skills(template, environment), *_variables(template), *_functions(template)])


def _skills(template: Template, environment: Mapping[str, str]) -> Iterator[str]:
    if not template.skills:
        return
    folders = skills_looked_in(template, environment)
    yield from (str(folder / name) for folder in folders for name in template.skills)
    found, _ = find_skills(template.skills, folders)
    for folder in found.values():
        for place, _, files in os.walk(folder):
            yield place
            yield from (os.path.join(place, name) for name in files)


def _functions(template: Template) -> Iterator[str]:
    if template.functions:
        folder = template.path.parent / FOLDER
        yield str(folder)
        yield from map(str, find_below(folder, ".py"))


def _variables(template: Template) -> Iterator[str]:
    for value in template.env.values():
        kind, _, target = value.partition(":")
        if kind == "file":
            try:
                yield str(template.path.parent / expand_home(target))
            except ValueError:
                continue


def _stamp(path: str) -> Stamp | None:
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return Stamp(found.st_mtime_ns, found.st_size, found.st_ino, found.st_dev)
