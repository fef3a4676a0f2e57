"""Text as it is shown for a decision: nothing of it is hidden, nothing of it is pushed out of sight."""

from __future__ import annotations

import re

from supervisor.text.cleaning import reveal

LONG_RUN = 32
"""Blanks in a row from which on they are counted instead of shown."""
_EMPTY_LINES = r"\n(?:[ \t]*\n){5,}"
_RUN = rf"[ \t]{{{LONG_RUN},}}"
_PUSHES = re.compile(f"{_EMPTY_LINES}|{_RUN}")
_COUNTED = re.compile(rf"(?P<empty>{_EMPTY_LINES})|{_RUN}|[ \t]+(?=\n|\Z)")


def show(text: str) -> str:
    """The text with visible escapes for what cannot be seen, and numbers for what pushes other text out of sight: long
    runs of blanks, empty lines, blanks at the end of a line."""
    if text.isascii() and text.isprintable() and not text.endswith(" ") and " " * LONG_RUN not in text:
        return text
    return _COUNTED.sub(_count, reveal(text))


def pushes_text_away(text: str) -> bool:
    """Whether long runs of blanks or empty lines would push what follows out of sight."""
    return _PUSHES.search(text) is not None


def _count(found: re.Match[str]) -> str:
    text = found[0]
    if found["empty"]:
        return f"\n⟨{text.count(chr(10)) - 1:,} empty lines⟩\n"
    kind = "blank" if "\t" in text and " " in text else "tab" if "\t" in text else "space"
    return f"⟨{len(text):,} {kind}{'s' if len(text) > 1 else ''}⟩"
