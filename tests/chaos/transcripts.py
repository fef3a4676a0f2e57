"""The conversations on disk, as the SDK reads them back: the chain from the last entry to the first."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.chaos.ledger import WORD


@dataclass
class Exchange:
    """A prompt in the chain, and what was said until the next one."""

    words: list[str]
    """Of the prompt; a prompt of ours has exactly one."""
    reply: str = ""


@dataclass
class Transcript:
    exchanges: list[Exchange] = field(default_factory=list)
    mentions: set[str] = field(default_factory=set)
    """Every word that stands anywhere in it."""

    @property
    def asked(self) -> list[str]:
        """The words of its prompts, in order."""
        return [word for exchange in self.exchanges for word in exchange.words]

    def reply_to(self, word: str) -> str:
        return "\n".join(exchange.reply for exchange in self.exchanges if word in exchange.words)


def read_transcript(config_dir: Path, uuid: str) -> Transcript:
    """Empty when there is none."""
    from claude_agent_sdk import get_session_messages

    transcript = Transcript()
    with _configured(config_dir):
        messages = get_session_messages(uuid)
    for message in messages:
        texts = list(_texts(message.message))
        transcript.mentions.update(WORD.findall(str(message.message)))
        words = WORD.findall("\n".join(texts)) if message.type == "user" else []
        if words:
            transcript.exchanges.append(Exchange(sorted(set(words))))
        elif transcript.exchanges and message.type == "assistant":
            transcript.exchanges[-1].reply += "\n".join(texts)
    return transcript


def _texts(message: Any) -> Iterator[str]:
    """The text of a message; tool calls and their results are left out."""
    content = message.get("content", "") if isinstance(message, dict) else ""
    blocks: Iterable[Any] = [{"type": "text", "text": content}] if isinstance(content, str) else content
    for block in blocks:
        if isinstance(block, dict) and block.get("type") == "text":
            yield str(block.get("text", ""))


@contextmanager
def _configured(config_dir: Path) -> Iterator[None]:
    """The SDK looks into its own environment, not into that of a client."""
    before = os.environ.get("CLAUDE_CONFIG_DIR")
    os.environ["CLAUDE_CONFIG_DIR"] = str(config_dir)
    try:
        yield
    finally:
        if before is None:
            del os.environ["CLAUDE_CONFIG_DIR"]
        else:
            os.environ["CLAUDE_CONFIG_DIR"] = before
