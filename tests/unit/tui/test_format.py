"""Numbers and states as a few characters."""

from __future__ import annotations

import unicodedata

import pytest
from rich.cells import cell_len

from supervisor import InstanceState, MemoryLevel, SessionState, SlotState
from tui.wording import format


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0B"),
        (999, "999B"),
        (999.6, "1.0k"),
        (9_940, "9.9k"),
        (9_960, "10k"),
        (182_000_000, "182M"),
        (999_600_000, "1.0G"),
        (1_840_000_000, "1.8G"),
        (17_692_000_000, "17.7G"),
        (99_960_000_000, "100G"),
        (-5, "0B"),
    ],
)
def test_bytes_never_take_more_than_five_cells(size: float, text: str) -> None:
    assert format.bytes_short(size) == text
    assert all(len(format.bytes_short(10**power * 9.9949)) <= 5 for power in range(18))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-1, "0s"), (3.9, "3s"), (60, "1m"), (3_599, "59m"), (7_500, "2h05"), (86_399, "23h59"), (3 * 86_400, "3d")],
)
def test_an_age_is_its_largest_unit(seconds: float, text: str) -> None:
    assert format.age(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.08, "80 ms"), (0.2, "0.2 s"), (9.96, "10 s"), (59.7, "1m00"), (125, "2m05"), (3_840, "1h04")],
)
def test_a_duration_keeps_what_matters(seconds: float, text: str) -> None:
    assert format.duration(seconds) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (999, "999"), (12_345, "12.3k"), (99_960, "100k"), (999_600, "1.0M"), (-1_500, "-1.5k")],
)
def test_a_count_is_short(number: float, text: str) -> None:
    assert format.count(number) == text


@pytest.mark.parametrize(
    ("dollars", "text"), [(0, "$0"), (0.0001, "<$.001"), (0.0123, "$0.012"), (1.234, "$1.23"), (1_234.5, "$1,234")]
)
def test_money_is_never_rounded_to_nothing(dollars: float, text: str) -> None:
    assert format.money(dollars) == text


def test_a_sparkline_tells_nothing_from_something() -> None:
    assert format.spark([0, 0, 0], 3, top=100) == "▁▁▁"
    assert format.spark([0, 1, 100], 3, top=100) == "▁▂█"
    assert format.spark([5], 4, top=5) == "   █"
    assert format.spark([1, 2, 3, 4, 8], 2, top=8) == "▅█"
    assert format.spark([], 3, top=1) == "   "
    assert format.spark([180, 181, 182], 3, top=1000) == format.spark([180, 180, 180], 3, top=1000)
    assert format.spark([5_000], 1, top=1000) == "█"


def test_a_name_is_cut_in_the_middle() -> None:
    assert format.cut_middle("ticket-4711", 11) == "ticket-4711"
    assert format.cut_middle("a-very-long-session-name-42", 11) == "a-ver…me-42"
    assert format.cut_middle("日本語の名前です", 7) == "日本…す"
    assert format.cut_middle("abc", 1) == "…"


def test_a_bar_has_its_width_whatever_the_share() -> None:
    for share in (-1.0, 0.0, 0.001, 0.5, 0.999, 1.0, 7.0):
        assert len("".join(format.bar_parts(share, 10))) == 10
    assert "".join(format.bar_parts(0.0, 4)) == "────"
    assert "".join(format.bar_parts(0.001, 4)) == "╸───"
    assert "".join(format.bar_parts(1.0, 4)) == "━━━━"


def test_cutting_counts_cells_not_characters() -> None:
    assert format.cut("日本語テキスト", 7) == "日本語…"
    assert format.cut("abc", 3) == "abc"
    assert format.cut("abcd", 3) == "ab…"
    assert format.cut("abc… and more", 5) == "abc…", "one sign is enough"
    assert format.first_line("\n  \n first \nsecond") == "first"


@pytest.mark.parametrize(
    ("seconds", "text"), [(-3, "0:00"), (0.4, "0:01"), (42, "0:42"), (725, "12:05"), (3_723, "1:02:03")]
)
def test_a_countdown_tells_every_second_and_ends_at_nothing(seconds: float, text: str) -> None:
    assert format.countdown(seconds) == text


@pytest.mark.parametrize(
    ("number", "text"), [(1, "1st"), (2, "2nd"), (3, "3rd"), (4, "4th"), (11, "11th"), (22, "22nd"), (113, "113th")]
)
def test_an_ordinal_ends_as_it_is_spoken(number: int, text: str) -> None:
    assert format.ordinal(number) == text


def test_growth_is_told_when_it_is_more_than_noise() -> None:
    assert format.growth(61_000_000) == "+61M"
    assert format.growth(-3_100_000) == "-3.1M"
    assert format.growth(900_000) == ""


def test_every_memory_ceiling_has_a_letter_of_its_own() -> None:
    letters = [format.MEMORY_MARKS[level][0] for level in MemoryLevel]
    assert letters[0] == ""
    assert len(set(letters)) == len(letters)


def test_every_state_has_a_glyph_of_one_cell_and_a_role() -> None:
    for state in (*SessionState, *SlotState, *InstanceState):
        assert len(format.glyph(state)) == 1
        assert cell_len(format.glyph(state)) == 1
        assert format.role(state)
    for state in (SlotState.DORMANT, SlotState.WAKING):
        assert unicodedata.east_asian_width(format.glyph(state)) == "N", "one cell in an East Asian terminal too"
    assert format.glyph("no such state") == "?"
    assert len({format.glyph(state) for state in SessionState}) == len(SessionState)


@pytest.mark.parametrize(
    ("tool", "shown"),
    [
        ("mcp__bullpen__create_schedule", "create_schedule (bullpen)"),
        ("mcp__my_files__read__all", "read__all (my_files)"),
        ("mcp__files__Bash", "Bash (files)"),
        ("Bash", "Bash"),
        ("mcp__", "mcp__"),
        ("mcp__files", "mcp__files"),
        ("mcp____x", "mcp____x"),
    ],
)
def test_a_tool_of_a_server_is_named_by_itself_and_is_never_taken_for_another(tool: str, shown: str) -> None:
    assert format.tool_name(tool) == shown
