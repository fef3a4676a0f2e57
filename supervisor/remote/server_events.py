"""Server-sent events, read as they arrive."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator
from typing import NamedTuple


class ServerEvent(NamedTuple):
    name: str
    data: str
    id: str = ""


async def read_lines(parts: AsyncIterable[bytes]) -> AsyncIterator[str]:
    """Lines that end with a line feed. No other character ends one: the text of a reply may hold them all."""
    rest: list[bytes] = []
    async for part in parts:
        first, *others = part.split(b"\n")
        rest.append(first)
        for other in others:
            yield b"".join(rest).removesuffix(b"\r").decode(errors="replace")
            rest = [other]


async def read_events(parts: AsyncIterable[bytes]) -> AsyncIterator[ServerEvent]:
    """Yields the events of a stream. Comments, and an incomplete event at its end, are skipped."""
    name = id = ""
    data: list[str] = []
    async for line in read_lines(parts):
        if not line:
            if data:
                yield ServerEvent(name, "\n".join(data), id)
            name, id, data = "", "", []
            continue
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            name = value
        elif field == "id":
            id = value
        elif field == "data":
            data.append(value)
