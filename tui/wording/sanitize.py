"""Untrusted text on its way to the screen: nothing in it may drive the terminal or break the layout.

Text is cleaned where a widget takes it (`clean_cell`, `clean_text`), so that what is measured is what is drawn;
`ControlFilter` (`tui/terminal/control_filter.py`) is the last gate, for every widget that does not.
"""

from __future__ import annotations

import re

from supervisor import FORBIDDEN, SELECTORS, TONES, flatten_marks, is_mark
from tui.wording.format import cut

REPLACEMENT = "\ufffd"
BASE = "\u25cc"
"""Carries a mark that has no character of its own: it would be drawn into the cell to the left of the text."""

DANGEROUS = re.compile(f"[\t\n{FORBIDDEN}]")
"""What the engine's table forbids, and breaks: none of it belongs in a drawn line."""

_NOT_IN_TEXT = re.compile(f"\r\n?|[{FORBIDDEN}]")
"""The same for text of several lines: newlines and tabs stay; a carriage return begins a line."""

_MISMEASURED = re.compile(f"[{SELECTORS}{TONES}]")
"""Variation selectors and skin tones: terminals and Rich disagree about their width (measured)."""

_SPACES = re.compile(r"[\t\n\v\f\r\x85\u2028\u2029]+")

CELL_CHARACTERS = 1_000
"""No table cell is wider than this; the rest of a text is not even looked at."""


def clean_cell(text: str, width: int = CELL_CHARACTERS) -> str:
    """One line for a table cell of at most `width` cells: breaks become spaces, control characters U+FFFD."""
    if len(text) > CELL_CHARACTERS:
        text = text[:CELL_CHARACTERS] + "…"
    if not text.isascii() or not text.isprintable():
        text = _readable(DANGEROUS.sub(REPLACEMENT, _SPACES.sub(" ", text)))
        if text and is_mark(text[0]):
            text = f"{BASE}{text}"
    return cut(text, width)


def clean_text(text: str) -> str:
    """Several lines, ready to be measured and drawn: newlines stay, tabs become four spaces."""
    if text.isascii() and text.isprintable():
        return text
    text = _NOT_IN_TEXT.sub(lambda found: "\n" if found[0][0] == "\r" else REPLACEMENT, text)
    return _readable(text).replace("\t", "    ")


def _readable(text: str) -> str:
    """Without what has no width that all agree on, and without piles of marks."""
    return flatten_marks(_MISMEASURED.sub("", text))
