"""Every ceiling as it stands, and what it means for the next prompt."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping

from supervisor.api import events as past
from supervisor.api.addressing import is_of_one_call
from supervisor.api.budgets import AtCeiling, Budget, Measure, Scope
from supervisor.api.errors import OverBudget
from supervisor.api.keys import SessionKey
from supervisor.api.prompts import Prompt
from supervisor.config.budgets import Ceilings
from supervisor.instance.instance import Instance
from supervisor.instance.shared import HostContext
from supervisor.scheduling.budgets import Ceiling, Spent, first_reached, is_near, judge, next_midnight
from supervisor.sessions.spending import Account, accounts_of

FIELDS = {Measure.COST: "cost_per_day", Measure.TOKENS: "tokens_per_day", Measure.TURNS: "turns_per_day"}
SPELLED = {Measure.COST: "costPerDay", Measure.TOKENS: "tokensPerDay", Measure.TURNS: "turnsPerDay"}
MOST_SHOWN = 500
SOON = 30
"""Seconds after which a prompt may be sent again that only what is under way has kept out."""
OWN = (Scope.USER, Scope.SESSION)
"""Of which a caller is told the amounts: what all others spend is the operator's to know."""


class SpendingLimits:
    """Knows the settings and what was spent; changes neither."""

    def __init__(self, instances: Mapping[str, Instance], host: HostContext, *, is_estimate: bool) -> None:
        self._instances = instances
        self._host = host
        self._is_estimate = is_estimate
        self._told: dict[tuple[Scope, str, Measure], float] = {}
        """The share of each that was told today."""
        self._told_until = 0.0
        """The midnight that they count to."""

    def budgets(self) -> tuple[Budget, ...]:
        """The `MOST_SHOWN` fullest budgets, the fullest first."""
        found = [
            self._judge(ceiling)
            for scope in Scope
            for name in self._names(scope)
            for ceiling in self._ceilings((scope, name))
        ]
        return tuple(sorted(found, key=lambda one: -one.share)[:MOST_SHOWN])

    def check(self, key: SessionKey, prompt: Prompt, provider: str) -> str:
        """Raises `OverBudget`. What is to be asked before it runs, in words; empty when it may."""
        if self._has_none(key.instance):
            return ""
        reached = self.find_reached(accounts_of(key, prompt.user, provider))
        if reached is None:
            return ""
        words = tell(reached)
        if reached.at is AtCeiling.ASK:
            return words
        now = self._host.clock.wall()
        wait = reached.resets_at - now if reached.spent >= reached.limit else SOON
        raise OverBudget(words, retry_after=max(1.0, wait))

    def find_reached(self, accounts: tuple[Account, ...]) -> Budget | None:
        """The ceiling that keeps one more turn of those from being taken in; None when it may be."""
        return first_reached(self._judge(one) for account in accounts for one in self._ceilings(account))

    def look(self, accounts: tuple[Account, ...]) -> Iterator[past.BudgetNeared]:
        """What has come near since it was looked at last, or is reached: once for each and day."""
        if self._has_none(next((name for scope, name in accounts if scope is Scope.INSTANCE), "")):
            return
        if (until := next_midnight(self._host.clock.wall())) != self._told_until:
            self._told_until = until
            self._told.clear()
        for account in accounts:
            for ceiling in self._ceilings(account):
                budget = self._judge(ceiling)
                step = 1.0 if budget.spent >= budget.limit else 0.8 if is_near(budget) else 0.0
                name = (budget.scope, budget.name, budget.measure)
                if step > self._told.get(name, 0.0):
                    self._told[name] = step
                    facts = {"instance": account[1]} if account[0] is Scope.INSTANCE else {}
                    facts |= {"user": account[1]} if account[0] is Scope.USER else {}
                    yield past.BudgetNeared(at=self._host.clock.wall(), budget=budget, **facts)

    def _has_none(self, instance: str) -> bool:
        """No ceiling is written that a turn of it could reach. Each turn asks twice, and mostly it is so."""
        if self._host.settings.budgets.model_fields_set:
            return False
        found = self._instances.get(instance)
        return found is None or found.template.budget is None or not found.template.budget.model_fields_set

    def _names(self, scope: Scope) -> Iterator[str]:
        if scope is Scope.ALL:
            yield ""
        elif scope is Scope.INSTANCE:
            yield from self._instances
        else:
            spending, now = self._host.spending, self._host.clock.wall()
            for name in spending.names(scope, now):
                # The session of one call is over with it: no prompt can reach its ceiling any more.
                is_over = scope is Scope.SESSION and is_of_one_call(name.rpartition("/")[2])
                if not is_over or spending.of((scope, name), now)[1]:
                    yield name

    def _ceilings(self, account: Account) -> Iterator[Ceiling]:
        scope, name = account
        own: Ceilings = getattr(self._host.settings.budgets, scope.value)
        written = self._instances[name].template.budget if scope is Scope.INSTANCE and name in self._instances else None
        if not own.model_fields_set and (written is None or not written.model_fields_set):
            return
        for measure, field in FIELDS.items():
            source, key = own, f"budgets.{scope.value}.{field}"
            if written is not None and field in written.model_fields_set:
                source, key = written, f"budget.{SPELLED[measure]} of {name}"
            if (limit := getattr(source, field)) is not None:
                is_own = written is not None and "at" in written.model_fields_set
                at = (written if is_own and written is not None else source).at
                yield Ceiling(scope, name, measure, limit, AtCeiling(at), key)

    def _judge(self, ceiling: Ceiling) -> Budget:
        now = self._host.clock.wall()
        spent, overall = self._spent((ceiling.scope, ceiling.name)), self._spent((Scope.ALL, ""))
        return judge(ceiling, spent, overall, now, is_estimate=self._is_estimate)

    def _spent(self, account: Account) -> Spent:
        found, under_way = self._host.spending.of(account, self._host.clock.wall())
        return Spent(found.cost, found.tokens, found.turns, found.since, under_way, found.last)


def tell(budget: Budget) -> str:
    """Why a prompt is over it, in one sentence."""
    until = time.strftime("%H:%M", time.localtime(budget.resets_at))
    unit = {Measure.COST: "cost", Measure.TOKENS: "tokens", Measure.TURNS: "turns"}[budget.measure]
    whose = {
        Scope.ALL: "all agents together",
        Scope.USER: budget.name,
        Scope.SESSION: f"the session {budget.name}",
        Scope.INSTANCE: budget.name,
        Scope.PROVIDER: f"the provider {budget.name}",
    }[budget.scope]
    amounts = ""
    if budget.scope in OWN:
        amounts = f": {spell(budget.measure, budget.spent)} of {spell(budget.measure, budget.limit)}"
        if budget.spent < budget.limit:
            amounts += f", and {budget.under_way} under way"
    return f"{whose} reached the {unit} for today{amounts} (budgets.{budget.scope.value}); the day ends at {until}"


def spell(measure: Measure, amount: float) -> str:
    return f"${amount:,.2f}" if measure is Measure.COST else f"{amount:,.0f}"
