"""Blocks one below the other: which line belongs to which. Heights are exact where blocks have been drawn."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

from tui.transcript.blocks import Block
from tui.transcript.text_drawing import Paint


class Stack:
    def __init__(self, blocks: Sequence[Block], paint: Paint) -> None:
        self.paint = paint
        self.blocks = list(blocks)
        self._heights = [block.height(paint) for block in blocks]
        self._starts: list[int] | None = None

    def __len__(self) -> int:
        return len(self.blocks)

    @property
    def starts(self) -> list[int]:
        """First line of every block; one more entry for the end."""
        if self._starts is None:
            self._starts = [0, *accumulate(self._heights)]
        return self._starts

    @property
    def total(self) -> int:
        """Lines of everything."""
        return self.starts[-1]

    def locate(self, line: int) -> tuple[int, int]:
        """(index, offset) of the block a line belongs to; lines past the end belong to the last block."""
        if not self.blocks:
            return 0, 0
        index = min(bisect_right(self.starts, max(0, line)) - 1, len(self.blocks) - 1)
        return index, max(0, line) - self.starts[index]

    def draw(self, index: int) -> int:
        """Makes a block's height exact, and returns it."""
        block = self.blocks[index]
        block.draw(self.paint)
        height = block.height(self.paint)
        if height != self._heights[index]:
            self._heights[index] = height
            self._starts = None
        return height

    def draw_down(self, index: int, lines: int) -> None:
        """Draws blocks from `index` on until they fill so many lines."""
        while index < len(self.blocks) and lines > 0:
            lines -= self.draw(index)
            index += 1

    def draw_up(self, index: int, lines: int) -> None:
        """Draws blocks from `index` upwards until they fill so many lines."""
        while index >= 0 and lines > 0:
            lines -= self.draw(index)
            index -= 1

    def settle(self, index: int, offset: int) -> int:
        """Draws a block and returns where the same place in it is now, seen from the block's end when it was rough."""
        if self.blocks[index].is_drawn(self.paint):
            return min(offset, max(0, self.draw(index) - 1))
        before = self._heights[index]
        now = self.draw(index)
        return max(0, min(now - 1, now - (before - offset)))

    def index_of(self, block: Block) -> int | None:
        for index in range(len(self.blocks) - 1, -1, -1):
            if self.blocks[index] is block:
                return index
        return None
