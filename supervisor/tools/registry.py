"""All that this process offers to agents as tools: one registry for all instances and sessions."""

from __future__ import annotations

import os
from collections.abc import Callable

import anyio

from supervisor.api.errors import ConfigurationError
from supervisor.config.client_variables import resolve
from supervisor.config.shared_servers import OF_THE_CLI, is_shared, read_spec
from supervisor.config.template import Template
from supervisor.config.tool_functions import read_functions
from supervisor.tools.cache import Sources
from supervisor.tools.client_tools import ClientTools
from supervisor.tools.functions import Functions
from supervisor.tools.shared_servers import SharedServers
from supervisor.tools.source import ToolSource

BLOCKING = 32
"""Calls of blocking functions that run at once, in all sessions together."""


class Tools:
    """The tools that one supervisor offers to its clients, with the shared MCP servers."""

    def __init__(
        self,
        mark: str = "",
        on_tools: Callable[[frozenset[str]], object] = lambda agents: None,
        sources: Sources | None = None,
    ) -> None:
        """`mark` tells its processes from those of other supervisors. `on_tools` is told the agents whose clients have
        to be started anew: what they were told of their tools is not so any more. `sources` are those of all caches of
        the supervisor."""
        self.servers = SharedServers(mark, on_tools, sources)
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
        shared = {name: server for name, server in template.mcp_servers.items() if is_shared(server)}
        if shared:
            folder = template.path.parent
            own, _ = resolve(template.env, folder, os.environ)
            for name, server in shared.items():
                spec = read_spec(server, folder.absolute(), {**os.environ, **own})
                settings = {key: server[key] for key in OF_THE_CLI if key in server}
                sources.append(self.servers.offer(name, template.name, spec, settings))
        return ClientTools(tuple(sources))
