"""Some characters of a strip in another style: what was searched for, what is selected."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

Span = tuple[int, int]
"""First character and the one after the last."""


def tint(strip: Strip, spans: Iterable[Span], style: Style) -> Strip:
    """The strip with `style` laid over its characters in `spans`, which are sorted and do not overlap."""
    cuts = sorted({edge for span in spans for edge in span})
    inside = list(spans)
    segments: list[Segment] = []
    at = 0
    for segment in strip:
        for text in _parts(segment.text, at, cuts):
            is_inside = any(begin <= at < end for begin, end in inside)
            base = segment.style or Style.null()
            segments.append(Segment(text, base + style if is_inside else segment.style))
            at += len(text)
    return Strip(segments, strip.cell_length)


def _parts(text: str, at: int, cuts: Sequence[int]) -> Iterable[str]:
    begin = 0
    for edge in cuts:
        if begin < edge - at < len(text):
            yield text[begin : edge - at]
            begin = edge - at
    if begin < len(text):
        yield text[begin:]
