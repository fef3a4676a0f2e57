"""Markdown files that begin with YAML: their data, their body, and the line on which every key stands."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from yaml.reader import ReaderError

from supervisor.mistakes import Location, dotted
from supervisor.reading import read_file

TEMPLATE_BYTES = 4 * 1024**2
"""A file may have, most of it a prompt."""
FRONT_MATTER_CHARACTERS = 65_536
"""Front matter may have: YAML is parsed at about 100 kB a second."""
MOST_VALUES = 20_000
"""Values that front matter may have, aliases counted as often as they stand for something."""

_FENCE = "---"
_PLAIN_PAIR = re.compile(r"(?P<key>[A-Za-z_][\w-]*):[ \t]+(?P<value>[^\s'\"\[{|>&*!%@`#].*)")


class NotReadable(Exception):
    """Raised when a file has no front matter to speak of. `line` counts from 1."""

    def __init__(self, line: int, message: str) -> None:
        self.line = line
        super().__init__(message)


@dataclass(frozen=True)
class Document:
    data: dict[Any, Any]
    body: str
    """What follows the second `---`, stripped."""
    lines: dict[Location, int] = field(default_factory=dict)
    """The line of every key and list item."""
    repeated: list[Location] = field(default_factory=list)
    """Keys that stand there twice. Only the last of them is in `data`."""

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
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise NotReadable(raw.count(b"\n", 0, error.start) + 1, "is not UTF-8 text") from error
    return parse_document(text.replace("\r\n", "\n").replace("\r", "\n"))


def parse_document(text: str) -> Document:
    """Raises `NotReadable`."""
    lines = text.split("\n")
    if lines[0].rstrip() != _FENCE:
        raise NotReadable(1, f"does not begin with front matter: keys between two lines of {_FENCE}")
    end = next((number for number, line in enumerate(lines[1:], 1) if line.rstrip() == _FENCE), None)
    if end is None:
        raise NotReadable(1, f"has front matter without an end: a second line of {_FENCE} is missing")
    front = "\n".join(lines[1:end])
    if len(front) > FRONT_MATTER_CHARACTERS:
        raise NotReadable(1, f"has more than {FRONT_MATTER_CHARACTERS:,} characters of front matter")
    document = _parse_yaml(front)
    return Document(document.data, "\n".join(lines[end + 1 :]).strip(), document.lines, document.repeated)


def _parse_yaml(text: str) -> Document:
    try:
        return _compose(text)
    except NotReadable:
        # Sub-agent files in circulation hold plain sentences with a colon, which YAML refuses and Claude Code reads.
        quoted = "\n".join(_quote(line) for line in text.split("\n"))
        if quoted == text:
            raise
        try:
            return _compose(quoted)
        except NotReadable:
            pass
        raise


def _quote(line: str) -> str:
    pair = _PLAIN_PAIR.fullmatch(line.rstrip(" \t"))
    if pair is None or not re.search(r":(\s|$)| #", pair["value"]):
        return line
    return f"{pair['key']}: {json.dumps(pair['value'], ensure_ascii=False)}"


def _compose(text: str) -> Document:
    try:
        loader = yaml.SafeLoader(text)
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 2
        raise NotReadable(line, f"is not valid YAML: it holds the control character U+{error.character:04X}") from error
    try:
        node = loader.get_single_node()
        if node is None:
            return Document({}, "")
        if not isinstance(node, yaml.MappingNode):
            raise NotReadable(2, "must hold keys with values between the two lines of ---")
        if any(_count(written_out) > MOST_VALUES for written_out in _written_out(node)):
            raise NotReadable(2, f"holds more than {MOST_VALUES:,} values, with what its aliases stand for")
        lines, repeated = _survey(node)
        return Document(loader.construct_document(node), "", lines, repeated)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 2 if mark else 2
        raise NotReadable(line, f"is not valid YAML: {error.problem or error.context}") from error
    except (ValueError, RecursionError) as error:
        raise NotReadable(2, f"is not valid YAML: {error}") from error
    finally:
        loader.dispose()


def _survey(root: yaml.MappingNode) -> tuple[dict[Location, int], list[Location]]:
    """The line of every key (the front matter begins on line 2), and the keys written twice.

    Aliased nodes are visited once, where they are first met: aliases of aliases would otherwise never end.
    """
    lines: dict[Location, int] = {}
    repeated: list[Location] = []
    seen: set[int] = set()
    waiting: list[tuple[Location, yaml.Node]] = [((), root)]
    while waiting:
        above, node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        inside: list[tuple[str | int, yaml.Node, yaml.Node]] = []
        if isinstance(node, yaml.MappingNode):
            inside = [(str(key.value), key, value) for key, value in node.value if isinstance(key, yaml.ScalarNode)]
        elif isinstance(node, yaml.SequenceNode):
            inside = [(index, item, item) for index, item in enumerate(node.value)]
        for name, marked, value in inside:
            location = (*above, name)
            if location in lines:
                repeated.append(location)
            lines[location] = marked.start_mark.line + 2
            waiting.append((location, value))
    return lines, repeated


def _written_out(root: yaml.MappingNode) -> list[yaml.Node]:
    """What is copied for every alias: everything where mappings are merged, and servers, which the CLI gets as JSON."""
    if any(key.tag == "tag:yaml.org,2002:merge" for node in _mappings(root) for key, _ in node.value):
        return [root]
    return [value for key, value in root.value if key.value == "mcpServers"]


def _mappings(root: yaml.Node) -> Iterator[yaml.MappingNode]:
    """Every mapping once, however many aliases stand for it."""
    seen: set[int] = set()
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            yield node
            waiting += [child for pair in node.value for child in pair]
        elif isinstance(node, yaml.SequenceNode):
            waiting += node.value


def _count(root: yaml.Node) -> int:
    """Nodes with every alias written out, by dynamic programming; more than can be when an alias holds itself."""
    counts: dict[int, int] = {}
    waiting: list[tuple[yaml.Node, bool]] = [(root, False)]
    while waiting:
        node, has_children_counted = waiting.pop()
        if id(node) in counts and not has_children_counted:
            continue
        children: list[yaml.Node] = []
        if isinstance(node, yaml.MappingNode):
            children = [child for pair in node.value for child in pair]
        elif isinstance(node, yaml.SequenceNode):
            children = node.value
        if has_children_counted:
            counts[id(node)] = min(MOST_VALUES + 1, 1 + sum(counts[id(child)] for child in children))
        else:
            counts[id(node)] = MOST_VALUES + 1  # until its children are counted: what holds itself stays at that
            waiting += [(node, True), *((child, False) for child in children)]
    return counts[id(root)]


def repeated_keys(document: Document) -> list[tuple[int, str]]:
    """(line, sentence) for every key written twice."""
    return [(document.line_of(key), f"{dotted(key)} is written twice") for key in document.repeated]
