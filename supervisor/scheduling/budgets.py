"""Whether one more turn may be taken in, by what the day has cost so far. Pure: nothing here changes anything.

What waits and runs is not known yet, and counts as turns of the usual size: so many prompts that are sent at once go as
little beyond a ceiling as one does. A ceiling of turns is exact; of dollars and tokens it is passed by what the turns
under way differ from the usual, by the last turn of the day at least.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import NamedTuple

from supervisor.api.budgets import AtCeiling, Budget, Measure, Scope
from supervisor.sessions.daily_usage import midnight

NEARLY = 0.8
"""Share of a ceiling from which it is told that it comes near."""
LEAST_RUN = 300.0
"""Seconds of spending that a forecast takes at least: one turn a minute ago is no rate."""


LATELY = 600.0
"""Seconds after the last turn for which its spending is a rate: of who does nothing any more, no time can be told."""


class Spent(NamedTuple):
    """What one user, session, instance or provider, or all together, have spent since midnight."""

    cost: float = 0.0
    tokens: float = 0.0
    turns: float = 0.0
    since: float | None = None
    """Unix seconds: the end of the first turn of the day; None before that."""
    under_way: int = 0
    """Turns that wait or run."""
    last: float | None = None
    """Unix seconds: the end of the last turn of the day, as far as it is known."""

    def of(self, measure: Measure) -> float:
        return {Measure.COST: self.cost, Measure.TOKENS: self.tokens, Measure.TURNS: self.turns}[measure]


class Ceiling(NamedTuple):
    scope: Scope
    name: str
    measure: Measure
    limit: float
    at: AtCeiling
    key: str
    """Where it is set, as people write it: `budgets.user.cost_per_day`."""


def judge(ceiling: Ceiling, spent: Spent, overall: Spent, now: float, *, is_estimate: bool = False) -> Budget:
    """How a ceiling stands at `now` (Unix seconds). `overall` gives the usual size of a turn if this has none."""
    measure = ceiling.measure
    value, usual = spent.of(measure), 1.0
    if measure is not Measure.TURNS:
        known = spent if spent.turns else overall
        usual = known.of(measure) / known.turns if known.turns else 0.0
    resets_at = next_midnight(now)
    return Budget(
        scope=ceiling.scope,
        name=ceiling.name,
        measure=measure,
        spent=value,
        limit=ceiling.limit,
        at=ceiling.at,
        under_way=spent.under_way,
        expected=spent.under_way * usual,
        reached_at=_forecast(value, ceiling.limit, spent, now, resets_at),
        resets_at=resets_at,
        is_estimate=is_estimate and measure is Measure.COST,
    )


def first_reached(budgets: Iterable[Budget]) -> Budget | None:
    """The one that decides: what refuses goes before what asks."""
    reached = [budget for budget in budgets if budget.is_reached]
    return min(reached, key=lambda one: one.at is AtCeiling.ASK, default=None)


def is_near(budget: Budget) -> bool:
    return budget.spent >= NEARLY * budget.limit


def next_midnight(now: float) -> float:
    """The Unix second at which the local day after that of `now` begins; a day may have 23 or 25 hours."""
    day = time.localtime(midnight(now))
    return time.mktime((day.tm_year, day.tm_mon, day.tm_mday + 1, 0, 0, 0, 0, 0, -1))


def _forecast(value: float, limit: float, spent: Spent, now: float, resets_at: float) -> float | None:
    is_at_it = spent.under_way or (spent.last is not None and now - spent.last <= LATELY)
    if value >= limit or spent.since is None or value <= 0 or not is_at_it:
        return None
    at = now + (limit - value) * max(now - spent.since, LEAST_RUN) / value
    return at if at < resets_at else None
