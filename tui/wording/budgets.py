"""Budgets in words."""

from __future__ import annotations

import time

from supervisor import Budget, Measure, Scope
from tui.wording.format import some


def amount(budget: Budget, value: float) -> str:
    """`$4.20`, `12,000 tokens`, `1 turn`; an estimate has `~` before it."""
    if budget.measure is Measure.COST:
        return f"{'~' if budget.is_estimate else ''}${value:,.2f}"
    return some(round(value), budget.measure.value.removesuffix("s"))


def whose(budget: Budget) -> str:
    return "all agents" if budget.scope is Scope.ALL else f"{budget.scope.value} {budget.name}"


def spent(budget: Budget) -> str:
    """`$4.20 of $5.00`."""
    limit = f"${budget.limit:,.2f}" if budget.measure is Measure.COST else f"{budget.limit:,.0f}"
    return f"{amount(budget, budget.spent)} of {limit}"


def outlook(budget: Budget) -> str:
    """When the budget is reached at today's rate, and what follows."""
    follows = "asks you" if budget.at == "ask" else "refuses"
    until = time.strftime("%H:%M", time.localtime(budget.resets_at))
    if budget.spent >= budget.limit:
        return f"reached: {follows} until {until}"
    if budget.is_reached:
        return f"{budget.under_way} under way may use the rest: {follows}"
    if budget.reached_at is None:
        return "not reached today at this rate"
    return f"reached at {time.strftime('%H:%M', time.localtime(budget.reached_at))} at this rate"


def budget_line(budget: Budget) -> str:
    return f"budget of {whose(budget)}: {spent(budget)}, {budget.share:.0%}; {outlook(budget)}"
