"""Which module each command is in: one is imported when it is asked for, and all of them only to be listed."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, MutableMapping
from typing import Any

import typer
from typer.core import TyperGroup

from tui.cli.examples import add_examples

COMMAND_MODULES = {
    "asking": ("ask", "route", "chat"),
    "checking": ("check", "doctor", "forget"),
    "queries": (
        "status", "sessions", "clients", "queue", "questions", "turn", "logs", "events", "contexts", "audit",
        "budgets", "schedules", "servers", "providers", "limits",
    ),
    "verbs": (
        "answer", "drain", "pause", "resume", "scale", "set", "kill", "close", "interrupt", "hibernate", "warm",
        "compact", "clear", "replay", "drop", "withdraw", "cleanup",
    ),
    "stopping": ("stop",),
    "hooks": ("hooks",),
    "acp": ("acp",),
    "tokens": ("token",),
    "completion.scripts": ("completion",),
}  # fmt: skip
"""Module of this package → its commands, in the order of `--help`."""

_HEADINGS = {
    "Open it": ("demo", "serve", "attach", "acp", "stop"),
    "Ask": COMMAND_MODULES["asking"],
    "Look": (*COMMAND_MODULES["queries"], "hooks"),
    "Act": (*COMMAND_MODULES["verbs"], "forget"),
    "Set up": ("check", "doctor", "token", "completion"),
}
"""Heading in `--help` → the commands below it, in order."""

USUAL_WORDS = {
    "sessions": ("list", "ls", "history"),
    "status": ("ps", "top", "info", "agents", "show"),
    "clients": ("processes", "containers"),
    "logs": ("log", "tail", "cat"),
    "serve": ("start", "up", "run", "daemon"),
    "stop": ("down", "quit", "exit", "shutdown", "halt", "end"),
    "kill": ("rm", "terminate", "destroy"),
    "chat": ("talk", "repl", "shell"),
    "ask": ("prompt", "send", "exec"),
    "interrupt": ("cancel", "abort"),
    "check": ("validate", "lint", "test"),
    "set": ("config", "limit"),
    "forget": ("delete", "remove", "purge"),
    "questions": ("inbox", "pending"),
    "answer": ("approve", "allow", "deny", "reject"),
}
"""Command → what programs of other kinds call such a thing."""

_MODULE_OF = {name: module for module, names in COMMAND_MODULES.items() for name in names}


def read_module(module: str) -> dict[str, Any]:
    """The commands of a module by their names, built by Typer from its `app`."""
    app: typer.Typer = importlib.import_module(f"tui.cli.{module}").app
    group = str(app.info.name or "")
    add_examples(app, group)
    made = typer.main.get_group(app)
    return {group: made} if group else dict(made.commands)


class _Commands(MutableMapping[str, Any]):
    """The program's own commands, and those of each module once they are wanted."""

    def __init__(self, own: MutableMapping[str, Any]) -> None:
        self._known = dict(own)
        self._own = tuple(own)

    def __getitem__(self, name: str) -> Any:
        if name not in self._known and name in _MODULE_OF:
            self._known |= read_module(_MODULE_OF[name])
        return self._known[name]

    def __setitem__(self, name: str, command: Any) -> None:
        self._known[name] = command

    def __delitem__(self, name: str) -> None:
        del self._known[name]

    def __iter__(self) -> Iterator[str]:
        return iter((*self._own, *_MODULE_OF))

    def __len__(self) -> int:
        return len(self._own) + len(_MODULE_OF)


class CommandsGroup(TyperGroup):
    """The program's commands."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.commands = _Commands(self.commands)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Finds the command. For an unknown one, the error names the command that does what the word does in other
        programs, or those that are spelled alike."""
        try:
            return super().resolve_command(ctx, args)
        except typer.TyperException as error:
            meant = next((name for name, words in USUAL_WORDS.items() if args[0].lower() in words), "")
            if meant:
                error.message = f"No such command {args[0]!r}. Did you mean {meant!r}?"
            raise

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Writes all commands below headings."""
        widest = max(map(len, self.commands))
        for heading, names in _HEADINGS.items():
            with formatter.section(heading):
                room = formatter.width - 6 - widest
                formatter.write_dl(
                    [(f"{name:{widest}}", self.commands[name].get_short_help_str(room)) for name in names]
                )
