"""Costs are booked once, whatever the order of turns, ends and restarts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.claude.transcript_cut import find_spent
from supervisor.sessions.cost_meter import CostMeter


class Cli:
    """The CLI's running total of one conversation, as measured."""

    def __init__(self) -> None:
        self.saved = self.total = 0.0

    def start(self) -> None:
        self.total = self.saved

    def spend(self, cost: float) -> float:
        self.total += cost
        return self.total

    def end(self, *, in_order: bool) -> None:
        if in_order:
            self.saved = self.total


COSTS = st.integers(0, 1000).map(float)  # whole, so that sums are exact
TURNS = st.lists(COSTS, max_size=4)
LIVES = st.lists(st.tuples(TURNS, st.booleans(), st.booleans()), max_size=12)
"""For each process: the costs of its turns, whether it ends in order, whether the supervisor is killed along."""


@given(LIVES)
def test_every_cost_is_booked_once_when_a_process_tells_what_it_begins_with(
    lives: list[tuple[list[float], bool, bool]],
) -> None:
    cli, meter, booked = Cli(), CostMeter(), 0.0
    for turns, in_order, _ in lives:
        cli.start()
        meter.begin(cli.saved)
        booked += sum(meter.read(cli.spend(cost)) for cost in turns)
        cli.end(in_order=in_order)
        meter.end(is_saved=None)  # nothing is known of it, and nothing need be
    assert booked == sum(sum(turns) for turns, _, _ in lives)


@given(LIVES)
def test_every_cost_is_booked_once_when_it_is_known_how_each_process_ended(
    lives: list[tuple[list[float], bool, bool]],
) -> None:
    cli, meter, booked = Cli(), CostMeter(), 0.0
    for turns, in_order, supervisor_dies in lives:
        cli.start()
        meter.begin(None)
        booked += sum(meter.read(cli.spend(cost)) for cost in turns)
        cli.end(in_order=in_order)
        meter.end(is_saved=in_order)
        if supervisor_dies:
            meter = CostMeter(meter.seen, meter.saved)  # what the journal has
    assert booked == sum(sum(turns) for turns, _, _ in lives)


@given(LIVES, TURNS, st.booleans(), TURNS)
def test_an_end_of_which_nothing_is_known_never_books_twice(
    lives: list[tuple[list[float], bool, bool]], turns: list[float], in_order: bool, more: list[float]
) -> None:
    cli, meter, booked = Cli(), CostMeter(), 0.0
    for earlier, was_in_order, _ in lives:
        cli.start()
        booked += sum(meter.read(cli.spend(cost)) for cost in earlier)
        cli.end(in_order=was_in_order)
        meter.end(is_saved=was_in_order)
    cli.start()
    booked += sum(meter.read(cli.spend(cost)) for cost in turns)
    cli.end(in_order=in_order)
    meter = CostMeter(meter.seen, meter.saved)  # the supervisor was killed: it did not see the end
    cli.start()
    booked += sum(meter.read(cli.spend(cost)) for cost in more)
    true = sum(sum(one) for one, _, _ in lives) + sum(turns) + sum(more)
    assert booked <= true
    if in_order:
        assert booked == true


def test_what_is_saved_of_a_conversation_is_its_last_entry_of_costs(tmp_path: Path) -> None:
    transcript = tmp_path / "c.jsonl"
    assert_spent = '{"type":"user","uuid":"1"}\n{"type":"cost-state","totalCostUSD":0.5}\n{"type":"user","uuid":"2"}\n'
    transcript.write_text('{"type":"cost-state","totalCostUSD":9}\n' + assert_spent, encoding="utf-8")
    assert find_spent(transcript) == 0.5
    transcript.write_text('{"type":"user","uuid":"1"}\n', encoding="utf-8")
    assert find_spent(transcript) == 0.0
    transcript.write_text('{"type":"cost-state","totalCostUSD":0.', encoding="utf-8")
    with pytest.raises(json.JSONDecodeError):
        find_spent(transcript)
