"""No value from outside is outside of what the journal, the clocks and the screens can hold."""

from __future__ import annotations

import json
import math
import sqlite3
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor import bounds
from supervisor.api.outcomes import Usage
from supervisor.process.reports import Compacted, Limited, Result, Retrying

leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=10)
    | st.binary(max_size=5)
    | st.sampled_from([10**400, -(10**400), 2**63, "\ud800", "\x00"])
)
anything = (
    leaves | st.lists(leaves, max_size=2) | st.dictionaries(st.text(max_size=5) | st.integers(), leaves, max_size=2)
)


@given(anything)
def test_a_count_is_one_that_sqlite_and_json_hold_exactly(value: object) -> None:
    count = bounds.count(value)
    assert type(count) is int
    assert sqlite3.connect(":memory:").execute("SELECT ?", (count,)).fetchone() == (count,)
    assert int(float(count)) == count == json.loads(json.dumps(count))


@given(anything)
def test_a_length_of_time_and_a_price_are_finite_and_not_negative(value: object) -> None:
    for found in (bounds.seconds(value), bounds.milliseconds(value), bounds.dollars(value)):
        assert type(found) is float
        assert 0 <= found < math.inf


@given(anything)
def test_a_moment_can_be_shown_on_a_clock(value: object) -> None:
    moment = bounds.unix_time(value)
    assert moment is None or 2000 <= time.gmtime(moment).tm_year < 2100


@given(anything)
def test_texts_mappings_and_sequences_are_what_they_are_called(value: object) -> None:
    assert len(bounds.text(value, 3)) <= 3
    assert all(isinstance(key, str) for key in bounds.mapping(value))
    assert isinstance(bounds.sequence(value), list | tuple)
    assert bounds.http_status(value) is None or 100 <= value <= 599  # type: ignore[operator]


def test_what_is_in_range_stays_as_it_is() -> None:
    assert bounds.count(7) == 7
    assert bounds.dollars(0.25) == 0.25
    assert bounds.seconds(1.5) == 1.5
    assert bounds.milliseconds(1500) == 1.5
    assert bounds.unix_time(1_800_000_000) == 1_800_000_000
    assert bounds.http_status(429) == 429
    assert bounds.text("Grüße") == "Grüße"


def test_milliseconds_are_taken_for_what_they_are() -> None:
    assert bounds.unix_time(1_800_000_000_000) == 1_800_000_000


@pytest.mark.parametrize("wild", [2**63, 10**400, math.inf])
def test_what_is_too_large_becomes_the_largest(wild: float) -> None:
    assert bounds.count(wild) == bounds.MOST
    assert bounds.dollars(wild) == bounds.MOST_DOLLARS
    assert bounds.seconds(wild) == bounds.LONGEST_DELAY
    assert bounds.unix_time(wild) is None


@pytest.mark.parametrize("wild", [True, None, "12", "inf", [1], {"a": 1}, math.nan, -1, -math.inf])
def test_what_is_no_such_number_is_nothing(wild: object) -> None:
    assert bounds.count(wild) == bounds.dollars(wild) == bounds.seconds(wild) == 0
    assert bounds.unix_time(wild) is None
    assert bounds.http_status(wild) is None


def test_a_sum_of_usages_never_leaves_the_range() -> None:
    most = Usage(2**63, 2**63, 2**63, math.inf)
    assert most + most == most == Usage(bounds.MOST, bounds.MOST, bounds.MOST, bounds.MOST_DOLLARS)


@given(anything, anything, anything, anything)
def test_every_event_of_a_client_brings_its_values_into_range(
    one: object, two: object, three: object, four: object
) -> None:
    retrying = Retrying(one, two, three, four, one)  # type: ignore[arg-type]
    assert f"{retrying.attempt:d} {retrying.max_retries:,} {retrying.delay:.0f} {retrying.reason}"
    assert retrying.status in (None, one, two, three, four)
    limited = Limited(one, two)  # type: ignore[arg-type]
    assert limited.resets_at is None or time.localtime(limited.resets_at)
    assert f"{Compacted(one).tokens_before:,}"  # type: ignore[arg-type]
    result = Result(one, two, three, four, one, two, three, four, one)  # type: ignore[arg-type]
    assert all(isinstance(uuid, str) for uuid in result.prompt_uuids or ())
    assert isinstance(result.usage, Usage)


def test_a_value_that_no_json_can_hold_is_an_empty_text() -> None:
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]

    assert bounds.as_json({"a": [1, None]}) == '{"a": [1, null]}'
    assert bounds.as_json(b"x") == "\"b'x'\""
    assert bounds.as_json(None) == bounds.as_json({(1, 2): 3}) == bounds.as_json(deep) == ""
