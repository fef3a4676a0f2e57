"""Whether one more turn may be taken in: pure arithmetic over what was spent."""

from __future__ import annotations

import os
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.api.budgets import AtCeiling, Measure, Scope
from supervisor.config.budgets import parse_amount, spell_amount
from supervisor.scheduling.budgets import LATELY, LEAST_RUN, Ceiling, Spent, first_reached, judge, next_midnight

NOON = time.mktime((2023, 11, 14, 12, 0, 0, 0, 0, -1))


def ceiling(limit: float, measure: Measure = Measure.COST, at: AtCeiling = AtCeiling.REFUSE) -> Ceiling:
    return Ceiling(Scope.USER, "ana", measure, limit, at, "budgets.user.cost_per_day")


def test_what_is_under_way_counts_as_turns_of_the_usual_size() -> None:
    spent = Spent(cost=4.0, turns=4, since=NOON - 3600, under_way=3)
    assert judge(ceiling(7.0), spent, spent, NOON).is_reached
    assert not judge(ceiling(7.1), spent, spent, NOON).is_reached
    new = Spent(under_way=3)
    assert judge(ceiling(3.0), new, spent, NOON).is_reached, "of one that has spent nothing, that of all together"
    assert not judge(ceiling(3.0), new, Spent(), NOON).is_reached, "nothing is known of the first turns of a day"


@given(
    limit=st.integers(0, 50), turns=st.integers(0, 60), under_way=st.integers(0, 60), measure=st.sampled_from(Measure)
)
def test_a_ceiling_of_turns_is_never_passed(limit: int, turns: int, under_way: int, measure: Measure) -> None:
    spent = Spent(turns=turns, under_way=under_way)
    is_reached = judge(ceiling(limit, Measure.TURNS), spent, spent, NOON).is_reached
    assert is_reached == (turns + under_way + 1 > limit)


def test_a_forecast_goes_on_at_the_rate_of_the_day_and_not_beyond_it() -> None:
    spent = Spent(cost=2.0, turns=2, since=NOON - 3600, last=NOON - 60)
    assert judge(ceiling(5.0), spent, spent, NOON).reached_at == pytest.approx(NOON + 1.5 * 3600)
    assert judge(ceiling(500.0), spent, spent, NOON).reached_at is None
    assert judge(ceiling(2.0), spent, spent, NOON).reached_at is None
    assert judge(ceiling(5.0), Spent(), Spent(), NOON).reached_at is None
    idle = spent._replace(last=NOON - LATELY - 1)
    assert judge(ceiling(5.0), idle, idle, NOON).reached_at is None, "it would slide along with the clock"
    assert judge(ceiling(5.0), idle._replace(under_way=1), idle, NOON).reached_at is not None
    quick = Spent(cost=2.0, turns=1, since=NOON - 1, last=NOON - 1)
    assert judge(ceiling(4.0), quick, quick, NOON).reached_at == pytest.approx(NOON + LEAST_RUN)


def test_what_refuses_goes_before_what_asks() -> None:
    full = Spent(cost=9.0, turns=9)
    asks = judge(ceiling(1.0, at=AtCeiling.ASK), full, full, NOON)
    refuses = judge(ceiling(9.0), full, full, NOON)
    free = judge(ceiling(99.0), full, full, NOON)
    assert first_reached([asks, free, refuses]) is refuses
    assert first_reached([free, asks]) is asks
    assert first_reached([free]) is None


@pytest.mark.parametrize(("day", "hours"), [((2026, 3, 29), 23), ((2026, 10, 25), 25), ((2026, 6, 1), 24)])
def test_a_day_ends_at_the_next_local_midnight_however_long_it_is(
    day: tuple[int, int, int], hours: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        began = time.mktime((*day, 0, 0, 0, 0, 0, -1))
        assert next_midnight(began) - began == hours * 3600
        assert next_midnight(began + 1800) == next_midnight(began)
    finally:
        monkeypatch.undo()
        time.tzset()
        assert "TZ" not in os.environ or os.environ["TZ"] != "Europe/Berlin"


def test_amounts_are_read_as_people_write_them() -> None:
    assert [parse_amount(one) for one in ("5", "$2.50", "200k", "2M", "1_000", 7, None, "none")] == [
        *(5.0, 2.5, 200_000.0, 2_000_000.0, 1_000.0, 7.0, None, None)
    ]
    for wrong in ("-1", "lots", True, "nan", "inf", "", [], 1e13):
        with pytest.raises(ValueError, match="must be an amount"):
            parse_amount(wrong)


@given(st.floats(0, 1e12))
def test_an_amount_is_read_as_it_is_written(amount: float) -> None:
    assert parse_amount(spell_amount(amount)) == amount
