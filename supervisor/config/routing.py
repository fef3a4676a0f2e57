"""Where a prompt goes that names no agent: `[routing]` in `bullpen.toml`."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import BaseModel, ConfigDict, Field

from supervisor.api.types import Route
from supervisor.config.template import Template
from supervisor.routing.index import Described, flatten_triggers
from supervisor.routing.router import Router


class RoutingSettings(BaseModel):
    """What is sent to an agent by what it says."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    default: str = Field(
        default="",
        description="The agent for prompts that name none and match none. Default: none, such prompts are refused.",
    )


def describe_for_routing(template: Template) -> Described:
    """What of a template a text is compared with."""
    return Described(template.name, template.description, flatten_triggers(template.triggers))


def choose_agent(text: str, templates: Iterable[Template], *, default: str = "") -> Route:
    """As a running bullpen of these templates would choose. Raises `NoAgentMatches`."""
    return Router().choose(text, map(describe_for_routing, templates), default=default)
