"""An MCP server over stdio for tests, without a library: each call runs in a thread. Its tools `say` and `whose` give
back what they were given, `add` brings another tool and tells so, `die` ends it, `hang` never answers, `slow` takes a
while, `wait` answers when a file is there, `told` says which calls of it were cancelled, `flood` answers with so many
characters, `nonsense` with what is no result."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from typing import Any

TOOLS = [
    "say",
    "whose",
    "add",
    "die",
    "hang",
    "slow",
    "wait",
    "fail",
    "refuse",
    "environment",
    "told",
    "flood",
    "nonsense",
    "babble",
]
_WRITING = threading.Lock()
running = most = listed = 0
hanging: dict[int, str] = {}
"""What each call of `hang` was given, by the number of its request."""
cancelled: list[str] = []


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
            case "wait":
                until = given["arguments"]["until"]
                open(f"{until}-{running}", "w").close()  # so many run now
                while not os.path.exists(until):
                    time.sleep(0.01)
                text = str(most)
            case "told":
                text = json.dumps(cancelled)
            case "flood":
                text = "x" * given["arguments"]["length"]
            case "babble":
                write({"method": "notifications/unheard-of", "params": {"words": "secret words that were said"}})
            case "nonsense":
                return {"content": "secret words that were said"}
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
            global listed
            listed += 1
            if "restless" in sys.argv:
                TOOLS.append(f"more{listed}")
                write({"method": "notifications/tools/list_changed"})
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
        if asked["method"] == "notifications/cancelled":
            cancelled.append(hanging[asked["params"]["requestId"]])
        if asked["method"] == "tools/call" and asked["params"]["name"] == "hang":
            hanging[asked["id"]] = asked["params"]["arguments"].get("text", "")
        if "id" in asked:
            threading.Thread(target=answer, args=(asked,), daemon=True).start()
