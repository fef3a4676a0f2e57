"""The MCP server of one client inside the SDK: it passes everything on to the source that all clients share."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

# The SDK's own way to a server whose calls end with the turn, whichever version of mcp is installed.
from claude_agent_sdk._internal._mcp_compat import build_tool_server
from mcp import types

from supervisor.tools.results import as_error, say

if TYPE_CHECKING:
    from mcp.server import Server

    from supervisor.tools.source import ToolSource, Whose

_log = logging.getLogger(__name__)


def make_server(source: ToolSource, tools: list[types.Tool], whose: Whose) -> Server[Any, Any]:
    async def call(name: str, arguments: Mapping[str, Any]) -> types.CallToolResult:
        try:
            return await source.call_tool(name, arguments, whose)
        except Exception as error:
            _log.exception("a call of %s failed in bullpen itself", name)
            return as_error(f"{name} could not be called: {say(error)}")

    return build_tool_server(source.name, source.version, tools, call)
