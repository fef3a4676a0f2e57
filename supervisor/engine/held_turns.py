"""Turns that wait because a budget is reached run when it is not any more: its ceiling was raised, the day turned."""

from __future__ import annotations

from supervisor.api.questions import Allow, Question, QuestionKind
from supervisor.engine.spending_limits import SpendingLimits
from supervisor.engine.turn_registry import TurnRegistry
from supervisor.instance.shared import HostContext
from supervisor.sessions.turn import Turn

BY = "the budget itself"
"""Who is told to have let them run."""


class HeldTurns:
    """Answers bullpen's own questions about them; those that a person has answered are none of its business."""

    def __init__(self, host: HostContext, turns: TurnRegistry, limits: SpendingLimits) -> None:
        self._host = host
        self._turns = turns
        self._spending_limits = limits

    def look(self) -> None:
        """The first that was taken in runs first, and counts then for those behind it."""
        held = [(question, turn) for question in self._asked() if (turn := self._turns.get(question.turn_id))]
        for question in self._find_free(held):
            self._host.pending_questions.answer(question.id, Allow(), BY)

    def _asked(self) -> list[Question]:
        return [one for one in self._host.pending_questions.open if one.kind is QuestionKind.BUDGET]

    def _find_free(self, held: list[tuple[Question, Turn]]) -> list[Question]:
        """As if each were handed in now: what comes after it does not count, and it does not count itself."""
        spending, free = self._host.spending, []
        waiting = [(question, self._turns.accounts_of(turn)) for question, turn in held]
        for _, accounts in waiting:
            spending.leave(accounts)
        for question, accounts in waiting:
            if self._spending_limits.find_reached(accounts) is None:
                free.append(question)
            spending.begin(accounts)
        return free
