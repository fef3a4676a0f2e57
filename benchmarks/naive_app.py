"""The smallest web app that answers users with Claude: a client for each request, with `resume`. To compare with.

It runs in a process of its own: `python -m benchmarks.naive_app FOLDER URL USERS` serves on FOLDER/bullpen.sock.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any
from uuid import uuid4

import uvicorn
from claude_agent_sdk import ClaudeAgentOptions, ResultMessage, query
from fastapi import FastAPI

from benchmarks.contenders import Stage


def make_app(stage: Stage) -> FastAPI:
    app = FastAPI()
    sessions: dict[str, str] = {}

    @app.post("/chat")
    async def chat(body: dict[str, str]) -> dict[str, Any]:
        known = sessions.get(body["userId"])
        session = known or str(uuid4())
        workspace = stage.folder / session
        workspace.mkdir(exist_ok=True)
        options = ClaudeAgentOptions(
            **stage.options.arguments,
            env=dict(stage.options.environment),
            cwd=workspace,
            resume=known,
            session_id=None if known else session,
        )
        text = ""
        async for message in query(prompt=body["message"], options=options):
            if isinstance(message, ResultMessage):
                text = message.result or ""
        sessions[body["userId"]] = session
        return {"text": text}

    return app


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    app = make_app(Stage(sys.argv[2], folder, int(sys.argv[3])))
    uvicorn.run(app, uds=str(folder / "bullpen.sock"), log_level="warning")
