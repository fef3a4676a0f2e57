"""R5: one table of dangerous characters, held against Unicode's data and against everything that uses it."""

from __future__ import annotations

import re
import string
import sys
import unicodedata

import pytest
from rich.cells import get_character_cell_size
from rich.segment import Segment
from textual.color import Color

from supervisor.api.errors import InvalidId
from supervisor.api.ids import _ALLOWED as ALLOWED
from supervisor.api.ids import validate_id
from supervisor.text.characters import (
    BLANKS,
    CONTROLS,
    FORBIDDEN,
    HIDDEN,
    MARK_BLOCKS,
    NONCHARACTERS,
    SELECTORS,
    SEPARATORS,
    SURROGATES,
    TONES,
    VISIBLE_FORMAT,
    is_mark,
)
from supervisor.text.cleaning import clean, find_unseen, reveal, reveal_line, show_name
from tui.terminal.control_filter import ControlFilter
from tui.wording.sanitize import clean_cell, clean_text

EVERY = "".join(map(chr, range(sys.maxunicode + 1)))

IGNORABLE = (
    "\u00ad\u034f\u061c\u115f-\u1160\u17b4-\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f"
    "\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
"""`Default_Ignorable_Code_Point`, as DerivedCoreProperties.txt of Unicode 16 lists it."""


def members(ranges: str) -> set[str]:
    return set(re.findall(f"[{ranges}]", EVERY))


def of_category(*categories: str) -> set[str]:
    return {character for character in EVERY if unicodedata.category(character) in categories}


def named(characters: set[str]) -> list[str]:
    return [f"U+{ord(character):04X}" for character in sorted(characters)]


def test_the_table_has_every_character_that_unicode_calls_a_control_a_format_or_a_separator() -> None:
    """A newer Python's data may know format characters that the table does not: this is where they show."""
    assert named(members(CONTROLS) ^ (of_category("Cc") - {"\n", "\t"})) == []
    assert named(members(SURROGATES) ^ of_category("Cs")) == []
    assert named(members(SEPARATORS) ^ of_category("Zl", "Zp")) == []
    assert named(of_category("Cf") - members(HIDDEN) - members(VISIBLE_FORMAT)) == []
    assert named(members(VISIBLE_FORMAT) - of_category("Cf")) == []


def test_the_table_has_every_character_that_is_ignored_when_it_is_drawn() -> None:
    assert named(members(IGNORABLE) - members(HIDDEN) - members(SELECTORS)) == []
    assert len(members(NONCHARACTERS)) == 66
    assert named(of_category("Zs") - {" "} - members(BLANKS)) == []


def test_what_has_no_width_is_forbidden_or_counted_as_a_mark() -> None:
    """What costs a program time and a terminal no cell can be piled up, whatever its category is."""
    seen = members(FORBIDDEN) | members(SELECTORS) | {"\n", "\t", "\0"}
    without_width = {character for character in EVERY if get_character_cell_size(character) == 0}

    assert named({character for character in without_width - seen if not is_mark(character)}) == []
    assert named(of_category("Mn", "Mc", "Me") - seen - members(MARK_BLOCKS)) == []


def test_no_character_that_cleaning_forbids_passes_anywhere_else() -> None:
    """One character at a time between two letters, through everything that a text may pass."""
    blanks, tones = members(BLANKS), members(TONES)
    for character in members(FORBIDDEN) | members(SELECTORS) | tones | blanks | {"\r"}:
        between = f"a{character}b"
        assert character not in clean(between) or character in tones | blanks
        assert character not in reveal(between)
        assert character not in reveal_line(between)
        assert character not in show_name(between)
        assert find_unseen(between) == [character]
        with pytest.raises(InvalidId) as refused:
            validate_id(between, "user")
        assert character not in str(refused.value)
        if character in blanks:
            continue
        assert character not in clean_cell(between)
        assert character not in clean_text(between)


def test_the_screens_last_gate_lets_nothing_through_that_the_table_forbids() -> None:
    for character in [*members(FORBIDDEN), "\n", "\t"]:
        drawn = ControlFilter().apply([Segment(f"a{character}b")], Color.parse("black"))
        assert character not in "".join(segment.text for segment in drawn)


def test_only_ascii_names_users_and_sessions() -> None:
    assert set(string.ascii_letters + string.digits + "_@+") == {one for one in EVERY if ALLOWED.fullmatch(one)}
    assert set("".join(ALLOWED.findall("a".join(EVERY)))) == set(string.ascii_letters + string.digits + "-_.@:+")


def test_cleaning_leaves_every_other_character_alone() -> None:
    """In one text, so that a rule about neighbours would show: each stands between two letters."""
    text = "a".join(re.sub(f"[\r{FORBIDDEN}{SELECTORS}]", "", EVERY))
    assert clean(text) == text
