"""What a command does before it opens a bullpen of its own: settings, templates, credentials, the terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, NoReturn

import typer

from tui.cli.exit_codes import REFUSED
from tui.cli.options import Common
from tui.cli.output import tell
from tui.cli.signals import SIGNALS
from tui.cli.threads import leave

if TYPE_CHECKING:
    from supervisor import Loaded, Settings

NO_TERMINALS = ("", "dumb", "unknown")
"""What TERM says where nothing can be drawn. Any other name is believed: new terminals are in no list."""


def check_terminal() -> None:
    if not (sys.stdin.isatty() and sys.stdout.isatty() and sys.stderr.isatty()):
        fail("the dashboard needs a terminal; `bullpen ask AGENT TEXT` works without one")
    if (name := os.environ.get("TERM", "")) in NO_TERMINALS:
        fail(
            f"the dashboard needs a terminal that can be drawn on, and TERM is {name or 'not set'}; "
            "`bullpen ask AGENT TEXT` works on any"
        )


def load(common: Common) -> tuple[Settings, Loaded]:
    """Raises `ConfigurationError` with every mistake in the settings and in the templates."""
    from supervisor import load_host

    return load_host(common.config, environ=os.environ, **common.overrides)


def with_credentials(settings: Settings) -> Settings:
    """The settings as they are when there is something to log in with, else rehearsal, if the operator agrees."""
    from supervisor import find_credentials

    if settings.rehearsal or find_credentials(os.environ):
        return settings
    line = "no credentials found (looked for ANTHROPIC_API_KEY, tokens, Bedrock, Vertex and a login of `claude`)"
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        fail(f"{line}; set one, or use --rehearsal")
    tell(line)
    if not _is_wanted("Open it in rehearsal instead (scripted replies, no key needed)?"):
        raise typer.Exit(REFUSED)
    return settings.model_copy(update={"rehearsal": True})


def _is_wanted(question: str) -> bool:
    """Asks on the terminal until the answer is yes, which enter alone means too, or no. Raises `typer.Abort` at the end
    of the input."""
    while True:
        reply = typer.prompt(f"{question} [Y/n]", default="", show_default=False, err=True).strip().lower()
        if reply in ("", "y", "yes"):
            return True
        if reply in ("n", "no"):
            return False
        tell("say y (or press enter) for yes, n for no")


def run(work: Callable[[], Coroutine[Any, Any, int]]) -> int:
    code = SIGNALS.run(work)
    leave(code)
    return code


def fail(line: str) -> NoReturn:
    tell(line)
    raise typer.Exit(REFUSED)
