"""Content hashes: equal for equal content, whatever order it was written in, and different for everything else."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any

from msgspec import Struct


def content_hash(content: object) -> str:
    """Covers every value of mappings, lists, sets and frozen values. An empty list is a value of its own, and so is
    None: "no tools" is not "tools that were not named"."""
    return hashlib.sha256(canonical(content).encode(errors="surrogatepass")).hexdigest()[:16]


def canonical(content: object) -> str:
    """The text that the hash is taken of."""
    return json.dumps(_plain(content), sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def _plain(content: object) -> Any:
    match content:
        case None | bool() | int() | float() | str():
            return content
        case bytes():
            return {"bytes": content.hex()}
        case Mapping():
            # Keys of other types would be written as text, and 1 would be taken for "1".
            return [["mapping"], *sorted(([canonical(key), _plain(value)] for key, value in content.items()), key=_key)]
        case AbstractSet():
            return [["set"], *sorted(map(canonical, content))]
        case list() | tuple():
            return [["list"], *map(_plain, content)]
        case _ if dataclasses.is_dataclass(content) and not isinstance(content, type):
            return _by_fields(content, (field.name for field in dataclasses.fields(content)))
        case Struct():
            return _by_fields(content, content.__struct_fields__)
        case _:
            return [[type(content).__qualname__], str(content)]


def _by_fields(content: object, names: Iterable[str]) -> list[Any]:
    return [[type(content).__qualname__], _plain({name: getattr(content, name) for name in names})]


def _key(pair: list[Any]) -> str:
    return str(pair[0])
