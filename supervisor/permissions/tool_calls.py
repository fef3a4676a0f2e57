"""What a tool call asks for, in words, and what of it can be put to a human."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from supervisor import bounds
from supervisor.api.questions import ChoiceItem, Choose
from supervisor.permissions.call_details import TOO_DEEP, lay_out
from supervisor.permissions.requests import ToolRequest
from supervisor.permissions.rules import COMMAND_TOOL
from supervisor.permissions.rules import rule_for as rule_for
from supervisor.permissions.targets import PATHS
from supervisor.text.cleaning import one_line, shorten
from supervisor.text.visible import show

CHOICE_TOOL = "AskUserQuestion"
_SUMMARY_LIMIT = 200
_TELLING: dict[str, tuple[str, ...]] = {
    COMMAND_TOOL: ("command",),
    **{tool: (argument,) for tool, argument in PATHS.items()},
    "Glob": ("pattern", "path"),
    "Grep": ("pattern", "path"),
    "WebFetch": ("url",),
    "WebSearch": ("query",),
    "Task": ("prompt",),
    "Agent": ("prompt",),
    "ExitPlanMode": ("plan",),
}
"""What a call of the tool is told by on one line. Of other tools every argument is."""
_UNTOLD = (
    "description",
    "content",
    "old_string",
    "new_string",
    "edits",
    "new_source",
    "subagent_type",
    "offset",
    "limit",
    "output_mode",
    "prompt",
)
"""Arguments whose absence from one line hides nothing of what the call is about; all others are named there."""


def call_of(request: ToolRequest, place: str = "") -> str:
    """One call to the letter, and where its path leads: another with the same tool is another question."""
    return json.dumps([request.tool, request.arguments, place], sort_keys=True, default=str)


def find_flaw(request: ToolRequest) -> str:
    """Why a human cannot decide on the request, in words for the agent; empty when a human can."""
    if not isinstance(request.tool, str) or not request.tool.strip():
        return "The call names no tool"
    if bounds.is_too_deep(request.arguments):
        return f"The call has more than {bounds.MOST_LEVELS} levels of lists and mappings in one another"
    if request.tool == COMMAND_TOOL:
        command = request.arguments.get("command")
        return "" if isinstance(command, str) and command.strip() else "The call has no command to run"
    return _find_flaw_in_choices(request.arguments) if request.tool == CHOICE_TOOL else ""


def _find_flaw_in_choices(arguments: Mapping[str, Any]) -> str:
    questions = arguments.get("questions")
    if not isinstance(questions, list) or not questions:
        return "The call has no questions"
    seen = set()
    for number, raw in enumerate(questions, start=1):
        if not isinstance(raw, Mapping):
            return f"Question {number} is no question: give a text and options"
        text, options = raw.get("question"), raw.get("options")
        if not isinstance(text, str) or not text.strip():
            return f"Question {number} has no text"
        if show(text) in seen:  # as people see it, and as the answer names it
            return f"Question {number} has the same text as another one"
        seen.add(show(text))
        if not isinstance(options, list) or not options:
            return f"Question {number} has no options to choose from"
        labels = set()
        for option in options:
            label = option.get("label") if isinstance(option, Mapping) else None
            if not isinstance(label, str) or not label.strip():
                return f"Question {number} has an option without a label"
            if show(label) in labels:
                return f"Question {number} has two options of the same label"
            labels.add(show(label))
    return ""


def summarize(tool: str, arguments: Mapping[str, Any], workspace: Path | None = None) -> str:
    """The call on one line: by its telling arguments where the tool has some, and by the names of the others. A path in
    the workspace is told as seen from there."""
    if tool == CHOICE_TOOL and not _find_flaw_in_choices(arguments):
        return one_line(show(" · ".join(item.question for item in read_choices(arguments))), _SUMMARY_LIMIT)
    telling = [name for name in _TELLING.get(tool, ()) if isinstance(arguments.get(name), str) and arguments[name]]
    if not telling:
        if bounds.is_too_deep(arguments):
            return TOO_DEEP
        words = ", ".join(f"{_in_words(str(name))}: {_in_words(value)}" for name, value in arguments.items())
        return one_line(show(words), _SUMMARY_LIMIT)
    words = " ".join(_localise(arguments[name], workspace if name == PATHS.get(tool) else None) for name in telling)
    # A switch that is off says nothing.
    others = [str(name) for name, value in arguments.items() if name not in (*telling, *_UNTOLD) and value is not False]
    # The names come before a text that is cut.
    more = f" (with {', '.join(others)})" if others else ""
    more = one_line(show(more), _SUMMARY_LIMIT // 2)
    return one_line(show(words), _SUMMARY_LIMIT - len(more) - 1) + (f" {more}" if more else "")


_PLAIN = re.compile(r"(?:[^\s,:\"{}\[\]]|:(?=\S))+(?: (?:[^\s,:\"{}\[\]]|:(?=\S))+)*")
"""Words in which nothing reads like the end of an argument, or like the beginning of one."""


def _in_words(value: object) -> str:
    """A name or a value: as it stands where it is plain words, else as JSON, so that none passes for several."""
    if isinstance(value, str) and _PLAIN.fullmatch(value):
        return value
    return json.dumps(value, ensure_ascii=False, default=str)


def detail(arguments: Mapping[str, Any]) -> str:
    """The arguments of a call that is only watched, cut to a length that can be shown."""
    return shorten(lay_out(arguments))


def _localise(path: str, workspace: Path | None) -> str:
    """An opaque directory's full name tells a reader nothing."""
    return path.removeprefix(f"{workspace}/") if workspace is not None else path


def to_input(request: ToolRequest, answer: Choose) -> dict[str, Any]:
    """The tool's input with the answers in it, as the CLI wants it back: each by the question's own text, and an
    option by its own label, whatever escapes both were shown with."""
    answers = {}
    for raw in request.arguments["questions"]:
        given = answer.answers.get(show(raw["question"]))
        if given is not None:
            labels = {show(option["label"]): option["label"] for option in raw["options"]}
            answers[raw["question"]] = labels.get(given, given)
    return {**request.arguments, "answers": answers}


def read_choices(arguments: Mapping[str, Any]) -> tuple[ChoiceItem, ...]:
    """The items of a question without a flaw (`find_flaw`), with visible escapes for what cannot be seen."""
    return tuple(
        ChoiceItem(
            question=show(raw["question"]),
            header=one_line(show(str(raw.get("header") or "")), _SUMMARY_LIMIT),
            options=tuple((show(option["label"]), show(_words(option))) for option in raw["options"]),
            multiple=bool(raw.get("multiSelect")),
        )
        for raw in arguments["questions"]
    )


def _words(option: Mapping[str, Any]) -> str:
    """An option's text besides its label: its description, and whatever else the model has sent with it."""
    words = [str(option.get("description") or "")]
    words += [f"{name}: {value}" for name, value in option.items() if name not in ("label", "description")]
    return "\n".join(filter(None, words))
