"""Every method of `Engine` has one route, one command and one verb of the dashboard, and one table says so."""

from __future__ import annotations

import inspect
import re

import pytest
import typer

from supervisor.api.engine import Engine
from supervisor.api.verbs import VERBS, Verb
from supervisor.gateway.app import compose_app
from tui.cli.main import app as commands
from tui.wording.verbs import VERBS as KEYS


class Nothing:
    """Routes are described without an engine."""


ROUTES = {
    f"{method.upper()} {path}"
    for path, methods in compose_app(Nothing(), Nothing(), version="0", leave=lambda: None)  # type: ignore[arg-type]
    .openapi()["paths"]
    .items()
    for method in methods
}
COMMANDS = set(typer.main.get_command(commands).commands)  # type: ignore[attr-defined]


def test_the_table_names_every_method_of_the_engine_in_its_order() -> None:
    methods = [name for name, found in vars(Engine).items() if inspect.iscoroutinefunction(found)]
    assert sorted(verb.name for verb in VERBS) == sorted(methods)


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)
def test_a_verb_has_a_route_a_command_and_a_key(verb: Verb) -> None:
    """D6"""
    assert re.sub(r"\{(\w+):path\}", r"{\1}", verb.route) in ROUTES
    assert verb.command in COMMANDS
    assert verb.key in {key.name for key in KEYS}
    assert verb.says.endswith(".")
    assert re.fullmatch(r"[A-Z][^.]*\.", verb.says), "one sentence"


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb.asks], ids=lambda verb: verb.name)
def test_what_asks_in_one_place_asks_in_the_others(verb: Verb) -> None:
    keys = [key for key in KEYS if key.name == verb.key]
    assert any(key.confirms or key.name == "app.quit" for key in keys)
    command = typer.main.get_command(commands).commands[verb.command]  # type: ignore[attr-defined]
    assert any("--yes" in option.opts for option in command.params)
