"""A session's waiting turns, and the one that runs: held to its terminal Result (S3.13–16)."""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterator

from supervisor.sessions.turn import Turn

_PUT_BACK, _REPLAYED = -2, -1
"""Ranks before every priority: a turn that had begun already, and one that sends an interrupted prompt again."""


class Mailbox:
    """First in, first out; an employee's priorities go first. At most one turn runs."""

    def __init__(self) -> None:
        self._waiting: list[tuple[int, int, Turn]] = []
        self._sequence = 0
        self._current: Turn | None = None

    def __len__(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def __iter__(self) -> Iterator[Turn]:
        """The waiting turns, next first."""
        return (turn for _, _, turn in self._waiting)

    def __repr__(self) -> str:
        return f"<Mailbox {'busy' if self._current else 'free'}, {len(self)} waiting>"

    @property
    def current(self) -> Turn | None:
        return self._current

    @property
    def head(self) -> Turn | None:
        """The next turn; None when none waits. In a shared session, a turn held by a budget delays only later turns of
        the same user."""
        if not self._waiting or not self._waiting[0][2].is_held:
            return self._waiting[0][2] if self._waiting else None
        held = set()
        for turn in self:
            if turn.is_held:
                held.add(turn.prompt.user)
            elif turn.prompt.user not in held:
                return turn
        return self._waiting[0][2]

    @property
    def is_ready(self) -> bool:
        """Whether the next turn can begin: it is recorded, none runs, and it waits for no answer."""
        head = self.head
        if head is None or head.is_detached or head.is_held:
            return False
        return self._current is None and head.is_recorded

    def put(self, turn: Turn) -> None:
        self._sequence += 1
        rank = _REPLAYED if turn.replays or turn.is_command else int(turn.prompt.priority)
        insort(self._waiting, (rank, self._sequence, turn), key=lambda item: item[:2])

    def begin(self) -> Turn:
        """Makes the head the running turn."""
        head = self.head
        if head is None or not self.is_ready:
            raise AssertionError(f"nothing may begin in {self!r}")
        self.withdraw(head)
        self._current = head
        return head

    def finish(self) -> Turn:
        """Takes the running turn out."""
        if self._current is None:
            raise AssertionError(f"nothing runs in {self!r}")
        turn, self._current = self._current, None
        return turn

    def put_back(self) -> Turn:
        """Makes the running turn the head again: it goes before everything that waits."""
        turn = self.finish()
        self._waiting.insert(0, (_PUT_BACK, 0, turn))
        return turn

    def withdraw(self, turn: Turn) -> bool:
        """Takes a waiting turn out. False when it does not wait here."""
        kept = [item for item in self._waiting if item[2] is not turn]
        was_there = len(kept) < len(self._waiting)
        self._waiting = kept
        return was_there

    def clear(self) -> tuple[Turn, ...]:
        """Takes all waiting turns out."""
        turns = tuple(self)
        self._waiting = []
        return turns
