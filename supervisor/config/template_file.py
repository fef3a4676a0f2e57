"""One file read as a template: what it says, every mistake in it at once, and what is worth a note."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import ValidationError

from supervisor.config.contradictions import contradictions
from supervisor.config.front_matter import Document, NoFrontMatter, NotReadable, read_document
from supervisor.config.template import FrontMatter, Template
from supervisor.config.template_folder import TemplateFile
from supervisor.config.template_notes import find_notes
from supervisor.config.validation import Location, describe, dotted, nearest, section, told, unknown_key

NEAR = 0.8
"""How alike an unknown key and a real one are, from which on the unknown one is a mistake and not another program's."""
FOREIGN = frozenset({"mode", "trigger", "tag", "tags", "type", "role", "title", "version", "toolset"})
"""Keys of other programs that look like ours."""
MEANT = {"allowedtools": "tools", "allowtools": "tools", "permission": "permissionMode"}
"""Keys that are meant to keep something from the agent, without hyphens and capitals, and what they are called."""
NOT_IN_PLUGINS = ("permissionMode", "mcpServers", "allow")
"""Passed over in a plugin's agents, as in Claude Code: a plugin is other people's. Its hooks are not run either, and a
file with a guard that does not run is refused."""

_PLACEHOLDERS = {"name": "agent", "description": "-"}
_TEXTS = ("name", "description", "workspace", "provider", "fallbackModel")
"""Keys whose value is text, whatever YAML takes it for."""

NOWHERE = 0
"""The line of a mistake that no line of the file is to blame for."""
Sentence = tuple[int, str]
"""A line of the file, and what is said about it."""


@dataclass(frozen=True)
class TemplateReading:
    """What one file holds."""

    file: TemplateFile
    template: Template | None = None
    """Without what is wrong in it, where there are mistakes; None for what cannot be read, and for a mere note."""
    mistakes: tuple[Sentence, ...] = ()
    notes: tuple[Sentence, ...] = ()
    """What is accepted and has no effect, or another one than might be thought."""
    is_named: bool = False
    """Whether the template's name is the file's: one that is missing or wrong is replaced."""
    document: Document | None = field(default=None, repr=False)

    @property
    def is_template(self) -> bool:
        """False for Markdown that only lies beside templates."""
        return self.template is not None or bool(self.mistakes)

    def with_mistakes(self, more: Iterable[tuple[Location, str]]) -> TemplateReading:
        """`more` are keys and the sentences that follow them."""
        found = [(self.line_of(way), f"{dotted(way)} {sentence}") for way, sentence in more]
        return replace(self, mistakes=_in_order([*self.mistakes, *found]))

    def with_notes(self, more: Iterable[tuple[Location, str]]) -> TemplateReading:
        """`more` are keys and whole sentences about them."""
        found = [(self.line_of(way), sentence) for way, sentence in more]
        return replace(self, notes=_in_order([*self.notes, *found])) if found else self

    def with_sentences(self, sentences: Iterable[str]) -> TemplateReading:
        """Mistakes that no key of the file is to blame for alone."""
        return replace(self, mistakes=_in_order([*self.mistakes, *((NOWHERE, sentence) for sentence in sentences)]))

    def line_of(self, way: Location) -> int:
        return self.document.line_of(way) if self.document else 1

    def mistake_lines(self) -> list[str]:
        """Each mistake as one line with file and line number, in the order of the file."""
        return [self._placed(*one) for one in self.mistakes]

    def note_lines(self) -> list[str]:
        return [self._placed(*one) for one in self.notes]

    def _placed(self, line: int, sentence: str) -> str:
        return sentence if line == NOWHERE else f"{self.file.shown}:{line}: {sentence}"


def read_template(file: TemplateFile) -> TemplateReading:
    try:
        document = read_document(file.path)
    except NoFrontMatter as error:
        if not file.prefix:
            return TemplateReading(file, notes=((error.line, str(error)),))
        name, description = _plugin_defaults(file)
        return TemplateReading(
            file, Template(name=name, description=description, system_prompt=error.body, path=file.path)
        )
    except NotReadable as error:
        return TemplateReading(file, mistakes=((error.line, str(error)),))
    return _Reader(file, document).read()


class _Reader:
    def __init__(self, file: TemplateFile, document: Document) -> None:
        self._file = file
        self._document = document
        self._mistakes: list[Sentence] = []
        self._notes: list[Sentence] = []
        self._is_named = True

    def read(self) -> TemplateReading:
        data = dict(self._prepared())
        for key in [key for key in data if key not in _ALIASES]:
            self._judge_unknown(key, data.pop(key))
        for location in self._document.repeated:
            is_ours = location[0] in _ALIASES
            (self._mistakes if is_ours else self._notes).append(
                (self._document.line_of(location), f"{dotted(location)} is written twice")
            )
        if self._file.prefix:
            data = self._as_plugin_agent(data)
        elif isinstance(name := data.get("name"), str) and ":" in name:
            self._mistake(("name",), "name must not hold a colon, which stands between a plugin and its agent")
        front = self._validate(data)
        if front is None:
            return self._done(None)
        if self._file.prefix and front.functions:
            self._mistake(("tools",), f"tools names {front.functions[0]}: functions of a plugin's agent are not run")
            front = front.model_copy(update={"tools": front.cli_tools})
        self._mistakes += [
            (self._document.line_of(tuple(key.split("."))), f"{key} {sentence}")
            for key, sentence in contradictions(front)
        ]
        template = Template.model_construct(
            {*front.model_fields_set, "system_prompt", "path"},
            **{**dict(front), "system_prompt": self._document.body, "path": self._file.path},
        )
        self._notes += [(self._document.line_of(way), sentence) for way, sentence in find_notes(template, data)]
        return self._done(template)

    def _done(self, template: Template | None) -> TemplateReading:
        if line := self._document.early_end:
            sentence = "holds three dashes: Claude Code ends the front matter there; here the keys below it apply"
            self._notes.append((line, sentence))
        mistakes, notes = _in_order(self._mistakes), _in_order(self._notes)
        return TemplateReading(self._file, template, mistakes, notes, self._is_named, self._document)

    def _mistake(self, location: Location, sentence: str) -> None:
        self._mistakes.append((self._document.line_of(location), sentence))

    def _note(self, key: str, sentence: str) -> None:
        self._notes.append((self._document.line_of((key,)), sentence))

    def _prepared(self) -> Iterator[tuple[str, Any]]:
        """Without the keys that were left empty, as commenting out what is below a key leaves its default; but `tools`
        left empty is no tool. Text is as it is written."""
        for key, value in self._document.data.items():
            name = str(key)
            if name == "tools":
                yield name, "" if value is None else value
            elif value is None:
                continue
            elif name in _TEXTS:
                yield name, self._document.spelled.get((name,), value)
            elif name == "env" and isinstance(value, dict):
                yield (
                    name,
                    {inner: self._document.spelled.get((name, str(inner)), text) for inner, text in value.items()},
                )
            else:
                yield name, _present(value) if name in _SECTIONS and isinstance(value, dict) else value

    def _judge_unknown(self, key: str, value: object) -> None:
        squashed = key.lower().replace("-", "").replace("_", "").replace(" ", "")
        if squashed in MEANT:
            self._mistake((key,), f"{dotted((key,))} is not a key; did you mean {MEANT[squashed]}?")
        elif key == "mode" and value in MODES:
            self._mistake((key,), "mode is not a key; did you mean permissionMode?")
        elif squashed not in FOREIGN and nearest(key, _ALL_NAMES, cutoff=NEAR):
            self._mistake((key,), unknown_key((key,), FrontMatter))
        else:
            self._note(key, f"{dotted((key,))} is not a key here: it has no effect")

    def _as_plugin_agent(self, data: dict[str, Any]) -> dict[str, Any]:
        if data.pop("hooks", None):
            self._mistake(
                ("hooks",), "hooks of a plugin's agent are not run: remove them, or copy the file out of the plugin"
            )
        for key in NOT_IN_PLUGINS:
            if data.pop(key, None) is not None:
                self._note(key, f"{key} of a plugin's agent has no effect, as in Claude Code")
        default_name, description = _plugin_defaults(self._file)
        name = data.get("name")
        full = f"{self._file.prefix}{name}" if isinstance(name, str) and name else default_name
        return {"description": description, **data, "name": full}

    def _validate(self, data: Mapping[str, Any]) -> FrontMatter | None:
        """Notes every mistake; what it returns is without them. None where nothing is left to be looked at."""
        try:
            return FrontMatter.model_validate(data, by_alias=True, by_name=False)
        except ValidationError as error:
            wrong = {details["loc"][0] for details in error.errors()}
            self._mistakes += [
                (self._document.line_of(told(details["loc"])), describe(details, FrontMatter))
                for details in error.errors()
            ]
        self._is_named = "name" not in wrong
        right = {key: value for key, value in data.items() if key not in wrong}
        try:
            return FrontMatter.model_validate({**_PLACEHOLDERS, **right}, by_alias=True, by_name=False)
        except ValidationError:
            return None


def _plugin_defaults(file: TemplateFile) -> tuple[str, str]:
    """Name and description that Claude Code gives an agent of a plugin which says neither."""
    return f"{file.prefix}{file.path.stem}", f"Agent from {file.prefix.partition(':')[0]} plugin"


def _present(data: Mapping[Any, Any]) -> dict[str, Any]:
    return {str(key): value for key, value in data.items() if value is not None}


def _in_order(sentences: Iterable[Sentence]) -> tuple[Sentence, ...]:
    return tuple(dict.fromkeys(sorted(sentences)))


def _all_names() -> Iterator[str]:
    for name, its in FrontMatter.model_fields.items():
        yield its.alias or name
        inner = section(FrontMatter, name)
        yield from (one.alias or key for key, one in inner.model_fields.items()) if inner else ()


_ALIASES = frozenset(its.alias or name for name, its in FrontMatter.model_fields.items())
_SECTIONS = frozenset(
    FrontMatter.model_fields[name].alias or name for name in FrontMatter.model_fields if section(FrontMatter, name)
)
_ALL_NAMES = dict.fromkeys(_all_names())
MODES = ("default", "acceptEdits", "plan", "dontAsk", "auto", "bypassPermissions", "manual")
