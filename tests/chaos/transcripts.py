"""The conversations on disk, as the SDK reads them back: the chain from the last entry to the first."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.chaos.ledger import WORD

SUMMARY = "This session is being continued from a previous conversation"
"""How the CLI begins a summary (2.1.332)."""


@dataclass
class Exchange:
    """A prompt, and what was said until the next one."""

    word: str
    reply: str = ""


@dataclass
class Transcript:
    exchanges: list[Exchange] = field(default_factory=list)
    mentions: set[str] = field(default_factory=set)
    """Every word that stands anywhere in it."""
    is_summed_up: bool = False
    """The CLI has put a summary in the place of what came first: one that is told of 2^63 tokens does so."""

    @property
    def asked(self) -> list[str]:
        """The words of its prompts, in order."""
        return [exchange.word for exchange in self.exchanges]

    def reply_to(self, word: str) -> str:
        return "\n".join(exchange.reply for exchange in self.exchanges if exchange.word == word)


def read_transcript(config_dir: Path, uuid: str) -> Transcript:
    """Empty when there is none."""
    from claude_agent_sdk import get_session_messages

    with _configured(config_dir):
        messages = get_session_messages(uuid)
    said = [(message.type, text) for message in messages for text in _texts(message.message)]
    mentions = {word for message in messages for word in WORD.findall(str(message.message))}
    return Transcript(make_exchanges(said), mentions, any(text.startswith(SUMMARY) for _, text in said))


def make_exchanges(said: Iterable[tuple[str, str]]) -> list[Exchange]:
    """From (role, text) of whatever was said, oldest first."""
    exchanges: list[Exchange] = []
    for role, text in said:
        if role == "user" and (words := WORD.findall(text)):
            exchanges.append(Exchange(words[0]))
        elif role == "assistant" and exchanges:
            exchanges[-1].reply += f"{text}\n"
    return exchanges


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
