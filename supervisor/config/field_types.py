"""Types of the fields of templates and settings: what may be written for each, and what it is read as."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from supervisor.config.tool_references import is_reference
from supervisor.permissions.server_tools import spelled_whole
from supervisor.text.values import in_words

VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
OF_BULLPEN = re.compile(
    r"BULLPEN_\w*|HOME|PWD|CLAUDE_CONFIG_DIR|(CLAUDE|CLAUDE_CODE)_TMPDIR|CLAUDE_CODE_SHELL_PREFIX|CLAUDE_CODE_SIMPLE"
    r"|CLAUDE_CODE_(SESSION|CHILD|MESSAGING)_\w+|CLAUDE_CODE_(ENTRYPOINT|SSE_PORT|EMIT_SESSION_STATE_EVENTS)"
    r"|CLAUDE_CODE_(MAX_RETRIES|DISABLE_CRON|DISABLE_BACKGROUND_TASKS|DISABLE_AUTO_MEMORY)"
    r"|CLAUDE_(ENABLE_BYTE_WATCHDOG|BYTE_STREAM_IDLE_TIMEOUT_MS|AGENT_SDK_\w+|CODE_SDK_\w+)|LD_PRELOAD|LD_AUDIT"
)
"""Variables on which the walls, the guard and the removal of a session's files rest: where the CLI keeps what is
private, what it starts tools through, and what bullpen itself sets for every client."""
_COMMA_OUTSIDE_PARENTHESES = re.compile(r",(?![^(]*\))")
_TOOL_WORD = re.compile(r"(?:[^ ,()]| +(?=\()|\([^()]*(?:\([^()]*\)[^()]*)*\)|[()])+")
"""One tool with its bracket: commas and spaces separate, but not inside parentheses."""


def whole(value: object) -> object:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and re.fullmatch(r"\s*[+-]?\d{1,18}\s*", value, re.ASCII):
        return int(value)
    raise ValueError(f"must be a whole number, not {in_words(value)}")


def _words(value: object) -> object:
    if isinstance(value, str):
        return tuple(word.strip() for word in _COMMA_OUTSIDE_PARENTHESES.split(value) if word.strip())
    if isinstance(value, list | tuple):
        return tuple(value)
    raise ValueError(f"must be a list, or text with commas, not {in_words(value)}")


def _tool_words(value: object) -> object:
    """The words of a list of tools, separated as Claude Code does it. Where that parser leaves a bracket open, the
    bracket stays with its tool."""
    if isinstance(value, str):
        words = (re.sub(r"\s+\(", "(", word.strip()) for word in _TOOL_WORD.findall(value))
        return tuple(filter(None, words))
    if isinstance(value, list | tuple):
        return tuple(
            word for item in value for word in (_split(item) if isinstance(item, str) else (item,) if item else ())
        )
    return ()


def _taken_words(value: object) -> object:
    """The words of a list that takes tools away. Every entry must name one: nothing in it is skipped."""
    if not isinstance(value, str | list | tuple):
        raise ValueError(f"must be a list, or text with commas, not {in_words(value)}")
    items = value.split(",") if isinstance(value, str) else value
    spaced = (spelled_whole(item) for item in items if isinstance(item, str))
    return (*_split(value), *filter(None, spaced))


def _split(value: object) -> tuple[str, ...]:
    found = _tool_words(value)
    assert isinstance(found, tuple)
    return found


def _tools(value: object) -> object:
    """The list of tools; None means all of them. A list that is written and names none means none, as in Claude Code.
    Python functions may stand beside all of them."""
    words = None if value is None else _tool_words(value)
    if not (isinstance(words, tuple) and "*" in words):
        return words
    functions = [word for word in words if isinstance(word, str) and is_reference(word)]
    return ("*", *functions) if functions else None


def _model_name(value: object) -> object:
    return None if isinstance(value, str) and value.strip().lower() == "inherit" else value


def _servers(value: object) -> object:
    """Servers by name. A bare name in a list points into a configuration that is not read here, and is passed over."""
    if isinstance(value, dict):
        return value
    if not isinstance(value, list):
        raise ValueError(f"must be a mapping of server names, or a list, not {in_words(value)}")
    servers: dict[str, Any] = {}
    for item in value:
        if isinstance(item, dict):
            servers |= item
        elif not isinstance(item, str):
            raise ValueError(f"must list names or servers, not {in_words(item)}")
    return servers


def _variables(value: object) -> object:
    if not isinstance(value, dict):
        raise ValueError(f"must be a mapping of names to values, not {in_words(value)}")
    for name, text in value.items():
        if not (isinstance(name, str) and VARIABLE.fullmatch(name)):
            raise ValueError(f"cannot set {in_words(name)}: names are letters, digits and _")
        if OF_BULLPEN.fullmatch(name):
            raise ValueError(f"cannot set {in_words(name)}: bullpen itself says what it is, for all clients")
        if isinstance(text, bool) or not isinstance(text, str | int | float) or "\0" in str(text):
            raise ValueError(f"{name} must be text or a number, not {in_words(text)}")
    return {name: str(text) for name, text in value.items()}


MOST = 1_000_000
"""The largest number that anything is counted in: of clients, turns, retries."""

Count = Annotated[int, Field(ge=0, le=MOST), BeforeValidator(whole)]
PositiveCount = Annotated[int, Field(ge=1, le=MOST), BeforeValidator(whole)]
Text = Annotated[str, Field(min_length=1)]
Words = Annotated[tuple[str, ...], BeforeValidator(_words, json_schema_input_type=str | list[str])]
Source = Literal["user", "project", "local"]
Sources = Annotated[tuple[Source, ...], BeforeValidator(_words, json_schema_input_type=str | list[Source])]
Variables = Annotated[dict[str, str], BeforeValidator(_variables, json_schema_input_type=dict[str, str | int | float])]
Servers = Annotated[
    dict[str, dict[str, Any]],
    BeforeValidator(_servers, json_schema_input_type=dict[str, dict[str, Any]] | list[str | dict[str, dict[str, Any]]]),
]
ToolWords = Annotated[tuple[str, ...], BeforeValidator(_taken_words, json_schema_input_type=str | list[str])]
Tools = Annotated[tuple[str, ...] | None, BeforeValidator(_tools, json_schema_input_type=str | list[str] | None)]
Mode = Annotated[
    Literal["default", "acceptEdits", "plan", "dontAsk", "auto", "bypassPermissions"],
    BeforeValidator(
        lambda value: "default" if value == "manual" else value,
        json_schema_input_type=Literal[
            "default", "acceptEdits", "plan", "dontAsk", "auto", "bypassPermissions", "manual"
        ],
    ),
]
ModelName = Annotated[Text | None, BeforeValidator(_model_name)]
