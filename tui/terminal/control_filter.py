"""The last gate of untrusted text: what a widget did not clean is cleaned in the line that is drawn."""

from __future__ import annotations

from rich.cells import cell_len
from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter
from textual.strip import Strip

from tui.wording.sanitize import DANGEROUS, REPLACEMENT


class ControlFilter(LineFilter):
    """Replaces dangerous characters in every strip, and takes links off it.

    The strip keeps its width: what the replacement characters take is given back by the spaces that follow, or cut
    off the end.
    """

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        search = DANGEROUS.search
        for text, style, _control in segments:
            if search(text) or (style is not None and style._link):
                return _defuse(segments)
        return segments


def _defuse(segments: list[Segment]) -> list[Segment]:
    width = sum(cell_len(segment.text) for segment in segments)
    surplus = 0
    defused: list[Segment] = []
    for text, style, control in segments:
        clean = DANGEROUS.sub(REPLACEMENT, text)
        if clean != text:
            surplus += cell_len(clean) - cell_len(text)
        if surplus > 0 and (spaces := min(surplus, len(clean) - len(clean.rstrip(" ")))):
            clean = clean[:-spaces]
            surplus -= spaces
        if style is not None and style._link:
            style = style.update_link(None)
        defused.append(Segment(clean, style, control))
    return defused if surplus == 0 else list(Strip(defused).adjust_cell_length(width))
