"""A question as the lines that are read before it is answered: whole, in the same order on every surface."""

from __future__ import annotations

from collections.abc import Iterator
from textwrap import wrap
from typing import NamedTuple

from rich.cells import cell_len, chop_cells

from supervisor import Question
from tui.wording.format import tool_name
from tui.wording.sanitize import clean_text

CONTINUED = "↪ "
"""Begins each further row of a line that is too long for one: no part of a line looks like a line of its own."""
_LONG_NAME = 40
"""Characters of a tool's name that every heading has room for."""
_DIFF_ROLES = {"@": "hunk", "-": "removed", "+": "added"}


class Line(NamedTuple):
    role: str
    """`warn`, `note`, `heading`, `hunk`, `added`, `removed`, or empty for plain text."""
    text: str


def lines_of(question: Question) -> list[Line]:
    """Everything about the question: warnings first, what "always" would cover last."""
    return list(_lines(question))


def _lines(question: Question) -> Iterator[Line]:
    for warning in question.warnings:
        yield from _each("warn", f"⚠ {warning}")
    for note in question.notes:
        yield from _each("note", note)
    if len(question.tool) > _LONG_NAME:
        yield from _each("note", f"The tool is {question.tool}")
    if question.diff:
        yield Line("heading", f"What would change in {clean_text(question.summary)}")
        for line in question.diff.split("\n"):
            yield Line(_DIFF_ROLES.get(line[:1], ""), clean_text(line))
    yield Line("heading", "The whole call")
    yield from _each("", question.detail or "no arguments")
    if question.always:
        yield Line("heading", "What “always in this session” would allow")
        yield Line("", always_words(question))


def _each(role: str, text: str) -> Iterator[Line]:
    for line in clean_text(text).split("\n"):
        yield Line(role, line)


def rows_of(line: Line, width: int) -> list[str]:
    """The line as rows of at most `width` cells. Sentences are broken between words, everything else where it must."""
    if line.role in ("warn", "note"):
        rows = wrap(line.text, max(4, width), subsequent_indent="  ") or [""]
        if all(cell_len(row) <= width for row in rows):
            return rows
    return fold(line.text, width)


def fold(text: str, width: int) -> list[str]:
    """One line as rows of at most `width` cells; nothing is left out, blanks where it is broken included."""
    width = max(4, width)
    if len(text) <= width and (text.isascii() or cell_len(text) <= width):
        return [text]
    room = width - len(CONTINUED)
    if text.isascii():
        first, rest = text[:width], text[width:]
        return [first, *(f"{CONTINUED}{rest[at : at + room]}" for at in range(0, len(rest), room))]
    first, *rows = chop_cells(text, room)
    return [first, *(f"{CONTINUED}{row}" for row in rows)]


def always_words(question: Question) -> str:
    """What "always" would allow, on one line. A long command is not said twice: it stands in the text, whole."""
    if len(question.always) <= 3 * _LONG_NAME and "\n" not in question.always:
        return clean_text(question.always)
    return f"{clean_text(tool_name(question.tool))} with exactly this call, to the letter and with its switches"
