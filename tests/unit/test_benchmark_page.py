"""What the benchmark's page says follows from its raw results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.figures import Results, Slope, compute_figures, find_slope, paired_ratio, percentile, ratio_of_medians
from benchmarks.report import NOTES, write_page


def make_block(*firsts: float) -> dict[str, Any]:
    return {"timings": [[first, first * 2] for first in firsts], "cpu": 0.0}


def make_results(**phases: Any) -> Results:
    facts = {"date": "", "cores": 2, "memory": 0, "system": "", "python": "", "bullpen": "", "sdk": "", "cli": ""}
    plan = {"users": [6], "turns": 5}
    return {"facts": facts | {"load_before": 0.0, "load_after": 0.0}, "plan": plan, **phases}


def test_a_percentile_is_a_value_that_was_measured() -> None:
    values = [float(number) for number in range(1, 101)]
    assert [percentile(values, share) for share in (0.0, 0.5, 0.95, 0.99, 1.0)] == [1, 50, 95, 99, 100]


def test_a_slow_round_is_drawn_for_both_sides_of_a_ratio() -> None:
    floor = [make_block(1.0), make_block(10.0), make_block(1.0)]
    mine = [make_block(1.1), make_block(11.0), make_block(1.1)]
    assert ratio_of_medians(mine, floor) == pytest.approx((1.1, 1.1, 1.1))


def test_a_turn_is_compared_with_the_one_beside_it() -> None:
    """A machine that grows slower, and one moment that hits only one side, change nothing."""
    bare = [1.0, 2.0, 4.0, 8.0, 16.0]
    mine = [1.5, 3.0, 600.0, 12.0, 24.0]
    assert paired_ratio(mine, bare)[:2] == pytest.approx((1.5, 1.5))


@pytest.mark.parametrize(
    ("growth", "is_flat"),
    [(0.0, True), (0.5, True), (5.0, False), (-5.0, True)],
    ids=["none", "little", "much", "less"],
)
def test_a_soak_is_flat_when_it_does_not_grow(growth: float, is_flat: bool) -> None:
    samples = [{"turns": 50.0 * n, "mib": 80 + growth * 0.05 * n} for n in range(1, 41)]
    slope = find_slope(samples, "mib", allowed=1.0)
    assert slope.slope == pytest.approx(growth)
    assert slope.is_flat is is_flat


def test_growth_that_the_noise_explains_counts_as_none() -> None:
    assert Slope(slope=3.0, error=2.0, allowed=1.0).is_flat
    assert not Slope(slope=5.0, error=2.0, allowed=1.0).is_flat


@pytest.mark.parametrize(("rival", "verdict"), [(1.6, "met"), (1.4, "**missed**")])
def test_a_target_is_judged_by_what_was_measured(rival: float, verdict: str) -> None:
    found = {"bullpen": [make_block(0.1)], "per-request": [make_block(rival)], "generic-pool": [make_block(rival)]}
    figures = {one.name: one for one in compute_figures(make_results(requests={"6": found}))}
    assert figures["6 users × 5 turns: first token, a client per request / bullpen, p50"].verdict == verdict


def test_what_failed_or_was_not_measured_has_its_row_all_the_same(tmp_path: Any) -> None:
    page = tmp_path / "benchmarks.md"
    (tmp_path / "benchmarks-notes.md").write_text("## Why\n\nBecause.\n", "utf-8")
    write_page(make_results(soak={"error": "TimeoutError: "}), page)
    text = page.read_text("utf-8")
    assert text.count("not measured") == len(compute_figures(make_results()))
    assert "**The phase `soak` failed:** TimeoutError" in text
    assert text.endswith("## Why\n\nBecause.\n")


def test_the_notes_of_the_page_are_those_that_its_next_run_puts_there() -> None:
    """What is written into the page alone would be lost with the next measurement."""
    docs = Path(__file__).parents[2] / "docs"
    assert (docs / NOTES).read_text("utf-8") in (docs / "benchmarks.md").read_text("utf-8")
