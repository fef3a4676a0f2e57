"""Searching a conversation: matches are counted in the blocks' own text, so nothing has to be drawn for it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tui.transcript.blocks import Block
from tui.transcript.highlight import Span
from tui.transcript.text_drawing import Paint


class Finder:
    """The matches of one needle, whatever the case, and which of them is the current one."""

    def __init__(self, needle: str, blocks: Sequence[Block]) -> None:
        self.needle = needle
        self._pattern = re.compile(re.escape(needle), re.IGNORECASE)
        self.matches: list[tuple[Block, int]] = self._find(blocks)
        """(block, how many matches come before it in the block)."""
        self.current = len(self.matches)

    def _find(self, blocks: Sequence[Block]) -> list[tuple[Block, int]]:
        return [
            (block, ordinal) for block in blocks for ordinal, _ in enumerate(self._pattern.finditer(block.source()))
        ]

    def renew(self, blocks: Sequence[Block]) -> None:
        """Counts again what has been said since; the current match stays the same one."""
        at = self.matches[self.current] if self.current < len(self.matches) else None
        self.matches = self._find(blocks)
        if at in self.matches:
            self.current = self.matches.index(at)

    @property
    def place(self) -> str:
        """Which match is the current one: `3 of 29`; `no match` when there is none."""
        count = len(self.matches)
        return f"{self.current % count + 1} of {count}" if count else "no match"

    def spans(self, text: str) -> list[Span]:
        return [found.span() for found in self._pattern.finditer(text)]

    def step(self, by: int) -> tuple[Block, int] | None:
        """Moves to the next or the previous match, round the ends; None when there is none."""
        if not self.matches:
            return None
        self.current = (self.current + by) % len(self.matches)
        return self.matches[self.current]

    def line_of(self, block: Block, ordinal: int, paint: Paint) -> int | None:
        """The line of the drawn block that shows the match; None when a fold hides it."""
        lines = [at for at, strip in enumerate(block.draw(paint)) for _ in self.spans(strip.text)]
        return lines[min(ordinal, len(lines) - 1)] if lines else None
