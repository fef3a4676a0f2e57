"""What bullpen asks of whatever offers tools to clients: the functions of a template, or a shared MCP server."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from supervisor.api.tools import RunContext

if TYPE_CHECKING:
    from mcp import types

Whose = Callable[[], RunContext | None]
"""Whose turn runs on a client now."""


class ToolSource(Protocol):
    """The tools of one MCP server, for all clients at once."""

    @property
    def name(self) -> str:
        """Name of the MCP server."""

    @property
    def version(self) -> str:
        """Changes with what is offered."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """Further keys of the server in the CLI's configuration."""

    @property
    def trouble(self) -> str:
        """Why its tools are missing, on one line; mostly empty."""

    async def told(self) -> list[types.Tool]:
        """The tools that a client started now is told of."""

    async def call_tool(self, name: str, arguments: Mapping[str, Any], whose: Whose) -> types.CallToolResult:
        """Never raises but for a cancel."""
