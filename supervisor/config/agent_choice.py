"""Which of these templates a text is for."""

from __future__ import annotations

from collections.abc import Iterable

from supervisor.api.prompts import Route
from supervisor.config.template import Template
from supervisor.routing.index import Described, flatten_triggers
from supervisor.routing.router import Router


def describe_for_routing(template: Template) -> Described:
    """The texts of a template that prompts are compared with."""
    return Described(template.name, template.description, flatten_triggers(template.triggers))


def choose_agent(text: str, templates: Iterable[Template], *, default: str = "") -> Route:
    """The agent that a running bullpen with these templates would choose for a prompt with this text. Raises
    `NoAgentMatches`."""
    return Router().choose(text, map(describe_for_routing, templates), default=default)
