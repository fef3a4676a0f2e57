"""R5: untrusted text cannot drive the terminal."""

from __future__ import annotations

import re
import unicodedata
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from supervisor.text.cleaning import (
    StreamCleaner,
    clean,
    find_unseen,
    name_unseen,
    one_line,
    reveal,
    reveal_line,
    shorten,
    show_name,
)

CUT = st.lists(st.integers(0, 60), max_size=6)
"""Where a text is cut into fragments."""

NASTY = st.lists(
    st.one_of(
        st.sampled_from(
            [
                *("\x1b", "[", "]", "P", "\\", "\x07", "\x9b", "\x9d", "\x9c", "\x90", "\x18", "31m", "0;title", ";"),
                *("\x1b[", "\x1b]", "\x1b\\", "\x1b(B", " ", "\r", "\n", "\r\n", "\t", "\ud83d", "\ude00", "\u202e"),
                *("\u200d", "\ufeff", "\u2028", "\u0085", "\U000e0041", "é", "日", "😀", "❤", "\ufe0f", "\ufe0e"),
                *("\u0301", "\u0336" * 7, "\u0e31" * 9, "e", "\u0930", "\u0941" * 5, "\u1161" * 12, "\u20dd"),
            ]
        ),
        st.text(st.characters(), max_size=4),
        st.text(st.characters(categories=["Cs", "Cc", "Cf"]), max_size=4),
    ),
    max_size=25,
).map("".join)


def is_allowed(character: str) -> bool:
    """Judged by Unicode's own categories: no control but newline and tab, no surrogate, no separator of lines. Of the
    format characters those remain that are visible signs, such as U+0600."""
    category = unicodedata.category(character)
    if category == "Cf":
        return unicodedata.bidirectional(character) in ("AN", "AL", "L") and character not in "\u061c\u200e"
    return character in "\n\t" or category not in ("Cc", "Cs", "Zl", "Zp")


@given(NASTY)
def test_nothing_forbidden_comes_out_and_clean_text_stays_as_it_is(text: str) -> None:
    cleaned = clean(text)

    assert [character for character in cleaned if not is_allowed(character)] == []
    assert clean(cleaned) == cleaned
    cleaned.encode()


@given(NASTY)
def test_revealing_takes_nothing_away_and_leaves_nothing_for_cleaning(text: str) -> None:
    text = text.replace("⟨", "")
    revealed = reveal(text)

    assert clean(revealed) == revealed
    assert reveal(revealed) == revealed
    escapes = re.findall("⟨[^⟩]*⟩", revealed)
    assert escapes == [name_unseen(character) for character in find_unseen(text)]
    hidden = iter(find_unseen(text))
    assert re.sub("⟨[^⟩]*⟩", lambda _: next(hidden), revealed) == text


@given(NASTY, NASTY)
def test_two_different_names_look_different_and_each_is_one_line(one: str, other: str) -> None:
    shown = show_name(one)

    assert (shown == show_name(other)) == (one == other)
    assert len(shown.splitlines()) == (1 if one else 0)
    assert clean(shown) == shown
    assert show_name("a⟨ESC⟩b") != show_name("a\x1bb")


def test_a_long_name_is_cut_and_says_so() -> None:
    assert show_name("x" * 512) == "x" * 500 + "… (12 more characters)"
    assert reveal_line("one\n\ttwo", 5) == "one⟨LF⟩⟨TAB⟩… (3 more characters)"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1b[2Jb", "a⟨ESC⟩[2Jb"),
        ("rm x\rls", "rm x⟨CR⟩ls"),
        ("a\u202eb\u200b", "a⟨U+202E⟩b⟨U+200B⟩"),
        ("\U000e0041\ufe0f\u00a0\u2800", "⟨U+E0041⟩⟨U+FE0F⟩⟨U+00A0⟩⟨U+2800⟩"),
        ("one\n\ttwo", "one\n\ttwo"),
        ("\ud83d\x85\u2028\0", "⟨U+D83D⟩⟨U+0085⟩⟨U+2028⟩⟨NUL⟩"),
        ("naïve 日本 😀", "naïve 日本 😀"),
    ],
)
def test_what_cannot_be_seen_is_revealed_as_an_escape(text: str, shown: str) -> None:
    assert reveal(text) == shown


@given(NASTY, CUT)
def test_fragments_cut_anywhere_give_what_the_whole_gives(text: str, cuts: list[int]) -> None:
    cleaner = StreamCleaner()
    edges = [0, *sorted(cuts), len(text)]

    told = "".join([cleaner.feed(text[start:end]) for start, end in pairwise(edges)])

    assert told + cleaner.flush() == clean(text)


@example("\N{GRINNING FACE}\ufe0f" + "x" * 8 + "\nz")
@example("\N{GRINNING FACE}\ufe0f" + "x" * 7 + "\nz")
@given(NASTY)
def test_a_stream_fed_character_by_character_gives_what_the_whole_gives(text: str) -> None:
    cleaner = StreamCleaner()

    assert "".join([cleaner.feed(character) for character in text]) + cleaner.flush() == clean(text)


@given(st.text(st.characters(categories=["L", "N", "P", "S", "Zs"]), max_size=80))
def test_ordinary_text_is_left_alone(text: str) -> None:
    assert clean(text) == text.translate(dict.fromkeys([0x115F, 0x1160, 0x3164, 0xFFA0, 0x1D159]))


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("a\x9b2Jb", "ab"),
        ("a\x1b]0;evil title\x07b", "ab"),
        ("a\x1b]52;c;aGk=\x1b\\b", "ab"),
        ("a\x9d8;;http://x\x9cb", "ab"),
        ("a\x1bPq#0;2;0\x1b\\b", "ab"),
        ("a\x1b_Gkitty\x1b\\b", "ab"),
        ("a\x1b(Bb\x1bcd\x1b7e", "abde"),
        ("\x1b]0;never ended\nthe rest is read", "0;never ended\nthe rest is read"),
        ("\x1b]" + "x" * 5000, "x" * 5000),
        ("a\x00\x07\x08\x7f\x85b\tc\n", "ab\tc\n"),
        ("50%\r60%\r\n", "50%\n60%\n"),
        ("safe\u202egpj.exe\u2066", "safegpj.exe"),
        ("a\u200b\u200c\u2060\ufeffb", "ab"),
        ("👩\u200d💻", "👩💻"),
        ("❤\ufe0f", "❤\ufe0f"),
        ("❤\ufe0f\ufe0f\ufe0e", "❤\ufe0f"),
        ("a\ufe0fb\ufe00c\U000e0100d", "abcd"),
        ("a\uffffb\ufdd0c\U0010fffed", "abcd"),
        ("Z" + "\u0336" * 10_000 + "a", "Z" + "\u0336" * 8 + "a"),
        ("\u1100" + "\u1161" * 10_000, "\u1100" + "\u1161" * 8),
        ("\u0915" + "\u093e" * 10_000, "\u0915" + "\u093e" * 8),
        ("👍" + "\U0001f3fd" * 10_000, "👍" + "\U0001f3fd" * 8),
        ("e" + "\u0301\u200d" * 10_000, "e" + "\u0301" * 8),
        ("\ud83d", "\ufffd"),
        ("\ud83d\ude00!", "😀!"),
        ("hi\U000e0068\U000e0069", "hi"),
    ],
)
def test_each_kind_of_danger_goes_as_a_whole(text: str, cleaned: str) -> None:
    assert clean(text) == cleaned


def test_a_stream_does_not_hold_back_what_is_certain() -> None:
    cleaner = StreamCleaner()

    assert cleaner.feed("hello \x1b[3") == "hello "
    assert cleaner.feed("1mworld") == "world"
    assert cleaner.feed("\x1b]0;" + "x" * 5000).endswith("x" * 5000)
    assert cleaner.flush() == ""


def test_a_smiley_cut_in_two_halves_arrives_whole() -> None:
    """Fragments are cut by a program that counts in UTF-16."""
    cleaner = StreamCleaner()

    assert [cleaner.feed("so \ud83d"), cleaner.feed("\ude00")] == ["so ", "😀"]


def test_one_line_is_one_line_within_its_limit() -> None:
    assert one_line("  a\n\tb\x1b[2J  c ", 20) == "a b c"
    assert one_line("word " * 1000, 12) == "word word w…"
    assert len(one_line("x" * 100, 10)) == 10


def test_shortened_text_says_how_much_is_missing() -> None:
    assert shorten("short\n") == "short\n"
    assert shorten("a\nb\nc\nd", limit_lines=2) == "a\nb\n… 4 more characters on 2 more lines"
    assert shorten("é" * 10, limit_bytes=5) == "éé\n… 8 more characters on 1 more line"
