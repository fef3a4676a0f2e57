"""An MCP server over stdio for tests, without a library: each call runs in a thread. Its tools `say` and `whose` give
back what they were given, `add` brings another tool and tells so, `die` ends it, `hang` never answers."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from typing import Any

TOOLS = ["say", "whose", "add", "die", "hang", "slow", "fail", "refuse", "environment"]
_WRITING = threading.Lock()
running = most = 0


def write(message: dict[str, Any]) -> None:
    with _WRITING:
        print(json.dumps({"jsonrpc": "2.0", **message}), flush=True)


def call(given: dict[str, Any]) -> dict[str, Any]:
    global running, most
    running += 1
    most = max(most, running)
    text = ""
    try:
        match given["name"]:
            case "say":
                text = given["arguments"].get("text", "")
            case "whose":
                text = json.dumps(given.get("_meta", {}))
            case "add":
                TOOLS.append("more")
                write({"method": "notifications/tools/list_changed"})
            case "die":
                print("secret-of-the-server is what it says", file=sys.stderr, flush=True)
                os._exit(3)
            case "hang":
                time.sleep(600)
            case "slow":
                time.sleep(0.2)
                text = str(most)
            case "environment":
                text = json.dumps(dict(os.environ))
            case "fail":
                return {"content": [{"type": "text", "text": "no"}], "isError": True}
    finally:
        running -= 1
    return {"content": [{"type": "text", "text": text}]}


def answer(request: dict[str, Any]) -> None:
    given = request.get("params", {})
    result: dict[str, Any] = {}
    match request["method"]:
        case "initialize":
            info = {"name": "for tests", "version": "1"}
            capabilities = {"tools": {"listChanged": True}}
            result = {"protocolVersion": given["protocolVersion"], "capabilities": capabilities, "serverInfo": info}
        case "tools/list":
            result = {"tools": [{"name": name, "inputSchema": {"type": "object"}} for name in TOOLS]}
        case "tools/call" if given["name"] == "refuse":
            write({"id": request["id"], "error": {"code": -32602, "message": "not these arguments"}})
            return
        case "tools/call":
            result = call(given)
    write({"id": request["id"], "result": result})


if __name__ == "__main__":
    if "fails" in sys.argv:
        print("cannot start with secret-of-the-server", file=sys.stderr)
        sys.exit(1)
    for line in sys.stdin:
        asked = json.loads(line)
        if "id" in asked:
            threading.Thread(target=answer, args=(asked,), daemon=True).start()
