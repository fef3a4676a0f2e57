"""Markdown cut into blocks: streaming gives what the whole text gives, and nothing is lost on the way."""

from __future__ import annotations

import random

import pytest
from rich.style import Style

from tui.transcript.markdown_split import CODE_LINES, PIECE_CHARACTERS, Piece, PieceStream, cut_pieces
from tui.transcript.text_drawing import Paint
from tui.wording.sanitize import clean_text

MIXED = """# Title with `code`

A paragraph with **bold**, a [link](http://x.y/z) and <b>html</b>
on two lines.
- a
- b

  second paragraph of b

1. one

2. two
10. ten

> quote
lazy

[ref]: http://foo.example

| a | b |
|---|--:|
| 1 | 2 |
```python
def f(): # not a heading
    return 1

# nor this
```
~~~ why not
tilde
~~~
Setext
===

    indented

    code
***
<details>
hidden?
</details>

![image](http://a/b.png) and the end"""

WORDS = ["alpha", "beta", "**gamma**", "`delta`", "[epsilon](http://zeta.example)", "eta", "<theta>", "iota"]


def paint(width: int = 60) -> Paint:
    return Paint(width, lambda role: Style.null(), lambda role: Style.null(), is_dark=True)


def drawn(pieces: list[Piece], width: int = 60) -> list[str]:
    """The lines as a transcript shows them: a blank one between pieces that do not belong together."""
    brush = paint(width)
    lines: list[str] = []
    for piece in pieces:
        if lines and not piece.is_glued:
            lines.append("")
        lines += [strip.text for strip in brush.piece(piece)]
    return lines


def streamed(text: str, chance: random.Random, longest: int = 12) -> list[Piece]:
    stream = PieceStream()
    pieces: list[Piece] = []
    at = 0
    while at < len(text):
        size = chance.randint(1, longest)
        pieces += stream.feed(text[at : at + size])
        at += size
        stream.open_pieces()
    return pieces + stream.open_pieces()


@pytest.mark.parametrize("seed", range(30))
def test_a_streamed_text_has_the_pieces_of_the_whole_text(seed: int) -> None:
    """D2: fragments of any size, cut anywhere."""
    chance = random.Random(seed)
    blocks = MIXED.split("\n\n")
    chance.shuffle(blocks)
    text = "\n\n".join(blocks) if seed % 2 else MIXED
    if seed % 3 == 0:
        text = text.replace("\n", "\r\n")
    assert streamed(text, chance) == cut_pieces(clean_text(text))


def test_no_word_is_lost() -> None:
    """HTML, images, link definitions and addresses are text like any other."""
    text = "\n".join(drawn(cut_pieces(MIXED)))
    for word in (
        "Title with code",
        "bold",
        "link (http://x.y/z)",
        "<b>html</b>",
        "second paragraph",
        "lazy",
        "[ref]: http://foo.example",
        "# not a heading",
        "~~~ why not",
        "tilde",
        "Setext",
        "indented",
        "<details>",
        "hidden?",
        "image (http://a/b.png)",
        "and the end",
    ):
        assert word in text, word


def test_a_narrow_table_folds_instead_of_cutting() -> None:
    text = f"| key | value |\n|---|---|\n| {'k' * 30} | {'v' * 90} |"
    lines = "".join(drawn(cut_pieces(text), 40))
    assert lines.count("k") == 30 + 1
    assert lines.count("v") == 90 + 1


@pytest.mark.parametrize("width", [8, 20, 79])
def test_no_line_is_wider_than_its_room(width: int) -> None:
    """R5: no layout break."""
    wild = (
        MIXED + "\n\n" + "日本語" * 50 + "\n\n" + "x" * 500 + "\n\n```\n" + "y" * 300 + "\n```\n" + "> " * 30 + "deep"
    )
    brush = paint(width)
    for piece in cut_pieces(clean_text(wild)):
        assert all(strip.cell_length <= width for strip in brush.piece(piece)), piece


def test_a_long_code_block_is_drawn_in_parts_and_is_the_same_when_streamed() -> None:
    """A growing block of code costs its last part per repaint, not all of it."""
    for count in (CODE_LINES - 1, CODE_LINES, CODE_LINES + 1, CODE_LINES * 3 + 5):
        code = "\n".join(f"line {number}" for number in range(count))
        text = f"before\n\n```text\n{code}\n```\n\nafter"
        pieces = cut_pieces(text)
        assert streamed(text, random.Random(count), 40) == pieces
        assert len(pieces) == 2 + -(-count // CODE_LINES)
        assert "\n".join(line.strip() for line in drawn(pieces)[2:-2]) == code


def test_a_monstrous_block_is_shown_as_it_stands_in_bounded_parts() -> None:
    text = " ".join(WORDS) * 2_000
    pieces = cut_pieces(text)
    assert {piece.kind for piece in pieces} == {"plain"}
    assert "".join(piece.source for piece in pieces) == text
    assert max(len(piece.source) for piece in pieces) <= PIECE_CHARACTERS


def test_links_and_markup_are_only_text() -> None:
    """R5: no OSC 8 link, no click action, no console markup."""
    text = "[red]x[/red] [@click=app.quit]y[/] [z](javascript:alert(1)) <https://a.example> [b](file:///etc/passwd)"
    strips = [strip for piece in cut_pieces(text) for strip in paint(200).piece(piece)]
    line = " ".join(strip.text for strip in strips)
    assert "[red]x[/red] [@click=app.quit]y[/]" in line
    assert "https://a.example" in line
    styles = [segment.style for strip in strips for segment in strip if segment.style is not None]
    assert all(style.link is None and not style.meta for style in styles)
