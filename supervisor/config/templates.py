"""The folder of templates: reading, checking, and the ones that are shipped."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from supervisor.api.errors import ConfigurationError
from supervisor.config.template import FrontMatter
from supervisor.config.template import Template as Template
from supervisor.config.template_file import TemplateReading, read_template
from supervisor.config.template_folder import Found, TemplateFile, find_template_files
from supervisor.config.template_folder import shipped_templates as shipped_templates
from supervisor.config.template_notes import WITHOUT_EFFECT as WITHOUT_EFFECT
from supervisor.text.cleaning import show_name


def load_template(path: Path) -> Template:
    """Reads one file. Raises `ConfigurationError` with a line for every mistake in it."""
    reading = read_template(TemplateFile(path, show_name(path.name)))
    if reading.template is None or reading.mistakes:
        raise ConfigurationError(reading.mistake_lines() or reading.note_lines())
    return reading.template


def load_templates(directory: Path) -> tuple[Template, ...]:
    """Every template of a folder. Raises `ConfigurationError` with a line for every mistake in any of them, and when
    there is none to read."""
    readings = read_templates(directory)
    if mistakes := [line for reading in readings for line in reading.mistake_lines()]:
        raise ConfigurationError(mistakes)
    return tuple(reading.template for reading in readings if reading.template is not None)


def read_templates(directory: Path) -> tuple[TemplateReading, ...]:
    """Every file of a folder that Claude Code would read (`template_folder`), in the order of their ways. A file with
    mistakes is no reason not to read the others.

    Raises `ConfigurationError` when there is none to read.
    """
    try:
        found = find_template_files(directory)
    except OSError as error:
        raise ConfigurationError([f"{show_name(directory)}: cannot be read: {error.strerror or error}"]) from error
    readings = read_found(directory, found)
    if not any(reading.is_template for reading in readings):
        raise ConfigurationError([f"{show_name(directory)}: there are no templates (*.md) in this folder"])
    return readings


def read_found(
    directory: Path, found: Found, read: Callable[[TemplateFile], TemplateReading] = read_template
) -> tuple[TemplateReading, ...]:
    """The files that were found in the folder, and what could not be looked into."""
    readings = [*map(read, found.files)]
    for shown, why in found.mistakes:
        file = TemplateFile(directory, show_name(directory) if shown == "." else shown)
        readings.append(TemplateReading(file, mistakes=((1, why),)))
    return _tell_twins(readings)


def _tell_twins(readings: Iterable[TemplateReading]) -> tuple[TemplateReading, ...]:
    """Neither of two files runs that want the same name: only their author knows which of them was meant."""
    readings = list(readings)
    owners: dict[str, list[TemplateReading]] = {}
    for reading in readings:
        if reading.template is not None and reading.is_named:
            owners.setdefault(reading.template.slug, []).append(reading)
    return tuple(_tell_twin(reading, owners) for reading in readings)


def _tell_twin(reading: TemplateReading, owners: Mapping[str, Sequence[TemplateReading]]) -> TemplateReading:
    if reading.template is None or not reading.is_named:
        return reading
    others = [twin.file.shown for twin in owners[reading.template.slug] if twin is not reading]
    if not others:
        return reading
    files = ", ".join(others[:3]) + (f" and {len(others) - 3} more" if len(others) > 3 else "")
    return reading.with_mistakes(
        [(("name",), f"{show_name(reading.template.name)} is also used by {files}: neither runs")]
    )


def without_effect(path: Path) -> list[str]:
    """A line for every key of Claude Code in the file that is accepted and changes nothing here."""
    reading = read_template(TemplateFile(path, show_name(path.name)))
    return [line for line in reading.note_lines() if line.split(": ", 1)[1].partition(" ")[0] in WITHOUT_EFFECT]


def template_schema() -> dict[str, Any]:
    """JSON Schema of the front matter, keys as files spell them."""
    schema = FrontMatter.model_json_schema(by_alias=True, mode="validation")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "bullpen template",
        "description": "The front matter of a bullpen template: what stands between the two lines of ---.",
    }


def schema_text() -> str:
    """The schema as it stands in `docs/template.schema.json`."""
    return json.dumps(template_schema(), indent=2, ensure_ascii=False) + "\n"
