"""Tools of MCP servers: which of them a list of tools names.

As in Claude Code (measured): a list that names no tool of a server gives none of them, `mcp__SERVER` and
`mcp__SERVER__*` give all of that server, `mcp__SERVER__TOOL` gives one, and other patterns give nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from msgspec import Struct, field

PREFIX = "mcp__"


def is_of_server(tool: str) -> bool:
    return tool.startswith(PREFIX)


def spelled(text: str) -> str:
    """The name of a server or tool in the CLI's spelling: every character outside `A-Za-z0-9_-` becomes `_`."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", text)


def spelled_whole(words: str) -> str:
    """`mcp__my_wiki` for the words `mcp__my wiki`, which a list of tools would take for two; empty for others."""
    words = words.strip()
    return spelled(words) if " " in words and words.rfind(PREFIX) == 0 else ""


class ServerTools(Struct, frozen=True):
    """Which tools of each MCP server an agent gets by its list of tools."""

    named: Mapping[str, tuple[str, ...] | None] = field(default_factory=dict)
    """Full names of tools by server as the CLI spells it; None is all of that server. Empty: nothing is restricted."""

    def __bool__(self) -> bool:
        """Whether any tool of a server is kept from the agent."""
        return any(tools is not None for tools in self.named.values())

    @property
    def unnamed(self) -> tuple[str, ...]:
        """Servers none of whose tools are given."""
        return tuple(server for server, tools in self.named.items() if tools == ())

    @property
    def taken(self) -> tuple[str, ...]:
        """Rules that hide the tools of unnamed servers from the model. A rule for `a` would take those of a server
        `a__b` as well: where that one is named, calls are refused instead."""
        given = [server for server, tools in self.named.items() if tools != ()]
        return tuple(
            f"{PREFIX}{server}"
            for server in self.unnamed
            if not any(other.startswith(f"{server}__") for other in given)
        )

    def find_objection(self, tool: str) -> str:
        """Why a call of the tool must not run, in words for the agent; empty when nothing is against it."""
        if not self or not is_of_server(tool):
            return ""
        owners = [server for server in self.named if tool.startswith(f"{PREFIX}{server}__")]
        allowed = self.named[max(owners, key=len)] if owners else ()
        if allowed is None or tool in allowed:
            return ""
        only = f"; of that server it has {', '.join(allowed)}" if allowed else ""
        return f"{tool} is not among the agent's tools{only}"


def read_server_tools(tools: Iterable[str] | None, servers: Iterable[str]) -> ServerTools:
    """`tools` as a template names them, None for all; `servers` are the names of the MCP servers that the agent has."""
    if tools is None:
        return ServerTools()
    words = {word.removesuffix("(*)") for word in tools if is_of_server(word)}
    names = sorted({spelled(server) for server in servers}, key=len, reverse=True)
    named: dict[str, tuple[str, ...] | None] = {}
    for name in sorted(names):
        if words & {f"{PREFIX}{name}", f"{PREFIX}{name}__*"}:
            named[name] = None
        else:
            named[name] = tuple(sorted(word for word in words if _owner(word, names) == name and _is_one_tool(word)))
    return ServerTools(named)


def _owner(word: str, longest_first: Iterable[str]) -> str:
    return next((name for name in longest_first if word.startswith(f"{PREFIX}{name}__")), "")


def _is_one_tool(word: str) -> bool:
    """Patterns and brackets name no tool."""
    return word == spelled(word)
