"""All that this process offers to agents as tools: one registry for all instances and sessions."""

from __future__ import annotations

import anyio

from supervisor.api.errors import ConfigurationError
from supervisor.config.template import Template
from supervisor.config.tool_functions import read_functions
from supervisor.tools.client_tools import ClientTools, ToolSource
from supervisor.tools.functions import Functions

BLOCKING = 32
"""Calls of blocking functions that run at once, in all sessions together."""


class Tools:
    """Of one supervisor."""

    def __init__(self) -> None:
        self._places = anyio.CapacityLimiter(BLOCKING)

    def prepare(self, template: Template) -> ClientTools:
        """What clients of the template are offered. Imports modules that it names; blocking.

        Raises `ConfigurationError` with a line for each function that cannot be used.
        """
        sources: list[ToolSource] = []
        if template.functions:
            functions, mistakes = read_functions(template.functions, template.path)
            if mistakes:
                lines = [f"{template.name}: tools {entry} {sentence}" for entry, sentence in mistakes]
                raise ConfigurationError(lines)
            sources.append(Functions(functions, self._places))
        return ClientTools(tuple(sources))
