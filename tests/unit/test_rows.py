"""Rows of the dashboard's tables: what they say, and in which order they stand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from supervisor import PoolStatistics, SessionKey, SessionState, SlotState, WhyWaiting
from tests.tui import stage
from tests.tui.stage import MB, NOW
from tui import rows
from tui.widgets.columns import Cells, parts_of


def words(cells: Cells) -> str:
    return "".join(part.text for part in parts_of(cells))


def test_needs_you_first() -> None:
    """D1: asking, failed, longest waiting, longest working, then the most recently used."""

    def made(name: str, state: SessionState, **changes: object) -> object:
        return stage.session(SessionKey("i", "u", name), state=state, **changes)

    expected = [
        made("asks", SessionState.ASKING, turn_started_at=NOW - 5),
        made("failed", SessionState.FAILED),
        made("waits long", SessionState.WAITING, waiting=(stage.waiting(1, WhyWaiting.NO_SLOT, 60, ""),)),
        made("waits", SessionState.WAITING, waiting=(stage.waiting(1, WhyWaiting.MEMORY, 6, ""),)),
        made("works long", SessionState.WORKING, turn_started_at=NOW - 60),
        made("works", SessionState.WORKING, turn_started_at=NOW - 6),
        made("used now", SessionState.IDLE, last_activity_at=NOW - 1),
        made("used before", SessionState.IDLE, last_activity_at=NOW - 100),
        made("sleeps", SessionState.HIBERNATED, last_activity_at=NOW),
    ]
    shuffled = expected[1::2] + expected[::2]
    assert sorted(shuffled, key=rows.session_order) == expected


@pytest.mark.parametrize("why", list(WhyWaiting))
def test_a_waiting_session_says_why_in_the_engines_own_word(why: WhyWaiting) -> None:
    """Design §4: the same word everywhere."""
    queue = (stage.waiting(1, why, 42, "print it"), stage.waiting(2, WhyWaiting.SESSION_BUSY, 2, "again"))
    row = stage.session(stage.ANA, state=SessionState.WAITING, why=why, waiting=queue)
    text = words(rows.why_cells(row, None, None, NOW))
    assert text.startswith(f"{why} 42s")
    assert "+1" in text


def test_an_asking_session_names_the_tool_and_its_age() -> None:
    row = stage.session(stage.ROOT, state=SessionState.ASKING, questions=("q-1",))
    assert words(rows.why_cells(row, stage.PERMISSION, None, NOW)).startswith("Bash 48s")
    assert words(rows.why_cells(row, stage.CHOICE, None, NOW)).startswith("choice 12s")


def test_a_working_session_shows_the_tool_in_flight_and_what_waits_behind() -> None:
    row = stage.session(
        stage.ANA,
        state=SessionState.WORKING,
        turn_started_at=NOW - 14,
        waiting=(stage.waiting(1, WhyWaiting.SESSION_BUSY, 3, ""),),
    )
    busy = stage.client("helpdesk-3", stage.ANA, tool="Bash", tool_started_at=NOW - 6)
    assert words(rows.why_cells(row, None, busy, NOW)) == "14s  Bash 6s  +1 queued"


def test_clients_are_counted_by_state_and_against_their_limit() -> None:
    pool = PoolStatistics(busy=2, asking=1, idle=1, spare=1, reserved=1, starting=1, closing=1, max_clients=9)
    assert words(rows.clients_compact(pool)) == "2● 1◐ 1○ 1◇ 2◔ 1▽ /9"
    assert words(rows.clients_compact(PoolStatistics(max_clients=3))) == "0/3"


def test_clients_keep_their_place_for_life() -> None:
    """By number, not by text, and not by state."""
    ten, two = stage.client("a-10", None, state=SlotState.BUSY), stage.client("a-2", None)
    assert sorted([ten, two], key=rows.client_order) == [two, ten]


def test_noise_is_not_drawn_as_growth() -> None:
    quiet = rows.client_row(stage.client("a-1", None), NOW)
    growing = rows.client_row(replace(stage.client("a-1", None), memory_trend=(100 * MB, 200 * MB, 300 * MB)), NOW)
    assert set(words(quiet.cells[4])) == {"▁"}
    assert words(growing.cells[4]).strip() == "▁▅█"


def test_every_row_has_a_cell_and_a_sort_value_for_every_column() -> None:
    """A sort letter never meets a row without an answer."""
    engine = stage.asking()
    for row in engine.instances.values():
        made = rows.instance_row(row, NOW)
        assert len(made.cells) == len(made.sort) == len(rows.INSTANCE_COLUMNS)
    for session in engine.sessions.values():
        made = rows.session_row(session, None, None, NOW)
        assert len(made.cells) == len(made.sort) == len(rows.SESSION_COLUMNS)
    for client in engine.clients.values():
        made = rows.client_row(client, NOW)
        assert len(made.cells) == len(made.sort) == len(rows.CLIENT_COLUMNS)
    for question in engine.questions.values():
        made = rows.question_row(question, NOW)
        assert len(made.cells) == len(made.sort) == len(rows.QUESTION_COLUMNS)
