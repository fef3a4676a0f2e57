"""What was spent since midnight, by user, session, instance and provider, and what is under way.

The journal keeps the same sums by itself.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from supervisor.api.budgets import Scope
from supervisor.api.keys import SessionKey
from supervisor.api.outcomes import Done, Failed, Interrupted, Outcome
from supervisor.sessions.daily_usage import midnight

HOST = "default"
"""The provider of a turn that names none."""
COUNTED = (Done, Failed, Interrupted)
"""Outcomes of turns that ran."""
MOST_DAYS = 2
"""Besides the one that it is."""
Account = tuple[Scope, str]
"""What a ceiling counts for: `(USER, "ana")`."""


@dataclass(slots=True)
class Sum:
    """What one account has used in one day."""

    cost: float = 0.0
    tokens: int = 0
    turns: int = 0
    since: float | None = None
    """Unix seconds: the end of the first turn of the day."""
    last: float | None = None
    """Unix seconds: the end of the last turn of the day. Of what an earlier run has left, no later than the first."""


def accounts_of(key: SessionKey, user: str, provider: str) -> tuple[Account, ...]:
    """All accounts that a turn's spending counts for. `user` is empty for a person who was forgotten."""
    shared = (Scope.ALL, ""), (Scope.INSTANCE, key.instance), (Scope.PROVIDER, provider or HOST)
    return (*shared, (Scope.USER, user), (Scope.SESSION, str(key))) if user else shared


class Spending:
    """Begins anew with every local day. A clock that is set back to the day before finds what was spent then."""

    def __init__(self) -> None:
        self._since = 0.0
        self._sums: defaultdict[Account, Sum] = defaultdict(Sum)
        self._other_days: dict[float, defaultdict[Account, Sum]] = {}
        """By their midnights, the one that was left last at the end."""
        self._under_way: Counter[Account] = Counter()

    def begin(self, accounts: Iterable[Account]) -> None:
        """A turn was taken in."""
        self._under_way.update(accounts)

    def leave(self, accounts: Iterable[Account]) -> None:
        """Counts one turn less under way for these accounts: it has ended, or is kept for the next start."""
        for account in accounts:
            self._under_way[account] -= 1
            if self._under_way[account] <= 0:
                del self._under_way[account]

    def add(self, accounts: Iterable[Account], outcome: Outcome, at: float) -> None:
        """A turn has ended at that Unix second."""
        if isinstance(outcome, COUNTED):
            self.restore(accounts, outcome.usage.cost_usd, outcome.usage.tokens, 1, at, at)

    def restore(
        self, accounts: Iterable[Account], cost: float, tokens: int, turns: int, first: float, now: float
    ) -> None:
        """Adds what was spent from `first` on."""
        self._turn_the_day(now)
        for account in accounts:
            found = self._sums[account]
            found.cost += cost
            found.tokens += tokens
            found.turns += turns
            found.since = first if found.since is None else min(found.since, first)
            found.last = first if found.last is None else max(found.last, first)

    def of(self, account: Account, now: float) -> tuple[Sum, int]:
        """The sum, and how many turns are under way."""
        self._turn_the_day(now)
        return self._sums.get(account) or Sum(), self._under_way[account]

    def names(self, scope: Scope, now: float) -> Iterator[str]:
        """Names of that scope that have spent something today, or have a turn under way, sorted."""
        self._turn_the_day(now)
        yield from sorted({name for kind, name in (*self._sums, *self._under_way) if kind is scope})

    def forget(self, user: str) -> None:
        """Removes the accounts of a user and of the user's sessions. What the user has spent still counts for all
        others."""
        for sums in (self._sums, *self._other_days.values()):
            for account in [one for one in sums if one == (Scope.USER, user) or _is_session_of(one, user)]:
                del sums[account]

    def _turn_the_day(self, now: float) -> None:
        if (since := midnight(now)) == self._since:
            return
        self._other_days[self._since] = self._sums
        self._since, self._sums = since, self._other_days.pop(since, defaultdict(Sum))
        while len(self._other_days) > MOST_DAYS:
            del self._other_days[next(iter(self._other_days))]


def _is_session_of(account: Account, user: str) -> bool:
    return account[0] is Scope.SESSION and account[1].rsplit("/", 2)[-2:-1] == [user]
