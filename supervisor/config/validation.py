"""What is wrong with a file of settings, in words for the person who wrote it.

A mistake is one line: where, which key, what is wrong and, for an unknown key, the nearest valid one.
"""

from __future__ import annotations

import difflib
import re
import types
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from supervisor.text.cleaning import show_name
from supervisor.text.values import in_words

ANY = "*"
"""Stands for a name of the writer's choice in the way to a key."""
Location = tuple[str | int, ...]
"""The way to a value: keys, and indices of lists."""

_PLACE = re.compile(r"(?P<file>.+?):(?P<line>\d+): ")

UNTOLD = "\0"
"""Begins a part of the way to a value that no file has: pydantic's name for one of several shapes."""


def in_order(mistakes: Iterable[str]) -> list[str]:
    """The mistakes of each file sorted by line, files in the order in which they come; mistakes without a line at the
    end."""
    lines = [*mistakes]
    places = [_PLACE.match(line) for line in lines]
    files = {file: number for number, file in enumerate(dict.fromkeys(found["file"] for found in places if found))}
    ranks = [(files[found["file"]], int(found["line"])) if found else (len(files), 0) for found in places]
    return [line for _, line in sorted(zip(ranks, lines, strict=True), key=lambda pair: pair[0])]


def told(location: Location) -> Location:
    """The way as its writer knows it."""
    return tuple(part for part in location if not (isinstance(part, str) and part.startswith(UNTOLD)))


_KINDS = {
    "string_type": "text",
    "string_sub_type": "text",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "model_type": "a mapping of keys",
    "model_attributes_type": "a mapping of keys",
    "dict_type": "a mapping of keys",
    "mapping_type": "a mapping of keys",
    "tuple_type": "a list",
    "list_type": "a list",
    "path_type": "a path",
}
_BOUNDS = {
    "greater_than_equal": ("ge", "at least"),
    "greater_than": ("gt", "more than"),
    "less_than_equal": ("le", "at most"),
    "less_than": ("lt", "less than"),
}


def dotted(location: Location) -> str:
    """`concurrency.maxSessions`, `tools[2]`."""
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return show_name(text)


def describe(error: ErrorDetails, root: type[BaseModel], names: Sequence[str] = ()) -> str:
    """One of pydantic's errors about `root` as the rest of a sentence that begins with file and line; for `names` see
    `unknown_key`."""
    location = told(error["loc"])
    context = error.get("ctx", {})
    name = dotted(location)
    match error["type"]:
        case "extra_forbidden":
            return unknown_key(location, root, names)
        case "missing":
            return f"{name} is missing"
        case "value_error":
            return f"{name} {context['error']}".strip()
        case "literal_error" | "enum":
            return f"{name} must be {_or(context['expected'])}, not {in_words(error['input'])}"
        case "string_too_short":
            return f"{name} must not be empty"
        case bound if bound in _BOUNDS:
            key, words = _BOUNDS[bound]
            return f"{name} must be {words} {context[key]:g}, not {in_words(error['input'])}"
        case kind if kind in _KINDS:
            return f"{name} must be {_KINDS[kind]}, not {in_words(error['input'])}"
    return f"{name}: {error['msg']}"


def describe_value(error: ErrorDetails) -> str:
    """What is wrong with one value that has no key: `must be a whole number, not 'zero'`."""
    return describe(error, BaseModel).lstrip(": ")


def unknown_key(location: Location, root: type[BaseModel], names: Sequence[str] = ()) -> str:
    """Says that a key does not exist, and which valid one is nearest: first beside it, then anywhere in the file.
    `names` are those that its writer has chosen for tables, such as instances."""
    here = dict.fromkeys(_keys_at(root, location[:-1]))
    chosen = str(location[1]) if len(location) > 2 else names[0] if names else ""
    ways = [path for path in _all_keys(root) if path[:-1] != location[:-1]]
    elsewhere = {path[-1]: _spell(path, chosen) for path in reversed(ways)}
    wrong = str(location[-1])
    surely = nearest(wrong, here, cutoff=0.9) or elsewhere.get(nearest(wrong, elsewhere, cutoff=0.9) or "")
    suggestion = surely or nearest(wrong, here)
    if suggestion is not None:
        return f"{dotted(location)} is not a key; did you mean {suggestion}?"
    return f"{dotted(location)} is not a key; the keys here are {', '.join(here)}"


def _spell(path: tuple[str, ...], chosen: str) -> str:
    """The way to a key, with a real name for that of a table."""
    if ANY not in path:
        return dotted(path)
    if not chosen:
        return f"{'.'.join(path[path.index(ANY) + 1 :])} of one of the {'.'.join(path[: path.index(ANY)])}"
    return dotted(tuple(chosen if part == ANY else part for part in path))


def nearest(wrong: str, valid: Mapping[str, Any], cutoff: float = 0.55) -> str | None:
    """The member of `valid` that looks most like `wrong`; case, hyphens and underscores do not count."""
    squashed = {_squash(word): word for word in reversed(list(valid))}
    found = difflib.get_close_matches(_squash(wrong), squashed, n=1, cutoff=cutoff)
    return squashed[found[0]] if found else None


def spelled(name: str, root: type[BaseModel]) -> str:
    """A field's name as files spell it."""
    return root.model_fields[name].alias or name


def section(root: type[BaseModel], name: str) -> type[BaseModel] | None:
    """The model behind a field that is a mapping of further keys."""
    annotation = root.model_fields[name].annotation
    if is_table(root, name):
        annotation = typing.get_args(annotation)[1]
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


def listed(root: type[BaseModel], name: str) -> type[BaseModel] | None:
    """The model of each item of a field that is, or may be, a list of mappings."""
    for kind in _shapes(root.model_fields[name].annotation):
        if typing.get_origin(kind) is tuple:
            first = typing.get_args(kind)[0]
            if isinstance(first, type) and issubclass(first, BaseModel):
                return first
    return None


def _shapes(annotation: Any) -> Iterator[Any]:
    """The alternatives of a field's type."""
    if typing.get_origin(annotation) is typing.Annotated:
        yield from _shapes(typing.get_args(annotation)[0])
    elif typing.get_origin(annotation) in (typing.Union, types.UnionType):
        for one in typing.get_args(annotation):
            yield from _shapes(one)
    else:
        yield annotation


def is_table(root: type[BaseModel], name: str) -> bool:
    """Whether a field maps names of the writer's choice."""
    return typing.get_origin(root.model_fields[name].annotation) is dict


def _keys_at(root: type[BaseModel], location: Location) -> list[str]:
    model = root
    parts = iter(location)
    for part in parts:
        if isinstance(part, int):
            continue
        field = next((name for name in model.model_fields if part in (name, spelled(name, model))), None)
        if field is None or (inner := section(model, field) or listed(model, field)) is None:
            return []
        if is_table(model, field):
            next(parts, None)
        model = inner
    return [spelled(name, model) for name in model.model_fields]


def _all_keys(root: type[BaseModel], above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name in root.model_fields:
        path = (*above, spelled(name, root))
        yield path
        if (inner := section(root, name)) is not None:
            yield from _all_keys(inner, (*path, ANY) if is_table(root, name) else path)


def _squash(word: str) -> str:
    return word.lower().replace("_", "").replace("-", "")


def _or(expected: str) -> str:
    return expected.replace("'", "")
