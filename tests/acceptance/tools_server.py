"""An MCP server over stdio with two tools, `find` and `erase`, whose results say that they ran. Needs no library."""

import json
import sys

TOOLS = ("find", "erase")


def answer(method: str, given: dict[str, str]) -> dict[str, object]:
    match method:
        case "initialize":
            info = {"name": "two tools", "version": "1"}
            return {"protocolVersion": given["protocolVersion"], "capabilities": {"tools": {}}, "serverInfo": info}
        case "tools/list":
            return {"tools": [{"name": name, "description": name, "inputSchema": {"type": "object"}} for name in TOOLS]}
        case "tools/call":
            return {"content": [{"type": "text", "text": f"{given['name']} ran"}]}
        case _:
            return {}


if __name__ == "__main__":
    for line in sys.stdin:
        request = json.loads(line)
        if "id" in request:
            result = answer(request["method"], request.get("params", {}))
            print(json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": result}), flush=True)
