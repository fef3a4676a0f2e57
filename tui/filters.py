"""Untrusted text on its way to the screen: nothing in it may drive the terminal or break the layout.

Text is cleaned where a widget takes it (`clean_cell`, `clean_text`), so that what is measured is what is drawn;
`ControlFilter` is the last gate, for every widget that does not.
"""

from __future__ import annotations

import re

from rich.cells import cell_len
from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter
from textual.strip import Strip

from tui.format import cut

REPLACEMENT = "\ufffd"

_INVISIBLE = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\u3164\ufeff\uffa0\ufff0-\ufffb\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
"""Soft hyphen, joiners, fillers, zero-width, line separators, bidi controls, interlinear anchors, tags."""

DANGEROUS = re.compile(f"[\x00-\x1f\x7f-\x9f\ud800-\udfff{_INVISIBLE}]")
"""C0, DEL, C1, lone surrogates and what cannot be seen: none of it belongs in a drawn line."""

_NOT_IN_TEXT = re.compile(f"\r\n?|[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff{_INVISIBLE}]")
"""The same for text of several lines: newlines and tabs stay; a carriage return begins a line."""

_MISMEASURED = re.compile("[\ufe00-\ufe0f\U0001f3fb-\U0001f3ff]")
"""Variation selectors and skin tones: terminals and Rich disagree about their width (measured)."""

_SPACES = re.compile(r"[\t\n\v\f\r\x85\u2028\u2029]+")

CELL_CHARACTERS = 1_000
"""No table cell is wider than this; the rest of a text is not even looked at."""


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


def clean_cell(text: str, width: int = CELL_CHARACTERS) -> str:
    """One line for a table cell of at most `width` cells: breaks become spaces, control characters U+FFFD."""
    if len(text) > CELL_CHARACTERS:
        text = text[:CELL_CHARACTERS] + "…"
    if not text.isascii() or not text.isprintable():
        text = _MISMEASURED.sub("", DANGEROUS.sub(REPLACEMENT, _SPACES.sub(" ", text)))
    return cut(text, width)


def clean_text(text: str) -> str:
    """Several lines, ready to be measured and drawn: newlines stay, tabs become four spaces."""
    if text.isascii() and text.isprintable():
        return text
    text = _NOT_IN_TEXT.sub(lambda found: "\n" if found[0][0] == "\r" else REPLACEMENT, text)
    return _MISMEASURED.sub("", text).replace("\t", "    ")
