"""What a client is offered by this process, as MCP servers inside the SDK: prepared once for a template, with a thin
server for each client that carries its identity."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from supervisor.api.states import Server, ServerState
from supervisor.late_imports import import_late
from supervisor.text.cleaning import one_line
from supervisor.tools.source import ToolSource, Whose


@dataclass(frozen=True)
class ClientTools:
    """The sources of one template."""

    sources: tuple[ToolSource, ...] = ()

    @cached_property
    def digest(self) -> str:
        """Covers names, schemas and implementations (S4.23)."""
        versions = [[source.name, source.version, dict(source.settings)] for source in self.sources]
        return hashlib.sha256(json.dumps(versions).encode()).hexdigest()[:16] if versions else ""

    def for_cli(self) -> dict[str, Any]:
        """These tools in the CLI's configuration of MCP servers. Calls come back through the CLI's own pipes."""
        return {source.name: {**source.settings, "type": "sdk", "name": source.name} for source in self.sources}

    def mark_troubled(self, servers: Iterable[Server]) -> tuple[Server, ...]:
        """How a client's MCP servers are, as its CLI sees them: what it reaches through this process is always there
        for it, also where the server behind has failed."""
        troubles = {source.name: source.trouble for source in self.sources if source.trouble}
        return tuple(
            Server(one.name, ServerState.FAILED, one_line(troubles[one.name], 200)) if one.name in troubles else one
            for one in servers
        )

    async def for_client(self, whose: Whose) -> dict[str, Any]:
        """MCP servers for the SDK, by name. They know which client they belong to (`whose`)."""
        if not self.sources:
            return {}
        module = await import_late("supervisor.tools.thin_server")
        return {
            source.name: {
                "type": "sdk",
                "name": source.name,
                "instance": module.make_server(source, await source.told(), whose),
            }
            for source in self.sources
        }
