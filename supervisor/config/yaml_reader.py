"""YAML as Claude Code reads it: the values of YAML 1.2, tags passed over, and the line of every key.

`on`, `yes`, `1:30` and `2024-01-01` are text there. PyYAML follows YAML 1.1, where they are no text.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any

import yaml
from msgspec import Struct, field
from yaml.reader import ReaderError

from supervisor.config.validation import Location

MOST_VALUES = 20_000
"""Values that front matter may have, aliases counted as often as they stand for something."""
FIRST_LINE = 2
"""The line of a file on which its front matter begins."""

COPIED = ("mcpServers", "output", "sandbox")
"""Keys whose value the CLI gets as JSON, every alias written out."""

_KINDS = {
    "null": (r"~|null|Null|NULL|", "~nN\0"),
    "bool": (r"true|True|TRUE|false|False|FALSE", "tTfF"),
    "int": (r"[-+]?(?:0|[1-9][0-9]*)|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    "float": (
        r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?",
        "-+.0123456789",
    ),
    "merge": ("<<", "<"),
}
"""What a plain scalar is when it is not text, and the characters it may begin with. `0755` is text: YAML 1.1 and 1.2
disagree about its number, and its author means the digits."""


_OTHER_INDENT = ": this line is indented otherwise than those beside it"
_HINTS = {
    "mapping values are not allowed here": f"{_OTHER_INDENT}, or its text holds a colon and wants quotes",
    "did not find expected key": f"{_OTHER_INDENT}, or a quote is not closed",
    "expected <block end>, but found '<block mapping start>'": _OTHER_INDENT,
    "expected <block end>, but found '<block sequence start>'": _OTHER_INDENT,
}
"""What mostly is the cause, after PyYAML's words."""


class NotYaml(Exception):
    """Raised when a text is not YAML that holds keys. `line` counts from 1 in the file."""

    def __init__(self, line: int, message: str) -> None:
        self.line = line
        super().__init__(message)


class Mapping(Struct, frozen=True):
    """The keys of a text."""

    data: dict[Any, Any]
    lines: dict[Location, int] = field(default_factory=dict)
    """The line of every key and list item."""
    repeated: list[Location] = field(default_factory=list)
    """Keys that stand there twice. Only the last of them is in `data`."""
    spelled: dict[Location, str] = field(default_factory=dict)
    """Numbers and truths as they are written, for keys that want text."""


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers: dict[str, Any] = {}

    def construct_by_kind(self, node: yaml.Node) -> Any:
        """The value without its tag. `!important thing` is `thing`."""
        match node:
            case yaml.ScalarNode():
                return self.construct_scalar(node)
            case yaml.SequenceNode():
                return self.construct_sequence(node, deep=True)
            case yaml.MappingNode():
                return self.construct_mapping(node, deep=True)
        raise AssertionError(f"{node} is of no kind")

    def construct_integer(self, node: yaml.ScalarNode) -> int | str:
        text = self.construct_scalar(node)
        try:
            return int(text, 0) if text.lstrip("-+").startswith("0") else int(text)
        except ValueError:  # a tag on what is none, or thousands of digits
            return str(text)

    def construct_finite(self, node: yaml.ScalarNode) -> float | str:
        """What no number of JSON can say stays text: the CLI gets much of a file as JSON."""
        text = self.construct_scalar(node)
        try:
            number = float(text)
        except ValueError:
            return str(text)
        return number if math.isfinite(number) else str(text)


for _name, (_pattern, _first) in _KINDS.items():
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_name}", re.compile(f"^(?:{_pattern})$"), list(_first))
_Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile("^$"), [""])
_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_integer)
_Loader.add_constructor("tag:yaml.org,2002:float", _Loader.construct_finite)
for _name in ("binary", "timestamp", "omap", "pairs", "set"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_name}", _Loader.construct_by_kind)
_Loader.add_constructor(None, _Loader.construct_by_kind)


def parse_yaml(text: str) -> Mapping:
    """Raises `NotYaml`."""
    try:
        loader = _Loader(text)
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + FIRST_LINE
        raise NotYaml(line, f"is not valid YAML: it holds the control character U+{error.character:04X}") from error
    try:
        node = loader.get_single_node()
        if node is None:
            return Mapping({})
        if not isinstance(node, yaml.MappingNode):
            raise NotYaml(FIRST_LINE, "must hold keys with values between the two lines of ---")
        if any(_count(written_out) > MOST_VALUES for written_out in _written_out(node)):
            raise NotYaml(FIRST_LINE, f"holds more than {MOST_VALUES:,} values, with what its aliases stand for")
        found = _survey(node)  # before construction, which writes merged keys into the node
        found.data.update(loader.construct_document(node))
        return found
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + FIRST_LINE if mark else FIRST_LINE
        problem = error.problem or error.context or ""
        raise NotYaml(line, f"is not valid YAML: {problem}{_HINTS.get(problem, '')}") from error
    except (ValueError, RecursionError) as error:
        raise NotYaml(FIRST_LINE, f"is not valid YAML: {error}") from error
    except (LookupError, TypeError, AttributeError) as error:  # PyYAML's, for a tag on what is of another kind
        raise NotYaml(FIRST_LINE, f"is not valid YAML: a tag does not fit its value ({error})") from error
    finally:
        loader.dispose()


def _survey(root: yaml.MappingNode) -> Mapping:
    """All but the data. Aliased nodes are visited once, where they are first met: aliases of aliases would not end."""
    found = Mapping({})
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
            if location in found.lines:
                found.repeated.append(location)
            found.lines[location] = marked.start_mark.line + FIRST_LINE
            if isinstance(value, yaml.ScalarNode) and not value.tag.endswith((":str", ":null")):
                found.spelled[location] = value.value
            waiting.append((location, value))
    return found


def _written_out(root: yaml.MappingNode) -> list[yaml.Node]:
    """What is copied for every alias: everything where mappings are merged, and what the CLI gets as JSON."""
    if any(key.tag == "tag:yaml.org,2002:merge" for node in _mappings(root) for key, _ in node.value):
        return [root]
    return [value for key, value in root.value if key.value in COPIED]


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
