"""The Python functions of a template as a source of tools."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import anyio

from supervisor.config.tool_functions import FunctionTool
from supervisor.config.tool_references import SERVER
from supervisor.tools.source import Whose

if TYPE_CHECKING:
    from mcp import types


class Functions:
    """A `ToolSource`. It holds no state of any call."""

    name = SERVER
    settings: Mapping[str, Any] = {}
    trouble = ""

    def __init__(self, tools: Sequence[FunctionTool], places: anyio.CapacityLimiter) -> None:
        self._tools = {tool.name: tool for tool in tools}
        self._places = places

    @cached_property
    def version(self) -> str:
        parts = [
            [
                one.name,
                one.description,
                one.schema,
                one.declared.read_only,
                one.declared.timeout,
                one.reference,
                one.version,
            ]
            for one in self._tools.values()
        ]
        return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]

    @cached_property
    def _told(self) -> list[types.Tool]:
        from mcp import types

        return [
            types.Tool.model_validate(
                {
                    "name": one.name,
                    "description": one.description or None,
                    "inputSchema": dict(one.schema),
                    "annotations": {"readOnlyHint": one.declared.read_only},
                    # Named one by one in a template: the model is told them at once, and need not search for them.
                    "_meta": {"anthropic/alwaysLoad": True},
                }
            )
            for one in self._tools.values()
        ]

    async def told(self) -> list[types.Tool]:
        return self._told

    async def call_tool(self, name: str, arguments: Mapping[str, Any], whose: Whose) -> types.CallToolResult:
        from supervisor.tools.calls import run_call
        from supervisor.tools.results import as_error

        if (tool := self._tools.get(name)) is None:
            return as_error(f"there is no tool {name}; there are {', '.join(self._tools)}")
        if (context := whose()) is None:
            return as_error(f"{name} was not called: no turn of this session runs")
        return await run_call(tool, context, arguments, self._places)
