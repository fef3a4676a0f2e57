"""An MCP server over stdio, without a library: two tools, `find` and `erase`, whose results say that they ran, or those
that `serve` is given."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping

TOOLS: Mapping[str, Callable[[], str]] = {"find": lambda: "find ran", "erase": lambda: "erase ran"}


def serve(tools: Mapping[str, Callable[[], str]]) -> None:
    for line in sys.stdin:
        request = json.loads(line)
        if "id" in request:
            result = _answer(tools, request["method"], request.get("params", {}))
            print(json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": result}), flush=True)


def _answer(tools: Mapping[str, Callable[[], str]], method: str, given: dict[str, str]) -> dict[str, object]:
    match method:
        case "initialize":
            info = {"name": "some tools", "version": "1"}
            return {"protocolVersion": given["protocolVersion"], "capabilities": {"tools": {}}, "serverInfo": info}
        case "tools/list":
            return {"tools": [{"name": name, "description": name, "inputSchema": {"type": "object"}} for name in tools]}
        case "tools/call":
            return {"content": [{"type": "text", "text": tools[given["name"]]()}]}
        case _:
            return {}


if __name__ == "__main__":
    serve(TOOLS)
