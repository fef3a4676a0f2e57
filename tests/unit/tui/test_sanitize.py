"""Untrusted text cannot drive the terminal (R5)."""

from __future__ import annotations

import re

import pytest
from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.color import Color

from supervisor.text.cleaning import StreamCleaner, clean, one_line
from tui.terminal.control_filter import ControlFilter
from tui.wording.sanitize import REPLACEMENT, clean_cell, clean_text

PAYLOADS = {
    "clear screen": "a\x1b[2Jb",
    "clipboard": "a\x1b]52;c;ZXZpbA==\x1b\\b",
    "title": "a\x1b]0;owned\x07b",
    "link": "a\x1b]8;;http://evil\x1b\\b\x1b]8;;\x1b\\",
    "C1 CSI": "a\x9b2Jb",
    "C1 OSC": "a\x9d52;c;x\x9cb",
    "device query": "a\x1b[6n\x1b[cb",
    "NUL": "a\x00b",
    "backspace": "a\x08\x08b",
    "shift out": "a\x0eb",
    "delete": "a\x7fb",
    "form feed": "a\x0cb",
    "next line": "a\x85b",
    "bidi override": "a\u202egpj.exe\u202cb",
    "bidi isolate": "a\u2066b\u2069",
    "arabic mark": "a\u061cb",
    "zero width": "a\u200bb\u200cc\u200dd\u2060e\ufefff",
    "line separators": "a\u2028b\u2029c",
    "tags": "a\U000e0041b",
    "filler": "a\u3164b\u115fc",
    "soft hyphen": "a\xadb",
    "half a pair": "a\ud800b\udfffc",
}
FORBIDDEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u115f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\ud800-\udfff\U000e0000-\U000e0fff]"
)


@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS)
def test_nothing_dangerous_reaches_the_terminal(payload: str) -> None:
    """R5: whatever a widget drew, the strip on its way out holds visible characters only."""
    segments = [Segment("left "), Segment(payload + " " * 40, Style(bold=True)), Segment("|")]
    drawn = ControlFilter().apply(segments, Color.parse("black"))
    text = "".join(segment.text for segment in drawn)
    assert not FORBIDDEN.search(text)
    assert REPLACEMENT in text
    assert sum(cell_len(segment.text) for segment in drawn) == sum(cell_len(segment.text) for segment in segments)
    assert text.startswith("left a")
    assert text.endswith("|"), "what stands to the right stays where it was"
    assert drawn[1].style == Style(bold=True)


def test_a_strip_without_spaces_keeps_its_width_too() -> None:
    drawn = ControlFilter().apply([Segment("a\x1b\x1bb|")], Color.parse("black"))
    assert "".join(segment.text for segment in drawn) == f"a{REPLACEMENT}{REPLACEMENT}"


def test_clean_text_is_passed_on_as_it_is() -> None:
    segments = [Segment("plain ─ 日本語 ● 🎉"), Segment("more", Style(bold=True))]
    assert ControlFilter().apply(segments, Color.parse("black")) is segments


def test_links_are_taken_off() -> None:
    """R5: an OSC 8 link would be written by the renderer, not by the text."""
    drawn = ControlFilter().apply([Segment("x", Style(link="http://evil\x1b\\"))], Color.parse("black"))
    assert drawn[0].style is not None
    assert drawn[0].style.link is None


@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS)
def test_cleaned_text_measures_as_it_is_drawn(payload: str) -> None:
    for cleaned in (clean_cell(payload), *clean_text(payload).split("\n")):
        assert not FORBIDDEN.search(cleaned)
        assert ControlFilter().apply([Segment(cleaned)], Color.parse("black"))[0].text == cleaned


def test_a_cell_is_one_line_of_bounded_width() -> None:
    assert clean_cell("one\ttwo\r\nthree") == "one two three"
    assert clean_cell("⚠\ufe0f \U0001f44d\U0001f3fd") == "⚠ \U0001f44d", (
        "what terminals measure differently is left out"
    )
    assert clean_cell("abcdefgh", 4) == "abc…"
    assert len(clean_cell("x" * 1_000_000)) <= 1_001


def test_text_keeps_its_lines() -> None:
    assert clean_text("a\r\nb\rc\n\td") == "a\nb\nc\n    d"


FLOODS = {
    "combining marks": "Z" + "\u0336" * 1_000_000,
    "enclosing marks": "Z" + "\u20dd" * 100_000,
    "spacing marks": "\u0915" + "\u093e" * 100_000,
    "vowels of Hangul": "\u1100" + "\u1161" * 100_000,
    "skin tones": "👍" + "\U0001f3fd" * 100_000,
    "selectors": "❤" + "\ufe0f" * 100_000,
    "joiners": "👩" + "\u200d" * 100_000,
    "marks with joiners": "Z" + "\u0336\u200d" * 100_000,
}


@pytest.mark.parametrize("flood", FLOODS.values(), ids=FLOODS)
def test_a_pile_of_characters_without_width_is_cut_to_what_a_few_cells_may_hold(flood: str) -> None:
    """What is laid out and painted afterwards is counted in characters: a cell holds nine of them at most."""
    cleaner = StreamCleaner()
    streamed = "".join(cleaner.feed(flood[at : at + 7]) for at in range(0, 70_000, 7)) + cleaner.flush()
    for shown in (clean(flood), streamed, clean_text(clean(flood)), clean_cell(flood, 60), one_line(flood, 200)):
        assert 1 <= len(shown) <= 9 * cell_len(shown)
        assert cell_len(shown) <= 60
    assert clean(streamed) == streamed


def test_a_mark_at_the_beginning_of_a_cell_is_not_drawn_into_the_one_beside_it() -> None:
    assert clean_cell("\u0336x") == "◌\u0336x"
