"""Markdown cut into its top-level blocks, so that each is rendered once and only the last while it still grows.

Cutting a text as it streams gives the same pieces as cutting it whole: a block counts as finished only when a later
one has begun with a complete line. No widgets, no styles.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Literal, NamedTuple

from tui.wording.sanitize import clean_text

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

CODE_LINES = 64
"""Lines of one piece of a long code block: what a growing block costs per repaint."""
PIECE_CHARACTERS = 12_000
"""A block longer than this is shown as plain text, in pieces of this size: rendering it would stop the loop."""
_LANGUAGE = re.compile(r"[\w+#.-]{1,24}")
"""What a code block says about itself when that is only its language; anything longer is shown above the code."""
TABLE_COLUMNS = 24
"""A table with more columns is shown as plain text."""


class Piece(NamedTuple):
    """A part of a message that is drawn in one way."""

    kind: Literal["markdown", "code", "plain"]
    source: str
    language: str = ""
    is_glued: bool = False
    """Goes on where the piece before stopped: no blank line between them."""


@cache
def parser() -> MarkdownIt:
    """CommonMark with tables, in which no text can vanish: HTML, images and link definitions are text."""
    # Imported with the first reply that is drawn: it takes as long as a third of the screens.
    from markdown_it import MarkdownIt

    markdown = MarkdownIt("commonmark", {"html": False, "maxNesting": 50})
    return markdown.enable(["table", "strikethrough"]).disable(["image", "reference"])


def cut_pieces(text: str) -> list[Piece]:
    """Every block of a cleaned text, in order."""
    return _pieces_of(text, _blocks(text))


def _blocks(text: str) -> list[tuple[Token, int, int]]:
    """(opening token, first character, end) of each top-level block; blank lines belong to the block before."""
    starts = [0]
    for line in text.split("\n"):
        starts.append(starts[-1] + len(line) + 1)
    tokens = [
        token for token in parser().parse(text) if token.level == 0 and token.nesting >= 0 and token.map is not None
    ]
    begins = [starts[token.map[0]] for token in tokens if token.map is not None]
    ends = [*begins[1:], len(text)] if begins else []
    return list(zip(tokens, begins, ends, strict=True))


def _pieces_of(text: str, blocks: list[tuple[Token, int, int]]) -> list[Piece]:
    pieces: list[Piece] = []
    for token, begin, end in blocks:
        source = text[begin:end].rstrip("\n")
        if token.type in ("fence", "code_block"):
            pieces.extend(_code_pieces(token))
        elif len(source) > PIECE_CHARACTERS or (token.type == "table_open" and _columns(source) > TABLE_COLUMNS):
            pieces.extend(
                Piece("plain", source[at : at + PIECE_CHARACTERS], is_glued=at > 0)
                for at in range(0, len(source), PIECE_CHARACTERS)
            )
        else:
            pieces.append(Piece("markdown", source))
    return pieces


def _code_pieces(token: Token) -> list[Piece]:
    lines = token.content.removesuffix("\n").split("\n")
    info = token.info.strip()
    language = info if _LANGUAGE.fullmatch(info) else ""
    head = [Piece("plain", f"{token.markup} {info}")] if info and not language else []
    return head + [
        Piece("code", "\n".join(lines[at : at + CODE_LINES]), language, is_glued=at > 0 or bool(head))
        for at in range(0, len(lines), CODE_LINES)
    ]


def _columns(table: str) -> int:
    return table.split("\n", 1)[0].count("|")


class PieceStream:
    """The pieces of a text that still grows. Only its last block is looked at again."""

    def __init__(self) -> None:
        self.text = ""
        """All of it, cleaned."""
        self._held = ""
        self._tail_at = 0

    def feed(self, fragment: str) -> list[Piece]:
        """Adds text; returns the pieces that it finished."""
        fragment = self._held + fragment
        self._held = "\r" if fragment.endswith("\r") else ""
        self.text += clean_text(fragment.removesuffix("\r") if self._held else fragment)
        complete = self.text[self._tail_at : self.text.rfind("\n") + 1]
        blocks = _blocks(complete)[:-1] if complete else []
        if not blocks:
            return []
        self._tail_at += blocks[-1][2]
        return _pieces_of(complete, blocks)

    def open_pieces(self) -> list[Piece]:
        """The pieces of what is not finished yet, as they look now."""
        return cut_pieces(self.text[self._tail_at :])
