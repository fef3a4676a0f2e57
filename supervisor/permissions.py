"""What a tool call asks for, in words and as a rule: what people read before they decide, and what "always" covers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from textwrap import indent
from typing import Any

from supervisor.cleaning import clean, one_line, shorten
from supervisor.connection import ToolRequest
from supervisor.model import ChoiceItem, Choose

CHOICE_TOOL = "AskUserQuestion"


def rule_for(request: ToolRequest) -> str:
    """What "always in this session" means for this request; empty when it is not on offer.

    A command is allowed only as it stands, to the letter and with its switches: a prefix would let `ls; rm -r .` pass
    as `ls`, and the same words outside the sandbox are not the same command.
    """
    if request.tool == CHOICE_TOOL:
        return ""
    if request.tool == "Bash":
        switches = {name: value for name, value in request.arguments.items() if name not in ("command", "description")}
        suffix = f" {json.dumps(switches, sort_keys=True, default=str)}" if switches else ""
        return f"Bash: {request.arguments.get('command', '')}{suffix}"
    return request.tool


def call_of(request: ToolRequest) -> str:
    """One call to the letter: another with the same tool is another question."""
    return f"{request.tool} {json.dumps(request.arguments, sort_keys=True, default=str)}"


def summarize(tool: str, arguments: Mapping[str, Any], workspace: Path | None = None) -> str:
    """The arguments on one line: the telling one alone where a tool has one, paths as seen from the workspace."""
    limit = 200
    arguments = _localise(arguments, workspace)
    for name in ("command", "file_path", "path", "pattern", "url", "query", "description"):
        if isinstance(value := arguments.get(name), str) and value:
            return one_line(value, limit)
    if tool == CHOICE_TOOL:
        return one_line(" · ".join(item.question for item in read_choices(arguments)), limit)
    if not arguments:
        return ""
    return one_line(json.dumps(arguments, ensure_ascii=False, default=str), limit)


def detail(arguments: Mapping[str, Any], workspace: Path | None = None) -> str:
    """The arguments in full, one below the other, texts as they read; cut to a length that can be shown."""
    parts = []
    for name, value in _localise(arguments, workspace).items():
        if not isinstance(value, str):
            value = json.dumps(value, ensure_ascii=False, indent=2, default=str)
        parts.append(f"{name}:\n{indent(value, '  ')}" if "\n" in value else f"{name}: {value}")
    return shorten(clean("\n".join(parts)))


def _localise(arguments: Mapping[str, Any], workspace: Path | None) -> dict[str, Any]:
    """Paths as seen from the workspace: an opaque directory's full name tells nobody anything."""
    if workspace is None:
        return dict(arguments)
    prefix = f"{workspace}/"
    return {name: value.replace(prefix, "") if isinstance(value, str) else value for name, value in arguments.items()}


def to_input(request: ToolRequest, answer: Choose) -> dict[str, Any]:
    """The tool's input with the answers in it, as the CLI wants it back."""
    asked = [
        str(raw.get("question", "")) for raw in _list(request.arguments.get("questions")) if isinstance(raw, Mapping)
    ]
    answers = {question: answer.answers[clean(question)] for question in asked if clean(question) in answer.answers}
    return {**request.arguments, "answers": answers}


def _list(value: Any) -> list[Any]:
    """What the model sent, if it is a list at all."""
    return value if isinstance(value, list) else []


def read_choices(arguments: Mapping[str, Any]) -> tuple[ChoiceItem, ...]:
    """The items of a question, clean; whatever is not the shape of one is passed over."""
    items = []
    for raw in _list(arguments.get("questions")):
        if not isinstance(raw, Mapping):
            continue
        options = tuple(
            (clean(str(option.get("label", ""))), clean(str(option.get("description", ""))))
            for option in _list(raw.get("options"))
            if isinstance(option, Mapping)
        )
        items.append(
            ChoiceItem(
                question=clean(str(raw.get("question", ""))),
                header=clean(str(raw.get("header", ""))),
                options=options,
                multiple=bool(raw.get("multiSelect")),
            )
        )
    return tuple(items)
