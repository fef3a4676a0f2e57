"""Texts with `{fields}` of what happened in them.

A field is put in as it is and never looked at again, so that no text of a user names another field. `{{` and `}}` stand
for braces.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from supervisor.api.automation import Payload
from supervisor.automation.conditions import spell

_PIECE = re.compile(r"\{\{|\}\}|\{([a-z_]+)\}|[{}]")


def fill(text: str, payload: Payload) -> str:
    """A field that is not there is left out."""

    def put(found: re.Match[str]) -> str:
        if (name := found[1]) is not None:
            return spell(payload[name]) if name in payload else ""
        return found[0][:1]

    return _PIECE.sub(put, text)


def fill_all(value: Any, payload: Payload) -> Any:
    """Every text in a JSON value; keys are left as they are."""
    match value:
        case str():
            return fill(value, payload)
        case Mapping():
            return {key: fill_all(one, payload) for key, one in value.items()}
        case list() | tuple():
            return [fill_all(one, payload) for one in value]
    return value


def fields_in(value: Any) -> list[str]:
    """The names that are asked for, in a text or a JSON value. Raises `ValueError` for a brace alone."""
    match value:
        case str():
            found = []
            for piece in _PIECE.finditer(value):
                if piece[0] in "{}":
                    raise ValueError("holds a brace that is no field such as {user}: write {{ or }} for a brace")
                if piece[1] is not None:
                    found.append(piece[1])
            return found
        case Mapping():
            return _in_all(value.values())
        case list() | tuple():
            return _in_all(value)
    return []


def _in_all(values: Iterable[Any]) -> list[str]:
    return [name for one in values for name in fields_in(one)]
