"""Markdown files that begin with YAML: their data, their body, and the line on which every key stands.

Files that other people wrote for Claude Code are read as Claude Code reads them (measured with its CLI 2.1.332,
`tests/probes/files.py`), which is more than YAML allows: see `_attempts`.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from msgspec import Struct, field

from supervisor.config.validation import Location, dotted
from supervisor.config.yaml_reader import Mapping, NotYaml, parse_yaml
from supervisor.files.reading import read_file

TEMPLATE_BYTES = 4 * 1024**2
"""A file may have, most of it a prompt."""
FRONT_MATTER_CHARACTERS = 65_536
"""Front matter may have: YAML is parsed at about 100 kB a second."""

_FENCE = "---"
_BEGINS = re.compile(rf"{_FENCE}[^\S\n]*(?:\n|\Z)")
_BLANK = "\t\n\v\f\r \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff"
_AROUND = re.compile(rf"\A[{_BLANK}]+|[{_BLANK}]+\Z")
"""What Claude Code takes off a prompt's ends."""
_PAIR = re.compile(r"(?P<key>[A-Za-z_][\w-]*):[ \t]+(?P<value>\S.*)")
_TABS_IN_FRONT = re.compile(r"^[ \t]*\t[ \t]*", re.MULTILINE)
_TAB_AFTER = re.compile(r"^(?P<before> *(?:- +)*(?:-|[\w\"'-]+ *:))[ \t]*\t[ \t]*", re.MULTILINE)
_SPECIAL = re.compile(r"^[\"',]|[{}\[\]*&#!|>%@`\u0085\u2028\u2029]|: |:$")
"""With one of these in it, Claude Code quotes a value that YAML refuses."""
_LISTS = ("tools", "disallowedTools", "skills", "mcpServers", "settings", "hooks")
"""Keys where a bracket that is never closed is a slip, and no text."""
_QUOTED = re.compile(r"\"(?:[^\"\\]|\\.)*\"|'(?:[^']|'')*'")
_BREAKS = {"\u0085": "\\N", "\u2028": "\\L", "\u2029": "\\P"}
"""Line breaks to YAML, and ordinary characters to everything else."""


class NotReadable(Exception):
    """Raised when a file has no front matter to speak of. `line` counts from 1."""

    def __init__(self, line: int, message: str) -> None:
        self.line = line
        super().__init__(message)


class NoFrontMatter(NotReadable):
    """Raised when a file does not begin as a template does: notes and README files beside templates."""

    def __init__(self, text: str) -> None:
        self.body = _AROUND.sub("", text)
        super().__init__(1, f"does not begin with front matter: keys between two lines of {_FENCE}")


class Document(Struct, frozen=True):
    """A file of a template: its keys, and what follows them."""

    data: dict[Any, Any]
    body: str
    """What follows the second `---`, without the blanks around it."""
    lines: dict[Location, int] = field(default_factory=dict)
    """The line of every key and list item."""
    repeated: list[Location] = field(default_factory=list)
    """Keys that stand there twice. Only the last of them is in `data`."""
    spelled: dict[Location, str] = field(default_factory=dict)
    """Numbers and truths as they are written, for keys that want text."""
    early_end: int = 0
    """The line where three dashes stand inside of the front matter, at which Claude Code ends it; 0 for none."""

    def line_of(self, location: Location) -> int:
        """The line of the key, or of the nearest one above it."""
        while location and location not in self.lines:
            location = location[:-1]
        return self.lines.get(location, 1)


def read_document(path: Path) -> Document:
    """Reads a file, with or without byte-order mark, with any line ends. Raises `NotReadable`."""
    try:
        raw = read_file(path, TEMPLATE_BYTES)
    except OSError as error:
        raise NotReadable(1, f"cannot be read: {error.strerror or error}") from error
    raw = raw.removeprefix(codecs.BOM_UTF8)
    if (at := raw.find(b"\0")) >= 0:
        kind = "is not UTF-8 text" if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "is no text"
        raise NotReadable(raw.count(b"\n", 0, at) + 1, f"{kind}: it holds a NUL character")
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise NotReadable(raw.count(b"\n", 0, error.start) + 1, "is not UTF-8 text") from error
    return parse_document(text)


def parse_document(text: str) -> Document:
    """Raises `NotReadable`. Line ends of the body stay as they are; a lone carriage return ends no line of YAML."""
    begins = _BEGINS.match(text)
    if begins is None:
        raise NoFrontMatter(text)
    ends = _find_end(text, begins.end())
    if ends is None:
        raise NotReadable(1, f"has front matter without an end: a second line of {_FENCE} is missing")
    # Line numbers count from the first fence, which may have blank lines behind it.
    front = text[text.find("\n") + 1 : ends.start()].replace("\r\n", "\n").removesuffix("\n")
    if len(front) > FRONT_MATTER_CHARACTERS:
        raise NotReadable(1, f"has more than {FRONT_MATTER_CHARACTERS:,} characters of front matter")
    found, dashes = _parse(front), front.find(_FENCE)
    early_end = front.count("\n", 0, dashes) + 2 if dashes >= 0 else 0
    body = _AROUND.sub("", text[ends.end() :])
    return Document(found.data, body, found.lines, found.repeated, found.spelled, early_end)


def _find_end(text: str, start: int) -> re.Match[str] | None:
    """The first line that begins with three dashes. What follows them on it belongs to the body."""
    return re.compile(rf"^[ \t]*{_FENCE}", re.MULTILINE).search(text, start)


def _parse(text: str) -> Mapping:
    """Raises `NotReadable` with what is wrong with the text as it stands."""
    first: NotYaml | None = None
    for attempt in _attempts(text):
        try:
            return parse_yaml(attempt)
        except NotYaml as error:
            first = first or error
    assert first is not None, "there is at least one attempt"
    raise NotReadable(first.line, str(first)) from first


def _attempts(text: str) -> Iterator[str]:
    """The text; then with tabs as blanks, which Claude Code's parser takes and YAML does not; then with the quotes that
    Claude Code adds to values which YAML refuses. Each has the same lines."""
    yield text
    untabbed = _untab(text)
    if untabbed != text:
        yield untabbed
    quoted = "\n".join(_quote(line) for line in untabbed.split("\n"))
    if quoted != untabbed:
        yield quoted


def _untab(text: str) -> str:
    """Two blanks for each tab in front of a line, one for those behind a key or a dash."""
    if "\t" not in text:
        return text
    text = _TABS_IN_FRONT.sub(lambda found: found[0].replace("\t", "  "), text)
    return _TAB_AFTER.sub(r"\g<before> ", text)


def _quote(line: str) -> str:
    pair = _PAIR.fullmatch(line)
    if pair is None or not _wants_quotes(pair["value"]) or (pair["key"] in _LISTS and pair["value"][0] in "[{"):
        return line
    quoted = json.dumps(pair["value"], ensure_ascii=False)
    return f"{pair['key']}: {''.join(_BREAKS.get(sign, sign) for sign in quoted)}"


def _wants_quotes(value: str) -> bool:
    if _QUOTED.fullmatch(value.rstrip()):
        return False
    if value.startswith("[") and value.endswith("]"):
        try:
            parse_yaml(f"list: {value}")
        except NotYaml:
            return True
        return False
    return _SPECIAL.search(value) is not None


def repeated_keys(document: Document) -> list[tuple[int, str]]:
    """(line, sentence) for every key written twice."""
    return [(document.line_of(key), f"{dotted(key)} is written twice") for key in document.repeated]
