"""The folder of templates: reading, checking, and the ones that are shipped."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from supervisor.cleaning import show_name
from supervisor.errors import ConfigurationError
from supervisor.frontmatter import Document, NotReadable, read_document, repeated_keys
from supervisor.mistakes import describe, section
from supervisor.template import FrontMatter, Template, contradictions

__all__ = ["Template", "load_template", "load_templates", "shipped_templates", "template_schema", "without_effect"]

WITHOUT_EFFECT = (
    "color",
    "memory",
    "background",
    "isolation",
    "initialPrompt",
    "autoCompactWindow",
    "omitClaudeMd",
    "observer",
    "observerMessage",
    "observeToolResults",
    "observeSubagents",
    "experimental",
)
"""Keys of Claude Code's sub-agents that are accepted, so that such files load unchanged, and change nothing here."""


def load_template(path: Path) -> Template:
    """Reads one file. Raises `ConfigurationError` with a line for every mistake in it."""
    template, mistakes = _read(path)
    if template is None:
        raise ConfigurationError(mistakes)
    return template


def load_templates(directory: Path) -> tuple[Template, ...]:
    """Reads every `*.md` of a folder but its README, in the order of their names.

    Raises `ConfigurationError` with a line for every mistake in any of them, and when there is none to read.
    """
    paths = _files(directory)
    if not paths:
        raise ConfigurationError([f"{show_name(directory)}: there are no templates (*.md) in this folder"])
    readings = [_read(path) for path in paths]
    mistakes = [mistake for _, found in readings for mistake in found]
    templates = [template for template, _ in readings if template is not None]
    mistakes += _duplicates(templates)
    if mistakes:
        raise ConfigurationError(mistakes)
    return tuple(templates)


def shipped_templates() -> Path:
    """The folder of templates that came with the program: inside the installed package, or beside its sources."""
    inside = Path(__file__).parent / "shipped"
    return inside if inside.is_dir() else Path(__file__).parent.parent / "templates"


def template_schema() -> dict[str, Any]:
    """JSON Schema of the front matter, keys as files spell them."""
    schema = FrontMatter.model_json_schema(by_alias=True, mode="validation")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "bullpen template",
        "description": "The front matter of a bullpen template: what stands between the two lines of ---.",
    }


def without_effect(path: Path) -> list[str]:
    """A line for every key in the file that is accepted and changes nothing here. Raises `ConfigurationError`."""
    try:
        document = read_document(path)
    except NotReadable as error:
        raise ConfigurationError([f"{show_name(path.name)}:{error.line}: {error}"]) from error
    keys = [key for key in document.data if key in WITHOUT_EFFECT]
    return [f"{show_name(path.name)}:{document.line_of((key,))}: {key} has no effect in bullpen" for key in keys]


def _files(directory: Path) -> list[Path]:
    try:
        names = sorted(directory.iterdir())
    except OSError as error:
        raise ConfigurationError([f"{show_name(directory)}: cannot be read: {error.strerror or error}"]) from error
    return [path for path in names if path.suffix == ".md" and path.stem.lower() != "readme" and path.name[0] != "."]


def _read(path: Path) -> tuple[Template | None, list[str]]:
    """The template, or None and its mistakes in the order of their lines."""
    try:
        document = read_document(path)
    except NotReadable as error:
        return None, [f"{show_name(path.name)}:{error.line}: {error}"]
    mistakes = repeated_keys(document)
    template = None
    try:
        front = FrontMatter.model_validate(_present(document.data), by_alias=True, by_name=False)
    except ValidationError as error:
        mistakes += [_placed(document, error_details) for error_details in error.errors()]
    else:
        mistakes += [
            (document.line_of(tuple(key.split("."))), f"{key} {sentence}") for key, sentence in contradictions(front)
        ]
        written = {name: getattr(front, name) for name in front.model_fields_set}
        template = Template(**written, system_prompt=document.body, path=path)
    if mistakes:
        template = None
    return template, [f"{show_name(path.name)}:{line}: {sentence}" for line, sentence in sorted(mistakes)]


def _placed(document: Document, error: Any) -> tuple[int, str]:
    return document.line_of(error["loc"]), describe(error, FrontMatter)


def _present(data: dict[Any, Any]) -> dict[str, Any]:
    """Without the keys that were left empty: commenting out what is below a key leaves its default."""
    sections = {name for name in FrontMatter.model_fields if section(FrontMatter, name)}
    return {
        str(key): _present(value) if key in sections and isinstance(value, dict) else value
        for key, value in data.items()
        if value is not None
    }


def _duplicates(templates: Iterable[Template]) -> list[str]:
    mistakes = []
    first: dict[str, Template] = {}
    for template in templates:
        if (other := first.setdefault(template.name, template)) is not template:
            line = read_document(template.path).line_of(("name",))
            here, there = show_name(template.path.name), show_name(other.path.name)
            mistakes.append(f"{here}:{line}: name {template.name} is already used by {there}")
    return mistakes


def schema_text() -> str:
    """The schema as it stands in `docs/template.schema.json`."""
    return json.dumps(template_schema(), indent=2, ensure_ascii=False) + "\n"
