"""Every command with its options and arguments, as plain data: what a shell completes without importing them."""

from __future__ import annotations

from typing import Any

import typer

KINDS = {
    "A": "agent",
    "AGENT": "agent",
    "U": "user",
    "USER": "user",
    "S": "session-name",
    "SESSION": "session",
    "QUESTION": "question",
    "ANSWER": "answer",
    "TURN": "turn",
    "LIMIT": "limit",
    "DIR": "directory",
    "FILE": "file",
    "SHELL": "shell",
}
"""What stands in the place of a value in help → what is completed there. Nothing is for any other."""
TARGETS = {"kill": "agent client", "clear": "agent session", "chat": "agent session"}
"""Of a command whose argument may be of several kinds."""


def describe(app: typer.Typer) -> dict[str, Any]:
    """`{"": …, "ask": …, "token new": …}`: of each command `commands`, `options` and `arguments`."""
    tree: dict[str, Any] = {}
    _add(tree, "", typer.main.get_command(app))
    return tree


def _add(tree: dict[str, Any], name: str, command: Any) -> None:
    below = {each: one for each, one in getattr(command, "commands", {}).items() if not one.hidden}
    options: dict[str, Any] = {}
    arguments: list[str] = []
    for one in command.params:
        kind = KINDS.get((one.metavar or "").strip("[]"), "")
        if one.param_type_name == "argument":
            arguments.append(TARGETS.get(name, kind) if not arguments else kind)
            continue
        takes = None if one.is_flag else kind
        for flag in (*one.opts, *one.secondary_opts):
            options[flag] = [takes, _brief(one.help or "")]
    options["--help"] = [None, "Say what it does."]
    tree[name] = {
        "says": _brief(command.help or ""),
        "commands": list(below),
        "options": options,
        "arguments": arguments,
    }
    for each, one in below.items():
        _add(tree, f"{name} {each}".strip(), one)


def _brief(text: str) -> str:
    """The first sentence of a text."""
    return " ".join(text.split()).partition(". ")[0].rstrip(".")
