"""What a tool returns, as MCP tells it to the model."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import pydantic_core
from mcp import types
from msgspec import Struct

from supervisor.text.cleaning import clean, one_line

MOST_CHARACTERS = 4 * 1024 * 1024
"""Of one result. The CLI itself puts what is longer than some 100,000 into a file."""

_PICTURES = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF87a": "image/gif",
    b"GIF89a": "image/gif",
}
_BLOCKS = (types.TextContent, types.ImageContent, types.AudioContent, types.ResourceLink, types.EmbeddedResource)


def as_error(words: str) -> types.CallToolResult:
    return types.CallToolResult(content=[_text(words)], isError=True)


def as_result(tool: str, value: object) -> types.CallToolResult:
    """Text as it is; bytes of a picture as a picture; content of MCP as it is; all else as JSON. What is none of these
    is an error that names it."""
    try:
        result = _convert(tool, value)
        # As it is written to the client: what cannot be would take the connection along.
        length = _measure(result.model_dump(mode="json", exclude={"isError"}))
    except Exception as error:
        return as_error(f"{tool} returned {_name(value)}, which cannot be told to a model: {say(error)}")
    if length > MOST_CHARACTERS:
        return as_error(f"{tool} returned {length:,} characters; a result holds {MOST_CHARACTERS:,} at most")
    return result


def as_sdk_result(tool: str, value: object) -> types.CallToolResult:
    """The mapping that a function of the SDK's `@tool` returns: `content`, and perhaps `is_error`."""
    if not isinstance(value, Mapping) or not isinstance(value.get("content"), list):
        return as_error(f"{tool} returned {_name(value)}, and no mapping with a list as content")
    is_error = value.get("is_error", value.get("isError")) is True
    try:
        given = {"content": [_cleaned(one) for one in value["content"]], "isError": is_error}
        return types.CallToolResult.model_validate(given)
    except Exception as error:
        return as_error(f"{tool} returned content that MCP does not have: {say(error)}")


def say(error: BaseException) -> str:
    """On one line."""
    try:
        words = str(error).replace("\n", " ")
    except BaseException:  # its words are made by code of its own
        words = ""
    return one_line(clean(f"{type(error).__name__}: {words}" if words else type(error).__name__), 500)


def _measure(value: object) -> int:
    """Characters of the texts in it that a tool has filled: of content, and of what stands beside it."""
    match value:
        case str():
            return len(value)
        case Mapping():
            return sum(_measure(inner) for key, inner in value.items() if key != "type")
        case list():
            return sum(map(_measure, value))
    return 0


def _convert(tool: str, value: object) -> types.CallToolResult:
    if isinstance(value, types.CallToolResult):
        return value
    if value is None:
        return types.CallToolResult(content=[_text("Done.")])
    items = value if isinstance(value, list) and any(isinstance(one, (*_BLOCKS, bytes)) for one in value) else [value]
    return types.CallToolResult(content=[_block(one) for one in items])


def _block(value: object) -> Any:
    if isinstance(value, _BLOCKS):
        return value
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, bytes | bytearray):
        if len(value) > MOST_CHARACTERS:
            raise ValueError(f"it has {len(value):,} bytes, and a result {MOST_CHARACTERS:,} characters at most")
        data = bytes(value)
        kind = next((kind for start, kind in _PICTURES.items() if data.startswith(start)), "")
        if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            kind = "image/webp"
        if not kind:
            raise TypeError("these bytes are no PNG, JPEG, GIF or WebP picture")
        return types.ImageContent(type="image", data=base64.b64encode(data).decode(), mimeType=kind)
    return _text(pydantic_core.to_json(value, indent=1, inf_nan_mode="null", by_alias=True, fallback=_fields).decode())


def _fields(value: object) -> dict[str, object]:
    """The fields of a Struct, bullpen's (`RunContext`) or a tool's own, which pydantic does not know. Raises
    `PydanticSerializationError` for anything else."""
    if isinstance(value, Struct):
        return {name: getattr(value, name) for name in value.__struct_fields__}
    raise pydantic_core.PydanticSerializationError(f"Unable to serialize unknown type: {type(value)}")


def _text(words: str) -> types.TextContent:
    # What is no UTF-8 cannot be written to a pipe, and would take the connection along.
    return types.TextContent(type="text", text=words.encode("utf-8", "replace").decode())


def _cleaned(block: object) -> object:
    if isinstance(block, Mapping) and isinstance(block.get("text"), str):
        return {**block, "text": block["text"].encode("utf-8", "replace").decode()}
    return block


def _name(value: object) -> str:
    try:
        kind = type(value)
        name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
        return one_line(clean(name), 200)
    except BaseException:  # names are code as well
        return "a value"
