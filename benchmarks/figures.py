"""From raw results to figures with their targets. Pure: every number is computed from what this run measured."""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

Results = dict[str, Any]
Block = dict[str, Any]

RESAMPLES = 1_000
SETTLING = 0.25
"""The share of a soak's samples that is not counted: caches and allocators fill up first."""
MIB = 1024 * 1024
FIRST, RESULT = 0, 1
"""Places in a timing."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One row of the first table."""

    name: str
    value: float | None
    """None when it was not measured."""
    shown: str
    target: str = ""
    is_met: bool | None = None
    """None when there is nothing to meet, or nothing was measured."""

    @property
    def verdict(self) -> str:
        if self.is_met is None:
            return "—" if self.value is not None else "not measured"
        return "met" if self.is_met else "**missed**"


@dataclass(frozen=True, slots=True)
class Slope:
    """Least squares, per 1,000 turns."""

    slope: float
    error: float
    """Standard error."""
    allowed: float
    """Growth per 1,000 turns that counts as none."""

    @property
    def is_flat(self) -> bool:
        return self.slope <= 2 * self.error or self.slope < self.allowed


def percentile(values: Sequence[float], share: float) -> float:
    """The nearest rank."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def times(blocks: Sequence[Block], place: int = FIRST) -> list[float]:
    return [timing[place] for block in blocks for timing in block["timings"]]


def ratio_of_medians(above: Sequence[Block], below: Sequence[Block], place: int = FIRST) -> tuple[float, float, float]:
    """The ratio, and the bounds that 95 % of it lie in when rounds are drawn again and again.

    Blocks at the same place were measured in the same round, so they are drawn together: what slowed the machine down
    then is in both.
    """

    def ratio(one: Sequence[Block], other: Sequence[Block]) -> float:
        return statistics.median(times(one, place)) / statistics.median(times(other, place))

    chance = random.Random(1)
    rounds = list(zip(above, below, strict=True))
    drawn = [ratio(*zip(*chance.choices(rounds, k=len(rounds)), strict=True)) for _ in range(RESAMPLES)]
    return ratio(above, below), percentile(drawn, 0.025), percentile(drawn, 0.975)


def paired_ratio(above: Sequence[float], below: Sequence[float]) -> tuple[float, float, float]:
    """The median of the ratios of pairs that were measured one right after the other, and the bounds that 95 % of it
    lie in when pairs are drawn again and again."""
    ratios = [one / other for one, other in zip(above, below, strict=True)]
    chance = random.Random(1)
    drawn = [statistics.median(chance.choices(ratios, k=len(ratios))) for _ in range(RESAMPLES)]
    return statistics.median(ratios), percentile(drawn, 0.025), percentile(drawn, 0.975)


def find_slope(samples: Sequence[dict[str, float]], name: str, allowed: float) -> Slope:
    kept = samples[int(len(samples) * SETTLING) :]
    turns = [sample["turns"] / 1_000 for sample in kept]
    values = [sample[name] for sample in kept]
    slope, intercept = statistics.linear_regression(turns, values)
    rest = sum((value - intercept - slope * x) ** 2 for x, value in zip(turns, values, strict=True))
    spread = sum((x - statistics.fmean(turns)) ** 2 for x in turns)
    error = math.sqrt(rest / max(1, len(kept) - 2) / spread)
    return Slope(slope, error, allowed)


def soak_slopes(results: Results) -> dict[str, Slope]:
    samples = results["soak"]["samples"]
    return {
        "RSS of the supervisor, MiB": find_slope(
            [{**sample, "mib": sample["rss"] / MIB} for sample in samples], "mib", allowed=1.0
        ),
        "file descriptors": find_slope(samples, "fds", allowed=1.0),
        "tasks": find_slope(samples, "tasks", allowed=1.0),
    }


def bytes_per_session(results: Results) -> float:
    points = results["memory"]["points"]
    return statistics.linear_regression([point[0] for point in points], [point[1] for point in points]).slope


def has(results: Results, phase: str) -> bool:
    return phase in results and "error" not in results[phase]


def compute_figures(results: Results) -> list[Figure]:
    return [
        *_warm(results),
        *_floor(results),
        *_against_requests(results),
        *_cold(results),
        *_engine(results),
        *_soak(results),
    ]


def _compared(
    name: str,
    above: Sequence[Block],
    below: Sequence[Block],
    place: int,
    target: str,
    is_met: Callable[[float], bool] | None,
) -> Figure:
    ratio, low, high = ratio_of_medians(above, below, place)
    shown = f"{ratio:.2f} × ({low:.2f}–{high:.2f})"
    return Figure(name, ratio, shown, target, is_met(ratio) if is_met else None)


def _warm(results: Results) -> Iterator[Figure]:
    for users in results["plan"]["users"]:
        name = f"warm turn, {_people(users)}: submit → first token, bullpen / floor, p50"
        if not has(results, "warm"):
            yield Figure(name, None, "", "≤ 1.10 × (aim 1.03)")
            continue
        found = results["warm"][str(users)]
        mine, floor = found["bullpen"], found["floor"]
        yield _compared(name, mine, floor, FIRST, "≤ 1.10 × (aim 1.03)", lambda ratio: ratio <= 1.10)
        tail = percentile(times(mine), 0.95) / percentile(times(floor), 0.95)
        yield Figure("  the same, p95", tail, f"{tail:.2f} ×")
        yield _compared("  submit → result, p50", mine, floor, RESULT, "", None)


QUICK = (("first token", 1.05), ("result", 1.08), ("own processor time of a turn", 1.6))
"""What `benchmarks.floor` measures of each turn, in the order of a sample, and what is aimed at."""


def _floor(results: Results) -> Iterator[Figure]:
    for place, (what, limit) in enumerate(QUICK):
        name, target = f"endpoint of a millisecond: {what}, bullpen / bare client, each pair", f"≤ {limit:.2f} ×"
        if not has(results, "floor"):
            yield Figure(name, None, "", target)
            continue
        mine, bare = ([sample[place] for sample in results["floor"][who]] for who in ("bullpen", "floor"))
        ratio, low, high = paired_ratio(mine, bare)
        yield Figure(name, ratio, f"{ratio:.2f} × ({low:.2f}–{high:.2f})", target, ratio <= limit)


def _against_requests(results: Results) -> Iterator[Figure]:
    for users in results["plan"]["users"]:
        for rival, label in (("per-request", "a client per request"), ("generic-pool", "the generic pool")):
            is_target = users == 6
            turns = results["plan"]["turns"]
            name = f"{_people(users)} × {turns} turns: first token, {label} / bullpen, p50"
            target = "≥ 15 ×" if is_target else ""
            if not has(results, "requests"):
                yield Figure(name, None, "", target)
                continue
            found = results["requests"][str(users)]
            is_met = (lambda ratio: ratio >= 15) if is_target else None
            yield _compared(name, found[rival], found["bullpen"], FIRST, target, is_met)


def _cold(results: Results) -> Iterator[Figure]:
    for name, above, below, limit in (
        ("new session: on a spare / cold, first token, p50", "spare", "new", 0.5),
        ("cold resume: bullpen / bare connect with resume plus turn, first token, p50", "resume", "bare-resume", 1.10),
    ):
        target = f"≤ {limit:.2f} ×"
        if not has(results, "cold"):
            yield Figure(name, None, "", target)
            continue
        starts = {kind: [{"timings": [one]} for one in results["cold"][kind]] for kind in (above, below)}
        yield _compared(name, starts[above], starts[below], FIRST, target, _at_most(limit))


def _at_most(limit: float) -> Callable[[float], bool]:
    return lambda ratio: ratio <= limit


def _engine(results: Results) -> Iterator[Figure]:
    name, target = "fake client: submit → written, p99", "< 5 ms"
    if has(results, "written"):
        found = results["written"]
        load = f"{found['sessions']:,} sessions, {found['rate']} prompts/s"
        p99 = percentile(found["steady"], 0.99)
        yield Figure(f"{name}, {load}", p99, _ms(p99), target, p99 < 0.005)
        late = percentile(found["late"], 0.99)
        yield Figure("  counted from the moment the prompt was due", late, _ms(late))
        burst = percentile(found["burst"], 0.99)
        middle = percentile(found["burst"], 0.5)
        shown = f"{_ms(burst)} (p50 {_ms(middle)})"
        yield Figure(f"  a burst: all {found['sessions']:,} sessions prompted at once", burst, shown)
    else:
        yield Figure(name, None, "", target)

    name, target = "feed to three readers, events per second of one core", "≥ 20,000"
    if has(results, "feed"):
        found = results["feed"]
        for label, part, has_target in (
            (f"{name}: readers that take ten times a second", "screen", True),
            (f"  readers as fast as they are woken, events in bursts of {found['burst']}", "woken", True),
            ("  the same, one event at a time", "single", False),
            ("  fragments of text told by clients, whole engine, readers at 10 Hz", "told", True),
        ):
            rate = found[part]["events"] / found[part]["cpu"]
            cuts = f", {found[part]['cuts']} cuts" if found[part]["cuts"] else ""
            is_met = rate >= 20_000 and not cuts if has_target else None
            yield Figure(label, rate, f"{rate:,.0f}{cuts}", target if has_target else "", is_met)
    else:
        yield Figure(name, None, "", target)

    name, target = "memory of a hibernated session (RSS, slope)", "< 10 KB"
    if has(results, "memory"):
        size = bytes_per_session(results)
        count = results["memory"]["points"][-1][0]
        yield Figure(f"{name}, {count:,} sessions", size, f"{size / 1000:.1f} KB", target, size < 10_000)
    else:
        yield Figure(name, None, "", target)

    name, target = "journal: load", "< 2 s for 10,000 sessions"
    if has(results, "journal") and results["journal"]["seconds"] is not None:
        seconds, sessions = results["journal"]["seconds"], results["journal"]["sessions"]
        yield Figure(f"{name} {sessions:,} sessions", seconds, f"{seconds:.2f} s", target, seconds < 2)
    else:
        yield Figure(name, None, "", target)


def _soak(results: Results) -> Iterator[Figure]:
    if not has(results, "soak"):
        yield Figure("soak: RSS, file descriptors, tasks per 1,000 turns", None, "", "flat")
        return
    turns = results["soak"]["turns"]
    for name, slope in soak_slopes(results).items():
        shown = f"{slope.slope:+.2f} ± {slope.error:.2f}"
        yield Figure(f"soak of {turns:,} turns: {name} per 1,000 turns", slope.slope, shown, "flat", slope.is_flat)


def _people(count: int) -> str:
    return "1 user" if count == 1 else f"{count} users"


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:,.1f} ms"
