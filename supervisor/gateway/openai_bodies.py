"""Requests of OpenAI's chat API, as real clients send them: what is not understood is passed over, as that API does."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

TITLE_WORDS = ("generate a concise", "title for", "follow-up", "follow up questions", "generate 1-3 broad tags", "tags")
"""What chat front ends ask for beside a conversation, in the words of Open WebUI and LibreChat."""
SMALL_REPLY = 1_000
"""`max_tokens` up to which such a request asks for."""


class Message(BaseModel):
    model_config = ConfigDict(extra="ignore")

    role: str
    content: str | list[dict[str, Any]] | None = ""

    @property
    def text(self) -> str:
        """Parts of text, one below the other; images and files are no part of a prompt."""
        if isinstance(self.content, str):
            return self.content
        parts = self.content or []
        return "\n".join(str(part.get("text", "")) for part in parts if part.get("type") in ("text", "input_text"))


class StreamOptions(BaseModel):
    model_config = ConfigDict(extra="ignore")

    include_usage: bool = False


class ChatCompletion(BaseModel):
    """`POST /v1/chat/completions`."""

    model_config = ConfigDict(
        extra="ignore",
        json_schema_extra={"examples": [{"model": "helpdesk", "messages": [{"role": "user", "content": "Hello"}]}]},
    )

    model: str = Field(description="The agent; `auto` for the one that the message is for.")
    messages: list[Message] = Field(min_length=1)
    stream: bool = False
    stream_options: StreamOptions | None = None
    user: str = Field(default="", description="For whom; from a token that may name users.")
    metadata: dict[str, Any] | None = Field(
        default=None, description="`session` names the conversation, `provider` and `model` what it runs with."
    )
    max_tokens: int | None = None
    max_completion_tokens: int | None = None

    @property
    def prompt(self) -> str:
        """The newest message of the user: the only one that is sent to the agent. Empty when there is none."""
        return self.messages[-1].text if self.messages[-1].role == "user" else ""

    @property
    def choice(self) -> dict[str, Any]:
        """What it asks to run with: `model` names the agent, so the metadata say it."""
        told = self.metadata or {}
        return {name: told[name] for name in ("provider", "model") if isinstance(told.get(name), str)}

    @property
    def history(self) -> list[Message]:
        """The messages before the last prompt, without those that a client's settings add."""
        return [one for one in self.messages[:-1] if one.role in ("user", "assistant")]

    @property
    def is_aside(self) -> bool:
        """A front end's own request (a title, tags, follow-up questions): it is no part of the conversation."""
        if isinstance((self.metadata or {}).get("task"), str):
            return True
        most = self.max_tokens or self.max_completion_tokens
        words = self.prompt.lower()[:2_000]
        is_small = not self.stream or (most is not None and most <= SMALL_REPLY)
        return is_small and words.startswith("### task") and any(word in words for word in TITLE_WORDS)


def fingerprint(messages: list[Message]) -> str:
    """A hash of a history: equal for two histories that say the same."""
    said = json.dumps([(one.role, one.text.strip()) for one in messages], ensure_ascii=False)
    return hashlib.sha256(said.encode(errors="surrogatepass")).hexdigest()[:24]
