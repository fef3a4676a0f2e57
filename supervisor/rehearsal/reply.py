"""What the rehearsal endpoint does about one request: a list of steps, played in order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Say:
    """A text block, streamed in fragments."""

    fragments: tuple[str, ...]
    gap: float = 0.04
    """Seconds between two fragments, at pace 1."""

    @property
    def text(self) -> str:
        return "".join(self.fragments)


@dataclass(frozen=True, slots=True)
class Use:
    """A tool call. It ends the reply: the CLI runs the tool and comes back with its result."""

    tool: str
    input: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Wait:
    """Thinking time."""

    seconds: float
    """At pace 1."""


@dataclass(frozen=True, slots=True)
class Stall:
    """Headers were sent; nothing follows until the client goes away."""


@dataclass(frozen=True, slots=True)
class Cut:
    """The connection breaks here, without an end of the message."""

    text: str = ""
    """Streamed before, as a block that does not end."""


@dataclass(frozen=True, slots=True)
class Refuse:
    """An HTTP error in place of a message. It counts only as the first step that is not a `Wait`."""

    status: int
    retry_after: float | None = None
    """Seconds, sent as the `retry-after` header."""
    message: str = ""
    """The API's words; empty means its usual ones for that status."""


@dataclass(frozen=True, slots=True)
class Charge:
    """The reply says that it used so many tokens, whatever it really did."""

    input_tokens: int
    output_tokens: int


Step = Say | Use | Wait | Stall | Cut | Refuse | Charge
Reply = tuple[Step, ...]
Fault = Refuse | Stall | Cut


def stop_reason(reply: Reply) -> str:
    """`tool_use` when the reply calls a tool, else `end_turn`."""
    return "tool_use" if any(isinstance(step, Use) for step in reply) else "end_turn"


def fragments(text: str, size: int = 2) -> tuple[str, ...]:
    """Cuts a text into fragments of `size` words; joined they are the text again."""
    pieces: list[str] = []
    start = words = 0
    for index in range(1, len(text)):
        if text[index - 1].isspace() and not text[index].isspace():
            words += 1
            if words % size == 0:
                pieces.append(text[start:index])
                start = index
    if text:
        pieces.append(text[start:])
    return tuple(pieces)
