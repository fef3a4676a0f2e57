"""What was handed in, and everything the child has told: the callers' side of the story, where no fault reaches it."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import anyio

WORD = re.compile(r"word\d{6}")
"""Every prompt has one of its own (`callers`)."""


class Place(NamedTuple):
    """A session, as its caller names it."""

    user: str
    session: str

    def __str__(self) -> str:
        return f"{self.user}/{self.session}"


@dataclass(frozen=True, slots=True)
class Handed:
    """One prompt. Its word stands in no other prompt."""

    word: str
    place: Place
    text: str


@dataclass(slots=True)
class Account:
    """An accepted turn: what the child has acknowledged, and what it said became of it."""

    handed: Handed
    turn: str
    is_acknowledged: bool = True
    """False when the supervisor died between recording it and saying so."""
    outcomes: list[tuple[int, str, str]] = field(default_factory=list)
    """(life of the child, who told it, outcome). Tickets and the feed each tell once."""
    reasons: list[str] = field(default_factory=list)

    is_over: bool = False
    """Nothing more is to come, whether or not anybody lived to tell its outcome."""


class Ledger:
    """Written by the director and by what the child tells; `changed` wakes whoever waits for something in it."""

    def __init__(self) -> None:
        self.handed: dict[str, Handed] = {}
        """By word."""
        self.accounts: dict[str, Account] = {}
        """By turn id."""
        self.refused: list[tuple[Handed, str]] = []
        self.offers: dict[Place, str] = {}
        """Interrupted turns that wait for a decision."""
        self.decided: Counter[str] = Counter()
        self.outcomes_told = 0
        self.failures: list[str] = []
        """Of the supervisor itself: whatever is in here is a bug."""
        self.notices: list[str] = []
        self.begun: dict[str, tuple[float, int]] = {}
        """Turn → when it was last told to have begun (Unix seconds), and the version of its template then, at least."""
        self._orphans: defaultdict[str, list[tuple[int, str, str]]] = defaultdict(list)
        self._changed = anyio.Event()

    def open_turns(self, place: Place | None = None) -> list[Account]:
        """Accepted, and nothing heard of its end."""
        return [
            account
            for account in self.accounts.values()
            if not account.is_over and (place is None or account.handed.place == place)
        ]

    async def changed(self, within: float) -> None:
        """Returns when something was told, or after `within` seconds."""
        with anyio.move_on_after(within):
            await self._changed.wait()

    def accept(self, turn: str, handed: Handed, *, is_acknowledged: bool = True) -> None:
        outcomes = self._orphans.pop(turn, [])
        self.accounts[turn] = Account(handed, turn, is_acknowledged, outcomes, is_over=bool(outcomes))

    def begin_life(self, turns: dict[str, str]) -> None:
        """A supervisor is ready and has these turns to do (id → prompt): the others ended with the one before."""
        for account in self.open_turns():
            account.is_over = account.turn not in turns
        for turn, text in turns.items():
            if turn not in self.accounts:
                (word,) = WORD.findall(text)[:1]
                self.accept(turn, self.handed[word], is_acknowledged=False)

    def hear(self, life: int, told: dict[str, Any]) -> None:
        """Takes down a line that is not an answer to a command."""
        match told:
            case {"told": "outcome" | "finished" as who, "turn": turn, "outcome": outcome, "reason": reason}:
                account = self.accounts.get(turn)
                self.outcomes_told += 1
                # The feed may be quicker than the acknowledgement.
                outcomes = account.outcomes if account else self._orphans[turn]
                outcomes.append((life, who, outcome))
                if account:
                    account.is_over = True
                    account.reasons.append(reason)
            case {"told": "begun", "at": at, "turn": turn, "version": version}:
                self.begun[turn] = (at, version)
            case {"told": "offer", "user": user, "session": session, "turn": turn}:
                self.offers[Place(user, session)] = turn
            case {"told": "replayed", "turn": old, "by": new}:
                self.accept(new, self.accounts[old].handed)
                self.decided["replayed"] += 1
            case {"told": "dropped"}:
                self.decided["dropped"] += 1
            case {"told": "engine-failed", "text": text}:
                self.failures.append(text)
            case {"told": "left-over", "client": client, "processes": count}:
                self.failures.append(f"{count} processes of {client} survived KILL")
            case _:
                self.notices.append(str(told.get("text") or told))
        changed, self._changed = self._changed, anyio.Event()
        changed.set()
